"""A radiologist's shift in a real browser: what is drawn is what is saved, and nothing is ever lost."""

from __future__ import annotations

import gzip
import json
import shutil
import urllib.error
import urllib.request
from datetime import UTC, datetime

import numpy as np
import pytest
from avatars import put_avatar, scan_of
from browser import keys_of_buttons, keys_of_fields, serve, shot, without_a_tooltip
from conftest import OBLIQUE
from playwright.sync_api import expect

from data.imaging import Volume
from data.store import AvatarStore
from pipelines.review import cases, find_case, save_version

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("review-browser")]

GRIDS = {
    "RAS": np.array([[2.0, 0, 0, -30], [0, 2.0, 0, -25], [0, 0, 3.0, -40], [0, 0, 0, 1]]),
    "LPS": np.array([[-2.0, 0, 0, 30], [0, -2.0, 0, 25], [0, 0, 3.0, -40], [0, 0, 0, 1]]),
    "permuted": np.array([[0, 0, -2.0, 30], [3.0, 0, 0, -40], [0, -2.0, 0, 25], [0, 0, 0, 1]]),
    "oblique": OBLIQUE @ np.diag([2.0, 2.0, 1.0, 1.0]),
}
SHAPE = (36, 32, 28)
PEN_MM = 8


def put_patient(store, name, affine):
    """A box of brightness with a ball in it that a mask covers."""
    grid = np.indices(SHAPE)
    away = ((grid - np.array([12, 16, 14])[:, None, None, None]) ** 2).sum(0)
    image = Volume((100.0 + 80.0 * (away < 25)).astype(np.float32), affine)
    mask = image.with_array((2 * (away < 25)).astype(np.uint8))
    put_avatar(store, name, scan_of(store, image, mask))


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    folder = tmp_path_factory.mktemp("room") / "store"
    with AvatarStore(folder) as store:
        for name, affine in GRIDS.items():
            put_patient(store, name, affine)
    process, address = serve(folder)
    yield folder, address
    process.terminate()
    process.wait(20)


def open_editor(page, address, patient, reader="Ada"):
    page.goto(f"{address}/review?patient={patient}")
    ready(page)
    if reader:
        name = page.get_by_role("textbox", name="You are")
        name.fill(reader)
        name.press("Enter")
        page.wait_for_function("window.avatarEditor.data.reader !== ''")
        ready(page)


def ready(page):
    page.wait_for_function(
        "window.avatarEditor?.labels && window.avatarEditor.nv.drawBitmap === window.avatarEditor.labels"
        " && window.avatarEditor.clock && document.querySelector('canvas') !== undefined"
    )


def on_screen(page, place, plane=0):
    """Where a point (RAS mm) is seen in a plane that goes through it; page pixels."""
    x, y = page.evaluate(
        """([place, plane]) => {
          const { nv, volumes } = window.avatarEditor;
          volumes.goTo(nv, place);
          const at = nv.frac2canvasPosWithTile(nv.mm2frac(place, 0, true), plane);
          return at.pos.map((v) => v / (nv.uiData.dpr || 1));
        }""",
        [list(map(float, place)), plane],
    )
    box = page.locator("canvas.nv").bounding_box()
    return box["x"] + x, box["y"] + y


def draw(page, place, tool, plane=0, label=None, modifiers=()):
    page.locator("canvas.nv").focus()
    for key in ([str(label)] if label else []) + [tool]:
        page.keyboard.press(key)
    x, y = on_screen(page, place, plane)
    page.mouse.move(x, y)
    for key in modifiers:
        page.keyboard.down(key)
    page.mouse.down()
    page.mouse.up()
    for key in modifiers:
        page.keyboard.up(key)


