"""Three scans of one head: lesions followed by name, and the response with what decided it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
from avatars import put_avatar, scan_of
from followed import MOVED, PATIENT, PLACES, SEEN, head, put_followed, to_scan

from data.errors import ImageError, ReviewError
from data.lesions import Caliper, Diameters
from data.reading import Reading
from data.store import AvatarStore
from data.timeline import Event, Timeline
from models.lesions import SMALLEST_MM3
from pipelines.follow_up import (
    aligned_to,
    cases_of,
    days_since_radiotherapy,
    follow,
    read_baseline,
    read_targets,
    volumes_over_time,
)
from pipelines.review import find_case, keep_reading, sign
from pipelines.sites import glioma
from pipelines.sites.base import Followed

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
KNOWN = Reading(steroids="none", clinical="stable or better", new_lesion="no")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("followed")
    with AvatarStore(folder) as store:
        follow(store, put_followed(store))  # registers once for all tests
    return folder


@pytest.fixture
def store(folder, tmp_path):
    with AvatarStore(shutil.copytree(folder, tmp_path / "store")) as opened:
        yield opened


def say(store, day, **more):
    case = find_case(store, PATIENT, day)
    reading = case.review.reading.model_copy(update=KNOWN.model_dump(exclude_unset=True) | more)
    keep_reading(store, case, reading, by="Ada", at=NOW)


def test_scans_that_lie_otherwise_are_registered_and_the_step_is_done_once(store):
    avatar = store.get(PATIENT)
    told = []
    follow_up = follow(store, avatar, watch=told.append)
    assert [report.reused for report in told] == [True, True]
    for day, found in zip(MOVED, follow_up.aligned, strict=True):
        if found is None:
            continue
        assert found.alignment.doubts == ()
        points = np.array([*PLACES.values()], float)
        apart = (found.alignment.matrix - to_scan(day)) @ np.column_stack([points, np.ones(4)]).T
        assert np.linalg.norm(apart[:3], axis=0).max() < 0.7
        assert found.alignment.correlation > found.alignment.correlation_before


def test_the_difference_shows_what_grew_and_what_went(store):
    follow_up = follow(store, store.get(PATIENT))
    change = store.volume(follow_up.aligned[2].difference)

    def at(place):
        i, j, k = np.rint(np.linalg.inv(change.affine) @ [*place, 1.0])[:3].astype(int)
        return float(change.array[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2].mean())

    assert at(PLACES["new"]) > 50
    edge = np.add(PLACES["A"], (10, 0, 0))  # A was 12 mm and is 8 mm
    assert at(edge) < -50
    assert abs(at((0, 0, -20))) < 15


def test_lesions_keep_their_names_and_a_new_one_is_a_candidate(store):
    follow_up = follow(store, store.get(PATIENT))
    assert [t.name for t in follow_up.tracks] == ["L1", "L2", "L3"]
    for track, name in zip(follow_up.tracks, ("A", "B", "C"), strict=True):
        first = track.seen[0].pieces[0]
        assert np.linalg.norm(np.subtract(first.centroid_ras_mm, PLACES[name])) < 1.0
        assert [seen.fate for seen in track.seen] == ["followed"] * 3
        for day, seen in zip(SEEN, track.seen, strict=True):
            ball = 4 / 3 * np.pi * SEEN[day][name] ** 3
            assert seen.volume_mm3 == pytest.approx(ball, rel=0.25)  # of voxels of 8 mm3
    (new,) = follow_up.new
    assert [seen is None for seen in new.seen] == [True, True, False]
    assert follow_up.measurable == ("L1", "L2")  # the third is 8 mm
    assert follow_up.targets == ("L1", "L2")


def test_the_response_is_partial_then_progressive_and_says_why(store):
    follow_up = follow(store, store.get(PATIENT))
    first, second, third = follow_up.responses()
    assert (first.category, second.category) == ("baseline", "PR")
    assert second.from_baseline == pytest.approx((16**2 + 10**2) / (24**2 + 16**2) - 1, abs=0.1)
    assert "at least 50 %" in second.reason
    asked = {"whether there is a new lesion", "corticosteroids", "clinical status"}
    assert set(second.unknown) == asked  # nobody has signed that mask
    sign(store, find_case(store, PATIENT, 60.0), version=0, by="Ada", at=NOW)
    _, second, _ = follow(store, store.get(PATIENT)).responses()
    assert set(second.unknown) == asked - {"whether there is a new lesion"}
    assert third.category == "PD"
    assert third.nadir == second.burden
    assert "than the smallest sum: at least 25 %" in third.reason
    assert third.unknown == ()
    assert second.confirmation == "not confirmed on day 120 (PD)"


def test_a_reader_decides_what_a_mask_cannot(store):
    for day in SEEN:
        say(store, day)
    chosen = read_targets(store, follow(store, store.get(PATIENT)), ["L1"], by="Ada", at=NOW)
    assert chosen.reading.targets == ("L1",)
    follow_up = follow(store, store.get(PATIENT))
    *_, last = follow_up.responses()
    assert (last.category, last.unknown) == ("PR", ())  # B is none of the targets
    say(store, 120.0, new_lesion="yes")
    *_, last = follow(store, store.get(PATIENT)).responses()
    assert (last.category, last.reason) == ("PD", "a new measurable lesion, as the reader says")
    say(store, 120.0, new_lesion="no", steroids="more")
    assert follow(store, store.get(PATIENT)).responses()[-1].category == "NE"


def test_diameters_by_hand_take_the_place_of_those_found(store):
    line = {"start_ras_mm": (0, 0, 0), "end_ras_mm": (40, 0, 0)}
    across = {"start_ras_mm": (20, -15, 0), "end_ras_mm": (20, 15, 0)}
    by_hand = Diameters(longest=Caliper(**line), perpendicular=Caliper(**across))
    say(store, 60.0, diameters={"L1": by_hand})
    follow_up = follow(store, store.get(PATIENT))
    assert follow_up.sizes()["L1"][1].product_mm2 == pytest.approx(1200)
    assert follow_up.responses()[1].category == "PD"


def test_targets_are_measurable_and_not_too_many(store):
    follow_up = follow(store, store.get(PATIENT))
    with pytest.raises(ReviewError, match="L3 is too small at baseline"):
        read_targets(store, follow_up, ["L1", "L3"], by="Ada", at=NOW)
    with pytest.raises(ReviewError, match="takes at most 3"):
        read_targets(store, follow_up, ["L1", "L2", "L1", "L2"], by="Ada", at=NOW)
    assert follow_up.reading == Reading()
    reading = Reading(clinical="worse")
    keep_reading(store, find_case(store, PATIENT, 60.0), reading, by="Ada", at=NOW)
    with pytest.raises(ReviewError, match="nothing to keep"):
        keep_reading(store, find_case(store, PATIENT, 60.0), reading, by="Ben", at=NOW)
    review = find_case(store, PATIENT, 60.0).review
    assert (review.status, review.version, review.reading) == ("in review", 0, reading)


@pytest.mark.parametrize("followed", glioma.SITE.followed, ids=lambda f: f.criteria)
def test_every_criteria_of_the_site_judges_the_patient(store, followed):
    found = follow(store, store.get(PATIENT), followed).responses()
    assert [r.category for r in found] == ["baseline", "PR", "PD"]


def test_volumes_over_time_and_radiotherapy_are_those_of_the_record(store):
    avatar = store.get(PATIENT)
    cases = cases_of(store, avatar)
    ml = volumes_over_time(cases, store)["Enhancing tumor"]
    balls = [sum(4 / 3 * np.pi * r**3 for r in radii.values()) / 1000 for radii in SEEN.values()]
    assert ml == pytest.approx(balls, rel=0.1)
    days = [days_since_radiotherapy(avatar, day) for day in (0.0, 20.0, 120.0)]
    assert days == [15.0, 35.0, 135.0]
    begun = (
        Event(day=-100, end_day=-50, kind="radiotherapy", text="RT"),
        Event(day=30, kind="radiotherapy", text="RT"),
    )
    other = avatar.model_copy(update={"timeline": Timeline(events=begun)})
    days = [days_since_radiotherapy(other, day) for day in (-120.0, 0.0, 60.0, 120.0)]
    assert days == [None, 50.0, 0.0, 41.0]  # a course without an end is taken to last seven weeks


def test_baseline_is_the_first_scan_after_radiotherapy_unless_another_is_chosen(store):
    avatar = store.get(PATIENT)
    given = Timeline(events=(Event(day=5, end_day=45, kind="radiotherapy", text="RT"),))
    avatar = avatar.model_copy(update={"timeline": given})
    found = follow(store, avatar)
    assert [r.category for r in found.responses()] == ["before", "baseline", "PD"]
    assert found.responses()[2].unknown == (
        "confirmation by a later scan: 75 days after radiotherapy it may be its effect",
    )
    assert found.summary().baseline_day == 60.0
    recist = Followed("recist", "WT")
    assert follow(store, avatar, recist).responses()[0].category == "baseline"
    read_baseline(store, found, 0.0, by="Ada", at=NOW)
    assert [r.category for r in follow(store, avatar).responses()] == ["baseline", "PR", "PD"]
    with pytest.raises(ReviewError, match="no scan on day 7; days are 0, 60, 120"):
        read_baseline(store, found, 7.0, by="Ada", at=NOW)


def put_masks(store, **balls):
    """A patient with a scan every 60 days whose lesions have these radii (mm), by place; 0 is not there."""
    image, mask = head(0.0)
    world = mask.world(np.moveaxis(np.indices(mask.shape), 0, -1).reshape(-1, 3).astype(float))
    scans = []
    for n in range(len(next(iter(balls.values())))):
        labels = np.zeros(len(world), np.uint8)
        for name, radii in balls.items():
            labels[np.linalg.norm(world - np.array(PLACES[name]), axis=1) < radii[n]] = 3
        scans.append(
            scan_of(store, image, mask.with_array(labels.reshape(mask.shape)), day=60.0 * n)
        )
    return put_avatar(store, "masks", *scans)


def test_a_baseline_without_a_lesion_is_followed(store):
    found = follow(store, put_masks(store, A=(0, 8)))
    assert [t.name for t in found.new] == ["N1"]
    assert found.responses()[1].category == "SD"
    recist = follow(store, found.avatar, Followed("recist", "WT")).responses()[1]
    assert (recist.category, recist.reason) == (
        "NE", "there was no lesion at baseline: only a new one can be judged",
    )  # fmt: skip


def test_a_small_rest_of_a_lesion_is_no_complete_response(store):
    avatar = put_masks(store, A=(10, 1.9, 0), B=(0, 0, 1.9))
    for day in (60.0, 120.0):
        sign(store, find_case(store, "masks", day), version=0, by="Ada", at=NOW)
        reading = Reading(steroids="none", clinical="stable or better")
        keep_reading(store, find_case(store, "masks", day), reading, by="Ada", at=NOW)
    found = follow(store, avatar)
    assert found.tracks[0].seen[1].volume_mm3 < SMALLEST_MM3
    _, second, third = found.responses()
    assert second.category == "PR"
    assert found.specks == (0, 0, 1)
    assert third.category == "CR"
    assert "whether there is a new lesion" in third.unknown  # the speck may be one


def test_a_new_lesion_has_one_name_on_all_scans(store):
    found = follow(store, put_masks(store, A=(8, 8, 8), new=(0, 7, 9), B=(0, 0, 6)))
    assert [[seen is not None for seen in t.seen] for t in found.new] == [
        [False, True, True], [False, False, True],
    ]  # fmt: skip


def test_scans_without_a_sequence_in_common_say_so(store):
    avatar = store.get(PATIENT)
    one, two, three = avatar.scans
    renamed = two.model_copy(update={"sequences": {"flair": two.sequences["t1c"]}})
    store.put(avatar.model_copy(update={"scans": (one, renamed, three)}))
    first, second, _ = cases_of(store, store.get(PATIENT))
    with pytest.raises(ImageError, match="no sequence in common with the scan of day 0"):
        aligned_to(store, first, second)
    store.put(avatar.model_copy(update={"scans": ()}))
    with pytest.raises(ReviewError, match="no scan to follow"):
        follow(store, store.get(PATIENT))
