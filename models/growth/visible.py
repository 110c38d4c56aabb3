"""The cells behind what a scan shows: a cell fraction whose visible edges are the tumor's on the scan.

A growing front keeps its shape, u = wave(z) with z the distance along the way it goes over the infiltration
length sqrt(D / rho). So an edge that a sequence shows at a known cell fraction lies at a known z, and between
and beyond two edges z follows the distances to them: straight ones inside the tumor, and outside the shortest
way through tissue where cells can go, longer where they go slowly.

Edges: enhancement at 0.80 and T2/FLAIR at 0.16 of what a voxel can carry (Swanson's PIRT, e.g. Corwin 2013,
PLoS ONE 8:e79115). Shape: the closed-form front of the same equation (Ablowitz & Zeppetella 1979, Bull Math
Biol 41:835), whose speed, 5/sqrt(6), is within 2 % of the slowest, 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import SimpleITK as sitk
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from models.growth.field import Domain

Field = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

ENHANCING_EDGE = 0.80
FLAIR_EDGE = 0.16
EDGES: Mapping[str, float] = {"WT": FLAIR_EDGE, "TC": ENHANCING_EDGE}
"""Cell fraction at the edge of each region."""
FAR = 100.0
"""Infiltration lengths, where nothing is left of a front; farther ones overflow."""
LEAST = 1e-6
"""Cell fractions below are left out at the start: some cells in a voxel of 2 mm, far from the tumor."""
UNREACHED = 1e6
"""Millimeters; fast marching leaves larger numbers where it does not come."""
ROOT_OF_SIX = np.float32(np.sqrt(6.0))
SLOWEST_SHARE = 0.05
"""Of the fastest tissue's speed; slower tissue is crossed at this, so that every way has a length."""


def wave(z: ArrayLike) -> Field:
    """Cell fraction of the front, 1 / (1 + exp(z / sqrt 6))^2; z in infiltration lengths, forward is up."""
    rising = 1.0 + np.exp(np.asarray(z) / np.float32(np.sqrt(6.0)))
    return np.asarray(1.0 / (rising * rising))


def place_on_wave(u: ArrayLike) -> Field:
    """Where the front has a cell fraction in (0, 1); the inverse of :func:`wave`."""
    return np.asarray(np.sqrt(6.0) * np.log(np.asarray(u, float) ** -0.5 - 1.0))


EDGES_APART = float(place_on_wave(FLAIR_EDGE) - place_on_wave(ENHANCING_EDGE))
"""Infiltration lengths from the enhancing to the FLAIR edge of a steady front: 6.2."""


def infiltration_mm(enhancing_mm3: float, flair_mm3: float) -> float:
    """sqrt(D / rho) that steady edges tell, from the radii of spheres of the two volumes.

    Raises:
        ValueError: the enhancing volume is not positive and smaller than the other.
    """
    if not 0.0 < enhancing_mm3 < flair_mm3:
        raise ValueError(
            f"an enhancing volume between 0 and {flair_mm3:g} mm3 is needed, got {enhancing_mm3:g}"
        )
    inner, outer = (np.cbrt(3.0 * v / (4.0 * np.pi)) for v in (enhancing_mm3, flair_mm3))
    return float((outer - inner) / EDGES_APART)


@dataclass(frozen=True)
class VisibleTumor:
    """A tumor's visible edges on the twin's grid.

    Args:
        domain: where cells can go; the tumor lies in it.
        whole_mm: (i, j, k) signed distance from the FLAIR edge, negative inside.
        way_mm: outside of it, the shortest way to it through the domain, infinite where there is none.
        core_mm: signed distance from the enhancing edge; none for a tumor that does not enhance.
        doses_gy: (i, j, k) of planned doses, by name.
    """

    domain: Domain
    whole_mm: Field
    way_mm: Field
    core_mm: Field | None
    doses_gy: Mapping[str, Field] = field(default_factory=dict)

    @classmethod
    def on(cls, domain: Domain, whole_mm: Field, core_mm: Field | None) -> VisibleTumor:
        """From the signed distances alone."""
        return cls(domain, whole_mm, way_out_mm(whole_mm, domain), core_mm)

    @property
    def shows_core(self) -> bool:
        """Whether it has an enhancing edge."""
        return self.core_mm is not None

    @property
    def volume_mm3(self) -> float:
        """Of the whole tumor as drawn."""
        return float(np.count_nonzero(self.whole_mm < 0.0) * np.prod(self.domain.spacing_mm))

    def region_mm(self, region: str) -> Field:
        """Signed distance from a region's edge: TC, of a tumor that does not enhance WT, or WT."""
        return self.core_mm if region == "TC" and self.core_mm is not None else self.whole_mm

    def cells(self, infiltration_mm: float, shift_mm: float = 0.0) -> NDArray[np.float32]:
        """Cell fraction (i, j, k).

        Args:
            infiltration_mm: sqrt(D / rho).
            shift_mm: how much farther out the edges are than they were drawn.
        """
        flair, enhancing = (np.float32(place_on_wave(e)) for e in (FLAIR_EDGE, ENHANCING_EDGE))
        length, shift = np.float32(infiltration_mm), np.float32(shift_mm)
        free = self.domain.mobility > 0.0
        whole = self.whole_mm[free] - shift
        way = np.maximum(self.way_mm[free] - shift, 0.0)
        z = flair + np.where(whole < 0.0, whole, way) / length
        if self.core_mm is not None:
            core = self.core_mm[free] - shift
            outward, inward = np.maximum(core, 0.0), np.maximum(-whole, 0.0)
            total = np.where(outward + inward > 0.0, outward + inward, 1.0)
            between = enhancing + (flair - enhancing) * outward / total
            z = np.where(whole < 0.0, between, z)
            z = np.where(core < 0.0, enhancing + core / length, z)
        u = wave(np.minimum(z, np.float32(FAR)))
        found = np.zeros(self.domain.shape, np.float32)
        found[free] = np.where(u > LEAST, u, 0.0)
        return found


