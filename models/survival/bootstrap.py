"""A fitted model with refits to patients drawn with replacement, from which its curves have bands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd

from data.cohort import Cohort, TimeUnit
from data.errors import CohortError
from models.survival.bands import FEWEST_REFITS, CurveBand, Floats, band_of, given_lived
from models.survival.families.base import SurvivalEstimator

REFITS = 50
MOST_DRAWS = 3
"""Times as many draws as refits are tried: some draws hold too few events to be fitted."""


@dataclass(frozen=True, eq=False)
class Bootstrapped:
    """A model and its refits (Efron and Tibshirani 1993, chapter 6).

    Args:
        model: fitted to all patients.
        refits: each fitted to patients drawn from them; none, and there is no band.
    """

    model: SurvivalEstimator
    refits: tuple[SurvivalEstimator, ...] = ()

    @property
    def end(self) -> float:
        """Last time that is told."""
        return self.model.domain_[1]

    @property
    def unit(self) -> TimeUnit:
        """Of all times."""
        return self.model.unit_

    def outside(self, covariates: pd.DataFrame) -> list[tuple[str, ...]]:
        """Of each patient, in what it is unlike all of the fit's."""
        return self.model.encoder_.outside(covariates)

    def curves(self, covariates: pd.DataFrame, times: Floats, *, lived: float = 0.0) -> CurveBand:
        """(n, t) curves at ascending times, for patients who have lived for some of it.

        Raises:
            CohortError: times outside what is told, or covariates that the model was not fitted for.
        """
        at = np.append(times, lived)
        middle = _from(self.model.predict_survival(covariates, at), lived)
        if len(self.refits) < FEWEST_REFITS:
            unknown = np.full_like(middle, np.nan)
            return CurveBand(unknown, middle, unknown)
        drawn = np.array([_curves(refit, covariates, at, lived) for refit in self.refits])
        return band_of(middle, drawn)


def bootstrapped(
    model: SurvivalEstimator,
    cohort: Cohort,
    count: int = REFITS,
    *,
    rng: np.random.Generator,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Bootstrapped:
    """Refit a fitted model to draws of its patients.

    Raises:
        CohortError: too few of the draws could be fitted.
    """
    if 0 < count < FEWEST_REFITS:
        raise CohortError(f"{count} refits are too few for a band; ask for {FEWEST_REFITS} or 0")
    refits: list[SurvivalEstimator] = []
    for refit in islice(_refits(model, cohort, count * MOST_DRAWS, rng), count):
        refits.append(refit)
        on_step(len(refits), count)
    if len(refits) < count:
        raise CohortError(
            f"{cohort.name}: only {len(refits)} of {count * MOST_DRAWS} draws of its patients could be fitted, "
            "so that there is no band; ask for 0 refits, or take fewer covariates"
        )
    return Bootstrapped(model, tuple(refits))


def _refits(
    model: SurvivalEstimator, cohort: Cohort, most: int, rng: np.random.Generator
) -> Iterator[SurvivalEstimator]:
    for _ in range(most):
        try:
            yield model.refitted(cohort, rng.integers(len(cohort), size=len(cohort)), rng)
        except CohortError:
            continue


def _curves(model: SurvivalEstimator, covariates: pd.DataFrame, at: Floats, lived: float) -> Floats:
    """Of a refit, whose patients may have been followed for less."""
    told = model.encoder_.seen(covariates)
    return _from(model.predict_survival(told, np.minimum(at, model.domain_[1])), lived)


def _from(curves: Floats, lived: float) -> Floats:
    """Curves at times and, last, at the time lived: those of who has lived it."""
    return given_lived(curves[:, :-1], curves[:, -1:]) if lived > 0 else curves[:, :-1]
