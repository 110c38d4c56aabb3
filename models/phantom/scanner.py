"""What the scanner does to an image: slices, motion, coil sensitivity, contrast curve, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.phantom.noise import smooth_noise

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Scanner:
    """How bad one acquisition may get; each effect is drawn anew for each image."""

    thick_share: float = 0.6
    """How often an image has slices thicker than the grid's."""
    slice_mm: tuple[float, float] = (2.0, 6.0)
    motion_share: float = 0.12
    misregistration_mm: float = 0.7
    """Standard deviation of the shift between sequences that registration leaves behind."""
    bias: float = 0.25
    noise: float = 0.08
    gamma: tuple[float, float] = (0.8, 1.25)


CLEAN = Scanner(thick_share=0.0, motion_share=0.0, misregistration_mm=0.0, bias=0.15, noise=0.05)


def scan(
    image: Field,
    brain: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
    rng: np.random.Generator,
    scanner: Scanner,
) -> Field:
    """One acquisition of ``image`` (i, j, k), positive inside ``brain`` and zero outside."""
    h = spacing_mm[0]
    seen = ndimage.gaussian_filter(image, rng.uniform(0.0, 1.2 / h, 3))
    if rng.random() < scanner.motion_share:
        seen = ghosted(seen, rng)
    if rng.random() < scanner.thick_share:
        axis = int(rng.choice(3, p=(0.15, 0.15, 0.7)))
        seen = thick_slices(seen, axis, rng.uniform(*scanner.slice_mm) / spacing_mm[axis])
    if scanner.misregistration_mm > 0.0:
        shift = rng.normal(0.0, scanner.misregistration_mm, 3) / np.array(spacing_mm)
        seen = ndimage.shift(seen, shift, order=1, mode="nearest")
    field = smooth_noise(image.shape, rng.uniform(30.0, 80.0) / h, rng)
    seen = seen * np.exp(rng.uniform(0.0, scanner.bias) * field)
    seen = np.clip(seen, 1e-3, None) ** rng.uniform(*scanner.gamma)
    sigma = rng.uniform(0.0, scanner.noise)
    grain = rng.standard_normal(image.shape, np.float32)
    if rng.random() < 0.5:
        grain = ndimage.gaussian_filter(grain, 0.6) * 2.0
    return np.where(brain, np.clip(seen + sigma * grain, 1e-3, None), 0.0).astype(np.float32)


def thick_slices(image: Field, axis: int, slice_voxels: float) -> Field:
    """The image as slices of that thickness, interpolated back to its own grid."""
    n = image.shape[axis]
    count = max(2, round(n / max(slice_voxels, 1.0)))
    averaged = ndimage.uniform_filter1d(image, max(1, round(slice_voxels)), axis, mode="nearest")
    at = np.linspace(0, n - 1, count)
    slices = np.take(averaged, np.rint(at).astype(int), axis)
    back = np.interp(np.arange(n), at, np.arange(count))
    low = np.minimum(back.astype(int), count - 2)
    share = (back - low).astype(np.float32)
    share = share.reshape([-1 if a == axis else 1 for a in range(3)])
    mixed = np.take(slices, low, axis) * (1 - share) + np.take(slices, low + 1, axis) * share
    return np.asarray(mixed, np.float32)


def ghosted(image: Field, rng: np.random.Generator) -> Field:
    """Faint shifted copies along one axis, as a head that moved leaves them."""
    axis, amount = int(rng.integers(0, 2)), rng.uniform(0.03, 0.15)
    copies = [np.roll(image, int(s), axis) for s in rng.integers(-12, 13, 2)]
    return np.asarray((1 - amount) * image + amount * np.mean(copies, axis=0), np.float32)
