"""Competing events: closed forms, lifelines' Aalen-Johansen, and that everything sums to one."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from lifelines import AalenJohansenFitter

from data.cohort import Cohort
from data.errors import CohortError
from models.survival.competing import cause_specific, cumulative_incidence
from models.survival.families.base import positive
from models.survival.families.kaplan_meier import KaplanMeier

TIMES = np.array([0.0, 2.0, 5.0, 10.0, 20.0])
RATES = 0.08, 0.04


def drawn(patients, seed=0, factor=1.0):
    """Exponential times; covariate x multiplies the first hazard by ``factor``."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, patients).astype(float)
    first = rng.exponential(1 / (RATES[0] * factor**x))
    second = rng.exponential(1 / RATES[1], patients)
    last = rng.uniform(5, 40, patients)
    time = np.minimum(np.minimum(first, second), last)
    event = np.where(last == time, 0, np.where(first == time, 1, 2))
    ids = np.array([f"P{n:05d}" for n in range(patients)], object)
    return Cohort("made", ids, pd.DataFrame({"x": x}), time, event, "months")


def truth(rates, times):
    """Of constant hazards: lambda_k / lambda (1 - exp(-lambda t))."""
    total = sum(rates)
    return np.array([rate / total * (1 - np.exp(-total * times)) for rate in rates])


def test_incidences_are_those_of_constant_hazards():
    told = cumulative_incidence(drawn(20_000), TIMES)
    assert told == pytest.approx(truth(RATES, TIMES), abs=0.015)


def test_incidences_are_those_of_lifelines():
    cohort = drawn(300)
    told = cumulative_incidence(cohort, TIMES[1:])
    for cause, ours in enumerate(told, 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitter = AalenJohansenFitter(calculate_variance=False).fit(
                positive(cohort.time), cohort.event, event_of_interest=cause
            )
        steps = fitter.cumulative_density_
        place = np.searchsorted(steps.index, TIMES[1:], side="right") - 1
        assert ours == pytest.approx(steps.iloc[place, 0].to_numpy(), abs=1e-9)


def test_one_less_kaplan_meier_is_too_high():
    cohort = drawn(2000)
    told = cumulative_incidence(cohort, np.array([20.0]))[0, 0]
    naive = 1 - KaplanMeier().fit(cohort).predict_survival(
        cohort.covariates.head(1), np.array([20.0])
    )
    assert naive[0, 0] > told + 0.05


def test_a_patient_s_incidences_are_those_of_her_hazards():
    model = cause_specific(drawn(20_000, factor=3.0), penalizer=0.0)
    told = model.incidence(pd.DataFrame({"x": [0.0, 1.0]}), TIMES)
    for n, rates in enumerate([RATES, (RATES[0] * 3, RATES[1])]):
        assert told[:, n] == pytest.approx(truth(rates, TIMES), abs=0.02)


def test_incidences_rise_and_never_sum_to_more_than_one():
    cohort = drawn(400, seed=3, factor=2.0)
    told = cause_specific(cohort).incidence(cohort.covariates.head(20), np.linspace(0, 25, 50))
    assert (told >= -1e-12).all()
    assert (np.diff(told, axis=2) >= -1e-12).all()
    assert (told.sum(axis=0) <= 1 + 1e-12).all()
    assert told[:, :, 0] == pytest.approx(0)


def test_without_a_competing_event_it_is_said():
    cohort = drawn(50)
    alone = Cohort(
        "alone", cohort.ids, cohort.covariates, cohort.time, np.minimum(cohort.event, 1), "months"
    )
    for asked in (lambda: cumulative_incidence(alone, TIMES), lambda: cause_specific(alone)):
        with pytest.raises(CohortError, match="has no competing event; give it the code 2"):
            asked()
    with pytest.raises(CohortError, match="are asked for"):
        cause_specific(cohort).incidence(cohort.covariates, np.array([1e6]))
