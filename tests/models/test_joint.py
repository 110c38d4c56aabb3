"""The joint model: it gives the survival model's curve back, and only later progression makes it better."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.survival.joint import PROGRESSED, before_progression, exposure, survival_of

MONTHS = np.arange(0.0, 37.0)
TIMES = st.lists(st.floats(0, 60) | st.just(np.inf), min_size=1, max_size=30)


def weibull(scale=18.0, shape=1.3):
    return np.exp(-((MONTHS / scale) ** shape))


@settings(deadline=None)
@given(TIMES, st.floats(1, 12), st.floats(6, 60), st.floats(0.7, 2))
def test_under_the_reference_it_is_the_survival_model_s_curve(progression, ratio, scale, shape):
    exposed = exposure(MONTHS, np.array(progression), ratio)
    curve = weibull(scale, shape)
    told = survival_of(before_progression(curve, exposed), exposed)
    assert told == pytest.approx(curve, abs=1e-7)


@settings(deadline=None)
@given(TIMES, st.floats(0, 24))
def test_later_progression_never_lowers_survival(progression, delay):
    usual = exposure(MONTHS, np.array(progression), PROGRESSED.value)
    hazard = before_progression(weibull(), usual)
    later = exposure(MONTHS, np.array(progression) + delay, PROGRESSED.value)
    assert (survival_of(hazard, later) >= survival_of(hazard, usual) - 1e-9).all()


def test_constant_hazards_have_their_closed_form():
    """One member that progresses at 6.5 months: S = exp(-h (t + (r - 1) max(t - 6.5, 0)))."""
    exposed = exposure(MONTHS, np.array([6.5]), 4.0)
    told = survival_of(np.full(36, 0.02), exposed)
    right = np.exp(-0.02 * (MONTHS + 3.0 * np.maximum(MONTHS - 6.5, 0)))
    assert told == pytest.approx(right, abs=1e-12)


def test_the_published_interval_is_that_of_the_draws():
    drawn = PROGRESSED.draw(200_000, np.random.default_rng(0))
    assert np.quantile(drawn, (0.025, 0.5, 0.975)) == pytest.approx((5.15, 6.59, 8.43), rel=0.01)
