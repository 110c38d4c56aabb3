from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from data.errors import ImageError
from models.segmentation.interact import (
    fill_holes,
    refine_in_box,
    remove_islands,
    segment_from_clicks,
    smooth,
)
from models.segmentation.scores import dice

SPACING = (1.0, 1.0, 2.0)
SHAPE = (70, 80, 40)
CENTER = np.array([34, 40, 19])


def ellipsoid(center, radii_mm):
    grid = (np.indices(SHAPE) - np.array(center)[:, None, None, None]).astype(float)
    scale = np.array(SPACING) / np.array(radii_mm)
    return ((grid * scale[:, None, None, None]) ** 2).sum(0) < 1


@pytest.fixture(scope="module")
def lesion():
    return ellipsoid(CENTER, (14, 18, 16))


@pytest.fixture(scope="module")
def images(lesion):
    """Two noisy channels: the lesion is bright in one and dark in the other."""
    rng = np.random.default_rng(0)
    soft = ndimage.gaussian_filter(lesion.astype(float), 0.8)
    noise = rng.standard_normal((2, *SHAPE))
    return (np.stack([100 + 60 * soft, 100 - 40 * soft]) + 8 * noise).astype(np.float32)


INSIDE = [tuple(CENTER), (28, 40, 19), (40, 48, 21), (34, 34, 15)]
OUTSIDE = [(34, 65, 19), (12, 40, 19), (56, 40, 19), (34, 40, 34)]


def test_a_few_clicks_find_the_lesion(images, lesion):
    # a threshold with components reaches 0.92 on such a case
    found = segment_from_clicks(images, SPACING, INSIDE, OUTSIDE)
    assert dice(found, lesion) > 0.96


def test_one_click_is_enough_where_the_edge_is_strong(lesion):
    images = np.stack([100.0 + 80 * lesion])
    assert dice(segment_from_clicks(images, SPACING, [tuple(CENTER)]), lesion) > 0.9


def test_a_negative_click_takes_a_neighbour_away(lesion):
    other = ellipsoid((34, 66, 19), (12, 9, 12))
    images = np.stack([100.0 + 80 * (lesion | other)])
    rng = np.random.default_rng(0)
    images = images + 4 * rng.standard_normal(images.shape)
    found = segment_from_clicks(images, SPACING, [tuple(CENTER)], [(34, 66, 19)])
    assert found[tuple(CENTER)]
    assert not found[34, 66, 19]


def test_clicks_never_reach_beyond_the_stated_distance(images):
    found = segment_from_clicks(images, SPACING, [tuple(CENTER)], reach_mm=8.0)
    assert np.abs(np.argwhere(found) - CENTER).max(axis=0).tolist() <= [8, 8, 4]


def test_what_is_clicked_is_what_it_was_called(images):
    found = segment_from_clicks(images, SPACING, INSIDE, OUTSIDE)
    assert all(found[at] for at in INSIDE)
    assert not any(found[at] for at in OUTSIDE)


@pytest.mark.parametrize(
    ("positive", "negative", "message"),
    [
        ([], [(1, 1, 1)], "at least once"),
        ([(70, 0, 0)], [], "outside an image"),
        ([(-1, 0, 0)], [], "outside an image"),
        ([(5, 5, 5)], [(5, 5, 5)], "as inside and as outside"),
    ],
)
def test_clicks_that_cannot_be_meant_are_refused(images, positive, negative, message):
    with pytest.raises(ImageError, match=message):
        segment_from_clicks(images, SPACING, positive, negative)


def test_refining_moves_a_shrunken_border_to_the_edge(images, lesion):
    rough = ndimage.binary_erosion(lesion, iterations=2)
    whole = tuple(slice(0, n) for n in SHAPE)
    refined = refine_in_box(images, SPACING, rough, whole)
    assert dice(refined, lesion) > 0.97 > dice(rough, lesion) + 0.05


def test_refining_changes_nothing_outside_its_box(images, lesion):
    rough = ndimage.binary_erosion(lesion, iterations=2)
    box = (slice(20, 34), slice(20, 60), slice(5, 33))
    refined = refine_in_box(images, SPACING, rough, box)
    outside = np.ones(SHAPE, bool)
    outside[box] = False
    assert np.array_equal(refined[outside], rough[outside])
    assert not np.array_equal(refined[box], rough[box])


def test_refining_an_empty_mask_leaves_it_empty_and_a_box_beside_the_image_is_refused(images):
    empty = np.zeros(SHAPE, bool)
    whole = tuple(slice(0, n) for n in SHAPE)
    assert not refine_in_box(images, SPACING, empty, whole).any()
    with pytest.raises(ImageError, match="holds no voxel"):
        refine_in_box(images, SPACING, empty, (slice(90, 95), slice(0, 5), slice(0, 5)))


def test_a_hole_is_filled_and_a_bay_is_not(lesion):
    holed = lesion.copy()
    holed[33:36, 39:42, 18:21] = False
    assert np.array_equal(fill_holes(holed), lesion)
    bay = lesion.copy()
    bay[34, 40:, 19] = False
    assert np.array_equal(fill_holes(bay), bay)


def test_islands_go_and_the_largest_piece_stays_even_when_small(lesion):
    speck = np.zeros(SHAPE, bool)
    speck[2:5, 2:5, 2:4] = True
    assert np.array_equal(remove_islands(lesion | speck, SPACING, 0.5), lesion)
    smaller = np.zeros(SHAPE, bool)
    smaller[10, 10, 10] = True
    assert np.array_equal(remove_islands(speck | smaller, SPACING, 0.5), speck)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.3, 3.0))
def test_smoothing_keeps_the_volume_and_smooths(seed, sigma):
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal((24, 24, 24)), 2.0)
    mask = field + 0.02 * rng.standard_normal(field.shape) > 0.02
    after = smooth(mask, (1.0, 1.0, 1.0), sigma)
    assert abs(int(after.sum()) - int(mask.sum())) <= 0.02 * mask.size
    rough = [int((m ^ ndimage.binary_erosion(m)).sum()) for m in (mask, after)]
    assert rough[1] <= rough[0]


def test_smoothing_without_a_width_is_refused(lesion):
    with pytest.raises(ImageError, match="above 0 mm"):
        smooth(lesion, SPACING, float("nan"))