def disk(affine, place, diameter_mm, ras_axis=2):
    """Voxels of a pen about a point, in the slice normal to a RAS axis: counted in the file's own axes."""
    grid = Volume(np.zeros(SHAPE, np.uint8), affine)
    center = np.rint(np.linalg.inv(affine) @ np.append(place, 1.0))[:3]
    normal = [i for i, code in enumerate(grid.axis_codes) if code in ("RL", "PA", "SI")[ras_axis]]
    offset = np.indices(SHAPE) - center[:, None, None, None]
    apart = np.sqrt(((offset * np.array(grid.spacing_mm)[:, None, None, None]) ** 2).sum(0))
    return (apart <= diameter_mm / 2 + 1e-6) & (offset[normal[0]] == 0)


def save(page, version):
    page.locator("canvas.nv").focus()
    page.keyboard.press("Control+s")
    page.wait_for_function(f"window.avatarEditor.data.version === {version}")
    page.get_by_role("button", name=f"Save as version {version + 1}").wait_for()


@pytest.mark.parametrize("grid", GRIDS)
def test_what_is_drawn_at_a_place_in_the_patient_is_saved_at_that_place(room, page, grid):
    folder, address = room
    affine = GRIDS[grid]
    painted = affine @ np.array([22.0, 12.0, 9.0, 1.0])
    erased = affine @ np.array([12.0, 16.0, 14.0, 1.0])
    lost = affine @ np.array([28.0, 24.0, 20.0, 1.0])
    open_editor(page, address, grid)
    page.locator(".size").fill(str(PEN_MM))
    draw(page, painted[:3], "b", label=3)
    draw(page, erased[:3], "e", plane=1)
    draw(page, lost[:3], "b", plane=2, label=1)
    page.keyboard.press("z")
    save(page, 1)
    with AvatarStore(folder) as store:
        case = find_case(store, grid)
        before, after = (store.volume(case.mask(n)) for n in (0, 1))
    expected = np.array(before.array)
    expected[disk(affine, painted[:3], PEN_MM)] = 3
    expected[disk(affine, erased[:3], PEN_MM, ras_axis=1)] = 0
    assert (expected != before.array).sum() > 15
    assert np.array_equal(after.array, expected)
    assert np.allclose(after.affine, affine, atol=1e-4)
    (entry,) = case.review.entries
    assert entry.by == "Ada"
    assert entry.voxels_changed == (expected != before.array).sum()


