"""A reader's work: versions that nobody loses, decisions, and what a signature does to the avatar."""

from __future__ import annotations

import shutil
import threading
from datetime import UTC, datetime, timedelta

import nibabel as nib
import numpy as np
import pytest

from data.avatar import Avatar
from data.errors import ConflictError, ReviewError, StoreError
from data.imaging import Volume
from data.reading import Reading
from data.review import Review
from data.store import AvatarStore
from pipelines.assemble import run_study
from pipelines.review import (
    Spent,
    assign,
    cases,
    find_case,
    keep_reading,
    request_changes,
    restore_version,
    save_version,
    sign,
    whole_volume_ml,
)

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


@pytest.fixture
def store(small_store):
    with AvatarStore(small_store) as opened:
        yield opened


def edited(store, case, by=1, value=1):
    mask = store.volume(case.mask())
    array = mask.array.copy()
    array[2 : 2 + by, 3, 4] = value
    return mask.with_array(array)


def saved(store, *, base=0, by="Ada", voxels=5, **more):
    case = find_case(store, "P1")
    return save_version(store, case, edited(store, case, voxels), base=base, by=by, at=NOW, **more)


def test_a_case_is_new_then_in_review_then_signed_and_the_log_says_who_and_how_long(store):
    (case,), unreadable = cases(store)
    assert not unreadable
    assert case.review.status == "new"
    assert case.review.assigned_to is None
    assign(store, case, by="Ada", at=NOW)
    review = saved(store, spent=Spent(61.26, 12.0), comment=" rim ")
    assert (review.status, review.version, review.assigned_to) == ("in review", 1, "Ada")
    entry = review.entries[-1]
    assert (entry.voxels_changed, entry.seconds_viewed, entry.comment) == (5, 61.3, "rim")
    review = request_changes(
        store, find_case(store, "P1"), version=1, by="Ben", at=NOW, comment="core"
    )
    assert review.status == "changes requested"
    review = saved(store, base=1, voxels=6)
    assert review.status == "in review"
    review = sign(store, find_case(store, "P1"), version=2, by="Ben", at=NOW)
    assert review.status == "signed"
    assert Review.model_validate_json(review.model_dump_json()) == review


def test_a_signature_puts_the_mask_on_the_avatar_and_running_the_study_again_keeps_it(
    small_case, store
):
    before = store.get("P1")
    saved(store, voxels=30)
    sign(store, find_case(store, "P1"), version=1, by="Ada", at=NOW)
    scan = store.get("P1").latest_scan
    old = before.latest_scan
    assert scan.signed_by == "Ada"
    assert scan.unreviewed == old.segmentation != scan.segmentation
    grown = scan.measured("WT").voxels - old.measured("WT").voxels
    assert grown == 30
    (told,) = (p for p in store.get("P1").provenance if p.step == "review")
    assert "signed by Ada" in told.note
    assert (before.is_behind_its_masks, store.get("P1").is_behind_its_masks) == (False, True)
    again = run_study(small_case / "study", store)
    assert not again.is_behind_its_masks
    assert again.latest_scan.segmentation == scan.segmentation
    assert again.latest_scan.measured("WT").voxels == scan.measured("WT").voxels
    assert Avatar.from_json(again.to_json()) == again
    case = find_case(store, "P1")
    assert case.mask(0) == old.segmentation
    restore_version(store, case, 0, by="Ben", at=NOW)
    sign(store, find_case(store, "P1"), version=2, by="Ben", at=NOW)
    scan = store.get("P1").latest_scan
    assert scan.segmentation == old.segmentation
    assert scan.measurements == old.measurements
    assert len([p for p in store.get("P1").provenance if p.step == "review"]) == 1


def test_a_signature_of_the_first_mask_is_not_of_another_that_is_made_later(
    small_case, store, tmp_path
):
    """As by other weights: the reader has not seen that one."""
    seen = store.get("P1").latest_scan
    review = sign(store, find_case(store, "P1"), version=0, by="Ada", at=NOW)
    assert review.entries[-1].signed_mask == seen.segmentation
    study = shutil.copytree(small_case / "study", tmp_path / "study")
    mask = nib.load(study / "mask.nii.gz")
    other = np.asarray(mask.dataobj).copy()
    other[2:12, 3, 4] = 2
    nib.save(nib.Nifti1Image(other, mask.affine), study / "mask.nii.gz")
    scan = run_study(study, store).latest_scan
    assert (scan.segmentation, scan.signed_by) == (seen.segmentation, "Ada")
    assert scan.unreviewed not in (None, seen.segmentation)
    assert scan.measurements == seen.measurements
    assert find_case(store, "P1").mask() == seen.segmentation
    assert saved(store).entries[-1].voxels_changed == 5  # from what was signed


