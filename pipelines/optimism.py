"""How much better a model looks on the patients that it was fitted to (Harrell 1996's bootstrap)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from data.cohort import Cohort
from data.errors import CohortError
from models.survival.families.base import SurvivalEstimator
from models.survival.scores import event_grid, harrell, integrated_brier

GRID = 50


@dataclass(frozen=True)
class Optimism:
    """One score of a model.

    Args:
        apparent: on the patients of the fit.
        optimism: mean over draws: on the draw that a model was fitted to, less on all patients.
        draws: that could be fitted.
    """

    apparent: float
    optimism: float
    draws: int

    @property
    def corrected(self) -> float:
        """What is to be expected of new patients like these."""
        return self.apparent - self.optimism


def optimism(
    family: Callable[[], SurvivalEstimator],
    cohort: Cohort,
    *,
    draws: int = 100,
    seed: int = 0,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Optimism]:
    """Harrell's C (``harrell``) and the integrated Brier score (``brier``).

    Raises:
        CohortError: no draw could be fitted.
    """
    apparent = _scores(family().fit(cohort, rng=np.random.default_rng(seed)), cohort)
    rng = np.random.default_rng((seed, 1))
    found = []
    for number in range(draws):
        drawn = cohort.drawn(rng.integers(len(cohort), size=len(cohort)))
        try:
            model = family().fit(drawn, rng=rng)
            told = replace(cohort, covariates=model.encoder_.seen(cohort.covariates))
            found.append(_scores(model, drawn) - _scores(model, told))
        except CohortError:  # too few events in the draw
            continue
        on_step(number + 1, draws)
    if not found:
        raise CohortError(f"{cohort.name}: no draw of its patients could be fitted")
    mean = np.mean(found, axis=0)
    return {
        name: Optimism(float(apparent[n]), float(mean[n]), len(found))
        for n, name in enumerate(("harrell", "brier"))
    }


def _scores(model: SurvivalEstimator, cohort: Cohort) -> np.ndarray:
    """Both scores on a cohort, its own censoring weighing the second."""
    grid = event_grid(cohort, GRID)
    grid = grid[grid < min(model.domain_[1], cohort.time.max())]
    curves = model.predict_survival(cohort.covariates, grid)
    risk = model.predict_risk(cohort.covariates, grid[-1])
    return np.array([harrell(cohort, risk), integrated_brier(cohort, cohort, curves, grid)])
