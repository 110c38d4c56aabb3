"""Doubtful regions: where they are, how large, and which comes first."""

from __future__ import annotations

import numpy as np

from data.imaging import Volume
from models.segmentation.doubt import DOUBTFUL_PERCENT, MOST_REGIONS, doubtful_regions

AFFINE = np.array([[-1.0, 0, 0, 20], [0, 2.0, 0, -5], [0, 0, 3.0, 7], [0, 0, 0, 1]])


def percent(*blocks):
    array = np.zeros((40, 40, 40), np.uint8)
    for box, value in blocks:
        array[box] = value
    return Volume(array, AFFINE)


def test_the_most_doubt_comes_first_and_the_place_lies_deep_inside():
    small = (slice(2, 7), slice(2, 7), slice(2, 7))
    large = (slice(20, 29), slice(20, 29), slice(20, 29))
    regions = doubtful_regions(percent((small, 100), (large, 50)))
    assert [r.volume_ml for r in regions] == [9**3 * 6 / 1000, 5**3 * 6 / 1000]
    assert regions[0].place_ras_mm == (20 - 24, -5 + 48, 7 + 72)
    assert regions[1].place_ras_mm == (20 - 4, -5 + 8, 7 + 12)


def test_slight_doubt_and_specks_are_no_regions():
    mild = (slice(0, 20), slice(0, 20), slice(0, 20))
    speck = (slice(30, 32), slice(30, 32), slice(30, 32))  # 8 voxels of 6 mm3
    assert doubtful_regions(percent((mild, DOUBTFUL_PERCENT - 1), (speck, 100))) == ()
    assert doubtful_regions(percent()) == ()


def test_a_long_list_is_cut():
    blocks = [
        ((slice(8 * a, 8 * a + 4), slice(8 * b, 8 * b + 4), slice(8 * c, 8 * c + 4)), 90)
        for a in range(4) for b in range(4) for c in range(2)
    ]  # fmt: skip
    assert len(doubtful_regions(percent(*blocks))) == MOST_REGIONS < len(blocks)
