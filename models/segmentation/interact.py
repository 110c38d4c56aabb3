"""Help for whoever corrects a mask: from clicks, within a box, and clean-up. Pure functions.

All take arrays on one grid (i, j, k), the voxels' edges in mm, and return a new mask. Nothing outside the
stated reach is ever changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from data.errors import ImageError

Mask = NDArray[np.bool_]
Images = NDArray[np.floating]
Voxel = tuple[int, int, int]
Box = tuple[slice, slice, slice]

CLICK_RADIUS_MM = 2.0
"""A click marks a ball of this radius."""
GRADIENT_SIGMA_MM = 1.0
REACH_MM = 45.0
"""How far from the outermost click a lesion may extend; a glioma of 90 mm is large."""
BAND_MM = 4.0
"""Refining moves a border by at most this much."""

TUMOR, BACKGROUND = 1, 2


def segment_from_clicks(
    images: Images,
    spacing_mm: tuple[float, float, float],
    positive: Sequence[Voxel],
    negative: Sequence[Voxel] = (),
    *,
    reach_mm: float = REACH_MM,
) -> Mask:
    """One lesion from points inside it and points outside it.

    Marker-controlled watershed on the Gaussian gradient of all images together (Meyer & Beucher, J Vis
    Commun Image Represent 1990;1:21): the border runs along the strongest edge between the markers.
    What lies ``reach_mm`` beyond the clicks counts as outside.

    Args:
        images: (channel, i, j, k), co-registered; any intensity units.
        spacing_mm: voxel edges.
        positive: voxels inside the lesion, at least one.
        negative: voxels outside it.
        reach_mm: how far beyond the clicks to look.

    Raises:
        ImageError: no positive click, a click outside the image, or one voxel called both.
    """
    shape = images.shape[1:]
    _check_clicks(shape, positive, negative)
    box = _around([*positive, *negative], shape, spacing_mm, reach_mm)
    corner = np.array([s.start for s in box])
    inner = tuple(s.stop - s.start for s in box)
    markers = np.zeros(inner, np.int8)
    _mark_open_border(markers, box, shape)
    for value, clicks in ((BACKGROUND, negative), (TUMOR, positive)):
        for click in clicks:
            markers[_ball(np.array(click) - corner, inner, spacing_mm)] = value
    for click in negative:  # where balls meet, the clicked voxel itself decides
        markers[tuple(np.array(click) - corner)] = BACKGROUND
    if not (markers == BACKGROUND).any():
        markers[0, 0, 0] = BACKGROUND
    found = np.zeros(shape, bool)
    edges = edge_strength(images[(slice(None), *box)], spacing_mm)
    found[box] = watershed(edges, markers) == TUMOR
    return found


def refine_in_box(
    images: Images,
    spacing_mm: tuple[float, float, float],
    mask: Mask,
    box: Box,
    *,
    band_mm: float = BAND_MM,
) -> Mask:
    """Snap a mask's border to the nearest strong edge, inside a box only.

    Voxels deeper than ``band_mm`` in the mask, or farther than that from it, keep what they are. An
    empty mask, or one that fills the box, is returned as it is: it has no border to move.

    Raises:
        ImageError: the box holds no voxel of the image.
    """
    own = mask[box]
    if own.size == 0:
        raise ImageError(f"the box {_shown(box)} holds no voxel of an image of shape {mask.shape}")
    refined = mask.copy()
    if not own.any() or own.all():
        return refined
    depth = ndimage.distance_transform_edt(own, spacing_mm)
    away = ndimage.distance_transform_edt(~own, spacing_mm)
    markers = np.zeros(own.shape, np.int8)
    markers[depth > min(band_mm, 0.5 * float(depth.max()))] = TUMOR
    markers[away > min(band_mm, 0.5 * float(away.max()))] = BACKGROUND
    edges = edge_strength(images[(slice(None), *box)], spacing_mm)
    refined[box] = watershed(edges, markers) == TUMOR
    return refined


def fill_holes(mask: Mask) -> Mask:
    """Fill what is enclosed on all sides, in 3-D."""
    return np.asarray(ndimage.binary_fill_holes(mask), bool)


def smooth(mask: Mask, spacing_mm: tuple[float, float, float], sigma_mm: float = 1.5) -> Mask:
    """Round a ragged border: Gaussian in millimetres, cut where the volume stays the same.

    Raises:
        ImageError: a width that is not above zero.
    """
    if not sigma_mm > 0:
        raise ImageError(f"smoothing needs a width above 0 mm, got {sigma_mm} mm")
    count = int(mask.sum())
    if count == 0:
        return mask.copy()
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), [sigma_mm / h for h in spacing_mm])
    level = np.partition(blurred.ravel(), mask.size - count)[mask.size - count]
    return np.asarray(blurred >= level, bool)


def grow(mask: Mask, spacing_mm: tuple[float, float, float], by_mm: float) -> Mask:
    """Move the border outward by a distance; inward where it is negative. Voxels beyond the image count as
    outside the lesion only when growing.
    """
    if by_mm == 0 or not mask.any() or mask.all():
        return mask.copy()
    if by_mm > 0:
        return np.asarray(ndimage.distance_transform_edt(~mask, spacing_mm) <= by_mm + 1e-6, bool)
    return np.asarray(ndimage.distance_transform_edt(mask, spacing_mm) > -by_mm + 1e-6, bool)


def interpolate_slices(mask: Mask, spacing_mm: tuple[float, float, float], axis: int) -> Mask:
    """Fill slices that were left out between drawn ones.

    Shape-based interpolation (Raya & Udupa, IEEE Trans Med Imaging 1990;9:32): between two slices the
    signed distances to their borders are mixed by how near each is, and cut at zero. Drawn slices stay as
    they are.

    Args:
        mask: (i, j, k).
        spacing_mm: voxel edges.
        axis: that counts the slices.

    Raises:
        ImageError: fewer than two slices are drawn.
    """
    stack = np.moveaxis(mask, axis, 0)
    drawn = np.flatnonzero(stack.any((1, 2)))
    if len(drawn) < 2:
        raise ImageError(f"draw on two slices or more; {len(drawn)} hold the label in this plane")
    in_plane = tuple(h for n, h in enumerate(spacing_mm) if n != axis)
    filled = stack.copy()
    for first, last in pairwise(drawn):
        if last - first < 2:
            continue
        start, end = (_signed_distance(stack[n], in_plane) for n in (first, last))
        for n in range(first + 1, last):
            share = (n - first) / (last - first)
            filled[n] = (1.0 - share) * start + share * end >= 0.0
    return np.ascontiguousarray(np.moveaxis(filled, 0, axis))


def _signed_distance(section: Mask, spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """Positive inside; mm to the nearest voxel of the other kind."""
    inside = ndimage.distance_transform_edt(np.pad(section, 1), spacing_mm)[1:-1, 1:-1]
    away = ndimage.distance_transform_edt(~section, spacing_mm)
    return np.asarray(inside - away, np.float64)


def remove_islands(
    mask: Mask, spacing_mm: tuple[float, float, float], smallest_ml: float = 0.5
) -> Mask:
    """Drop 26-connected pieces below a volume; the largest stays, whatever its size."""
    pieces, count = ndimage.label(mask, np.ones((3, 3, 3)))
    if count < 2:
        return mask.copy()
    ml = np.bincount(pieces.ravel())[1:] * float(np.prod(spacing_mm)) / 1000.0
    kept = (ml >= smallest_ml) | (ml == ml.max())
    return np.asarray(np.isin(pieces, np.flatnonzero(kept) + 1), bool)


def edge_strength(images: Images, spacing_mm: tuple[float, float, float]) -> NDArray[np.float32]:
    """Root mean square over channels of the Gaussian gradient, each channel in its own 1-99 % range."""
    total = np.zeros(images.shape[1:], np.float64)
    sigma = [GRADIENT_SIGMA_MM / h for h in spacing_mm]
    for image in images:
        low, high = np.percentile(image, [1, 99])
        scaled = np.asarray(image, np.float32) / max(float(high - low), 1e-6)
        total += ndimage.gaussian_gradient_magnitude(scaled, sigma) ** 2
    return np.sqrt(total / len(images)).astype(np.float32)


def _check_clicks(
    shape: tuple[int, ...], positive: Sequence[Voxel], negative: Sequence[Voxel]
) -> None:
    if not positive:
        raise ImageError("click at least once inside the lesion")
    for click in [*positive, *negative]:
        if any(not 0 <= at < n for at, n in zip(click, shape, strict=True)):
            raise ImageError(f"the click {click} is outside an image of shape {shape}")
    both = set(positive) & set(negative)
    if both:
        raise ImageError(f"the voxel {min(both)} is clicked as inside and as outside; undo one")


def _around(
    points: Sequence[Voxel],
    shape: tuple[int, ...],
    spacing_mm: tuple[float, float, float],
    reach_mm: float,
) -> Box:
    margin = np.ceil(reach_mm / np.array(spacing_mm)).astype(int)
    low = np.maximum(np.min(points, axis=0) - margin, 0)
    high = np.minimum(np.max(points, axis=0) + margin + 1, shape)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return i, j, k


def _mark_open_border(markers: NDArray[np.int8], box: Box, shape: tuple[int, ...]) -> None:
    """The box's faces are outside the lesion, save those that are faces of the image itself."""
    for axis, (part, n) in enumerate(zip(box, shape, strict=True)):
        face = [slice(None)] * 3
        if part.start > 0:
            face[axis] = slice(0, 1)
            markers[tuple(face)] = BACKGROUND
        if part.stop < n:
            face[axis] = slice(-1, None)
            markers[tuple(face)] = BACKGROUND


def _ball(
    center: NDArray[np.integer], shape: tuple[int, ...], spacing_mm: tuple[float, float, float]
) -> Mask:
    offset = (np.indices(shape) - center[:, None, None, None]).astype(np.float32)
    scaled = offset * np.array(spacing_mm, np.float32)[:, None, None, None]
    near = np.asarray((scaled**2).sum(axis=0) <= CLICK_RADIUS_MM**2, bool)
    near[tuple(center)] = True
    return near


def _shown(box: Box) -> str:
    return ", ".join(f"{part.start}:{part.stop}" for part in box)
