from __future__ import annotations

import numpy as np
import pytest

from models.segmentation.scores import WORST_DISTANCE_MM, score

SPACING = (1.0, 1.0, 2.0)
SHAPE = (30, 30, 20)


def box(*corners):
    mask = np.zeros(SHAPE, bool)
    for low, high in corners:
        mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


ONE = box(((5, 5, 5), (13, 13, 9)))
EMPTY = np.zeros(SHAPE, bool)


def test_equal_masks_score_perfectly():
    scores = score(ONE, ONE, SPACING)
    assert (scores.dice, scores.hd95_mm, scores.surface_dice, scores.lesion_dice) == (1, 0, 1, 1)
    assert scores.found_ml == pytest.approx(8 * 8 * 4 * 2 / 1000)


def test_a_missed_tumor_worsens_every_score_where_monai_would_leave_it_out():
    # HausdorffDistanceMetric(percentile=95) gives NaN here, and an aggregate of NaNs prints 0.0.
    scores = score(EMPTY, ONE, SPACING)
    assert (scores.dice, scores.hd95_mm, scores.surface_dice) == (0.0, WORST_DISTANCE_MM, 0.0)
    assert (scores.lesions, scores.lesions_missed, scores.lesion_dice) == (1, 1, 0.0)


def test_a_false_positive_on_an_empty_reference_is_not_dropped():
    # DiceMetric(ignore_empty=True), the default, gives NaN here and drops it.
    scores = score(ONE, EMPTY, SPACING)
    assert (scores.dice, scores.hd95_mm, scores.lesions_false) == (0.0, WORST_DISTANCE_MM, 1)
    assert scores.lesion_dice == 0.0


def test_two_empty_masks_agree():
    scores = score(EMPTY, EMPTY, SPACING)
    assert (scores.dice, scores.hd95_mm, scores.surface_dice, scores.lesion_dice) == (1, 0, 1, 1)


@pytest.mark.parametrize(("axis", "step_mm"), [(0, 1.0), (2, 2.0)])
def test_a_shift_is_measured_in_millimetres_along_each_axis(axis, step_mm):
    # every voxel of the shifted face is one step away, so the 95th percentile is that step
    shifted = np.roll(ONE, 3, axis)
    assert score(shifted, ONE, SPACING).hd95_mm == pytest.approx(3 * step_mm, abs=1e-6)


def test_dice_of_half_an_overlap_is_one_half():
    assert score(np.roll(ONE, 4, 0), ONE, SPACING).dice == pytest.approx(0.5)


def test_lesions_are_counted_apart_and_a_missed_one_halves_the_lesion_wise_dice():
    two = ONE | box(((20, 20, 12), (26, 26, 16)))
    scores = score(ONE, two, SPACING)
    assert (scores.lesions, scores.lesions_missed, scores.lesions_false) == (2, 1, 0)
    assert scores.lesion_dice == pytest.approx(0.5)


def test_pieces_closer_than_the_dilation_are_one_lesion():
    near = ONE | box(((17, 5, 5), (20, 13, 9)))
    assert score(near, near, SPACING).lesions == 1


def test_a_reference_speck_is_not_a_lesion_and_what_touches_it_is_not_false():
    speck = box(((5, 5, 5), (7, 7, 7)))
    scores = score(speck, speck, SPACING)
    assert (scores.lesions, scores.lesions_false) == (0, 0)


def test_masks_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="shape"):
        score(ONE, ONE[:-1], SPACING)
