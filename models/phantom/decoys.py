"""What looks like tumor and is not: vessels, meninges, periventricular caps, white-matter spots."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.phantom.anatomy import Anatomy
from models.phantom.noise import smooth_noise

Field = NDArray[np.float32]


def decoys(
    anatomy: Anatomy, sequences: tuple[str, ...], rng: np.random.Generator
) -> dict[str, Field]:
    """Brightness to add to each sequence, in units of white matter; (i, j, k)."""
    depth = ndimage.distance_transform_edt(anatomy.brain, anatomy.spacing_mm)
    extra = {name: np.zeros(anatomy.shape, np.float32) for name in sequences}
    old = _ageing(anatomy, depth, rng)
    for name, share in (("flair", 1.0), ("t2", 0.8), ("t1", -0.25), ("t1c", -0.25)):
        if name in extra:
            extra[name] += share * old
    if "t1c" in extra:
        extra["t1c"] += _vessels(anatomy, depth, rng)
    for name in sequences:
        rim = (depth < rng.uniform(1, 5)) & anatomy.brain
        extra[name] += rim * rng.uniform(*RIM.get(name, (-0.1, 0.2)))
    return extra


RIM = {"t1c": (-0.1, 0.7), "flair": (-0.2, 0.5), "t2": (-0.2, 0.5)}
"""Meninges that enhance, and the bright or dark edge that skull stripping leaves."""


def _ageing(anatomy: Anatomy, depth: Field, rng: np.random.Generator) -> Field:
    """Caps around the ventricles and spots in white matter."""
    spacing = anatomy.spacing_mm
    ventricle = (anatomy.csf > 0.7) & (depth > 20.0)
    near = ndimage.distance_transform_edt(~ventricle, spacing) if ventricle.any() else depth + 99
    patchy = np.clip(1.0 + 0.5 * smooth_noise(anatomy.shape, 10 / spacing[0], rng), 0, 2)
    cap = np.exp(-((near / rng.uniform(1.5, 6.0)) ** 2)) * patchy * rng.uniform(0.0, 0.7)
    spots = smooth_noise(anatomy.shape, rng.uniform(4, 9) / spacing[0], rng)
    spots = (spots > rng.uniform(2.2, 4.0)) * rng.uniform(0.2, 0.8)
    return np.asarray((cap + spots) * (anatomy.white > 0.4), np.float32)


def _vessels(anatomy: Anatomy, depth: Field, rng: np.random.Generator) -> Field:
    """Enhancing vessels in the sulci, the choroid plexus, and a sinus along the midline."""
    h = anatomy.spacing_mm[0]
    thin = np.abs(smooth_noise(anatomy.shape, rng.uniform(6, 10) / h, rng)) < 0.06
    vessels = (thin & (anatomy.csf > 0.3)) * rng.uniform(0.0, 1.4)
    plexus = smooth_noise(anatomy.shape, 6 / h, rng) > rng.uniform(1.2, 2.5)
    vessels += (plexus & (anatomy.csf > 0.6) & (depth > 22)) * rng.uniform(0.3, 1.6)
    middle = np.abs(np.arange(anatomy.shape[0]) - anatomy.shape[0] / 2)[:, None, None] * h
    vessels += ((middle < 4) & (depth < 6) & anatomy.brain) * rng.uniform(0.0, 1.2)
    return np.asarray(vessels, np.float32)
