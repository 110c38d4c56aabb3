from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from data.errors import ImageError
from data.imaging import Volume
from models.registration import centers_on_each_other, register, resample, shrunk
from models.segmentation.head import Upright, brain_of, shows_whole_head


def moved(degrees: float, shift: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("x", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def ball(
    spacing: tuple[float, float, float] = (2.0, 2.0, 2.0), *, inverted: bool = False
) -> Volume:
    """An egg with three inclusions, seen in one of two contrasts; centered on the origin."""
    shape = tuple(round(160 / mm) for mm in spacing)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -np.array(spacing) * (np.array(shape) - 1) / 2
    grid = Volume(np.zeros(shape, np.float32), affine)
    at = grid.world(np.moveaxis(np.indices(shape), 0, -1).astype(float))
    image = ((at / [60, 70, 50]) ** 2).sum(-1) < 1.0
    values = image * (1.0 if not inverted else 0.6)
    for center, radius, a, b in (
        ((20, 25, 10), 14, 2.0, 0.2),
        ((-25, -20, 15), 18, 0.4, 1.5),
        ((5, -35, -20), 12, 1.6, 0.9),
    ):
        inside = ((at - center) ** 2).sum(-1) < radius**2
        values = np.where(inside, b if inverted else a, values)
    return grid.with_array((100 * values).astype(np.float32))


def test_a_turned_image_of_another_contrast_is_brought_back_within_a_millimetre():
    fixed, truth = ball(), moved(12.0, (6.0, -9.0, 8.0))
    other = ball(inverted=True)
    moving = Volume(other.array, truth @ other.affine)
    found = register(fixed, moving, kind="rigid", starts=[np.eye(4)], fixed_mask=fixed.array > 0)
    points = fixed.world(np.argwhere(fixed.array > 0)[::50].astype(float))
    points = np.c_[points, np.ones(len(points))].T
    assert np.linalg.norm(((found - truth) @ points)[:3], axis=0).max() < 1.0


def test_a_shrunk_image_is_where_it_was():
    rng = np.random.default_rng(0)
    affine = np.array([[0, -1.0, 0, 5], [1.0, 0, 0, -7], [0, 0, 2.0, 3], [0, 0, 0, 1]], float)
    image = Volume(rng.random((8, 6, 4)).astype(np.float32), affine)
    small = shrunk(image, 2)
    assert small.shape == (4, 3, 2)
    assert small.array[1, 2, 0] == pytest.approx(image.array[2:4, 4:6, 0:2].mean())
    corners = image.world(np.array([[2.0, 4.0, 0.0], [3.0, 5.0, 1.0]]))
    assert small.world(np.array([1.0, 2.0, 0.0])) == pytest.approx(corners.mean(0))


def test_registration_begins_at_the_better_of_two_starts():
    fixed = ball()
    far = moved(0.0, (70.0, 0.0, 0.0))
    moving = Volume(fixed.array, far @ fixed.affine)
    centers = centers_on_each_other(
        fixed.with_array((fixed.array > 0).astype(np.uint8)),
        moving.with_array((moving.array > 0).astype(np.uint8)),
    )
    assert centers[:3, 3] == pytest.approx([70.0, 0.0, 0.0], abs=0.1)
    found = register(fixed, moving, kind="rigid", starts=[np.eye(4), centers])
    assert found[:3, 3] == pytest.approx([70.0, 0.0, 0.0], abs=1.0)


def test_images_that_do_not_overlap_are_refused_with_the_question_to_ask():
    fixed = ball()
    away = moved(0.0, (5000.0, 0.0, 0.0))
    moving = Volume(fixed.array, away @ fixed.affine)
    with pytest.raises(ImageError, match="do they show the same head"):
        register(fixed, moving, kind="rigid", starts=[np.eye(4)])


def test_resampling_onto_an_oblique_grid_and_back_keeps_the_image():
    image = ball((2.0, 2.0, 4.0))
    grid = ball()
    oblique = Volume(grid.array, moved(15.0, (3.0, 2.0, 1.0)) @ grid.affine)
    back = resample(resample(image, oblique), image)
    assert back.same_grid(image)
    assert np.corrcoef(back.array.ravel(), image.array.ravel())[0, 1] > 0.97


def test_masks_come_back_to_the_grid_of_the_first_sequence():
    thick = ball((1.0, 1.0, 5.0))
    grid = ball((1.0, 1.0, 1.0))
    brain = Volume((grid.array > 0).astype(np.uint8), moved(10.0, (0, 0, 0)) @ grid.affine)
    whole = thick.with_array((thick.array > 0).astype(np.uint8))
    upright = Upright({"t1c": thick}, whole, brain)
    seen = upright.images["t1c"]
    assert seen.same_grid(brain)
    assert not seen.array[brain.array == 0].any()
    region = (seen.array > 150).astype(np.float32)[None]
    back = upright.returned(region)[0] > 0.5
    truth = thick.array > 150
    assert back.shape == thick.shape
    assert 2 * (back & truth).sum() / (back.sum() + truth.sum()) > 0.85


def test_movement_is_said_in_degrees_and_millimetres():
    given = ball()
    laid = Volume(given.array, moved(10.0, (0.0, 3.0, 4.0)) @ given.affine)
    upright = Upright({"t1c": given, "flair": laid}, given, given)
    assert upright.movement("flair", given) == pytest.approx((10.0, 5.0))


def test_a_stripped_brain_is_no_whole_head_and_a_large_one_is():
    assert not shows_whole_head(ball())
    large = ball()
    assert shows_whole_head(Volume(large.array, np.diag([1.6, 1.6, 1.6, 1.0]) @ large.affine))
    nothing = large.with_array(np.zeros(large.shape, np.float32))
    assert not shows_whole_head(nothing)


@pytest.mark.slow
def test_where_there_is_no_brain_that_is_said():
    rng = np.random.default_rng(0)
    noise = Volume(rng.random((64, 64, 40)).astype(np.float32), np.diag([1.0, 1.0, 2.0, 1.0]))
    with pytest.raises(ImageError, match="give a brain_mask"):
        brain_of(noise)
