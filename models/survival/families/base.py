"""What all survival models share: fitted to covariates and outcomes, they give each patient's curve."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted
from typing_extensions import override

from data.cohort import Cohort, TimeUnit
from data.errors import CohortError
from models.survival.encoding import Encoder

Floats = NDArray[np.float64]


class SurvivalEstimator(BaseEstimator, ABC):  # type: ignore[misc]  # scikit-learn has no types
    """A model of the time to an event, in scikit-learn's manner.

    After :meth:`fit`, ``domain_`` is the stretch of time, in the cohort's unit, for which curves are told: from
    0 to the last time that was seen. Competing events count as being seen last.
    """

    kind: ClassVar[str]
    encoder_: Encoder
    domain_: tuple[float, float]
    unit_: TimeUnit

    @abstractmethod
    def fit(self, cohort: Cohort, *, rng: np.random.Generator | None = None) -> Self:
        """Learn from all patients of a cohort.

        Args:
            cohort: with at least two events.
            rng: where the model draws; None is a generator with seed 0.

        Raises:
            CohortError: too few events, or covariates that cannot be used.
        """

    @abstractmethod
    def predict_survival(self, covariates: pd.DataFrame, times: Floats) -> Floats:
        """(n, t) probabilities to be without the event at each time: in [0, 1], never rising, 1 at time 0.

        Raises:
            CohortError: a time outside ``domain_``, or covariates that the model was not fitted for.
        """

    def refitted(
        self, cohort: Cohort, rows: NDArray[np.int64], rng: np.random.Generator
    ) -> SurvivalEstimator:
        """Another one fitted to drawn patients: what was chosen stays, what was estimated is estimated anew.

        Args:
            cohort: that this one was fitted to.
            rows: drawn with replacement.
            rng: where the model draws.
        """
        return clone(self).fit(cohort.drawn(rows), rng=rng)  # type: ignore[no-any-return]

    def predict_risk(self, covariates: pd.DataFrame, until: float | None = None) -> Floats:
        """(n,) time lost up to ``until`` (the end of the domain): the higher, the sooner the event."""
        end = self.domain_[1] if until is None else until
        times = np.linspace(0.0, end, RISK_TIMES)
        curves = self.predict_survival(covariates, times)
        return np.asarray(end - np.trapezoid(curves, times, axis=1))


class EncodedEstimator(SurvivalEstimator):
    """A model of encoded covariates: a family says how it is fitted to them, and its curves."""

    @override
    def fit(self, cohort: Cohort, *, rng: np.random.Generator | None = None) -> Self:
        """Encode, then fit."""
        if cohort.events < 2:
            raise CohortError(f"{cohort.name}: has {cohort.events} events; at least 2 are needed")
        cohort = in_order(cohort)
        self.encoder_ = Encoder().fit(cohort.covariates)
        self.domain_ = (0.0, float(cohort.time.max()))
        self.unit_ = cohort.unit
        self._fit(
            self.encoder_.transform(cohort.covariates),
            positive(cohort.time),
            cohort.event == 1,
            rng if rng is not None else np.random.default_rng(0),
        )
        return self

    @override
    def predict_survival(self, covariates: pd.DataFrame, times: Floats) -> Floats:
        """The family's curves, held to what a curve is."""
        check_is_fitted(self, "domain_")
        times = np.asarray(times, float)
        low, high = self.domain_
        if not ((times >= low) & (times <= high)).all():
            raise CohortError(
                f"times of {times.min():g} to {times.max():g} {self.unit_} are asked for; {self.kind} tells "
                f"{low:g} to {high:g}, which its patients were followed"
            )
        order = np.argsort(times, kind="stable")
        told = self._survival(self.encoder_.transform(covariates), times[order])
        told = np.minimum.accumulate(np.clip(told, 0.0, 1.0), axis=1)
        told[:, times[order] == 0] = 1.0
        curves = np.empty_like(told)
        curves[:, order] = told
        return curves

    @abstractmethod
    def _fit(
        self, x: Floats, time: Floats, event: NDArray[np.bool_], rng: np.random.Generator
    ) -> None:
        """Learn from encoded covariates; times are above 0."""

    @abstractmethod
    def _survival(self, x: Floats, times: Floats) -> Floats:
        """(n, t) probabilities at ascending times of the domain."""


RISK_TIMES = 200


def in_order(cohort: Cohort) -> Cohort:
    """Patients by their ids, so that the order in which they come says nothing."""
    return cohort.take(np.argsort(cohort.ids.astype(str), kind="stable"))


def positive(time: Floats) -> Floats:
    """Times with half of the shortest in place of 0, which parametric models do not allow."""
    shortest = time[time > 0].min(initial=np.inf)
    return np.where(time > 0, time, shortest / 2 if np.isfinite(shortest) else 1.0)


def outcome(time: Floats, event: NDArray[np.bool_]) -> NDArray[np.void]:
    """The structured array that scikit-survival takes."""
    made = np.empty(len(time), dtype=[("event", bool), ("time", float)])
    made["event"], made["time"] = event, time
    return made


def at_times(steps: Floats, values: Floats, times: Floats) -> Floats:
    """(n, t) right-continuous step functions (n, s) read at times; 1 ahead of the first step."""
    place = np.searchsorted(steps, times, side="right") - 1
    padded = np.hstack([np.ones((len(values), 1)), values])
    return np.asarray(padded[:, place + 1])
