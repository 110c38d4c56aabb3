"""Volumes, axial diameters, centroid and side of every region of a segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from data.imaging import Segmentation, TumorVolume, Volume

Mask = NDArray[np.bool_]
Matrix = NDArray[np.float64]
MIDLINE_SHARE = 0.6
"""A region with less than this share on one side of the head's middle is called midline."""
CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
BESIDE = 1e-3
"""Share of a voxel. What a line meets changes at corners of voxels only, so the longest chord is beside one."""
SAME_MM = 1e-6
"""Lines that differ by less are equally long; on a grid many are."""
TOUCH_MM = 1e-7
AT_ONCE = 2_000_000
"""Pairs of a line and a voxel that are looked at together: 16 MB an array."""
LEAST_LINES = 512


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
    section = axial_section(mask, grid.spacing_mm[:2])
    assert section is not None  # noqa: S101  # it has voxels
    middle = np.array([mask.shape[0] / 2, mask.shape[1] / 2, section.k])
    position = float(grid.world(middle)[2])
    return TumorVolume(
        region=abbreviation,
        name=name,
        volume_mm3=round(voxels * grid.voxel_volume_mm3, 3),
        voxels=voxels,
        longest_diameter_mm=round(section.longest_mm, 2),
        perpendicular_diameter_mm=round(section.perpendicular_mm, 2),
        axial_position_mm=round(position, 2),
        centroid_ras_mm=(x, y, z),
        laterality=None if middle_x is None else _side(points[:, 0], middle_x),
    )


@dataclass(frozen=True)
class Section:
    """The axial slice in which a lesion is largest, and its two diameters there.

    Ends are (2, 2): two points, each (i, j) in voxels from the middle of the first one.
    """

    k: int
    longest: Matrix
    longest_mm: float
    perpendicular: Matrix
    perpendicular_mm: float


def axial_section(mask: Mask, spacing_mm: tuple[float, ...]) -> Section | None:
    """Longest diameter and the longest chord perpendicular to it, of the largest component.

    Both are taken in the axial slice where their product is largest, from voxel corner to corner; gaps inside
    a lesion, as in a ring, are spanned (Macdonald 1990, doi:10.1200/JCO.1990.8.7.1277).

    Args:
        mask: (i, j, k) with k from slice to slice.
        spacing_mm: in-plane voxel edges along i and j.

    Returns:
        None where the mask is empty.
    """
    components, count = ndimage.label(mask, np.ones((3, 3, 3)))
    if count > 1:
        mask = components == 1 + np.argmax(np.bincount(components.ravel())[1:])
    return largest_section(mask, spacing_mm)


SectionBy = Literal["product", "longest"]
"""What makes a section the largest: both diameters multiplied, or the longest one alone."""


def largest_section(
    mask: Mask, spacing_mm: tuple[float, ...], by: SectionBy = "product"
) -> Section | None:
    """:func:`axial_section` of all of a mask, whatever it is in pieces."""
    spacing = np.array(spacing_mm)
    outlines: dict[int, tuple[Matrix, list[Matrix], float]] = {}
    for k in map(int, np.flatnonzero(mask.any((0, 1)))):
        squares = np.argwhere(mask[:, :, k] & ~ndimage.binary_erosion(mask[:, :, k])) * spacing
        outlines[k] = (squares, *_longest(squares, spacing))
    best: Section | None = None
    for k, (squares, candidates, longest) in sorted(outlines.items(), key=lambda item: -item[1][2]):
        if best is not None and not _may_be_larger(longest, best, by):
            break  # no chord is longer than the longest
        for ends in candidates:
            across, wide = _longest_across(squares, spacing, ends)
            if best is None or longest * wide > best.longest_mm * best.perpendicular_mm:
                best = Section(k, ends / spacing, longest, across / spacing, wide)
    return best


def _may_be_larger(longest: float, best: Section, by: SectionBy) -> bool:
    if by == "longest":
        return longest >= best.longest_mm - SAME_MM
    return longest**2 > best.longest_mm * best.perpendicular_mm


def _longest(squares: Matrix, spacing: Matrix) -> tuple[list[Matrix], float]:
    """Ends (2, 2) of the longest lines between corners of voxels, and their length; mm."""
    offsets = np.array(CORNERS) / 2 * spacing
    corners = (squares[:, None] + offsets).reshape(-1, 2)
    hull = corners[ConvexHull(corners).vertices]
    apart = np.triu(np.linalg.norm(hull[:, None] - hull[None], axis=-1))
    longest = float(apart.max())
    return [hull[pair] for pair in np.argwhere(apart >= longest - SAME_MM)], longest


def _longest_across(squares: Matrix, spacing: Matrix, ends: Matrix) -> tuple[Matrix, float]:
    """Ends (2, 2) and length of the longest chord perpendicular to a line; mm.

    A line across meets a voxel where it is inside the voxel's two strips; the chord goes from the lowest
    voxel that it meets to the highest.
    """
    along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    normal = np.array([-along[1], along[0]])
    place, height = squares @ along, squares @ normal
    corners = (place[:, None] + np.array(CORNERS) / 2 * spacing @ along).ravel()
    beside = BESIDE * float(spacing.min())
    lines = np.unique(np.round([corners - beside, corners + beside], 6))
    most = max(LEAST_LINES, AT_ONCE // place.size)
    if lines.size > most:  # a very ragged or large outline: lines that lie close enough
        lines = lines[np.linspace(0, lines.size - 1, most).astype(int)]
    best = np.full(3, -np.inf)  # length, bottom, place of the line
    for some in np.array_split(lines, 1 + lines.size * place.size // AT_ONCE):
        low, high = _crossing(some[:, None] - place[None], along, normal, spacing)
        met = high - low > TOUCH_MM  # to touch a corner is not to meet
        bottom = np.where(met, height + low, np.inf).min(1)
        top = np.where(met, height + high, -np.inf).max(1)
        n = int(np.argmax(top - bottom))
        if top[n] - bottom[n] > best[0]:
            best = np.array([top[n] - bottom[n], bottom[n], some[n]])
    length, bottom_mm, line = best
    chord = line * along + np.array([[bottom_mm], [bottom_mm + length]]) * normal
    return chord, float(length)


def _crossing(off: Matrix, along: Matrix, normal: Matrix, spacing: Matrix) -> tuple[Matrix, Matrix]:
    """Where lines along ``normal`` enter and leave a voxel, from its middle; mm.

    Args:
        off: how far the lines pass from the voxel's middle, along ``along``.
        along: unit vector that the lines are perpendicular to.
        normal: unit vector along the lines.
        spacing: edges of the voxel.

    Returns:
        Entry and exit, shaped as ``off``; NaN, or the exit before the entry, where the voxel is missed.
    """
    low, high = np.full(off.shape, -np.inf), np.full(off.shape, np.inf)
    for u, n, h in zip(along, normal, spacing, strict=True):
        if n == 0:
            missed = np.where(np.abs(off * u) <= h / 2, 0.0, np.nan)
            low, high = low + missed, high + missed
            continue
        ends = (-np.sign(n) * h / 2 - off * u) / n, (np.sign(n) * h / 2 - off * u) / n
        low, high = np.maximum(low, ends[0]), np.minimum(high, ends[1])
    return low, high


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
