"""The margin plan and the model's plan of the same size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.policy.margin import margin_plans

SHAPE = (21, 19, 17)
X, Y, Z = np.indices(SHAPE)
BALL = np.sqrt((X - 10.0) ** 2 + (Y - 9.0) ** 2 + (Z - 8.0) ** 2)
BRAIN = BALL < 9.0
CORE_MM = BALL - 2.0


def test_an_even_tumor_in_even_brain_makes_both_plans_the_same():
    plans = margin_plans(np.exp(-BALL), CORE_MM, BRAIN, margin_mm=4.0)
    assert np.array_equal(plans.usual, BALL <= 6.0)
    assert np.array_equal(plans.model, plans.usual)
    assert plans.overlap == 1.0


def test_cells_that_go_one_way_are_covered_better_by_the_model():
    cells = np.exp(-np.sqrt(((X - 13.0) / 2.0) ** 2 + (Y - 9.0) ** 2 + (Z - 8.0) ** 2))
    plans = margin_plans(cells, CORE_MM, BRAIN, margin_mm=3.0)
    recurrence = (X > 15) & (abs(Y - 9) < 2) & (abs(Z - 8) < 2) & BRAIN
    usual, model = plans.coverage(recurrence)
    assert model > usual
    held = plans.held(cells, BRAIN & (CORE_MM > 0))
    assert held[1] > held[0]
    assert plans.overlap < 1.0


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), margin=st.floats(0, 8))
def test_both_plans_are_as_large_lie_in_the_brain_and_the_model_holds_most_cells(seed, margin):
    cells = np.random.default_rng(seed).random(SHAPE) * (BALL < 7)
    plans = margin_plans(cells, CORE_MM, BRAIN, margin_mm=margin)
    assert plans.model.sum() == plans.usual.sum() > 0
    assert not (plans.model & ~BRAIN).any()
    usual, model = plans.held(cells, BRAIN)
    assert model >= usual - 1e-12


def test_what_cannot_be_planned_is_refused():
    with pytest.raises(ValueError, match="differ"):
        margin_plans(np.zeros((2, 2, 2)), CORE_MM, BRAIN)
    with pytest.raises(ValueError, match="not negative"):
        margin_plans(BALL, CORE_MM, BRAIN, margin_mm=-1.0)
    with pytest.raises(ValueError, match="no brain"):
        margin_plans(BALL, CORE_MM, np.zeros(SHAPE, bool))
    plans = margin_plans(BALL, CORE_MM, BRAIN)
    with pytest.raises(ValueError, match="cannot be covered"):
        plans.coverage(np.zeros(SHAPE, bool))