def edits(page, grid, count):
    """Small strokes at places of their own, one after another."""
    for n in range(count):
        place = GRIDS[grid] @ np.array([4.0 + n % 26, 5.0 + n // 26 * 3, 4.0, 1.0])
        draw(page, place[:3], "b", label=1 + n % 3)


def drawn(page):
    """The labels in the editor, x to the right of the patient fastest (RAS)."""
    runs = page.evaluate("(e => Array.from(e.map.packed(e.labels)))(window.avatarEditor)")
    return np.repeat(np.array(runs[1::2], np.uint8), runs[::2])


def test_twenty_edits_are_undone_and_made_again_by_keys(room, page):
    _, address = room
    open_editor(page, address, "RAS", reader="")
    before = drawn(page)
    edits(page, "RAS", 22)
    after = drawn(page)
    assert (after != before).sum() > 22
    for _ in range(22):
        page.keyboard.press("Control+z")
    assert np.array_equal(drawn(page), before)
    for _ in range(22):
        page.keyboard.press("Control+Shift+z")
    assert np.array_equal(drawn(page), after)


def test_keys_wait_for_the_button_and_none_of_the_librarys_own_is_heard(room, page):
    _, address = room
    open_editor(page, address, "LPS")
    before = drawn(page)
    inside = (GRIDS["LPS"] @ [16, 16, 14, 1])[:3]
    draw(page, inside, "b", label=2)
    once = drawn(page)
    page.keyboard.press("1")
    x, y = on_screen(page, inside)
    page.mouse.move(x, y)
    page.mouse.down()
    page.keyboard.press("z")
    page.keyboard.press("Control+s")
    page.mouse.up()
    assert not np.array_equal(drawn(page), once)
    page.keyboard.press("z")
    assert np.array_equal(drawn(page), once)
    page.keyboard.press("z")
    assert np.array_equal(drawn(page), before)
    assert not page.evaluate("window.avatarEditor.dirty")
    told = """() => { const { nv } = window.avatarEditor; return [nv.opts.sliceType, nv.opts.dragMode,
      nv.scene.clipPlane.join(), Array.from(nv.scene.crosshairPos).join()]; }"""
    known = page.evaluate(told)
    for key in "vmmchhllkjvcv":
        page.keyboard.press(key)
        page.keyboard.up(key)
    page.keyboard.press("b")
    assert page.evaluate(told) == known
    place = page.evaluate("Array.from(window.avatarEditor.nv.scene.crosshairPos)")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("PageDown")
    moved = page.evaluate("Array.from(window.avatarEditor.nv.scene.crosshairPos)")
    assert moved[:2] == place[:2]
    assert moved[2] != place[2]


def test_a_name_stays_from_page_to_page_and_leaving_unsaved_edits_asks(room, page):
    _, address = room
    open_editor(page, address, "RAS", reader="Dr. *Ada*")
    for link in ("Worklist", "Review", "Worklist", "Review"):
        page.evaluate("delete window.avatarEditor")  # the next one is another
        page.get_by_role("link", name=link, exact=True).click()
        landmark = "Statistics of signed cases" if link == "Worklist" else "Record"
        page.get_by_text(landmark, exact=True).wait_for()
        expect(page.get_by_role("textbox", name="You are")).to_have_value("Dr. *Ada*")
    ready(page)
    edits(page, "RAS", 1)
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.get_by_role("link", name="Worklist", exact=True).click()
    assert "edits that are not saved" in asked[0]
    assert page.evaluate("window.avatarEditor.dirty")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("link", name="Worklist", exact=True).click()
    page.get_by_text("Statistics of signed cases", exact=True).wait_for()


def test_unsaved_edits_outlive_a_rerun_and_a_reload_and_leaving_warns(room, page):
    _, address = room
    open_editor(page, address, "LPS")
    version = page.evaluate("window.avatarEditor.version")
    edits(page, "LPS", 3)
    after = drawn(page)
    page.evaluate("window.avatarEditor.marked = true")
    name = page.get_by_role("textbox", name="You are")
    name.fill("Ada Lovelace")
    name.press("Enter")  # the page is drawn again
    page.wait_for_function("window.avatarEditor.data.reader === 'Ada Lovelace'")
    assert page.evaluate("window.avatarEditor.marked === true")
    assert np.array_equal(drawn(page), after)
    assert page.get_by_role("button", name="Sign version").is_disabled()
    page.wait_for_function("window.avatarEditor.drafted === true")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.reload()
    ready(page)
    page.get_by_text("are back; Undo drops them").wait_for()
    assert asked == ["beforeunload"]
    assert np.array_equal(drawn(page), after)
    page.locator(".undo").click()
    page.get_by_text(f"Version {version}").first.wait_for()
    assert not np.array_equal(drawn(page), after)


def test_a_lost_connection_loses_no_edit(room, page):
    folder, address = room
    open_editor(page, address, "permuted")
    version = page.evaluate("window.avatarEditor.version")
    edits(page, "permuted", 2)
    after = drawn(page)
    page.route("**/api/review/**", lambda route: route.abort())
    page.keyboard.press("Control+s")
    page.get_by_text("No answer from the server").wait_for()
    assert np.array_equal(drawn(page), after)
    page.unroute("**/api/review/**")
    save(page, version + 1)
    assert page.get_by_text("No answer from the server").count() == 0
    with AvatarStore(folder) as store:
        assert find_case(store, "permuted").review.version == version + 1


def test_every_control_has_a_tooltip_and_every_tool_a_key(room, page):
    _, address = room
    open_editor(page, address, "permuted")
    page.wait_for_function("window.avatarEditor.measures.found")
    assert without_a_tooltip(page, ".editor") == []
    canvas = page.locator("canvas.nv")
    canvas.focus()
    page.keyboard.press("?")
    told = page.locator(".help .keys").inner_text()
    page.keyboard.press("Escape")
    tools = page.locator(".rail button kbd").all_inner_texts()
    assert len(tools) == 8
    for key in [*tools, "Shift+G", "Shift+B", "Ctrl+S", "Ctrl+Enter", "Ctrl+Shift+Enter", "J", "L"]:
        assert key in told
    before = (drawn(page) == 2).sum()
    canvas.focus()
    page.keyboard.press("2")
    page.keyboard.press("Shift+G")
    page.wait_for_function("!window.avatarEditor.busy && window.avatarEditor.dirty")
    assert (drawn(page) == 2).sum() > before
    page.keyboard.press("z")
    page.keyboard.press("=")
    assert page.locator(".opacity").input_value() == "55"
    page.keyboard.press("}")
    assert page.locator(".like").input_value() == "18"
    page.keyboard.press("/")
    page.keyboard.type("b and ?")  # words, no keys
    assert page.get_by_role("textbox", name="Comment").input_value() == "b and ?"
    assert page.evaluate("window.avatarEditor.tool") == "look"


def test_every_field_of_worklist_and_review_has_a_tooltip_and_a_key(room, page):
    folder, address = room
    with AvatarStore(folder) as store:  # so that there is an earlier version
        case = find_case(store, "LPS")
        if case.review.version == 0:
            now = datetime(2026, 5, 1, tzinfo=UTC)
            mask = store.volume(case.mask())
            other = mask.with_array(np.where(mask.array, 1, 0).astype(np.uint8))
            save_version(store, case, other, base=0, by="Ada", at=now)
    open_editor(page, address, "LPS")
    page.get_by_text("Earlier version").first.wait_for()
    assert keys_of_fields(page) == {
        "Patient": "F", "Scan (days since diagnosis)": "L", "You are": "Y", "Earlier version": "V",
    }  # fmt: skip
    assert keys_of_buttons(page) == {"Make it the latest": "Shift+V"}
    page.evaluate("delete window.avatarEditor")
    page.get_by_role("link", name="Worklist", exact=True).click()
    page.get_by_text("Statistics of signed cases", exact=True).wait_for()
    assert keys_of_fields(page) == {
        "You are": "Y", "Find a patient": "F", "Status": "S", "Only": "O",
        "Statistics of signed cases": "T",
    }  # fmt: skip
    assert keys_of_buttons(page) == {
        "Previous": "P", "Next": "N", "Open": "Enter", "Assign to me": "A",
    }  # fmt: skip


def test_the_worklist_is_walked_and_a_case_opened_by_keys(room, page):
    folder, address = room
    page.goto(f"{address}/worklist")
    page.get_by_text("Statistics of signed cases", exact=True).wait_for()  # the last of the page
    first = page.get_by_text("(the first)")
    names = {case.name for case in cases(AvatarStore(folder))[0]}
    shown = lambda name: page.locator(".stMarkdown strong", has_text=name)  # noqa: E731
    seen = [next(n for n in names if shown(n).count())]
    page.get_by_text("Research use only").click()
    page.keyboard.press("n")
    first.wait_for(state="detached")
    (then,) = {n for n in names if shown(n).count()}
    assert then not in seen
    page.keyboard.press("p")
    shown(seen[0]).wait_for()
    page.keyboard.press("n")
    shown(then).wait_for()
    page.keyboard.press("t")
    page.get_by_text("Only independently drawn masks say that").wait_for()
    page.keyboard.press("f")
    page.keyboard.type("nta")  # typed, no keys
    expect(page.get_by_role("textbox", name="Find a patient")).to_have_value("nta")
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.press("Enter")
    page.get_by_text("Research use only").click()
    page.keyboard.press("Enter")
    ready(page)
    assert page.evaluate("window.avatarEditor.data.patient") == then.split(",")[0]


def pull(page, name, which, by):
    """Move the end of a line outwards, by CSS pixels."""
    row = page.locator(".lesions button", has_text=name).first
    row.click()
    page.locator("canvas.nv").focus()
    page.keyboard.press("d")
    ends = page.wait_for_function(
        """([name, which]) => {
          const ends = window.avatarEditor.measures.handles.filter(
            (h) => h.id.name === name && h.id.which === which);
          return ends.length >= 2 && ends.slice(0, 2).map((h) => h.at);
        }""",
        arg=[name, which],
    ).json_value()
    box = page.locator("canvas.nv").bounding_box()
    outwards = np.subtract(ends[1], ends[0]) / np.linalg.norm(np.subtract(ends[1], ends[0]))
    x, y = box["x"] + ends[1][0], box["y"] + ends[1][1]
    dx, dy = by * outwards
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=3)
    page.mouse.up()


def measured(page):
    return page.evaluate("window.avatarEditor.measures.told()")


def test_diameters_are_pulled_distances_drawn_and_both_outlive_a_reload(room, page):
    folder, address = room
    open_editor(page, address, "RAS")
    page.wait_for_function("window.avatarEditor.measures.found?.length > 0")
    found = page.evaluate("window.avatarEditor.measures.diameters('L1').longest")
    found_mm = np.linalg.norm(np.subtract(*found))
    pull(page, "L1", "longest", 30)
    drawn_ = measured(page)
    lines = [drawn_["diameters"]["L1"][which] for which in ("longest", "perpendicular")]
    u, v = (np.subtract(x["end_ras_mm"], x["start_ras_mm"]) for x in lines)
    assert abs(u @ v) < 1e-6
    assert np.linalg.norm(u) > found_mm + 2
    before = json.dumps(drawn_)
    page.keyboard.press("z")
    assert measured(page)["diameters"] == {}
    pull(page, "L1", "longest", 30)
    assert json.dumps(measured(page)) == before
    box = page.locator("canvas.nv").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 120)
    page.mouse.down()
    page.mouse.move(box["x"] + 290, box["y"] + 120, steps=3)
    page.mouse.up()
    assert page.get_by_role("button", name="Sign version").is_disabled()
    page.wait_for_function("window.avatarEditor.drafted === true || window.avatarEditor.measured")
    page.wait_for_timeout(1000)  # the draft is on its way
    told = measured(page)
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    ready(page)
    page.wait_for_function("window.avatarEditor.measured")
    assert measured(page) == told
    name = page.get_by_role("textbox", name="You are")
    name.fill("Ada")
    name.press("Enter")
    page.wait_for_function("window.avatarEditor.data.reader === 'Ada'")
    shot(page, "review-measures")
    page.locator("canvas.nv").focus()
    page.keyboard.press("Control+s")
    page.wait_for_function(
        "!window.avatarEditor.measured && window.avatarEditor.measures.readings > 0"
    )
    with AvatarStore(folder) as store:
        reading = find_case(store, "RAS").review.reading
    (distance,) = reading.distances
    assert distance.line.length_mm == pytest.approx(
        np.linalg.norm(
            np.subtract(
                told["distances"][0]["line"]["end_ras_mm"],
                told["distances"][0]["line"]["start_ras_mm"],
            )
        )
    )
    assert reading.diameters["L1"].longest.length_mm > found_mm + 2