def test_a_signed_version_stays_and_a_later_one_supersedes_it_only_when_signed(store):
    saved(store)
    sign(store, find_case(store, "P1"), version=1, by="Ada", at=NOW)
    first = find_case(store, "P1").mask(1)
    review = saved(store, base=1, voxels=9)
    assert review.status == "in review"
    assert review.signed.version == 1
    assert store.get("P1").latest_scan.segmentation == first
    assert find_case(store, "P1").mask(1) == first


def test_a_version_is_signed_once_and_again_only_for_what_was_measured_since(store):
    case = find_case(store, "P1")
    sign(store, case, version=0, by="Ada", at=NOW)
    with pytest.raises(ConflictError, match="version 0 was signed by Ada"):
        sign(store, find_case(store, "P1"), version=0, by="Ben", at=NOW)
    keep_reading(store, find_case(store, "P1"), Reading(clinical="worse"), by="Eve", at=NOW)
    assert find_case(store, "P1").review.signed_in_full is None
    with pytest.raises(ConflictError, match="Eve has measured since"):
        sign(store, find_case(store, "P1"), version=0, after=0, by="Ada", at=NOW)
    review = sign(store, find_case(store, "P1"), version=0, after=1, by="Ada", at=NOW)
    assert review.signed_in_full is not None


def test_the_volume_is_that_of_the_latest_version(store):
    case = find_case(store, "P1")
    before = whole_volume_ml(store, case)
    assert before == pytest.approx(case.scan.measured("WT").volume_ml)
    saved(store, voxels=5)
    assert whole_volume_ml(store, find_case(store, "P1")) != before


def test_two_readers_on_one_case_get_a_conflict_and_neither_loses_anything(store):
    ada, ben = find_case(store, "P1"), find_case(store, "P1")
    save_version(store, ada, edited(store, ada), base=0, by="Ada", at=NOW)
    with pytest.raises(ConflictError):  # his log was read before hers was written
        save_version(store, ben, edited(store, ben, 7), base=0, by="Ben", at=NOW)
    with pytest.raises(ConflictError, match=r"version 1 \(Ada, 2026-03-01 09:30 UTC\)"):
        saved(store, by="Ben", voxels=7)
    with pytest.raises(ConflictError):
        sign(store, find_case(store, "P1"), version=0, by="Ben", at=NOW)
    assert find_case(store, "P1").review.version == 1


def test_of_many_saves_at_once_exactly_one_is_kept(store):
    outcomes = []

    def attempt(n):
        try:
            saved(store, by=f"reader {n}", voxels=n + 1)
            outcomes.append("kept")
        except ConflictError:
            outcomes.append("conflict")

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict"] * 7 + ["kept"]
    assert find_case(store, "P1").review.version == 1


def test_what_breaks_a_rule_is_refused_and_nothing_is_written(store):
    case = find_case(store, "P1")
    mask = store.volume(case.mask())
    shifted = mask.affine.copy()
    shifted[0, 3] += 1.0
    bad = [
        (mask, "nothing to save"),
        (Volume(mask.array, shifted), "draw on the scan itself"),
        (Volume(mask.array[1:], mask.affine), "draw on the scan itself"),
        (edited(store, case, value=7), "not in the table 'glioma'"),
        (mask.with_array(mask.array.astype(float)), "holds integers"),
    ]
    for given, said in bad:
        with pytest.raises(ReviewError, match=said):
            save_version(store, case, given, base=0, by="Ada", at=NOW)
    for name in ("", " ", "x" * 65):
        with pytest.raises(ReviewError, match="by"):
            saved(store, by=name)
    with pytest.raises(ReviewError, match="say in the comment"):
        request_changes(store, case, version=0, by="Ada", at=NOW, comment=" ")
    with pytest.raises(ReviewError, match="no version 3"):
        case.mask(3)
    with pytest.raises(ReviewError, match=r"no scan of day 9; scans: 0"):
        find_case(store, "P1", 9.0)
    with pytest.raises(StoreError, match="no avatar of 'P2'"):
        find_case(store, "P2")
    assert find_case(store, "P1").review.entries == ()


def test_a_restored_version_is_a_new_one_and_the_log_cannot_skip(store):
    saved(store)
    saved(store, base=1, voxels=8)
    case = find_case(store, "P1")
    review = restore_version(store, case, 1, by="Ben", at=NOW + timedelta(hours=1))
    assert review.version == 3
    assert review.mask_of(3) == review.mask_of(1)
    assert review.entries[-1].voxels_changed == 3
    with pytest.raises(ReviewError, match="latest one already"):
        restore_version(store, find_case(store, "P1"), 3, by="Ben", at=NOW)
    skipping = review.entries[-1].model_copy(update={"number": 6})
    with pytest.raises(ConflictError):
        store.append_review("P1", 0.0, skipping)
    assert np.array_equal(
        store.volume(find_case(store, "P1").mask()).array, store.volume(review.mask_of(1)).array
    )
