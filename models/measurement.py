"""Volumes, axial diameters, centroid and side of every region of a segmentation."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from data.imaging import Segmentation, TumorVolume, Volume

Mask = NDArray[np.bool_]
MIDLINE_SHARE = 0.6
"""A region with less than this share on one side of the head's middle is called midline."""


def measure(segmentation: Segmentation, scan: Volume | None) -> tuple[TumorVolume, ...]:
    """Measure each region of the label table, largest first in the table's order.

    Args:
        segmentation: the mask.
        scan: an image on the same grid whose middle separates left from right; without one, no side is
            told.
    """
    canonical = Segmentation(segmentation.volume.reoriented("RAS"), segmentation.labels)
    middle = None if scan is None else _middle_x(scan)
    return tuple(
        _measure_region(canonical, region.abbreviation, region.name, middle)
        for region in segmentation.labels.regions
    )


def _measure_region(
    segmentation: Segmentation, abbreviation: str, name: str, middle_x: float | None
) -> TumorVolume:
    mask, grid = segmentation.mask(abbreviation), segmentation.volume
    voxels = int(mask.sum())
    if voxels == 0:
        return TumorVolume(region=abbreviation, name=name, volume_mm3=0.0, voxels=0)
    points = grid.world(np.argwhere(mask).astype(float))
    x, y, z = (round(float(v), 3) for v in points.mean(0))
    longest, across, k = axial_diameters(mask, grid.spacing_mm[:2])
    position = float(grid.world(np.array([mask.shape[0] / 2, mask.shape[1] / 2, k]))[2])
    return TumorVolume(
        region=abbreviation,
        name=name,
        volume_mm3=round(voxels * grid.voxel_volume_mm3, 3),
        voxels=voxels,
        longest_diameter_mm=round(longest, 2),
        perpendicular_diameter_mm=round(across, 2),
        axial_position_mm=round(position, 2),
        centroid_ras_mm=(x, y, z),
        laterality=None if middle_x is None else _side(points[:, 0], middle_x),
    )


def axial_diameters(mask: Mask, spacing_mm: tuple[float, ...]) -> tuple[float, float, int]:
    """Longest diameter and the longest chord perpendicular to it, of the largest component.

    Both are taken in the axial slice where their product is largest, from voxel corner to corner.

    Args:
        mask: (i, j, k) with k from slice to slice.
        spacing_mm: in-plane voxel edges along i and j.

    Returns:
        Longest diameter in mm, perpendicular diameter in mm, slice index k.
    """
    components, count = ndimage.label(mask, np.ones((3, 3, 3)))
    if count > 1:
        mask = components == 1 + np.argmax(np.bincount(components.ravel())[1:])
    best = (0.0, 0.0, 0)
    for k in np.flatnonzero(mask.any((0, 1))):
        longest, across = _slice_diameters(mask[:, :, k], np.array(spacing_mm))
        if longest * across > best[0] * best[1]:
            best = (longest, across, int(k))
    return best


def _slice_diameters(section: Mask, spacing: NDArray[np.float64]) -> tuple[float, float]:
    centers = np.argwhere(section) * spacing
    offsets = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]) / 2 * spacing
    corners = (centers[:, None] + offsets).reshape(-1, 2)
    try:
        hull = corners[ConvexHull(corners).vertices]
    except QhullError:
        return 0.0, 0.0
    apart = hull[:, None] - hull[None]
    a, b = np.unravel_index(np.argmax((apart**2).sum(-1)), (len(hull), len(hull)))
    longest = float(np.linalg.norm(hull[a] - hull[b]))
    along = (hull[b] - hull[a]) / longest
    position, height = corners @ along, corners @ np.array([-along[1], along[0]])
    bins = np.floor((position - position.min()) / spacing.min()).astype(int)
    top, bottom = np.full(bins.max() + 1, -np.inf), np.full(bins.max() + 1, np.inf)
    np.maximum.at(top, bins, height)
    np.minimum.at(bottom, bins, height)
    return longest, float((top - bottom).max())


def _middle_x(scan: Volume) -> float:
    """RAS x of the middle of what is imaged (voxels above zero; all of them if none)."""
    inside = scan.array > 0
    indices = np.argwhere(inside if inside.any() else np.ones_like(inside))
    low, high = scan.world(np.stack([indices.min(0), indices.max(0)]).astype(float))
    return float((low[0] + high[0]) / 2)


def _side(x: NDArray[np.float64], middle: float) -> Literal["left", "right", "midline"]:
    right = float((x > middle).mean())
    if right >= MIDLINE_SHARE:
        return "right"
    return "left" if right <= 1 - MIDLINE_SHARE else "midline"
