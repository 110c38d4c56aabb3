"""Bring images of one head onto each other, or an atlas onto a head, by mutual information (SimpleITK).

Transforms are (4, 4) matrices in RAS+ mm. They map points of the fixed image's space to the moving
image's, which is the direction that resampling needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from data.errors import ImageError
from data.imaging import Volume

Matrix = NDArray[np.float64]
SAMPLED = 0.5
"""Share of voxels that the metric looks at; the same ones each time, so that the result repeats."""
SEED = 1
BINS = 40
FEW_SLICES = 64
"""With fewer, an image is hardly shrunk: slices are thick as it is. The last level comes twice since each
begins with long steps again; on heads of 26 slices that brought images 2 mm closer."""
SIGNAL = 0.1
"""Of the 98th percentile, above which a voxel is more than air."""
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def register(
    fixed: Volume,
    moving: Volume,
    *,
    kind: Literal["rigid", "affine"],
    starts: Sequence[Matrix],
    fixed_mask: NDArray[np.bool_] | None = None,
) -> Matrix:
    """The linear transform that makes ``moving`` look like ``fixed``.

    Mattes mutual information (Mattes 2003, doi:10.1109/TMI.2003.809072), three levels,
    regular-step gradient descent.

    Args:
        fixed: the image whose space is wanted.
        moving: the image that is brought there.
        kind: 6 or 12 parameters.
        starts: where it may begin, fixed space to moving space; it begins at the best of them.
        fixed_mask: voxels of ``fixed`` that count; all of them by default.

    Raises:
        ImageError: the images have no overlap to register.
    """
    still, mover = (sitk.Cast(_image(v), sitk.sitkFloat32) for v in (fixed, moving))
    transform: Any = sitk.Euler3DTransform() if kind == "rigid" else sitk.AffineTransform(3)
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfWorkUnits(1)  # several sum in an order of their own each time
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(SAMPLED, SEED)
    if fixed_mask is not None:
        method.SetMetricFixedMask(_image(fixed.with_array(fixed_mask.astype(np.uint8))))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 150, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    fine = min(fixed.shape) > FEW_SLICES
    method.SetShrinkFactorsPerLevel([4, 2, 2] if fine else [2, 1, 1])
    method.SetSmoothingSigmasPerLevel([3.0, 1.5, 1.0] if fine else [2.0, 0.5, 0.5])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    try:
        _set(transform, _best(method, still, mover, starts), still)
        method.SetInitialTransform(transform, inPlace=True)
        method.Execute(still, mover)
    except RuntimeError as error:
        raise ImageError(
            f"two images could not be registered ({str(error).splitlines()[-1].strip()}); do they show "
            "the same head?"
        ) from error
    return _matrix(transform)


def _best(
    method: sitk.ImageRegistrationMethod,
    still: sitk.Image,
    mover: sitk.Image,
    starts: Sequence[Matrix],
) -> Matrix:
    if len(starts) == 1:
        return starts[0]
    found = []
    for start in starts:
        tried = sitk.AffineTransform(3)
        _set(tried, start, None)
        method.SetInitialTransform(tried)
        with suppress(RuntimeError):  # no overlap there
            found.append((method.MetricEvaluate(still, mover), start))
    return min(found, key=lambda pair: pair[0], default=(0.0, starts[0]))[1]


def centers_on_each_other(fixed: Volume, moving: Volume) -> Matrix:
    """A shift that brings the centers of mass of two masks together."""
    matrix = np.eye(4)
    centers = [v.world(np.array(ndimage.center_of_mass(v.array))) for v in (fixed, moving)]
    matrix[:3, 3] = centers[1] - centers[0]
    return matrix


def foreground(image: Volume) -> Volume:
    """0/1: where there is more than air."""
    values = image.array[image.array > 0]
    least = SIGNAL * float(np.quantile(values, 0.98)) if values.size else 0.0
    filled = ndimage.binary_fill_holes(ndimage.binary_opening(image.array > least))
    return image.with_array(filled.astype(np.uint8))


def shrunk(volume: Volume, factor: int) -> Volume:
    """Blocks of ``factor`` voxels along each axis averaged: what is enough to register by, in less time."""
    small = sitk.BinShrink(sitk.Cast(_image(volume), sitk.sitkFloat32), [factor] * 3)
    affine = volume.affine.copy()
    affine[:3, :3] *= factor
    affine[:3, 3] = volume.world(np.full(3, (factor - 1) / 2.0))
    array = sitk.GetArrayFromImage(small).transpose(2, 1, 0)
    return Volume(np.ascontiguousarray(array), affine, volume.frame_of_reference_uid)


def resample(
    volume: Volume, grid: Volume, matrix: Matrix | None = None, *, nearest: bool = False
) -> Volume:
    """``volume`` on the grid of another, linearly interpolated, zero from outside.

    Args:
        volume: what is wanted.
        grid: where it is wanted.
        matrix: grid's space to the volume's, RAS+ mm; by default they share one space.
        nearest: take the nearest voxel instead, as for labels.
    """
    transform = sitk.AffineTransform(3)
    _set(transform, np.eye(4) if matrix is None else matrix, None)
    how = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    moved = sitk.Resample(_image(volume), _image(grid), transform, how, 0.0)
    return grid.with_array(np.ascontiguousarray(sitk.GetArrayFromImage(moved).transpose(2, 1, 0)))


def _image(volume: Volume) -> sitk.Image:
    array = np.asarray(volume.array)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    affine = LPS @ volume.affine
    image.SetSpacing(volume.spacing_mm)
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / volume.spacing_mm).ravel().tolist())
    return image


def _matrix(transform: Any) -> Matrix:
    """An ITK linear transform (LPS) as a matrix (RAS)."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    columns = [np.array(transform.TransformPoint(tuple(e))) - origin for e in np.eye(3)]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.array(columns).T, origin
    return np.asarray(LPS @ matrix @ LPS, np.float64)


def _set(transform: Any, matrix: Matrix, still: sitk.Image | None) -> None:
    """Give an ITK transform a matrix (RAS), turning about the center of an image."""
    lps, center = LPS @ matrix @ LPS, np.zeros(3)
    if still is not None:
        middle = [(n - 1) / 2 for n in still.GetSize()]
        center = np.array(still.TransformContinuousIndexToPhysicalPoint(middle))
    transform.SetCenter(center.tolist())
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation((lps[:3, 3] + lps[:3, :3] @ center - center).tolist())
