"""Competing events: how many have had each by a time, and what a patient's covariates say of it.

One less Kaplan-Meier, with competing events as being seen last, tells of a world without them and is too high.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sksurv.nonparametric import cumulative_incidence_competing_risks

from data.cohort import Cohort
from data.errors import CohortError
from models.survival.families.base import at_times, positive
from models.survival.families.cox import Cox

Floats = NDArray[np.float64]
CAUSES = (1, 2)
"""The event, and the competing one."""


def cumulative_incidence(cohort: Cohort, times: Floats) -> Floats:
    """(2, t) shares with the event and with the competing event by each time (Aalen and Johansen 1978).

    Raises:
        CohortError: there is no competing event.
    """
    _require_both(cohort)
    steps, told = cumulative_incidence_competing_risks(cohort.event, positive(cohort.time))
    return 1 - at_times(steps, 1 - told[1:], np.asarray(times, float))


@dataclass(frozen=True, eq=False)
class CauseSpecific:
    """A Cox model of each event's hazard, the other event as being seen last (Prentice 1978).

    Args:
        causes: of the event and of the competing one.
    """

    causes: tuple[Cox, Cox]

    @property
    def end(self) -> float:
        """Last time that is told, in the cohort's unit."""
        return self.causes[0].domain_[1]

    def incidence(self, covariates: pd.DataFrame, times: Floats) -> Floats:
        """(2, n, t) probabilities to have had each event by ascending times.

        The hazards of both step where anyone had an event; whoever is left has either by its share of their
        sum, so that both incidences and the curve without any event sum to one.

        Raises:
            CohortError: times outside what is told, or covariates that were not fitted for.
        """
        times = np.asarray(times, float)
        if times.min() < 0 or times.max() > self.end:
            raise CohortError(
                f"times of {times.min():g} to {times.max():g} are asked for; 0 to {self.end:g} are told"
            )
        steps = np.union1d(self.causes[0].steps_, self.causes[1].steps_)
        curves = np.array([m.predict_survival(covariates, steps) for m in self.causes])
        hazards = -np.log(np.maximum(curves, np.finfo(float).tiny))
        risen = np.diff(hazards, axis=2, prepend=0.0)
        together = risen.sum(axis=0)
        left = np.exp(-np.cumsum(together, axis=1))
        before = np.hstack([np.ones((len(left), 1)), left[:, :-1]])
        share = np.divide(risen, together, out=np.zeros_like(risen), where=together > 0)
        told = np.cumsum(share * (before - left), axis=2)
        return np.array([1 - at_times(steps, 1 - one, times) for one in told])


def cause_specific(cohort: Cohort, penalizer: float = 0.01) -> CauseSpecific:
    """Fit both.

    Raises:
        CohortError: fewer than two of either event.
    """
    _require_both(cohort)
    fitted = [
        Cox(penalizer).fit(replace(cohort, event=(cohort.event == cause).astype(np.int64)))
        for cause in CAUSES
    ]
    return CauseSpecific((fitted[0], fitted[1]))


def _require_both(cohort: Cohort) -> None:
    if not (cohort.event == 2).any():
        raise CohortError(
            f"{cohort.name}: has no competing event; give it the code 2 under event.codes, or take Kaplan-Meier"
        )
