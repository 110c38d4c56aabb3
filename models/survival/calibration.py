"""Whether predicted probabilities are what happens: at horizons, and over all of time."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from lifelines.exceptions import ConvergenceError
from numpy.typing import NDArray
from scipy.stats import chi2
from sksurv.nonparametric import kaplan_meier_estimator

from data.cohort import Cohort
from data.errors import CohortError
from models.survival.families.base import Floats, at_times, positive
from models.survival.scores import censoring_weights

BINS = 10
KNOTS = (0.1, 0.5, 0.9)
"""Quantiles of a restricted cubic spline with three knots (Harrell 2001)."""
EDGE = 1e-6
LEAST_EVENTS = 20
"""Below, nothing is said of how well a model is calibrated."""


@dataclass(frozen=True)
class DCalibration:
    """How the probabilities given at patients' own event times are spread: evenly, if they are right.

    Args:
        shares: (10,) of the patients by tenth of the probability, the lowest first.
        p: of the chi-squared test; small where the spread is not even.
    """

    shares: Floats
    statistic: float
    p: float


def d_calibration(cohort: Cohort, at_own_time: Floats) -> DCalibration:
    """Distribution calibration of survival probabilities (Haider 2020, JMLR 21:85).

    A patient last seen without an event counts in all tenths below, as one whose event is still to come.

    Args:
        cohort: the patients.
        at_own_time: (n,) each one's predicted probability to survive beyond the own time.
    """
    survival = np.clip(at_own_time, 0.0, 1.0)
    edges = np.linspace(0.0, 1.0, BINS + 1)
    dead = cohort.event == 1
    counts = np.histogram(survival[dead], edges)[0].astype(float)
    for own in survival[~dead]:
        if own <= 0:
            counts[0] += 1
            continue
        overlap = np.clip(np.minimum(edges[1:], own) - edges[:-1], 0.0, None)
        counts += overlap / own
    expected = len(cohort) / BINS
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return DCalibration(counts / len(cohort), statistic, float(chi2.sf(statistic, BINS - 1)))


@dataclass(frozen=True)
class AtHorizon:
    """Calibration of the probability of the event by one time.

    Args:
        predicted: mean probability.
        observed: by Kaplan-Meier.
        intercept: log odds to be added to all predictions; 0 is right.
        slope: of the log odds; below 1 predictions are too extreme.
        ici: mean distance between predicted and smoothed observed probability; ``e50``, ``e90`` its quantiles.
        smoothed: (n,) observed probability at each patient's prediction.
    """

    horizon: float
    predicted: float
    observed: float
    intercept: float
    slope: float
    ici: float
    e50: float
    e90: float
    smoothed: Floats


def at_horizon(cohort: Cohort, event_by: Floats, horizon: float) -> AtHorizon:
    """Calibration in the large, slope and the integrated calibration index (Austin 2020, doi:10.1002/sim.8570).

    Args:
        cohort: the patients.
        event_by: (n,) predicted probability of the event by the horizon.
        horizon: in the cohort's unit.

    Raises:
        CohortError: too few events by the horizon, or nobody followed to it.
    """
    time = positive(cohort.time)
    happened = int(((cohort.event == 1) & (time <= horizon)).sum())
    if happened < LEAST_EVENTS or horizon >= time.max():
        raise CohortError(
            f"{cohort.name}: {happened} events by {horizon:g} {cohort.unit} and follow-up to {time.max():g}; "
            f"calibration there needs {LEAST_EVENTS} events and patients that were followed beyond"
        )
    p = np.clip(event_by, EDGE, 1 - EDGE)
    smoothed = smoothed_observed(cohort, p, horizon)
    distance = np.abs(p - smoothed)
    intercept, slope = _logistic(cohort, p, horizon)
    return AtHorizon(
        horizon, float(p.mean()), observed_by(cohort, horizon), intercept, slope, float(distance.mean()),
        float(np.median(distance)), float(np.quantile(distance, 0.9)), smoothed,
    )  # fmt: skip


def observed_by(cohort: Cohort, horizon: float) -> float:
    """Share with the event by a time, by Kaplan-Meier."""
    steps, curve = kaplan_meier_estimator(cohort.event == 1, positive(cohort.time))
    return float(1 - at_times(steps, curve[None], np.array([horizon]))[0, 0])


def smoothed_observed(cohort: Cohort, event_by: Floats, horizon: float) -> Floats:
    """(n,) observed probability by the horizon as a smooth function of the predicted one.

    A Cox model on a restricted cubic spline of the complementary log-log of the prediction.
    """
    score = np.log(-np.log(1 - event_by))
    if np.ptp(score) < EDGE:
        return np.full(len(score), observed_by(cohort, horizon))
    columns = _spline(score)
    frame = pd.DataFrame(columns).assign(time=positive(cohort.time), event=cohort.event == 1)
    for penalizer in (0.0, 1e-4, 1e-2):
        fitter = CoxPHFitter(penalizer=penalizer)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fitter.fit(frame, duration_col="time", event_col="event")
            told = fitter.predict_survival_function(frame, times=[horizon])
            return np.asarray(1 - told.to_numpy(float)[0])
        except (ConvergenceError, ValueError, np.linalg.LinAlgError):
            continue
    return np.full(len(score), observed_by(cohort, horizon))


def _spline(values: Floats) -> Floats:
    """(n, 2) restricted cubic spline; only the values themselves where knots fall together."""
    a, b, c = np.quantile(values, KNOTS)
    if b - a < EDGE or c - b < EDGE:
        return values[:, None]

    def cubed(x: Floats) -> Floats:
        return np.maximum(x, 0.0) ** 3

    bent = (
        cubed(values - a)
        - cubed(values - b) * (c - a) / (c - b)
        + cubed(values - c) * (b - a) / (c - b)
    )
    return np.column_stack([values, bent / (c - a) ** 2])


def _logistic(cohort: Cohort, p: Floats, horizon: float) -> tuple[float, float]:
    """Intercept with the slope at 1, and slope, of a logistic regression with IPCW weights."""
    weight = censoring_weights(cohort, np.array([horizon]))[:, 0]
    happened = (positive(cohort.time) <= horizon) & (cohort.event == 1)
    logit = np.log(p / (1 - p))
    intercept = _newton(np.ones((len(p), 1)), happened, weight, logit)[0]
    slope = _newton(np.column_stack([np.ones(len(p)), logit]), happened, weight, np.zeros(len(p)))[
        1
    ]
    return float(intercept), float(slope)


def _newton(x: Floats, y: NDArray[np.bool_], weight: Floats, offset: Floats) -> Floats:
    """Weighted logistic regression."""
    beta = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-(np.clip(x @ beta + offset, -30, 30))))
        gradient = x.T @ (weight * (y - p))
        curvature = (x * (weight * p * (1 - p))[:, None]).T @ x + 1e-10 * np.eye(len(beta))
        step = np.linalg.solve(curvature, gradient)
        beta += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    return beta


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit of treating who is above a threshold of risk, per patient (Vickers 2008).

    Args:
        thresholds: (k,) probabilities of the event by the horizon.
        model: (k,) net benefit by the model.
        everyone: (k,) of treating all; of treating nobody it is 0.
    """

    thresholds: Floats
    model: Floats
    everyone: Floats


def decision_curve(
    cohort: Cohort, event_by: Floats, horizon: float, thresholds: Floats
) -> DecisionCurve:
    """By Kaplan-Meier among those above each threshold (doi:10.1186/1472-6947-8-53)."""
    odds = thresholds / (1 - thresholds)
    overall = observed_by(cohort, horizon)
    found = []
    for threshold, weight in zip(thresholds, odds, strict=True):
        above = event_by >= threshold
        share = float(above.mean())
        if above.sum() < 2:
            found.append(0.0)
            continue
        event = observed_by(cohort.take(above), horizon)
        found.append(share * (event - (1 - event) * weight))
    return DecisionCurve(thresholds, np.array(found), overall - (1 - overall) * odds)
