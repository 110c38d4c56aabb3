"""Smooth random fields, the raw material of irregular shapes and uneven intensities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom


def smooth_noise(
    shape: tuple[int, int, int], scale_voxels: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Zero-mean, unit-variance noise that changes over about ``scale_voxels``; shape (i, j, k)."""
    coarse = tuple(max(2, int(np.ceil(n / scale_voxels)) + 1) for n in shape)
    field = rng.standard_normal(coarse).astype(np.float32)
    fine = zoom(field, [n / c for n, c in zip(shape, coarse, strict=True)], order=1)
    fine -= fine.mean()
    return np.asarray(fine / max(float(fine.std()), 1e-6), np.float32)
