"""Random windows of crops about the tumor, and how much geometry alone gives away."""

from __future__ import annotations

import numpy as np
import pytest

from data.errors import ImageError
from data.imaging import Segmentation, Volume
from pipelines.cases import Case
from pipelines.sites.sarcoma import LABELS
from pipelines.windows import LEAST_TUMOR, SIDES, geometry_dice, windows_of


def crop(shape=(40, 44, 60), spacing=(5.0, 5.0, 3.0), radius_mm=45.0) -> Case:
    """A crop about a ball, as PET and, half as wide, as T1."""
    images, references = {}, {}
    for name, size in (("pet", 1.0), ("t1", 0.6)):
        extent = np.array(shape) * spacing * size
        step = np.array(spacing) * (1.0 if name == "pet" else 0.5)
        grid = Volume(np.zeros(np.rint(extent / step).astype(int), np.float32), np.eye(4))
        affine = np.diag([*step, 1.0])
        affine[:3, 3] = -extent / 2 + [100.0, 0.0, -700.0]
        image = Volume(grid.array, affine).reoriented("LPS")
        at = image.world(np.moveaxis(np.indices(image.shape), 0, -1).astype(float))
        ball = ((at - [100.0, 0.0, -700.0]) ** 2).sum(-1) < radius_mm**2
        images[name] = image.with_array((5 * ball).astype(np.float32))
        mask = image.with_array(ball.astype(np.uint8))
        references[name] = Segmentation(mask, LABELS)
    return Case("ball", images, None, references, "geometry", site="sarcoma", windows=4)


def test_windows_differ_hold_half_the_tumor_and_are_the_same_every_time():
    case = crop()
    found, again = windows_of(case, 6), windows_of(case, 6)
    whole = case.reference.volume.array.sum()
    assert len({window.images["pet"].shape for window in found}) > 1
    for window, same in zip(found, again, strict=True):
        assert np.array_equal(window.images["t1"].affine, same.images["t1"].affine)
        assert window.reference.volume.array.sum() > (LEAST_TUMOR - 0.1) * whole
        for name, image in window.images.items():
            assert image.same_grid(window.references[name].volume)
            assert np.array_equal(image.array > 0, window.references[name].volume.array > 0)
            middle = image.world((np.array(image.shape) - 1) / 2)
            assert np.abs(middle - [100.0, 0.0, -700.0]).max() < 100


def test_a_window_lies_where_all_shown_images_reach():
    """The edge of a narrower image would else tell where the tumor is."""
    case = crop()
    narrow = np.array(case.images["t1"].shape) * case.images["t1"].spacing_mm
    for window in windows_of(case, 6):
        for image in window.images.values():
            size = np.array(image.shape) * image.spacing_mm
            assert (size <= SIDES[1] * narrow + image.spacing_mm).all()
    alone = windows_of(case.shown(["pet"]), 6)
    widest = max(max(np.array(w.images["pet"].shape) * 5.0) for w in alone)
    assert widest > narrow.max()


def test_geometry_alone_is_right_for_a_centred_ball_and_wrong_for_windows():
    case = crop()
    (centred,) = geometry_dice([case.reference])
    windows = [window.reference for window in windows_of(case.shown(["pet"]), 12)]
    assert centred > 0.9
    assert np.mean(geometry_dice(windows)) < 0.7


def test_the_geometry_baseline_has_one_size_for_all_and_the_best():
    small, large = crop(radius_mm=30.0).reference, crop(radius_mm=70.0).reference
    both = geometry_dice([small, large])
    alone = [geometry_dice([s])[0] for s in (small, large)]
    assert np.mean(both) < np.mean(alone)
    assert max(both) <= max(alone)


def test_a_case_whose_tumor_no_window_can_hold_is_refused():
    case = crop()
    corners = np.zeros(case.images["pet"].shape, np.uint8)
    corners[[0, 0, -1, -1], [0, -1, 0, -1], [0, -1, -1, 0]] = 1
    spread = Segmentation(case.images["pet"].with_array(corners), LABELS)
    lost = Case("corners", case.images, None, {"pet": spread}, "")
    with pytest.raises(ImageError, match="corners: no window"):
        windows_of(lost, 1)
