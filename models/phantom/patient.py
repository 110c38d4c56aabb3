"""A real patient's head as a source of many: warped, re-scanned, and sometimes given another lesion.

Real texture is what synthetic heads lack. The labels are a teacher's (another network's or a consensus),
never said to be the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.phantom.anatomy import Anatomy, random_warp, warped
from models.phantom.contrast import paint
from models.phantom.lesion import grow_lesion
from models.phantom.scanner import Scanner, scan
from models.segmentation.regions import regions_of

Field = NDArray[np.float32]

RESCAN = Scanner(
    thick_share=0.35,
    motion_share=0.08,
    misregistration_mm=0.4,
    bias=0.2,
    noise=0.05,
    gamma=(0.75, 1.3),
)
"""Milder than for synthetic heads: these have been through a scanner once."""


SMALLEST_LESION_ML = 3.0


@dataclass(frozen=True)
class Patient:
    """Co-registered images of one head with a teacher's regions and the atlas's tissue, on one grid."""

    images: Mapping[str, Field]
    """By sequence, (i, j, k); white matter about 1, zero outside the brain."""
    regions: Field
    """(3, i, j, k) probabilities of whole tumor, core and enhancing tumor."""
    anatomy: Anatomy
    brain: NDArray[np.bool_]
    name: str = ""

    def cut(self, box: tuple[slice, slice, slice]) -> Patient:
        """The part of the head in a box of voxels."""
        images = {name: image[box] for name, image in self.images.items()}
        return Patient(images, self.regions[:, *box], self.anatomy.cut(box), self.brain[box])


def another(
    patient: Patient, rng: np.random.Generator, *, lesion_share: float, largest_ml: float
) -> Patient:
    """The same patient as another would look: warped, other contrasts, perhaps one lesion more."""
    if rng.random() < lesion_share:
        log_ml = rng.uniform(np.log(SMALLEST_LESION_ML), np.log(largest_ml))
        patient = _with_lesion(patient, rng, 1000.0 * float(np.exp(log_ml)))
    whole, _, enhancing = patient.regions
    source = random_warp(patient.anatomy.shape, patient.anatomy.spacing_mm, rng)
    brain = warped(patient.brain.astype(np.float32), source) > 0.5
    bright, glow = rng.uniform(0.45, 1.3), rng.uniform(0.6, 1.4)
    images = {}
    for name, image in patient.images.items():
        usual = float(np.median(image[patient.brain]))
        gain = 1.0 + (glow - 1.0) * enhancing if name == "t1c" else 1.0 + (bright - 1.0) * whole
        changed = np.clip(usual + gain * (image - usual), 1e-3, None) * patient.brain
        seen = warped(np.asarray(changed, np.float32), source)
        images[name] = scan(seen, brain, patient.anatomy.spacing_mm, rng, RESCAN)
    regions = np.stack([warped(region, source) * brain for region in patient.regions])
    return Patient(images, regions, patient.anatomy, brain)


def _with_lesion(patient: Patient, rng: np.random.Generator, volume_mm3: float) -> Patient:
    """One synthetic lesion more, in white matter that the teacher calls free of tumor."""
    free = (patient.anatomy.white > 0.6) & patient.brain & (patient.regions[0] < 0.05)
    candidates = np.argwhere(free)
    if not len(candidates):
        return patient
    seed = candidates[rng.integers(len(candidates))]
    labels = grow_lesion(patient.anatomy, seed, rng, visible_volume_mm3=volume_mm3).labels
    labels = np.where(patient.brain & (patient.regions[0] < 0.5), labels, 0).astype(np.uint8)
    painted = paint(patient.images, patient.anatomy, labels, {}, rng)
    added = regions_of(painted.labels).astype(np.float32)
    return Patient(
        painted.images, np.maximum(patient.regions, added), patient.anatomy, patient.brain
    )