def signed_distance_mm(mask: Mask, spacing_mm: tuple[float, float, float]) -> Field:
    """Distance of voxel centers from a mask's surface, negative inside."""
    inside = ndimage.distance_transform_edt(mask, spacing_mm)
    outside = ndimage.distance_transform_edt(~mask, spacing_mm)
    half = min(spacing_mm) / 2.0
    return np.asarray(np.where(mask, half - inside, outside - half), np.float32)


def way_out_mm(signed_mm: Field, domain: Domain) -> Field:
    """From voxels outside a surface the shortest way to it through the domain; mm, zero inside.

    Ways through slower tissue count longer, as a front takes longer there: by the square root of the
    mobility. Fast marching (Sethian 1996, PNAS 93:1591).
    """
    inside = signed_mm < 0.0
    free = domain.mobility > 0.0
    rim = ndimage.binary_dilation(inside) & ~inside & free
    if not rim.any():
        return np.where(inside, np.float32(0.0), np.float32(np.inf))
    speed = np.sqrt(np.maximum(domain.mobility, SLOWEST_SHARE**2))
    speed = np.where(free & ~inside, speed, 0.0)
    march = sitk.FastMarchingImageFilter()
    march.SetTrialPoints([tuple(int(n) for n in index) for index in np.argwhere(rim)])
    start = np.maximum(signed_mm[rim], 0.0) / speed[rim]
    march.SetInitialTrialValues([float(v) for v in start])
    march.SetNormalizationFactor(1.0)
    image = sitk.GetImageFromArray(speed.transpose(2, 1, 0).astype(np.float32))
    image.SetSpacing(domain.spacing_mm)
    way = sitk.GetArrayFromImage(march.Execute(image)).transpose(2, 1, 0)
    reached = np.where((way < UNREACHED) & free, way, np.inf)
    return np.asarray(np.where(inside, 0.0, reached), np.float32)


def visible_volume_mm3(u: Field, edge: float, spacing_mm: tuple[float, float, float]) -> float:
    """Volume where the cell fraction (i, j, k) is above an edge, finer than voxels.

    A voxel that the edge cuts counts by where a front, straight in the places of :func:`wave`, cuts it.
    """
    (volume,), _ = volumes_mm3(u, (edge,), spacing_mm)
    return volume


def volumes_mm3(
    u: Field, edges: Sequence[float], spacing_mm: tuple[float, float, float]
) -> tuple[tuple[float, ...], float]:
    """Volumes above some edges as :func:`visible_volume_mm3`, and what all cells would fill at capacity."""
    dense = np.ascontiguousarray(u)  # of a known layout the kernel's loops run on vectors
    voxel_mm3, top = float(np.prod(spacing_mm)), float(dense.max())
    volumes = tuple(
        float(_voxels_above(dense, edge, float(place_on_wave(edge)))) * voxel_mm3
        if top >= edge
        else 0.0
        for edge in edges
    )
    return volumes, float(dense.sum(dtype=np.float64)) * voxel_mm3


@njit(cache=True, nogil=True)
def _place(u: float) -> float:
    one, least = np.float32(1.0), np.float32(1e-6)
    bounded = min(max(np.float32(u), least), one - least)
    return ROOT_OF_SIX * np.log(one / np.sqrt(bounded) - one)  # type: ignore[no-any-return]  # a float


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan"})
def _voxels_above(u: Any, edge: float, place: float) -> float:
    ni, nj, nk = u.shape
    highest = np.zeros(
        (ni + 2, nj + 2), u.dtype
    )  # of each row along k: most rows are far from the edge
    for i in range(ni):
        for j in range(nj):
            top = u[i, j, 0]
            for k in range(1, nk):
                top = u[i, j, k] if u[i, j, k] > top else top
            highest[i + 1, j + 1] = top
    total = 0.0
    for i in range(ni):
        for j in range(nj):
            beside = max(highest[i, j + 1], highest[i + 2, j + 1])
            beside = max(beside, highest[i + 1, j], highest[i + 1, j + 2])
            if max(beside, highest[i + 1, j + 1]) < edge:
                continue
            for k in range(nk):
                c = u[i, j, k]
                if c == 0.0:
                    continue
                a, b = u[max(i - 1, 0), j, k], u[min(i + 1, ni - 1), j, k]
                d, e = u[i, max(j - 1, 0), k], u[i, min(j + 1, nj - 1), k]
                f, g = u[i, j, max(k - 1, 0)], u[i, j, min(k + 1, nk - 1)]
                low, high = min(c, a, b, d, e, f, g), max(c, a, b, d, e, f, g)
                if low >= edge:
                    total += 1.0
                elif high >= edge:
                    here = _place(c)
                    reach = 0.0
                    for one, other in ((a, b), (d, e), (f, g)):
                        before = _place(one) if one > 0.0 else here
                        after = _place(other) if other > 0.0 else here
                        reach += abs(after - before) / 2.0
                    total += min(max(0.5 + (place - here) / max(reach, 1e-9), 0.0), 1.0)
    return total
