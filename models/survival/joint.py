"""Survival that answers to what the twin's tumor does: progression raises the hazard of death (in silico).

A joint model with one link: from the day that a member of the twin progresses, its hazard of death is a
published multiple of what it was. The hazard before progression is the one that gives back the survival model's
curve under the treatment that its patients had. So a regimen changes survival through the time to progression
and in no other way, and a marker that acts on a treatment acts only where the treatment is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.survival.bands import EDGE

Floats = NDArray[np.float64]
MOST_STEPS, CLOSE = 100, 1e-12
"""Of Newton's method, and the change of a hazard at which it ends."""
Z95 = 1.959963984540054


@dataclass(frozen=True)
class HazardRatio:
    """A published ratio with its 95 % interval."""

    value: float
    low: float
    high: float
    source: str

    def draw(self, count: int, rng: np.random.Generator) -> Floats:
        """(count,) log-normal, as the interval says."""
        spread = np.log(self.high / self.low) / (2 * Z95)
        return np.asarray(self.value * np.exp(spread * rng.standard_normal(count)))


PROGRESSED = HazardRatio(
    6.59, 5.15, 8.43,
    "RTOG 0525, glioblastoma: death after progression against before, adjusted for RPA class and MGMT "
    "(Wang 2015, doi:10.1093/neuonc/nov009)",
)  # fmt: skip


def exposure(months: Floats, progression: Floats, ratio: Floats | float) -> Floats:
    """(..., m, t - 1) what a unit of hazard before progression comes to for each member in each step.

    Args:
        months: (t,) ascending.
        progression: (m,) months at which each member progresses; infinity if never.
        ratio: (...) of the hazards after and before.
    """
    after = np.clip((months[1:] - progression[:, None]) / np.diff(months), 0.0, 1.0)
    return np.asarray(1.0 + (np.asarray(ratio)[..., None, None] - 1.0) * after)


def before_progression(survival: Floats, exposed: Floats) -> Floats:
    """(..., t - 1) hazard of each step before progression, with which the members' mean is a given curve.

    By Newton's method from 0: the mean is convex and falling in the hazard, so that no step goes too far.

    Args:
        survival: (..., t) the curve, 1 at the start.
        exposed: (..., m, t - 1) of the members under the treatment that the curve is of.
    """
    left = np.ones(exposed.shape[:-1])
    found = np.zeros((*exposed.shape[:-2], exposed.shape[-1]))
    for step in range(exposed.shape[-1]):
        own = exposed[..., step]
        target = np.maximum(survival[..., step + 1], EDGE)
        hazard = np.zeros(exposed.shape[:-2])
        for _ in range(MOST_STEPS):
            there = left * np.exp(-hazard[..., None] * own)
            above = np.maximum(there.mean(axis=-1) - target, 0.0)
            more = above / (there * own).mean(axis=-1)
            hazard = hazard + more
            if more.max() < CLOSE:
                break
        found[..., step] = hazard
        left = left * np.exp(-hazard[..., None] * own)
    return found


def survival_of(hazard: Floats, exposed: Floats) -> Floats:
    """(..., t) mean curve of members, 1 at the start.

    Args:
        hazard: (..., t - 1) before progression.
        exposed: (..., m, t - 1) of the members.
    """
    curves = np.exp(-np.cumsum(hazard[..., None, :] * exposed, axis=-1)).mean(axis=-2)
    return np.concatenate([np.ones((*curves.shape[:-1], 1)), curves], axis=-1)
