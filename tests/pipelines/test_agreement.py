"""Edited and independent masks are never put together; kappa and Dice are what they are defined as."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from avatars import put_avatar, scan_of
from hypothesis import given
from hypothesis import strategies as st

from app.review_views import agreement_rows, statistics_rows, time_words
from data.imaging import Volume
from data.store import AvatarStore
from pipelines.agreement import kappa, origin_of, statistics_of
from pipelines.review import Spent, cases, find_case, save_version, sign
from pipelines.sites.glioma import LABELS

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
SHAPE = (30, 30, 30)


def block(*boxes, value=3):
    array = np.zeros(SHAPE, np.uint8)
    for low, high in boxes:
        array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = value
    return Volume(array, np.eye(4))


FIRST = block(((2, 2, 2), (12, 12, 12)))
EDITED = block(((2, 2, 2), (12, 12, 12)), ((20, 20, 20), (26, 26, 26)))  # one lesion was missed
OTHER = block(((3, 2, 2), (13, 12, 12)))


@pytest.fixture
def store(tmp_path):
    with AvatarStore(tmp_path / "store") as opened:
        image = FIRST.with_array(np.full(SHAPE, 100, np.int16))
        for name, given_ in (("P1", False), ("P2", False), ("P3", True)):
            scan = scan_of(opened, image, FIRST, segmenter="glioma-net: a network", given=given_)
            put_avatar(opened, name, scan)
        yield opened


def saved(store, patient, mask, by, *, independent=False, signs=True):
    case = find_case(store, patient)
    base = case.review.version
    save_version(
        store, case, mask, base=base, by=by, at=NOW, spent=Spent(60, 20), independent=independent
    )
    if signs:
        sign(store, find_case(store, patient), version=base + 1, by=by, at=NOW, spent=Spent(10, 0))


def test_what_was_edited_and_what_was_drawn_independently_are_told_apart(store):
    saved(store, "P1", EDITED, "Ada")
    saved(store, "P2", OTHER, "Ben", independent=True)
    saved(store, "P3", OTHER, "Ben")
    found = statistics_of(store, cases(store)[0])
    assert [(c.patient_id, c.origin, c.reader) for c in found.cases] == [
        ("P1", "edited", "Ada"),
        ("P2", "independent", "Ben"),
    ]  # the mask of P3 was given
    edited, independent = (
        next(s for s in found.summaries if (s.region, s.origin) == ("ET", origin))
        for origin in ("edited", "independent")
    )
    assert edited.dice_median == pytest.approx(2 * 1000 / (1000 + 1216))
    assert (edited.lesions, edited.lesions_missed) == (2, 1)
    assert independent.dice_median == pytest.approx(0.9)
    assert (independent.lesions, independent.lesions_missed) == (1, 0)
    assert (found.seconds_viewed_median, found.seconds_edited_median) == (70, 20)
    first = found.cases[0]
    assert (first.first_mask, first.voxels_changed) == ("glioma-net", 216)
    rows = statistics_rows(found)
    assert {row["Signed mask"] for row in rows} == {
        "edited from the first mask",
        "drawn independently",
    }
    assert "2 signed case(s); median 70 s looked at" in time_words(found)


def test_two_readers_are_compared_and_it_is_said_how_their_masks_came_about(store):
    saved(store, "P1", EDITED, "Ada")
    saved(store, "P1", OTHER, "Ben")
    saved(store, "P2", EDITED, "Ada", independent=True)
    saved(store, "P2", OTHER, "Ben", independent=True)
    found = statistics_of(store, cases(store)[0])
    one, other = found.agreements
    assert (one.kinship, other.kinship) == ("one edited the other's", "independent")
    assert one.readers == ("Ada", "Ben")
    assert one.dice["ET"] == pytest.approx(2 * 900 / (1216 + 1000))
    assert one.kappa == other.kappa == pytest.approx(kappa(EDITED, OTHER, LABELS))
    assert [row["How they came about"] for row in agreement_rows(found)] == [
        "one edited the other's",
        "independent",
    ]


def test_a_lineage_ends_where_somebody_drew_anew(store):
    saved(store, "P1", EDITED, "Ada", signs=False)
    saved(store, "P1", OTHER, "Ben", independent=True, signs=False)
    saved(store, "P1", EDITED, "Ben")
    review = find_case(store, "P1").review
    assert review.lineage(1) == (1, 0)
    assert review.lineage(3) == (3, 2)
    assert (origin_of(review, 1), origin_of(review, 3)) == ("edited", "independent")


def test_nothing_signed_is_said_so(store):
    found = statistics_of(store, cases(store)[0])
    assert found.cases == found.agreements == found.summaries == ()
    assert "No network's mask has been signed yet" in time_words(found)


def test_kappa_agrees_with_a_table_worked_by_hand():
    # 20 both yes, 15 both no, 5 and 10 apart of 50: agreed 0.70, by chance 0.50 (Cohen 1960)
    one = np.r_[np.ones(20), np.ones(5), np.zeros(10), np.zeros(15)].astype(np.uint8)
    other = np.r_[np.ones(20), np.zeros(5), np.ones(10), np.zeros(15)].astype(np.uint8)
    # the first and the last voxel are not 0, so that the box holds all of them
    order = np.r_[0:1, 20:50, 1:20]
    volumes = [Volume(v[order].reshape(50, 1, 1), np.eye(4)) for v in (one, other)]
    assert kappa(*volumes, LABELS) == pytest.approx(0.40)


@given(seed=st.integers(0, 10_000))
def test_kappa_is_symmetric_at_most_one_and_one_for_the_same_mask(seed):
    rng = np.random.default_rng(seed)
    one, other = (Volume(rng.integers(0, 4, (5, 5, 5)).astype(np.uint8), np.eye(4)) for _ in "ab")
    assert kappa(one, other, LABELS) == pytest.approx(kappa(other, one, LABELS))
    assert kappa(one, other, LABELS) <= 1 + 1e-12
    assert kappa(one, one, LABELS) == pytest.approx(1)