def meanwhile(folder, patient, value):
    """Another reader saves."""
    with AvatarStore(folder) as store:
        case = find_case(store, patient)
        mask = store.volume(case.mask())
        array = np.array(mask.array)
        array[1, 1, 1] = value
        save_version(
            store, case, mask.with_array(array), base=case.review.version, by="Ben",
            at=datetime(2026, 3, 1, tzinfo=UTC),
        )  # fmt: skip
        return case.review.version + 1


@pytest.mark.parametrize("choice", ["Keep mine on top", "Take theirs"])
def test_two_people_on_one_case_get_a_conflict_and_choose(room, page, choice):
    folder, address = room
    open_editor(page, address, "oblique")
    edits(page, "oblique", 2)
    mine = drawn(page)
    theirs = meanwhile(folder, "oblique", 1 if choice.startswith("Keep") else 2)
    page.keyboard.press("Control+s")
    page.get_by_text(f"the latest is version {theirs} (Ben, 2026-03-01 00:00 UTC)").wait_for()
    assert np.array_equal(drawn(page), mine)
    shot(page, "review-conflict")
    for _ in range(2):  # what is undone is nobody's, and cannot be signed as if it were the latest
        page.keyboard.press("z")
    page.locator(".mine").wait_for(state="hidden")
    assert page.locator(".sign").is_disabled()
    for _ in range(2):
        page.keyboard.press("y")
    assert np.array_equal(drawn(page), mine)
    if choice == "Take theirs":
        page.get_by_role("button", name=choice).wait_for()
        page.locator("canvas.nv").focus()
        page.keyboard.press("Shift+T")
    else:
        page.get_by_role("button", name=choice).click()
    latest = theirs + (choice == "Keep mine on top")
    page.wait_for_function(f"window.avatarEditor.data.version === {latest}")
    page.wait_for_function("!window.avatarEditor.dirty && !window.avatarEditor.busy")
    assert np.array_equal(drawn(page), mine) == (choice == "Keep mine on top")
    with AvatarStore(folder) as store:
        assert find_case(store, "oblique").review.version == latest


