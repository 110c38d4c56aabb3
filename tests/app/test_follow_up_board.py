"""Two scans beside each other in a real browser, and the reading that decides the response."""

from __future__ import annotations

import pytest
from browser import keys_of_buttons, keys_of_fields, pick, serve, shot, without_a_tooltip
from followed import PATIENT, PLACES, put_followed

from app.follow_up_views import course_figure, lesion_stops, target_rows, verdict
from data.reading import Reading
from data.store import AvatarStore
from pipelines.follow_up import follow, volumes_over_time
from pipelines.review import find_case

pytestmark = [pytest.mark.xdist_group("follow-up-browser")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("follow-up") / "store"
    with AvatarStore(folder) as store:
        put_followed(store)
    return folder


@pytest.fixture(scope="module")
def follow_up(folder):
    with AvatarStore(folder) as store:
        return follow(store, store.get(PATIENT))


def test_the_table_has_a_line_for_each_lesion_and_says_what_decided(follow_up):
    responses = follow_up.responses()
    rows = target_rows(follow_up, responses)
    by_name = {row["Lesion"]: row for row in rows}
    assert list(by_name) == [
        "L1", "L2", "L3", "N1", "Sum of targets (mm²)", "since baseline", "since nadir", "Category",
    ]  # fmt: skip
    assert [by_name[n]["Is"] for n in ("L1", "L3", "N1")] == ["target", "too small", "new?"]
    assert by_name["N1"]["Day 120"].startswith("candidate, 1.")
    assert by_name["Category"]["Day 60"] == "PR*"
    assert by_name["since nadir"]["Day 120"].startswith("+3")
    words = verdict(responses[-1], follow_up.criteria)
    assert "Progressive disease (PD)" in words
    assert "After progression" not in words


def test_new_lesions_are_the_first_to_be_looked_at_in_the_space_of_the_scan_beside(follow_up):
    stops = lesion_stops(follow_up, 2, 0)
    assert [s.name for s in stops] == ["N1", "L1", "L2", "L3"]
    for stop, name in zip(stops, ("new", "A", "B", "C"), strict=True):
        assert stop.place == pytest.approx(PLACES[name], abs=1.5)


def test_the_course_shows_every_region_and_the_sum(folder, follow_up):
    with AvatarStore(folder) as store:
        ml = volumes_over_time(follow_up.cases, store)
    figure = course_figure(follow_up.days, ml, follow_up.responses(), follow_up.criteria)
    assert [trace.name for trace in figure.data] == [
        "Whole tumor (mL)", "Tumor core (mL)", "Enhancing tumor (mL)", "sum of targets (mm²)",
    ]  # fmt: skip
    assert list(figure.data[-1].text) == ["baseline", "PR", "PD"]


def places(page):
    return page.evaluate(
        "window.avatarPair.nvs.map((nv) => Array.from(nv.frac2mm(nv.scene.crosshairPos, 0, true)).slice(0, 3))"
    )


@pytest.mark.browser
def test_both_scans_move_together_and_a_reading_changes_the_category(folder, page):
    process, address = serve(folder)
    try:
        page.goto(f"{address}/follow-up?patient={PATIENT}")
        page.wait_for_function("window.avatarPair?.ready")
        page.get_by_text("Progressive disease (PD)").wait_for()
        assert without_a_tooltip(page, ".pair") == []
        first, second = places(page)
        assert first == pytest.approx(PLACES["new"], abs=2.5)
        assert second == pytest.approx(first, abs=0.5)
        box = page.locator("canvas.first").bounding_box()
        page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.4 * box["height"])
        page.mouse.down()
        page.mouse.up()
        page.mouse.wheel(0, 240)
        page.wait_for_function(
            "(([a, b]) => a.scene.crosshairPos.every((v, n) => Math.abs(v - b.scene.crosshairPos[n]) < 1e-3))"
            "(window.avatarPair.nvs)"
        )
        moved, also = places(page)
        assert moved != pytest.approx(first, abs=2.0)
        assert also == pytest.approx(moved, abs=0.5)
        page.locator("canvas.first").focus()
        page.keyboard.press("n")
        assert places(page)[1] == pytest.approx(PLACES["A"], abs=2.5)
        page.keyboard.press("d")
        page.get_by_text("of the earlier scan's range").wait_for()
        assert page.evaluate("window.avatarPair.nvs[1].volumes[2].opacity") > 0.5
        shot(page, "follow-up")
        page.keyboard.press("d")
        page.keyboard.press("b")
        page.wait_for_function("window.avatarPair.nvs[1].volumes[3].opacity === 1")
        page.keyboard.press("b")
        page.wait_for_function("window.avatarPair.nvs[1].volumes[3].opacity === 0")

        name = page.get_by_role("textbox", name="You are")
        name.fill("Dr. Ada")
        name.press("Enter")
        page.get_by_role("button", name="Keep the reading").wait_for()
        assert keys_of_fields(page) == {
            "Patient": "F", "Criteria": "R", "Registration": "G", "You are": "Y", "Scan": "L",
            "Beside": "E", "New lesion": "1", "Lesions that are not measured": "2",
            "Corticosteroids since baseline": "3", "Clinical status": "4", "Target lesions": "5",
            "Of these, lymph nodes": "6", "Baseline": "7",
        }  # fmt: skip
        assert keys_of_buttons(page) == {
            "Open day 120 in the editor": "O", "Keep the reading": "K", "Keep the targets": "T",
            "Keep the baseline": "A",
        }  # fmt: skip
        pick(page, "New lesion", "yes")
        page.get_by_role(
            "radio", name="day 60"
        ).first.click()  # what was not kept stays with its scan
        page.get_by_text("Your reading of day 60").wait_for()
        new = page.get_by_role("combobox", name="New lesion")
        assert "unknown" in new.input_value()
        page.get_by_role("radio", name="day 120").first.click()
        page.get_by_text("Your reading of day 120").wait_for()
        pick(page, "New lesion", "yes")
        pick(page, "Clinical status", "stable or better")
        page.get_by_role("button", name="Keep the reading").click()
        page.get_by_text("a new measurable lesion, as the reader says").wait_for()
        page.get_by_text("Lesions", exact=True).scroll_into_view_if_needed()
        shot(page, "follow-up-lesions")
        page.get_by_text("Research use only").click()
        page.keyboard.press("o")
        page.wait_for_url("**/review?*")
        page.get_by_text("Measured on version").wait_for()
    finally:
        process.terminate()
        process.wait(20)
    with AvatarStore(folder) as store:
        review = find_case(store, PATIENT, 120.0).review
    assert review.reading == Reading(new_lesion="yes", clinical="stable or better")
    assert (review.entries[-1].by, review.entries[-1].act) == ("Dr. Ada", "measure")
