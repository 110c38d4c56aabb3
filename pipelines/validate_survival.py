"""A model on patients of another cohort: discrimination, calibration and net benefit, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.cohort import Cohort, refuse_shared
from data.errors import CohortError
from models.survival.calibration import (
    AtHorizon,
    DCalibration,
    DecisionCurve,
    at_horizon,
    d_calibration,
    decision_curve,
)
from models.survival.families.base import Floats, SurvivalEstimator
from models.survival.scores import harrell, integrated_brier, uno

LEVEL = 0.95
THRESHOLDS = np.round(np.arange(0.05, 1.0, 0.05), 2)
GRID = 50


@dataclass(frozen=True)
class Figure:
    """A number with the interval of a bootstrap over the test patients."""

    value: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """With three decimals."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class AtTime:
    """Calibration at one time.

    Args:
        error: observed minus predicted probability to be without the event, over all patients.
    """

    told: AtHorizon
    error: Figure
    slope: Figure
    ici: Figure
    decision: DecisionCurve


@dataclass(frozen=True)
class Validation:
    """What a model is worth on patients of another cohort."""

    train: str
    test: str
    kind: str
    patients: int
    events: int
    harrell: Figure
    uno: Figure
    brier: Figure
    d_calibration: DCalibration
    at: dict[float, AtTime]


def validate(
    model: SurvivalEstimator,
    train: Cohort,
    test: Cohort,
    horizons: tuple[float, ...],
    *,
    draws: int = 200,
    seed: int = 0,
) -> Validation:
    """Fit on one cohort, judge on another.

    Args:
        model: is fitted here.
        train: the cohort to learn from.
        test: the other, with the same covariates and unit.
        horizons: at which calibration is told.
        draws: of the bootstrap over the test patients; the model stays as it is.
        seed: of fit and draws.

    Raises:
        CohortError: a shared patient, another unit, or a horizon at which nothing can be said.
    """
    return judge(
        model.fit(train, rng=np.random.default_rng(seed)), train, test, horizons, draws=draws, seed=seed
    )  # fmt: skip


def judge(
    model: SurvivalEstimator,
    train: Cohort,
    test: Cohort,
    horizons: tuple[float, ...],
    *,
    draws: int = 200,
    seed: int = 0,
) -> Validation:
    """A model that was fitted to one cohort on another; as :func:`validate`.

    Raises:
        CohortError: likewise.
    """
    refuse_shared(train, test)
    if train.unit != test.unit:
        raise CohortError(
            f"{train.name} is in {train.unit}, {test.name} in {test.unit}; bring them to one unit"
        )
    rng = np.random.default_rng(seed)
    end = model.domain_[1]
    until = float(min(end, np.quantile(test.time[test.event == 1], 0.9)))
    grid = np.linspace(np.quantile(test.time[test.event == 1], 0.1), until, GRID)
    risk = model.predict_risk(test.covariates, until)
    curves = model.predict_survival(test.covariates, grid)
    event_by = {
        h: 1 - model.predict_survival(test.covariates, np.array([h]))[:, 0] for h in horizons
    }
    rows = [rng.integers(len(test), size=len(test)) for _ in range(draws)]
    drawn = [(test.drawn(own), own) for own in rows]

    def figure(told: Callable[[Cohort, NDArray[np.int64]], float]) -> Figure:
        return _figure(told(test, np.arange(len(test))), [told(*one) for one in drawn])

    order = np.argsort(test.time)
    at_own = model.predict_survival(test.covariates, np.minimum(test.time[order], end))
    own_time = np.empty(len(test))
    own_time[order] = at_own[order, np.arange(len(test))]
    return Validation(
        train.name, test.name, model.kind, len(test), test.events,
        figure(lambda cohort, own: harrell(cohort, risk[own])),
        figure(lambda cohort, own: uno(train, cohort, risk[own], until)),
        figure(lambda cohort, own: integrated_brier(train, cohort, curves[own], grid)),
        d_calibration(test, own_time),
        {h: _at(test, event_by[h], h, drawn) for h in horizons},
    )  # fmt: skip


def _at(
    test: Cohort,
    event_by: Floats,
    horizon: float,
    draws: Sequence[tuple[Cohort, NDArray[np.int64]]],
) -> AtTime:
    whole = at_horizon(test, event_by, horizon)
    told = [found for cohort, own in draws if (found := _drawn(cohort, event_by[own], horizon))]

    def figure(of: Callable[[AtHorizon], float]) -> Figure:
        return _figure(of(whole), [of(found) for found in told])

    return AtTime(
        whole, figure(lambda h: h.predicted - h.observed), figure(lambda h: h.slope), figure(lambda h: h.ici),
        decision_curve(test, event_by, horizon, THRESHOLDS),
    )  # fmt: skip


def _drawn(cohort: Cohort, event_by: Floats, horizon: float) -> AtHorizon | None:
    """None where a draw has too few events to say anything."""
    try:
        return at_horizon(cohort, event_by, horizon)
    except CohortError:
        return None


def _figure(value: float, draws: Sequence[float]) -> Figure:
    low, high = (
        np.nanquantile(draws, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)) if draws else (np.nan,) * 2
    )
    return Figure(value, float(low), float(high))
