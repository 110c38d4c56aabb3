"""Synthetic gliomas: a reaction-diffusion field grown in an anatomy, then cut into labels.

Labels are those of the glioma table: 1 necrotic or non-enhancing core, 2 edema and infiltration,
3 enhancing tumor; and 4, used only here, for a surgical cavity or cyst that is not tumor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.growth.reaction_diffusion import Medium, grow
from models.phantom.anatomy import Anatomy, coarsened
from models.phantom.noise import smooth_noise

CORE, EDEMA, ENHANCING, CAVITY = 1, 2, 3, 4
Kind = Literal["ring", "solid", "non-enhancing", "infiltrating"]
KIND_SHARES: dict[Kind, float] = {
    "ring": 0.4,
    "solid": 0.15,
    "non-enhancing": 0.3,
    "infiltrating": 0.15,
}
"""How often each appearance is drawn; chosen to cover both glioblastoma and lower grade."""
CORE_SHARE: dict[Kind, tuple[float, float]] = {
    "ring": (0.15, 0.85),
    "solid": (0.05, 0.5),
    "non-enhancing": (0.35, 1.0),
    "infiltrating": (0.0, 0.1),
}
"""Core as a share of the whole tumor. In BraTS core is about 0.35 of a high-grade tumor (0.1 to 0.8)
and most of a low-grade one (Bakas et al., Sci Data 2017;4:170117)."""
GROWTH_MM = 2.0
"""Voxels that a tumor grows on; on finer grids growth takes 16 times as long for the same shape."""


@dataclass(frozen=True)
class Lesion:
    """Labels (i, j, k) of one synthetic tumor and the cell field it was cut from."""

    labels: NDArray[np.uint8]
    cells: NDArray[np.float32]
    kind: Kind


def seed_point(anatomy: Anatomy, rng: np.random.Generator) -> NDArray[np.int64]:
    """Voxel indices of a start in white matter, away from the brain's surface."""
    depth = ndimage.distance_transform_edt(anatomy.brain, anatomy.spacing_mm)
    candidates = np.argwhere((anatomy.white > 0.6) & (depth > rng.choice([2.0, 6.0])))
    return np.asarray(candidates[rng.integers(len(candidates))], np.int64)


def grow_lesion(
    anatomy: Anatomy,
    seed: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    visible_volume_mm3: float,
    kind: Kind | None = None,
    cavity: bool = False,
) -> Lesion:
    """Grow one tumor from ``seed`` until its visible part fills a volume, and label it."""
    if kind is None:
        kind = rng.choice(list(KIND_SHARES), p=list(KIND_SHARES.values()))
    motility = rng.uniform(0.1, 0.5) if kind == "non-enhancing" else rng.uniform(0.25, 1.0)
    grey_share = rng.uniform(0.1, 0.7)
    soil = coarsened(anatomy, max(1, round(GROWTH_MM / anatomy.spacing_mm[0])))
    shape, spacing = soil.shape, soil.spacing_mm
    diffusivity = motility * (soil.white + grey_share * soil.grey) * soil.parenchyma
    rho = rng.uniform(0.02, 0.06) * np.exp(0.4 * smooth_noise(shape, 12 / spacing[0], rng))
    u = np.zeros(shape, np.float32)
    start = seed * np.array(shape) // np.array(anatomy.shape)
    for _ in range(rng.integers(1, 4)):
        i, j, k = np.clip(start + rng.integers(-4, 5, 3), 1, np.array(shape) - 2)
        u[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2] = 0.5
    medium = Medium(diffusivity.astype(np.float32), rho.astype(np.float32), spacing)
    cells = grow(u, medium, days=1500.0, stop_at_volume_mm3=visible_volume_mm3).u
    if shape != anatomy.shape:
        factors = [a / b for a, b in zip(anatomy.shape, shape, strict=True)]
        cells = np.asarray(ndimage.zoom(cells, factors, order=1), np.float32)
    labels = _label(cells, anatomy, kind, rng)
    if cavity:
        labels[_cavity(cells, anatomy, rng)] = CAVITY
    return Lesion(labels, cells, kind)


def _label(
    cells: NDArray[np.float32], anatomy: Anatomy, kind: Kind, rng: np.random.Generator
) -> NDArray[np.uint8]:
    shape, h = anatomy.shape, anatomy.spacing_mm[0]
    rough = cells * np.exp(rng.uniform(0.1, 0.4) * smooth_noise(shape, 8 / h, rng))
    whole = ndimage.binary_closing(rough >= 0.16, iterations=max(1, round(2 / h))) & anatomy.brain
    whole &= (anatomy.csf < 0.9) | ndimage.binary_erosion(whole, iterations=2)
    labels = np.where(whole, EDEMA, 0).astype(np.uint8)
    if not whole.any():
        return labels
    rounder = ndimage.gaussian_filter(cells, rng.uniform(0.5, 4.0) / h)
    rounder *= np.exp(rng.uniform(0.05, 0.3) * smooth_noise(shape, 10 / h, rng))
    share = rng.uniform(*CORE_SHARE[kind])
    core = whole & (rounder >= np.quantile(rounder[whole], 1.0 - share))
    core = ndimage.binary_opening(core) & whole
    labels[core] = CORE
    depth = ndimage.distance_transform_edt(core, anatomy.spacing_mm)
    patchy = smooth_noise(shape, 10 / h, rng)
    if kind == "ring":
        rim = rng.uniform(2.0, 9.0) * np.exp(0.5 * smooth_noise(shape, 8 / h, rng))
        labels[core & (depth <= rim) & (patchy > rng.uniform(-2.5, -0.5))] = ENHANCING
    elif kind == "solid":
        labels[core & (patchy > rng.uniform(-2.5, -0.8))] = ENHANCING
    elif kind == "non-enhancing" and rng.random() < 0.35:
        labels[core & (patchy > rng.uniform(1.0, 2.0))] = ENHANCING
    elif kind == "infiltrating" and rng.random() < 0.3:
        labels[core] = ENHANCING
    return labels


def _cavity(
    cells: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """A rounded hole in the densest part, as surgery leaves it; fluid, not tumor."""
    dense = np.argwhere(cells > 0.8 * cells.max())
    at = dense[rng.integers(len(dense))]
    grid = np.indices(cells.shape, np.float32) - at[:, None, None, None]
    radii = rng.uniform(7.0, 20.0) * rng.uniform(0.7, 1.3, 3) / np.array(anatomy.spacing_mm)
    radius = np.sqrt(((grid / radii[:, None, None, None]) ** 2).sum(0))
    bumps = 0.12 * smooth_noise(anatomy.shape, 12 / anatomy.spacing_mm[0], rng)
    return np.asarray((radius + bumps < 1.0) & anatomy.brain)
