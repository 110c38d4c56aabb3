"""How good curves are: discrimination (Harrell 1982, Uno 2011) and the integrated Brier score (Graf 1999).

Scikit-survival computes; here it is said which patients, times and weights it is given.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sksurv.metrics import (
    brier_score,
    concordance_index_censored,
    concordance_index_ipcw,
    cumulative_dynamic_auc,
)
from sksurv.nonparametric import CensoringDistributionEstimator

from data.cohort import Cohort
from data.errors import CohortError
from models.survival.families.base import Floats, outcome, positive

LOW, HIGH = 0.1, 0.9
"""Quantiles of the event times between which scores are taken."""
LEAST_SEEN = 0.05
"""Probability of still being followed below which a patient's weight would be too great."""


def structured(cohort: Cohort) -> NDArray[np.void]:
    """Outcomes as scikit-survival takes them; a competing event counts as being seen last."""
    return outcome(positive(cohort.time), cohort.event == 1)


def event_grid(cohort: Cohort, count: int = 50) -> Floats:
    """Times between quantiles of the event times, at which enough patients are still followed.

    Raises:
        CohortError: no event.
    """
    if cohort.events == 0:
        raise CohortError(
            f"{cohort.name}: none of {len(cohort)} patients had the event; more are needed"
        )
    low, high = np.quantile(cohort.time[cohort.event == 1], (LOW, HIGH))
    last = float(cohort.time.max())
    followed = CensoringDistributionEstimator().fit(structured(cohort))
    grid = np.linspace(low, min(high, last * (1 - 1e-9)), count)
    seen = followed.predict_proba(grid) >= LEAST_SEEN
    return grid[seen] if seen.any() else grid[:1]


def censoring_weights(cohort: Cohort, times: Floats) -> Floats:
    """(n, t) inverse probability of being seen: 0 for who was last seen before a time without an event."""
    y = structured(cohort)
    followed = CensoringDistributionEstimator().fit(y)
    at_end = np.maximum(followed.predict_proba(y["time"]), LEAST_SEEN)
    at_times = np.maximum(followed.predict_proba(times), LEAST_SEEN)
    passed = y["time"][:, None] <= times
    had = passed & y["event"][:, None]
    return np.where(had, 1 / at_end[:, None], np.where(passed, 0.0, 1 / at_times[None]))


def stratified_folds(
    cohort: Cohort, folds: int, rng: np.random.Generator
) -> Iterator[NDArray[np.bool_]]:
    """Masks of the patients that are out, each patient once, with as many events in each fold."""
    fold = np.empty(len(cohort), int)
    for kind in np.unique(cohort.event):
        own = np.flatnonzero(cohort.event == kind)
        start = int(rng.integers(folds))
        fold[rng.permutation(own)] = (np.arange(len(own)) + start) % folds
    for n in range(folds):
        yield fold == n


def harrell(cohort: Cohort, risk: Floats) -> float:
    """Concordance of all pairs that can be compared."""
    y = structured(cohort)
    return float(concordance_index_censored(y["event"], y["time"], risk)[0])


def uno(train: Cohort, test: Cohort, risk: Floats, until: float) -> float:
    """Concordance up to a time, weighted by the training patients' censoring."""
    y = _followed_alike(train, test)
    return float(concordance_index_ipcw(structured(train), y, risk, tau=until)[0])


def _followed_alike(train: Cohort, test: Cohort) -> NDArray[np.void]:
    """Outcomes of the test patients, none followed for longer than the training patients were."""
    y, last = structured(test), structured(train)["time"].max()
    beyond = y["time"] > last
    y["time"][beyond], y["event"][beyond] = last, False
    return y


def integrated_brier(train: Cohort, test: Cohort, curves: Floats, times: Floats) -> float:
    """Mean of the Brier score over the times, by the trapezoid rule."""
    _, scores = brier_score(structured(train), _followed_alike(train, test), curves, times)
    if len(times) == 1:
        return float(scores[0])
    return float(np.trapezoid(scores, times) / (times[-1] - times[0]))


def auc(train: Cohort, test: Cohort, risk: Floats, times: Floats) -> tuple[Floats, float]:
    """Cumulative-dynamic area under the ROC curve at each time, and its mean (Uno 2007)."""
    at, mean = cumulative_dynamic_auc(structured(train), _followed_alike(train, test), risk, times)
    return np.asarray(at), float(mean)
