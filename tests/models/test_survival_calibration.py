"""Calibration where the truth is known, and against formulas written again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sksurv.metrics import brier_score, concordance_index_ipcw, cumulative_dynamic_auc

from data.cohort import Cohort
from data.errors import CohortError
from models.survival.calibration import (
    at_horizon,
    d_calibration,
    decision_curve,
    observed_by,
    smoothed_observed,
)
from models.survival.scores import (
    auc,
    event_grid,
    integrated_brier,
    stratified_folds,
    structured,
    uno,
)

HORIZON = 12.0


def truth(n=6000, seed=0):
    """Exponential survival whose rate is known, seen last at random times; and each patient's rate."""
    rng = np.random.default_rng(seed)
    score = rng.normal(0, 0.8, n)
    rate = np.exp(score) / 18
    time, last = rng.exponential(1 / rate), rng.uniform(3, 60, n)
    ids = np.array([str(i) for i in range(n)], object)
    seen, event = np.minimum(time, last), (time <= last).astype(int)
    return Cohort("truth", ids, pd.DataFrame({"score": score}), seen, event, "months"), rate


def stretched(p, factor, shift=0.0):
    """Probabilities whose log odds are multiplied and moved."""
    odds = factor * np.log(p / (1 - p)) + shift
    return 1 / (1 + np.exp(-odds))


def test_the_truth_is_calibrated():
    cohort, rate = truth()
    found = at_horizon(cohort, 1 - np.exp(-rate * HORIZON), HORIZON)
    assert found.intercept == pytest.approx(0, abs=0.1)
    assert found.slope == pytest.approx(1, abs=0.08)
    assert found.ici < 0.012
    assert found.predicted == pytest.approx(found.observed, abs=0.02)
    assert found.e50 <= found.e90


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_stretched_predictions_have_the_inverse_slope(factor):
    cohort, rate = truth()
    told = stretched(1 - np.exp(-rate * HORIZON), factor)
    assert at_horizon(cohort, told, HORIZON).slope == pytest.approx(1 / factor, rel=0.08)


def test_shifted_predictions_have_the_opposite_intercept_and_a_known_distance():
    cohort, rate = truth()
    p = 1 - np.exp(-rate * HORIZON)
    told = stretched(p, 1.0, 0.7)
    found = at_horizon(cohort, told, HORIZON)
    assert found.intercept == pytest.approx(-0.7, abs=0.1)
    assert found.ici == pytest.approx(np.abs(told - p).mean(), abs=0.012)


def test_the_smooth_curve_follows_a_known_bend():
    cohort, rate = truth()
    p = 1 - np.exp(-rate * HORIZON)
    assert smoothed_observed(cohort, stretched(p, 1.6, -0.4), HORIZON) == pytest.approx(p, abs=0.05)


def test_the_truth_is_d_calibrated_and_a_wrong_rate_is_not():
    passed = []
    for seed in range(20):
        cohort, rate = truth(800, seed)
        passed.append(d_calibration(cohort, np.exp(-rate * cohort.time)).p > 0.05)
        assert d_calibration(cohort, np.exp(-1.6 * rate * cohort.time)).p < 0.01
    assert np.mean(passed) > 0.8


def test_patients_seen_last_are_spread_as_their_own_chances_say():
    """Haider 2020: given that one lives on, the probability at the event is even below today's."""
    cohort, rate = truth(300)
    own = np.exp(-rate * cohort.time)
    rng = np.random.default_rng(1)
    drawn = np.zeros(10)
    for _ in range(400):
        later = np.where(cohort.event == 1, own, own * rng.uniform(size=len(own)))
        drawn += np.histogram(later, np.linspace(0, 1, 11))[0] / len(own) / 400
    assert d_calibration(cohort, own).shares == pytest.approx(drawn, abs=0.004)


def test_a_decision_curve_is_that_of_its_formula():
    cohort, rate = truth()
    p = 1 - np.exp(-rate * HORIZON)
    thresholds = np.array([0.2, 0.5, 0.8])
    found = decision_curve(cohort, p, HORIZON, thresholds)
    wanted = [
        (p[p >= t].sum() - (1 - p[p >= t]).sum() * t / (1 - t)) / len(p) for t in thresholds
    ]  # the expectation, since p is the truth
    assert found.model == pytest.approx(wanted, abs=0.02)
    overall = observed_by(cohort, HORIZON)
    assert found.everyone == pytest.approx(overall - (1 - overall) * thresholds / (1 - thresholds))
    assert (found.model >= np.maximum(found.everyone, 0) - 0.01).all()


def test_too_few_events_say_nothing():
    cohort, rate = truth(25)
    with pytest.raises(CohortError, match="needs 20 events"):
        at_horizon(cohort, 1 - np.exp(-rate), 1.0)


def test_scores_are_scikit_survival_s():
    train, _ = truth(400, 1)
    test, risk = truth(300, 2)
    grid = event_grid(train, 20)
    curves = np.exp(-risk[:, None] * grid)
    y, yt = structured(train), structured(test)
    last = yt["time"] > y["time"].max()
    yt["event"][last], yt["time"][last] = False, y["time"].max()
    assert uno(train, test, risk, grid[-1]) == pytest.approx(
        concordance_index_ipcw(y, yt, risk, tau=grid[-1])[0], abs=1e-10
    )
    times, scores = brier_score(y, yt, curves, grid)
    assert integrated_brier(train, test, curves, grid) == pytest.approx(
        np.trapezoid(scores, times) / np.ptp(times), abs=1e-10
    )
    at, mean = auc(train, test, risk, grid)
    assert at == pytest.approx(cumulative_dynamic_auc(y, yt, risk, grid)[0], abs=1e-10)
    assert mean > 0.6


def test_folds_are_stratified_and_hold_each_patient_once():
    cohort, _ = truth(203)
    masks = list(stratified_folds(cohort, 5, np.random.default_rng(0)))
    assert sum(mask.astype(int) for mask in masks).tolist() == [1] * 203
    shares = [cohort.event[mask].mean() for mask in masks]
    assert np.ptp(shares) < 0.06
