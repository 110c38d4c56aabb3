"""The board in a real browser: every screen, a deep link, a slider, and the side of the tumor."""

from __future__ import annotations

import io
import shutil
import urllib.error
import urllib.request

import numpy as np
import pytest
from browser import PATIENCE_MS, banner, cell, pick, serve, shot
from PIL import Image

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def board(small_case, tmp_path_factory):
    store = shutil.copytree(small_case / "store", tmp_path_factory.mktemp("board") / "store")
    process, address = serve(store)
    yield address
    process.terminate()
    process.wait(20)


def test_patients_opens_the_avatar_and_every_page_says_research_only(board, page):
    page.goto(board)
    page.get_by_text("P1", exact=True).wait_for()
    banner(page)
    shot(page, "patients")
    page.get_by_role("button", name="Open").click()
    page.get_by_text("Volumes per region").wait_for()
    assert "patient=P1" in page.url
    banner(page)


def test_a_slider_changes_the_dose_and_the_full_solve_follows_the_preview(board, page):
    page.goto(f"{board}/simulate?patient=P1")
    cell(page, "Radiotherapy", 1).get_by_text("60.0 Gy in 30").wait_for()
    banner(page)
    cell(page, "Time to progression", 1).get_by_text("day").wait_for()
    shot(page, "simulate")
    slider = page.get_by_role("slider", name="Fractions A")
    slider.focus()
    slider.press("ArrowLeft")
    cell(page, "Radiotherapy", 1).get_by_text("58.0 Gy in 29").wait_for()
    cell(page, "BED, EQD2", 1).get_by_text("72.5 Gy").wait_for()  # 29 x 2 x (1 + 2 / 8)
    page.get_by_role("button", name="Curves (CSV)").wait_for()


def test_a_plan_is_picked_on_the_front_and_compared_as_a_regimen(board, page):
    page.goto(f"{board}/simulate?patient=P1")
    page.get_by_role("button", name="Curves (CSV)").wait_for()
    page.get_by_role("tab", name="Plans: control against toxicity").click()
    page.get_by_role("button", name="Search").click()
    page.get_by_text("Click a point").wait_for()
    points = page.locator(".js-plotly-plot", has_text="control (d)").last.locator("path.point")
    points.nth(1).scroll_into_view_if_needed()
    box = points.nth(1).bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_role("button", name="Compare as a regimen").click()
    page.get_by_role("tab", name="C", exact=True).wait_for()
    cell(page, "Radiotherapy", 3).get_by_text("Gy in 30").wait_for()
    cell(page, "Time to progression", 3).get_by_text("day").wait_for()
    page.get_by_role("tab", name="Margin against model").click()
    page.get_by_text("Size of either target").wait_for()
    shot(page, "margin")
    page.get_by_role("tab", name="Dose to structures").click()
    page.get_by_text("volume with at least this dose").first.wait_for()


def test_another_growth_law_answers_without_space(board, page):
    page.goto(f"{board}/simulate?patient=P1")
    page.get_by_role("button", name="Curves (CSV)").wait_for()
    page.get_by_text("Model", exact=True).click()
    pick(page, "Growth", "gompertz")
    cell(page, "Twin", 1).get_by_text("gompertz, lumped").wait_for()


def test_a_missed_fraction_that_is_not_of_the_course_is_refused_by_its_rule(board, page):
    page.goto(f"{board}/simulate?patient=P1")
    missed = page.get_by_role("textbox", name="Missed A")
    missed.fill("31")
    missed.press("Enter")
    page.get_by_text("each once, from 1 to 30").wait_for()


def test_an_unknown_patient_in_a_deep_link_says_who_there_is(board, page):
    page.goto(f"{board}/avatar?patient=nobody")
    page.get_by_text("no avatar of 'nobody'").wait_for()


def test_an_empty_store_says_what_to_do(browser, page, tmp_path):
    from data.store import AvatarStore

    AvatarStore(tmp_path / "empty").close()
    process, address = serve(tmp_path / "empty")
    try:
        page.goto(address)
        page.get_by_text("No avatars yet").wait_for()
    finally:
        process.terminate()
        process.wait(20)


def test_a_volume_is_not_given_without_the_token_of_the_page(board):
    request = urllib.request.Request(f"{board}/api/volume/{'0' * 64}")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=10)


def test_a_deep_link_shows_the_overlay_at_the_tumors_place(board, page):
    """The mask drawn minus the scan alone, in the axial tile: on the patient's right, drawn left."""
    page.goto(f"{board}/avatar?patient=P1")
    tumor_side(page)
    shot(page, "avatar")


def test_the_viewer_survives_a_rerun_of_the_page(board, page):
    page.goto(f"{board}/avatar?patient=P1")
    tumor_side(page)
    page.evaluate("window.avatarViewer.marked = true")
    page.get_by_text("Research use only").click()
    page.keyboard.press("r")  # Streamlit's key: run again
    page.get_by_test_id("stApp").and_(
        page.locator("[data-test-script-state='notRunning']")
    ).wait_for()
    assert page.evaluate("window.avatarViewer.marked === true")
    assert page.evaluate("window.avatarViewer.gl.isContextLost()") is False
    tumor_side(page)


