"""Tissue maps of one head, and random heads made from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, zoom

from models.phantom.noise import smooth_noise

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Anatomy:
    """Tissue probabilities in [0, 1] on one grid, each (i, j, k); all zero outside the brain."""

    white: Field
    grey: Field
    csf: Field
    spacing_mm: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (i, j, k)."""
        i, j, k = self.white.shape
        return i, j, k

    def cut(self, box: tuple[slice, slice, slice]) -> Anatomy:
        """The part of the head in a box of voxels."""
        return Anatomy(self.white[box], self.grey[box], self.csf[box], self.spacing_mm)

    @property
    def brain(self) -> NDArray[np.bool_]:
        """Voxels that are more likely brain or CSF than background."""
        return np.asarray(self.white + self.grey + self.csf > 0.5)

    @property
    def parenchyma(self) -> NDArray[np.bool_]:
        """White or grey matter: where glioma cells can live."""
        return np.asarray(self.brain & (self.white + self.grey > self.csf))


def vary(
    anatomy: Anatomy,
    rng: np.random.Generator,
    *,
    push_at: NDArray[np.floating[Any]] | None = None,
    push_radius_mm: float = 0.0,
    push_mm: float = 0.0,
) -> Anatomy:
    """Another head: scaled, rotated and elastically warped; optionally pushed aside by a mass.

    Args:
        anatomy: the head to start from.
        push_at: voxel indices of the centre of a mass; tissue moves away from it.
        push_radius_mm: distance over which the push fades.
        push_mm: largest displacement.
    """
    shape, spacing = anatomy.shape, np.array(anatomy.spacing_mm)
    source = random_warp(shape, anatomy.spacing_mm, rng)
    if push_at is not None and push_mm > 0.0:
        grid = np.indices(shape, np.float32)
        offset = (grid - push_at[:, None, None, None]) * spacing[:, None, None, None]
        distance = np.sqrt((offset**2).sum(0)) + 1e-3
        pull = push_mm * np.exp(-((distance / push_radius_mm) ** 2)) * (1 - np.exp(-distance / 4))
        source -= (offset / distance * pull / spacing[:, None, None, None]).astype(np.float32)
    sharp = rng.uniform(1.0, 3.0)
    folds = rng.uniform(0.0, 0.5) * smooth_noise(shape, 5.0 / spacing[0], rng)
    maps = [anatomy.white, anatomy.grey, anatomy.csf]
    if rng.random() < 0.5:
        maps = [field[::-1] for field in maps]
    white, grey, csf = (warped(field, source) for field in maps)
    return _sharpened(Anatomy(white, grey, csf, anatomy.spacing_mm), sharp, folds)


def coarsened(anatomy: Anatomy, factor: int) -> Anatomy:
    """The same head on voxels ``factor`` times as large."""
    if factor == 1:
        return anatomy
    white, grey, csf = (
        np.asarray(zoom(m, 1 / factor, order=1)) for m in (anatomy.white, anatomy.grey, anatomy.csf)
    )
    i, j, k = (factor * mm for mm in anatomy.spacing_mm)
    return Anatomy(white, grey, csf, (i, j, k))


def random_warp(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], rng: np.random.Generator
) -> Field:
    """Where each voxel (i, j, k) of another head comes from: (3, i, j, k) voxel indices."""
    center = ((np.array(shape) - 1) / 2)[:, None, None, None]
    angles = rng.normal(0.0, 0.08, 3)
    matrix = _rotation(angles) @ np.diag(rng.normal(1.0, 0.06, 3).clip(0.85, 1.15))
    turned = np.tensordot(matrix, np.indices(shape, np.float32) - center, axes=1)
    source = np.asarray(turned + center, np.float32)
    for axis, spacing in enumerate(spacing_mm):
        amplitude = rng.uniform(0.5, 4.0) / spacing
        source[axis] += np.float32(amplitude) * smooth_noise(shape, 24.0 / spacing, rng)
    return source


def warped(field: Field, source: Field) -> Field:
    """``field`` (i, j, k) sampled at ``source``; zero from outside."""
    return np.asarray(map_coordinates(field, source, order=1, mode="constant", output=np.float32))


def _sharpened(anatomy: Anatomy, power: float, folds: Field) -> Anatomy:
    """The maps of one head rather than of an average of many: raised to a power, shared out again.

    ``folds`` moves the border between cortex and sulcus here and there.
    """
    total = anatomy.white + anatomy.grey + anatomy.csf
    maps = np.stack([anatomy.white, anatomy.grey, anatomy.csf * np.exp(folds)]) ** power
    maps *= total / np.maximum(maps.sum(0), 1e-6)
    white, grey, csf = np.asarray(maps, np.float32)
    return Anatomy(white, grey, csf, anatomy.spacing_mm)


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation about the three axes in turn; radians."""
    (a, b, c), eye = angles, np.eye(3)
    rx, ry, rz = eye.copy(), eye.copy(), eye.copy()
    rx[1:, 1:] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    ry[::2, ::2] = [[np.cos(b), np.sin(b)], [-np.sin(b), np.cos(b)]]
    rz[:2, :2] = [[np.cos(c), -np.sin(c)], [np.sin(c), np.cos(c)]]
    return rx @ ry @ rz