@pytest.fixture
def own_room(tmp_path):
    """A store of the test's own, with one patient, and its board."""
    with AvatarStore(tmp_path / "store") as store:
        put_patient(store, "ANEW", GRIDS["RAS"])
    process, address = serve(tmp_path / "store")
    yield tmp_path / "store", address
    process.terminate()
    process.wait(20)


def test_a_mask_that_was_made_anew_is_not_signed_by_who_has_not_seen_it(own_room, page):
    folder, address = own_room
    open_editor(page, address, "ANEW")
    seen = drawn(page)
    with AvatarStore(folder) as store:
        scan = store.get("ANEW").latest_scan
        mask = store.volume(scan.segmentation)
        other = mask.with_array(np.where(mask.array > 0, 3, 0).astype(np.uint8))
        put_avatar(store, "ANEW", scan_of(store, store.volume(scan.sequences["t1c"]), other))
    page.locator(".sign").click()
    page.get_by_text("the mask before review was made anew since this page was opened").wait_for()
    assert np.array_equal(drawn(page), seen)
    with AvatarStore(folder) as store:
        assert find_case(store, "ANEW").review.signed is None
    page.get_by_role("button", name="Take theirs").click()
    page.wait_for_function("!window.avatarEditor.busy")
    page.wait_for_function("(e => e.labels.includes(3))(window.avatarEditor)")
    ready(page)
    page.locator(".sign").click()
    page.wait_for_function("window.avatarEditor.data.signed")
    with AvatarStore(folder) as store:
        case = find_case(store, "ANEW")
        assert case.review.signed.signed_mask == case.scan.segmentation
        assert set(np.unique(store.volume(case.scan.segmentation).array)) == {0, 3}


