"""A tumor's lesions one by one: found in a mask, measured, and known again on a later scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data.imaging import Array, Segmentation, Volume
from data.lesions import Caliper, Diameters, Lesion, Point
from models.measurement import Mask, Matrix, SectionBy, largest_section
from models.registration import resample

SMALLEST_MM3 = 50.0
"""Anything smaller is not named as a lesion: the least that the BraTS lesion-wise scores count. What is left of
a lesion that had a name is that lesion however small.
"""
REACH_MM = 5.0
"""A later lesion this close to where an earlier one was is that one: what registration may be off, and how
far an edge moves between scans."""
WHOLE = np.ones((3, 3, 3))


@dataclass(frozen=True)
class LesionMap:
    """Lesions of one scan, largest first, and which voxels (1 for the first, and so on) are theirs."""

    lesions: tuple[Lesion, ...]
    places: Volume


def find_lesions(
    segmentation: Segmentation,
    *,
    measured: str,
    within: str | None = None,
    by: SectionBy = "product",
    smallest_mm3: float = SMALLEST_MM3,
) -> LesionMap:
    """The connected pieces of a region, largest first.

    Args:
        segmentation: the mask.
        measured: abbreviation of the region whose voxels count, as the enhancing ones of a glioma.
        within: of a region around it whose pieces are the lesions, as the core: a rim that is broken up
            then stays one lesion. By default the measured one itself.
        by: in which section diameters are told.
        smallest_mm3: of a lesion; 0 for all that there is.
    """
    grid = segmentation.volume.reoriented("RAS")
    upright = Segmentation(grid, segmentation.labels)
    voxels = upright.mask(measured)
    pieces, count = ndimage.label(upright.mask(within or measured), WHOLE)
    sizes = np.bincount(pieces[voxels].ravel(), minlength=count + 1) * grid.voxel_volume_mm3
    order = [
        n
        for n in np.argsort(-sizes, kind="stable")
        if n > 0 and sizes[n] > 0 and sizes[n] >= smallest_mm3
    ]
    boxes = ndimage.find_objects(pieces)
    lesions = tuple(_measured(voxels, pieces, n, boxes[n - 1], grid, by) for n in order)
    renamed = np.zeros(count + 1, np.uint32)
    renamed[order] = np.arange(1, len(order) + 1)
    places = grid.with_array(renamed[pieces])
    return LesionMap(lesions, places.reoriented(segmentation.volume.axis_codes))


def _measured(
    voxels: Mask,
    pieces: Array,
    n: int,
    box: tuple[slice, slice, slice],
    grid: Volume,
    by: SectionBy,
) -> Lesion:
    own = voxels[box] & (pieces[box] == n)
    corner = np.array([side.start for side in box])
    section = largest_section(own, grid.spacing_mm[:2], by)
    assert section is not None  # noqa: S101  # a lesion has voxels

    def caliper(ends: Matrix) -> Caliper:
        placed = np.column_stack([ends, [section.k, section.k]]) + corner
        start, end = (_point(p) for p in grid.world(placed))
        return Caliper(start_ras_mm=start, end_ras_mm=end)

    return Lesion(
        volume_mm3=round(float(own.sum()) * grid.voxel_volume_mm3, 3),
        centroid_ras_mm=_point(grid.world(np.argwhere(own).mean(0) + corner)),
        slices=int(own.any((0, 1)).sum()),
        slice_mm=round(grid.spacing_mm[2], 4),
        diameters=Diameters(
            longest=caliper(section.longest), perpendicular=caliper(section.perpendicular)
        ),
    )


def _point(place: NDArray[np.float64]) -> Point:
    x, y, z = (round(float(v), 3) for v in place)
    return x, y, z


Fate = Literal["followed", "merged", "gone", "outside"]


@dataclass(frozen=True)
class Followed:
    """What became of one earlier lesion on a later scan.

    Args:
        fate: ``merged`` where an earlier, larger one has grown into it; ``outside`` where the later scan does
            not show its place.
        pieces: numbers (from 1) of the later lesions that it is now; several where it fell apart.
    """

    fate: Fate
    pieces: tuple[int, ...] = ()


@dataclass(frozen=True)
class Pairing:
    """Earlier lesions, in their order, on a later scan; and later ones (numbers from 1) that none explains.

    ``new`` are where the earlier scan shows no lesion, ``unseen`` where it shows nothing at all.
    """

    followed: tuple[Followed, ...]
    new: tuple[int, ...]
    unseen: tuple[int, ...]


def pair_lesions(earlier: LesionMap, later: LesionMap, to_earlier: Matrix) -> Pairing:
    """Know the lesions of an earlier scan again on a later one.

    A later lesion is the earlier one that it touches once that is widened by :data:`REACH_MM`. One that
    touches several keeps the name of the largest of them, and the others have merged into it.

    Args:
        earlier: lesions of the scan whose names are kept.
        later: lesions of the other.
        to_earlier: (4, 4) later space to earlier space, RAS+ mm.
    """
    there = resample(earlier.places, later.places, to_earlier, nearest=True)
    everywhere = earlier.places.with_array(np.ones(earlier.places.shape, np.uint8))
    shown = resample(everywhere, later.places, to_earlier, nearest=True).array > 0
    names, found = _widened(there), later.places.array
    common = np.zeros((len(earlier.lesions) + 1, len(later.lesions) + 1), int)
    np.add.at(common, (names.ravel(), found.ravel()), 1)
    touching = common[1:, 1:] > 0
    owner = np.full(len(later.lesions), -1)
    if earlier.lesions:
        owner = np.where(touching.any(0), touching.argmax(0), -1)  # the first is the largest
    followed = []
    for n, touches in enumerate(touching):
        own = tuple(int(piece) + 1 for piece in np.flatnonzero(owner == n))
        seen = bool((there.array == n + 1).any())
        fate: Fate = "outside" if not seen else "gone"
        followed.append(Followed("followed" if own else "merged" if touches.any() else fate, own))
    unexplained = [int(piece) + 1 for piece in np.flatnonzero(owner < 0)]
    unseen = tuple(n for n in unexplained if not shown[found == n].any())
    new = tuple(n for n in unexplained if n not in unseen)
    return Pairing(tuple(followed), new, unseen)


def _widened(places: Volume) -> NDArray[np.uint32]:
    """Each voxel near a lesion gets the name of the nearest one."""
    away, nearest = ndimage.distance_transform_edt(
        places.array == 0, places.spacing_mm, return_indices=True
    )
    return np.where(away <= REACH_MM, places.array[tuple(nearest)], 0).astype(np.uint32)
