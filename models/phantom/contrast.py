"""What a lesioned head looks like in MR: signal per tissue and sequence, before and after a scanner.

Values are relative to white matter = 1 in each sequence. No protocol is modelled: the plausible ranges
cover about what six real heads show, and a share of fully random contrasts keeps a network from relying
on them. T1 before and after contrast share what contrast does not change, and T2 and FLAIR lesions are
bright together, as they are in a patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.phantom.anatomy import Anatomy
from models.phantom.decoys import decoys as draw_decoys
from models.phantom.lesion import CAVITY, CORE, EDEMA, ENHANCING
from models.phantom.noise import smooth_noise
from models.phantom.scanner import Scanner, scan

Field = NDArray[np.float32]
Range = tuple[float, float]

TISSUES: Mapping[str, Mapping[str, Range]] = {
    "t1": {"white": (1, 1), "grey": (0.64, 0.95), "csf": (0.2, 0.6)},
    "t1c": {"white": (1, 1), "grey": (0.66, 1.0), "csf": (0.2, 0.65)},
    "t2": {"white": (1, 1), "grey": (1.1, 1.5), "csf": (1.7, 3.4)},
    "flair": {"white": (1, 1), "grey": (0.88, 1.25), "csf": (0.15, 0.8)},
}
LESIONS: Mapping[str, Mapping[int, Range]] = {
    "t1": {CORE: (0.35, 0.9), EDEMA: (0.65, 1.0), ENHANCING: (0.6, 1.05)},
    "t1c": {CORE: (0.35, 0.9), EDEMA: (0.65, 1.0), ENHANCING: (1.15, 2.3)},
    "t2": {CORE: (1.4, 3.4), EDEMA: (1.25, 2.5), ENHANCING: (1.2, 2.2)},
    "flair": {CORE: (0.5, 2.4), EDEMA: (1.2, 2.5), ENHANCING: (1.1, 2.3)},
}
SOLID_CORE: Mapping[str, Range] = {
    "t1": (0.4, 0.9),
    "t1c": (0.4, 0.95),
    "t2": (1.4, 3.0),
    "flair": (1.25, 2.5),
}
"""A non-enhancing core of living tumor is bright on FLAIR where necrosis need not be."""
CYSTIC_CORE: Mapping[str, Range] = {
    "t1": (0.2, 0.5),
    "t1c": (0.2, 0.55),
    "t2": (2.0, 3.4),
    "flair": (0.25, 1.6),
}
LEAST_GAIN = 1.25
"""Of enhancing tumor on T1c over T1; its medians were 1.26 to 1.49 in three real heads."""
SEEN = 0.12
"""Share of the lesion's signal from which edema is labelled: what has faded further is not there to
be found. Cutting at 0.35 instead taught a network to leave out faint edema that is drawn in real heads."""


@dataclass(frozen=True)
class Scans:
    """Images of a head and what of its lesion can be seen in them."""

    images: dict[str, Field]
    """By sequence, (i, j, k)."""
    labels: NDArray[np.uint8]
    """(i, j, k); as the lesion was labelled, less the edema that faded below ``SEEN``."""


def render(
    anatomy: Anatomy,
    labels: NDArray[np.uint8],
    sequences: tuple[str, ...],
    rng: np.random.Generator,
    *,
    scanner: Scanner | None = None,
    decoys: bool = True,
    random_share: float = 0.12,
) -> Scans:
    """One image per sequence, zero outside the brain, and the labels of what is seen.

    Args:
        labels: as ``models.phantom.lesion`` labels them, cavities included.
        scanner: how bad an acquisition may get; the default is the training's.
        decoys: add vessels, bright meninges and periventricular caps, which are not tumor.
        random_share: probability that tissue contrasts of a sequence are drawn at random.
    """
    tissues = _tissues(sequences, rng, random_share)
    extra = draw_decoys(anatomy, sequences, rng) if decoys else {}
    healthy = {}
    for name, level in tissues.items():
        image = level["white"] * anatomy.white + level["grey"] * anatomy.grey
        image += level["csf"] * anatomy.csf
        healthy[name] = np.asarray(image + extra.get(name, 0.0), np.float32)
    fluid = {name: level["csf"] for name, level in tissues.items()}
    lesioned = paint(healthy, anatomy, labels, fluid, rng)
    chosen = scanner or Scanner()
    images = {
        name: scan(image, anatomy.brain, anatomy.spacing_mm, rng, chosen)
        for name, image in lesioned.images.items()
    }
    return Scans(images, lesioned.labels)


def paint(
    images: Mapping[str, Field],
    anatomy: Anatomy,
    labels: NDArray[np.uint8],
    fluid: Mapping[str, float],
    rng: np.random.Generator,
) -> Scans:
    """Put a lesion's signal into images of a head.

    Args:
        images: by sequence, (i, j, k), white matter about 1.
        anatomy: the tissue of that head, which edema follows.
        labels: the lesion.
        fluid: signal of a cavity, by sequence.
    """
    levels = _lesion_levels(labels, rng)
    soft = _soft_masks(anatomy, labels, rng)
    texture = smooth_noise(anatomy.shape, rng.uniform(3.0, 16.0) / anatomy.spacing_mm[0], rng)
    painted = {}
    for name, given in images.items():
        image = given
        for value, mask in soft.items():
            target = fluid[name] if value == CAVITY else levels[name][value]
            grain = 1.0 + rng.uniform(0.0, 0.18) * texture
            image = image + mask * (target * grain - image)
        painted[name] = np.asarray(image, np.float32)
    faded = (labels == EDEMA) & (soft.get(EDEMA, np.zeros(())) < SEEN)
    return Scans(painted, np.where(faded, 0, labels).astype(np.uint8))


def _tissues(
    sequences: tuple[str, ...], rng: np.random.Generator, random_share: float
) -> dict[str, dict[str, float]]:
    levels: dict[str, dict[str, float]] = {}
    for name in sequences:
        if rng.random() < random_share:
            levels[name] = {tissue: rng.uniform(0.3, 1.6) for tissue in TISSUES[name]}
        elif name == "t1c" and "t1" in levels:
            levels[name] = {t: v * rng.uniform(0.92, 1.12) for t, v in levels["t1"].items()}
        else:
            levels[name] = {t: rng.uniform(*r) for t, r in TISSUES[name].items()}
    return levels


def _lesion_levels(
    labels: NDArray[np.uint8], rng: np.random.Generator
) -> dict[str, dict[int, float]]:
    """Signal of each lesion part; one draw of water for T2 and FLAIR, one of T1 for both T1s."""
    core = _core(bool((labels == ENHANCING).any()), rng)
    levels: dict[str, dict[int, float]] = {name: {} for name in LESIONS}
    for value in (CORE, EDEMA, ENHANCING):
        wet, dark = rng.random(), rng.random()
        for name, ranges in LESIONS.items():
            low, high = core[name] if value == CORE else ranges[value]
            shared = wet if name in ("t2", "flair") else dark
            own = rng.random() if value == ENHANCING else 0.6 * shared + 0.4 * rng.random()
            levels[name][value] = low + (high - low) * own
    glow = levels["t1c"][ENHANCING]
    levels["t1c"][ENHANCING] = max(glow, LEAST_GAIN * levels["t1"][ENHANCING])
    return levels


def _core(enhancing: bool, rng: np.random.Generator) -> Mapping[str, Range]:
    """A core is necrotic only where a rim enhances; solid and cystic ones occur in both."""
    necrotic: Mapping[str, Range] = {name: ranges[CORE] for name, ranges in LESIONS.items()}
    kinds = (necrotic, SOLID_CORE, CYSTIC_CORE)
    shares = (0.5, 0.25, 0.25) if enhancing else (0.0, 0.75, 0.25)
    return kinds[rng.choice(len(kinds), p=shares)]


def _soft_masks(
    anatomy: Anatomy, labels: NDArray[np.uint8], rng: np.random.Generator
) -> dict[int, Field]:
    """How much of each voxel looks like each part; edema fades towards its border and in cortex."""
    soft = {}
    for value in (EDEMA, CORE, ENHANCING, CAVITY):
        mask = labels == value
        if value == EDEMA:
            mask = (labels == EDEMA) | (labels == CORE) | (labels == ENHANCING)
        if not mask.any():
            continue
        soft[value] = ndimage.gaussian_filter(mask.astype(np.float32), rng.uniform(0.3, 1.2))
    if EDEMA in soft:
        depth = ndimage.distance_transform_edt(soft[EDEMA] > 0.5, anatomy.spacing_mm)
        fade = rng.uniform(0.3, 1.0)
        ramp = np.clip(fade + (1 - fade) * depth / rng.uniform(4.0, 15.0), 0.0, 1.0)
        cortex = rng.uniform(0.0, 0.5) * anatomy.grey + rng.uniform(0.0, 0.8) * anatomy.csf
        soft[EDEMA] = np.asarray(soft[EDEMA] * ramp * (1.0 - np.clip(cortex, 0, 0.9)), np.float32)
    return soft