def test_window_presets_sequences_and_the_mask_key_act_in_the_browser(board, page):
    page.goto(f"{board}/avatar?patient=P1")
    page.wait_for_function("window.avatarViewer && window.avatarViewer.volumes.length === 2")
    page.get_by_label("Window preset").select_option("wide")
    page.wait_for_function("window.avatarViewer.volumes[0]?.cal_max > 125")
    page.get_by_label("Sequence", exact=True).select_option("flair")
    page.wait_for_function("window.avatarViewer.volumes[0]?.name.startsWith('flair')")
    page.wait_for_function("window.avatarViewer.volumes.length === 2")
    page.get_by_label("Mask opacity").fill("80")
    page.wait_for_function("Math.abs(window.avatarViewer.volumes[1]?.opacity - 0.8) < 0.01")
    page.locator("canvas.nv").focus()
    page.keyboard.press("m")
    page.wait_for_function("window.avatarViewer.volumes[1]?.opacity === 0")


def tumor_side(page):
    page.wait_for_function("window.avatarViewer && window.avatarViewer.volumes.length === 2")
    crosshair = page.evaluate(
        "(() => { const v = window.avatarViewer;"
        "return Array.from(v.frac2mm(v.scene.crosshairPos, 0, true)).slice(0, 3); })()"
    )
    tile = page.evaluate(
        "(() => { const v = window.avatarViewer; const d = v.uiData.dpr || 1;"
        "const s = v.screenSlices.find((t) => t.axCorSag === 0);"
        "return s.leftTopWidthHeight.map((x) => x / d); })()"
    )
    canvas = page.locator("canvas.nv")

    def picture(opacity):
        page.evaluate(f"window.avatarViewer.setOpacity(1, {opacity})")
        return np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB"), int)

    drawn = np.abs(picture(1.0) - picture(0.0)).sum(-1) > 60
    left, top, width, height = (round(v) for v in tile)
    drawn = drawn[top : top + height, left : left + width]
    assert drawn.sum() > 50
    assert np.nonzero(drawn)[1].mean() < 0.5 * width
    picture(0.45)
    return crosshair


def compare_three(page, own, patient):
    """Stupp, observation and a regimen of the user's own; two of them with their cells on the scan."""
    own.write_text(
        "name: Short course\ntarget: {kind: margin}\n"
        "radiotherapy: [{fractions: 10, dose_per_fraction_gy: 3.4, start_day: 21}]\n"
    )
    page.get_by_text("A regimen of your own").click()
    page.locator("input[type=file]").set_input_files(own)
    page.get_by_test_id("stButtonGroup").filter(has_text="Regimens").get_by_text("3").click()
    for letter, name in (("B", "Observation"), ("C", "Short course")):
        page.get_by_role("tab", name=letter, exact=True).click()
        pick(page, f"Regimen {letter}", name)
        page.get_by_role("columnheader", name=f"{letter}: {name}").wait_for()
    dense = {}
    for letter in "ABC":
        cell(page, "Time to progression", "ABC".index(letter) + 1).get_by_text("day").wait_for()
    for letter in "AB":
        if letter != "A":  # which is shown already
            page.evaluate("window.shownBefore = window.avatarViewer.volumes[2].img")
            shown = page.get_by_test_id("stButtonGroup").filter(has_text="Cells on the scan")
            shown.get_by_text(letter, exact=True).click()
            page.wait_for_function(
                "(v => v && v.img !== window.shownBefore && v.frame4D === 12)"
                "(window.avatarViewer.volumes[2])"
            )
        page.get_by_text(f"after the scan, {letter}: ").wait_for()
        dense[letter] = page.evaluate(
            "(() => { const v = window.avatarViewer.volumes[2];"
            "const n = v.hdr.dims[1] * v.hdr.dims[2] * v.hdr.dims[3];"
            "return v.img.slice(12 * n, 13 * n).reduce((c, x) => c + (x > 200), 0); })()"
        )
        shot(page, f"simulate-{patient}-{letter}")
    assert dense["B"] > dense["A"]  # without treatment more voxels are full than under Stupp


@pytest.mark.slow
@pytest.mark.parametrize("patient", ["TCGA-DU-7294", "TCGA-FG-6692"])
def test_a_flagship_patient_opens_with_overlay_variants_survival_and_simulation(
    flagship_masks, tmp_path, page, patient
):
    from data.store import AvatarStore

    folder = shutil.copytree(flagship_masks, tmp_path / "store")
    with AvatarStore(folder) as store:
        avatar = store.get(patient)
    process, address = serve(folder)
    page.set_default_timeout(3 * PATIENCE_MS)  # three full solves, on a machine that does more
    try:
        page.goto(f"{address}/avatar?patient={patient}")
        crosshair = tumor_side(page)
        expected = avatar.latest_scan.measured("WT").centroid_ras_mm
        assert crosshair == pytest.approx(expected, abs=2.0)
        page.get_by_text("Survival (model)").wait_for()
        page.get_by_text("protein-altering").or_(page.get_by_text("IDH mutation")).first.wait_for()
        shot(page, f"avatar-{patient}")
        page.goto(f"{address}/simulate?patient={patient}")
        cell(page, "Time to progression", 1).get_by_text("day").wait_for()
        page.wait_for_function("window.avatarViewer && window.avatarViewer.volumes.length === 3")
        page.get_by_label("Time of the density").fill("12")
        page.wait_for_function("window.avatarViewer.volumes[2].frame4D === 12")
        page.get_by_text(
            "day 365 after the scan" if patient.endswith("6692") else "day 913"
        ).wait_for()
        shot(page, f"simulate-{patient}")
        if patient == "TCGA-DU-7294":  # one patient says it
            compare_three(page, tmp_path / "own.yaml", patient)
    finally:
        process.terminate()
        process.wait(20)
