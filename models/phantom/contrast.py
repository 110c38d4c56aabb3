"""What a lesioned head looks like in MR: intensities per tissue and sequence, then scanner effects.

Values are relative to white matter = 1 in each sequence. The plausible ranges are drawn wide on
purpose (no scanner is modelled); a share of fully random contrasts keeps a network from relying on
them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.phantom.anatomy import Anatomy
from models.phantom.lesion import CORE, EDEMA, ENHANCING
from models.phantom.noise import smooth_noise

Field = NDArray[np.float32]
Range = tuple[float, float]

TISSUES: Mapping[str, Mapping[str, Range]] = {
    "t1": {"white": (1, 1), "grey": (0.7, 0.9), "csf": (0.25, 0.5)},
    "t1c": {"white": (1, 1), "grey": (0.72, 1.0), "csf": (0.25, 0.5)},
    "t2": {"white": (1, 1), "grey": (1.15, 1.5), "csf": (2.0, 3.2)},
    "flair": {"white": (1, 1), "grey": (1.05, 1.4), "csf": (0.2, 0.6)},
}
LESIONS: Mapping[str, Mapping[int, Range]] = {
    "t1": {CORE: (0.4, 0.8), EDEMA: (0.65, 0.95), ENHANCING: (0.6, 1.0)},
    "t1c": {CORE: (0.4, 0.95), EDEMA: (0.65, 1.0), ENHANCING: (1.2, 2.4)},
    "t2": {CORE: (1.6, 3.0), EDEMA: (1.6, 2.6), ENHANCING: (1.2, 2.2)},
    "flair": {CORE: (0.6, 2.4), EDEMA: (1.35, 2.4), ENHANCING: (1.2, 2.4)},
}
NON_ENHANCING_CORE: Mapping[str, Range] = {
    "t1": (0.5, 0.85),
    "t1c": (0.45, 0.9),
    "t2": (1.7, 3.0),
    "flair": (1.3, 2.5),
}
"""A solid non-enhancing core is bright on FLAIR where necrosis need not be."""


def render(
    anatomy: Anatomy,
    labels: NDArray[np.uint8],
    sequences: tuple[str, ...],
    rng: np.random.Generator,
    *,
    decoys: bool = True,
    random_share: float = 0.15,
) -> dict[str, Field]:
    """One image per sequence, (i, j, k), zero outside the brain.

    Args:
        decoys: add enhancing vessels, bright meninges and periventricular caps, which are not tumor.
        random_share: probability that tissue contrasts of a sequence are drawn at random.
    """
    brain = anatomy.brain
    enhancing = bool((labels == ENHANCING).any())
    h = anatomy.spacing_mm[0]
    soft = {value: _soften(labels == value, rng) for value in (CORE, EDEMA, ENHANCING)}
    texture = smooth_noise(anatomy.shape, rng.uniform(4.0, 16.0) / h, rng)
    images = {}
    for name in sequences:
        image = _tissue(anatomy, name, rng, random=rng.random() < random_share)
        if decoys:
            image += _decoys(anatomy, name, rng)
        for value in (EDEMA, CORE, ENHANCING):
            low_high = LESIONS[name][value]
            if value == CORE and not enhancing:
                low_high = NON_ENHANCING_CORE[name]
            level = rng.uniform(*low_high) * (1.0 + rng.uniform(0.0, 0.15) * texture)
            image += soft[value] * (level - image)
        images[name] = _scan(image, brain, h, rng)
    return images


def _soften(mask: NDArray[np.bool_], rng: np.random.Generator) -> Field:
    soft = ndimage.gaussian_filter(mask.astype(np.float32), rng.uniform(0.3, 1.3))
    return np.asarray(soft, np.float32)


def _tissue(anatomy: Anatomy, name: str, rng: np.random.Generator, *, random: bool) -> Field:
    ranges = TISSUES[name]
    level = {t: rng.uniform(0.3, 1.6) if random else rng.uniform(*ranges[t]) for t in ranges}
    return np.asarray(
        level["white"] * anatomy.white + level["grey"] * anatomy.grey + level["csf"] * anatomy.csf,
        np.float32,
    )


def _decoys(anatomy: Anatomy, name: str, rng: np.random.Generator) -> Field:
    extra = np.zeros(anatomy.shape, np.float32)
    inner = ndimage.distance_transform_edt(anatomy.brain, anatomy.spacing_mm)
    if name == "t1c":
        vessels = smooth_noise(anatomy.shape, 8 / anatomy.spacing_mm[0], rng)
        thin = (np.abs(vessels) < 0.05) & (anatomy.csf > 0.3)
        extra += thin * rng.uniform(0.0, 1.2)
        extra += ((inner < rng.uniform(1, 4)) & anatomy.brain) * rng.uniform(0.0, 0.6)
    if name == "flair":
        ventricle = (anatomy.csf > 0.7) & (inner > 20.0)
        cap = ndimage.distance_transform_edt(~ventricle, anatomy.spacing_mm) < rng.uniform(1, 5)
        extra += (cap & (anatomy.white > 0.4)) * rng.uniform(0.0, 0.6)
        extra += ((inner < rng.uniform(1, 4)) & anatomy.brain) * rng.uniform(-0.2, 0.4)
    return extra


def _scan(image: Field, brain: NDArray[np.bool_], h: float, rng: np.random.Generator) -> Field:
    """Blur, coil sensitivity, gamma and thermal noise, inside the brain."""
    blurred = ndimage.gaussian_filter(image, rng.uniform(0.0, 1.6 / h, 3))
    bias = np.exp(rng.uniform(0.0, 0.2) * smooth_noise(image.shape, 50 / h, rng))
    scaled = np.clip(blurred * bias, 1e-3, None) ** rng.uniform(0.85, 1.2)
    noisy = scaled + rng.uniform(0.0, 0.08) * rng.standard_normal(image.shape)
    return np.where(brain, np.clip(noisy, 1e-3, None), 0.0).astype(np.float32)