def ask(address, path, method="PUT", body=b"", **headers):
    request = urllib.request.Request(
        f"{address}/api/review/{path}", data=body, method=method, headers=headers
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_routes_take_nothing_from_elsewhere_and_nothing_that_is_no_mask(room, page):
    folder, address = room
    open_editor(page, address, "RAS")
    told = page.evaluate(
        """async () => {
          const e = window.avatarEditor;
          const body = new Uint8Array(await (await e.packedMask()).arrayBuffer());
          return { header: e.data.header, token: e.data.token, base: e.version, body: Array.from(body),
                   affine: e.image.hdr.affine.flat() };
        }"""
    )
    good = {
        told["header"]: told["token"],
        "X-Avatar-Base": str(told["base"]),
        "X-Avatar-Reader": "Ada",
        "X-Avatar-Affine": json.dumps(told["affine"]),
    }
    body, path = bytes(told["body"]), "RAS/0/mask"
    shifted = [*told["affine"]]
    shifted[3] += 1
    bomb = gzip.compress(bytes(50_000_000))
    for status, said, given, content in (
        (403, "reload the page", good | {told["header"]: "x"}, body),
        (403, "another site", good | {"Origin": "http://evil.example"}, body),
        (409, "the latest is version", good | {"X-Avatar-Base": "999"}, body),
        (422, "nothing to save", good, body),
        (422, "another image", good | {"X-Avatar-Affine": json.dumps(shifted)}, body),
        (422, "not a mask", good | {"X-Avatar-Affine": "[]"}, body),
        (422, "another image", good, body[:40]),
        (422, "not a mask", good, b"no gzip"),
        (422, "another image", good, bomb),
        (422, "larger than", good, bytes(33 * 2**20)),
        (422, "is a number", good | {"X-Avatar-Base": "x"}, body),
        (422, "two numbers", good | {"X-Avatar-Spent": "{}"}, body),
    ):
        assert ask(address, path, body=content, **given)[0] == status
        assert said in ask(address, path, body=content, **given)[1]
    line = {"start_ras_mm": [0, 0, 0], "end_ras_mm": [9, 0, 0]}
    askew = {"diameters": {"L1": {"longest": line, "perpendicular": line}}, "distances": []}
    with AvatarStore(folder) as store:
        known = str(find_case(store, "RAS").review.readings)
        version = str(find_case(store, "RAS").review.version)
    for status, said, content, readings in (
        (422, "off a right angle", json.dumps(askew), known),
        (422, "is a number", json.dumps(askew | {"diameters": {}}), "x"),
        (422, "Invalid JSON", "no lines", known),
        (409, "has measured since", json.dumps(askew | {"diameters": {}}), "77"),
    ):
        more = good | {"X-Avatar-Readings": readings}
        answer = ask(address, "RAS/0/measures", "POST", content.encode(), **more)
        assert answer[0] == status
        assert said in answer[1]
    assert ask(address, "RAS/x/mask", body=body, **good)[0] == 422
    assert ask(address, "nobody/0/mask", body=body, **good)[0] == 422
    decision = good | {"X-Avatar-Decision": "sign", "X-Avatar-Base": version}
    for readings, status in (("77", 409), ("x", 422)):
        more = decision | {"X-Avatar-Readings": readings}
        assert ask(address, "RAS/0/decision", "POST", **more)[0] == status
    assert ask(address, "RAS/0/decision", "POST", **good | {"X-Avatar-Decision": "eat"})[0] == 422
    assert ask(address, "RAS/0/operate/grow?label=x", "POST", body, **good)[0] == 422
    with AvatarStore(folder) as store:
        assert find_case(store, "RAS").review.version == told["base"]


@pytest.mark.slow
def test_a_whole_shift_on_a_real_case(flagship_case, tmp_path, page):
    """From the worklist to the signature, and what of it is in the store in the end."""
    patient = "TCGA-DU-7294"
    folder = shutil.copytree(flagship_case(patient) / "store", tmp_path / "store")
    process, address = serve(folder)
    try:
        page.goto(f"{address}/worklist")
        name = page.get_by_role("textbox", name="You are")
        name.fill("Dr. Ada")
        name.press("Enter")
        page.get_by_role("button", name="Assign to me").click()
        page.get_by_text("1 in review").wait_for()
        shot(page, "worklist")
        page.get_by_role("button", name="Open").click()
        ready(page)
        page.wait_for_function("window.avatarEditor.data.reader === 'Dr. Ada'")
        before = drawn(page)
        canvas = page.locator("canvas.nv")

        start = page.evaluate("Array.from(window.avatarEditor.nv.scene.crosshairPos)")
        middle = on_screen(page, page.evaluate("window.avatarEditor.data.start"))
        page.mouse.move(*middle)
        page.mouse.wheel(0, 120)
        page.wait_for_function(
            f"Math.abs(window.avatarEditor.nv.scene.crosshairPos[2] - {start[2]}) > 1e-4"
        )

        place = page.evaluate("window.avatarEditor.data.start")
        draw(page, [place[0], place[1] + 30, place[2]], "b", label=2)
        brushed = drawn(page)
        assert (brushed != before).sum() > 5
        draw(page, place, "e")
        erased = drawn(page)
        assert ((erased == 0) & (brushed != 0)).sum() > 5
        canvas.focus()
        page.keyboard.press("z")
        assert np.array_equal(drawn(page), brushed)

        draw(page, place, "c", label=1)
        page.wait_for_function("!window.avatarEditor.busy && window.avatarEditor.clicks?.edit")
        clicked = drawn(page)
        assert (clicked == 1).sum() > (brushed == 1).sum()
        draw(page, [place[0] + 35, place[1], place[2]], "c", modifiers=["Shift"])
        page.wait_for_function("!window.avatarEditor.busy")
        canvas.focus()
        page.keyboard.press("n")
        page.get_by_text("Doubtful region 1 of").wait_for()
        page.keyboard.press("h")
        page.wait_for_function("window.avatarEditor.nv.volumes.length === 2")
        shot(page, "review-doubt")
        page.keyboard.press("h")
        page.keyboard.press("o")
        shot(page, "review")
        page.keyboard.press("j")
        page.keyboard.press("j")
        second = page.evaluate("window.avatarEditor.data.sequences[1].name")
        page.wait_for_function(f"window.avatarEditor.shownBeside === '{second}'")
        assert page.evaluate(
            "window.avatarEditor.companion.drawBitmap === window.avatarEditor.labels"
        )
        draw(page, place, "x")
        page.wait_for_function(
            "(({ nv, companion }) => nv.scene.crosshairPos.every("
            "(v, n) => Math.abs(v - companion.scene.crosshairPos[n]) < 1e-3))(window.avatarEditor)"
        )
        shot(page, "review-beside")
        page.locator(".beside").select_option("")
        page.get_by_role("textbox", name="Comment").fill("core by clicks")
        saved = drawn(page)
        save(page, 1)
        page.reload()
        ready(page)
        assert np.array_equal(drawn(page), saved)
        name = page.get_by_role("textbox", name="You are")
        name.fill("Dr. Ada")
        name.press("Enter")
        page.get_by_text("Measured on version 1").wait_for()
        page.wait_for_function("window.avatarEditor.data.reader === 'Dr. Ada'")
        pull(page, "L1", "longest", 20)
        page.get_by_role("button", name="Keep measures").click()
        page.wait_for_function("window.avatarEditor.measures.readings === 1")
        shot(page, "review-measured")
        page.get_by_role("button", name="Sign version 1").click()
        page.get_by_text("version 1 signed by Dr. Ada").wait_for()
        page.get_by_text("Measured on version 1").scroll_into_view_if_needed()
        shot(page, "review-signed")
        with AvatarStore(folder) as store:
            case = find_case(store, patient)
            mask = store.volume(case.scan.segmentation)
            assert case.review.status == "signed"
            assert [e.act for e in case.review.entries] == ["assign", "save", "measure", "sign"]
            assert list(case.review.reading.diameters) == ["L1"]
            assert case.review.entries[1].comment == "core by clicks"
            assert case.review.entries[1].seconds_viewed > 0
            assert case.scan.segmentation == case.mask(1)
            ras = mask.reoriented("RAS").array
            assert np.array_equal(ras.ravel(order="F"), saved)
        page.goto(f"{address}/avatar?patient={patient}")
        page.get_by_text("signed by Dr. Ada").first.wait_for()
    finally:
        process.terminate()
        process.wait(20)
