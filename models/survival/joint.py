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
from scipy.optimize import brentq

from models.survival.bands import EDGE

Floats = NDArray[np.float64]
MOST_HAZARD = 50.0
"""Of one step: nobody is left."""
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


def exposure(months: Floats, progression: Floats, ratio: float) -> Floats:
    """(m, t - 1) what a unit of hazard before progression comes to for each member in each step.

    Args:
        months: (t,) ascending.
        progression: (m,) months at which each member progresses; infinity if never.
        ratio: of the hazards after and before.
    """
    length = np.diff(months)
    after = np.clip((months[1:] - progression[:, None]) / length, 0.0, 1.0)
    return 1.0 + (ratio - 1.0) * after


def before_progression(months: Floats, survival: Floats, exposed: Floats) -> Floats:
    """(t - 1,) hazard of each step before progression, with which the members' mean is a given curve.

    Args:
        months: (t,) ascending from 0.
        survival: (t,) the curve, 1 at 0.
        exposed: (m, t - 1) of the members under the treatment that the curve is of.
    """
    left = np.ones(len(exposed))
    found = np.zeros(len(months) - 1)
    for step in range(len(found)):
        own, target = exposed[:, step], max(float(survival[step + 1]), EDGE)
        if left.mean() <= target * (1 + 1e-12):
            continue  # the curve is flat here

        def excess(
            hazard: float, own: Floats = own, left: Floats = left, target: float = target
        ) -> float:
            return float((left * np.exp(-hazard * own)).mean() - target)

        found[step] = brentq(excess, 0.0, MOST_HAZARD, xtol=1e-12)
        left = left * np.exp(-found[step] * own)
    return found


def survival_of(hazard: Floats, exposed: Floats) -> Floats:
    """(t,) mean curve of members, 1 at the start.

    Args:
        hazard: (t - 1,) before progression.
        exposed: (m, t - 1) of the members.
    """
    curves = np.exp(-np.cumsum(hazard * exposed, axis=1))
    return np.append(1.0, curves.mean(axis=0))
