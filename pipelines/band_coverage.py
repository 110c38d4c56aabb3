"""How often bands hold the true curve, on in-silico cohorts where it is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from models.survival.bootstrap import bootstrapped
from models.survival.families.base import SurvivalEstimator
from models.survival.simulated import simulated

MONTHS = np.array([5.0, 10.0, 15.0, 20.0, 30.0])
NEW_PATIENTS = 40


@dataclass(frozen=True)
class Coverage:
    """Over cohorts, patients and times.

    Args:
        share: of true probabilities within the band.
        spread: standard deviation of that share over cohorts.
        width: mean of upper less lower.
    """

    share: float
    spread: float
    width: float


def band_coverage(
    families: Mapping[str, Callable[[], SurvivalEstimator]],
    *,
    cohorts: int,
    patients: int = 300,
    refits: int = 40,
    seed: int = 0,
    on_step: Callable[[str, int, int], None] = lambda kind, done, total: None,
) -> dict[str, Coverage]:
    """Fit each family to each cohort, and look where the truth of new patients lies."""
    held: dict[str, list[float]] = {kind: [] for kind in families}
    widths: dict[str, list[float]] = {kind: [] for kind in families}
    for number in range(cohorts):
        rng = np.random.default_rng((seed, number))
        made, new = simulated(patients, rng).cohort, simulated(NEW_PATIENTS, rng)
        truth = new.survival(MONTHS)
        for n, (kind, family) in enumerate(families.items()):
            model = family().fit(made, rng=np.random.default_rng((seed, number, n)))
            band = bootstrapped(
                model, made, refits, rng=np.random.default_rng((seed, number, n, 1))
            ).curves(new.cohort.covariates, MONTHS)
            held[kind].append(float(((band.lower <= truth) & (truth <= band.upper)).mean()))
            widths[kind].append(float((band.upper - band.lower).mean()))
            on_step(kind, number * len(families) + n + 1, cohorts * len(families))
    return {
        kind: Coverage(float(np.mean(shares)), float(np.std(shares)), float(np.mean(widths[kind])))
        for kind, shares in held.items()
    }
