"""Reaction-diffusion growth in 3-D: cells move along tissue and divide towards a capacity.

    du/dt = div(D grad u) + rho u (1 - u),   no flux where D = 0

u in [0, 1] is the local cell fraction. Space: finite volumes, harmonic-mean face diffusivities (zero
across the mask, so mass is conserved without reaction). Time: Lie splitting of an explicit diffusion
step, bounded by its stability limit, and the exact logistic flow. First order in time.

Reference: Swanson, Alvord & Murray, Cell Prolif 2000;33:317 (tissue-dependent diffusion).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Field = NDArray[np.float32]

STABILITY_MARGIN = 0.9
"""Fraction of the explicit limit dt <= 1 / sum_axes(2 D_max / h^2) that a step may use."""


@dataclass(frozen=True)
class Medium:
    """Where cells can go and how fast they divide.

    Args:
        diffusivity: (i, j, k) mm2/day, zero where cells cannot go.
        proliferation: (i, j, k) 1/day.
        spacing_mm: voxel edges.
    """

    diffusivity: Field
    proliferation: Field
    spacing_mm: tuple[float, float, float]

    @property
    def stable_step_days(self) -> float:
        """Largest explicit step in days that keeps u in [0, 1]."""
        rate = sum(2.0 * float(self.diffusivity.max()) / h**2 for h in self.spacing_mm)
        return float("inf") if rate == 0.0 else STABILITY_MARGIN / rate


@dataclass(frozen=True)
class Grown:
    """A cell-fraction field and the days it took."""

    u: Field
    days: float


def grow(
    u: Field,
    medium: Medium,
    *,
    days: float,
    stop_at_volume_mm3: float | None = None,
    visible_at: float = 0.16,
) -> Grown:
    """Grow ``u`` for ``days``, or until ``u >= visible_at`` fills a volume.

    Args:
        u: (i, j, k) cell fraction in [0, 1].
        medium: on the same grid.
        days: the longest time to grow.
        stop_at_volume_mm3: stop when the visible volume reaches this, if given.
        visible_at: threshold of visibility; 0.16 is the T2/FLAIR edge (Swanson's PIRT).

    Raises:
        ValueError: fields on different grids.
    """
    if not u.shape == medium.diffusivity.shape == medium.proliferation.shape:
        raise ValueError(f"u has shape {u.shape}, the medium {medium.diffusivity.shape}")
    steps = max(1, int(np.ceil(days / min(medium.stable_step_days, 5.0))))
    dt = days / steps
    weights = [_face_weights(medium, axis, dt) for axis in range(3)]
    factor = np.exp(medium.proliferation * np.float32(dt)).astype(np.float32)
    voxel = float(np.prod(medium.spacing_mm))
    target_mm3 = np.inf if stop_at_volume_mm3 is None else stop_at_volume_mm3
    here, there = np.ascontiguousarray(u, np.float32).copy(), np.empty_like(u, np.float32)
    for step in range(steps):
        _advance(here, there, *weights, factor)  # type: ignore[call-arg]  # numba's dispatcher
        here, there = there, here
        if step % 4 == 3 and np.count_nonzero(here >= visible_at) * voxel >= target_mm3:
            return Grown(here, (step + 1) * dt)
    return Grown(here, days)


def _face_weights(medium: Medium, axis: int, dt: float) -> Field:
    """dt/h^2 times the harmonic mean of D across the face between voxel n and n + 1; 0 at the end."""
    d = medium.diffusivity.astype(np.float64)
    ahead = np.zeros_like(d)
    lower = [slice(None)] * 3
    upper = [slice(None)] * 3
    lower[axis], upper[axis] = slice(0, -1), slice(1, None)
    a, b = d[tuple(lower)], d[tuple(upper)]
    total = a + b
    ahead[tuple(lower)] = np.divide(2.0 * a * b, total, out=np.zeros_like(a), where=total > 0.0)
    return (ahead * dt / medium.spacing_mm[axis] ** 2).astype(np.float32)


@njit(cache=True, nogil=True)
def _advance(u: Any, out: Any, wx: Any, wy: Any, wz: Any, factor: Any) -> None:
    ni, nj, nk = u.shape
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                c = u[i, j, k]
                v = c
                if i + 1 < ni:
                    v += wx[i, j, k] * (u[i + 1, j, k] - c)
                if i > 0:
                    v += wx[i - 1, j, k] * (u[i - 1, j, k] - c)
                if j + 1 < nj:
                    v += wy[i, j, k] * (u[i, j + 1, k] - c)
                if j > 0:
                    v += wy[i, j - 1, k] * (u[i, j - 1, k] - c)
                if k + 1 < nk:
                    v += wz[i, j, k] * (u[i, j, k + 1] - c)
                if k > 0:
                    v += wz[i, j, k - 1] * (u[i, j, k - 1] - c)
                if v > np.float32(1e-18):
                    f = factor[i, j, k]
                    out[i, j, k] = v * f / (np.float32(1.0) + v * (f - np.float32(1.0)))
                else:
                    out[i, j, k] = np.float32(0.0)
