"""Choosing plans: the risk they are judged by, what they cost, and fronts that nothing beats."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.treatment import RadiotherapyCourse, Regimen
from models.policy.front import Plan, least_toxic, longest_control, undominated
from models.policy.superquantile import lower_superquantile
from models.policy.toxicity import bed3, metrics, ntcp_of, physical_dose
from models.policy.weekly import WeeklyProblem
from models.response.dose_volume import DoseVolume
from models.response.ensemble import Response
from models.response.radiotherapy import bed_gy
from models.simulation import PROGRESSION_FACTOR, Twin, simulate
from pipelines.config import organs

BRAIN = next(organ for organ in organs() if organ.name == "brain")
PART = np.ones(1), np.array([0.2])


def problem(members: int = 20, level: float = 0.8) -> WeeklyProblem:
    rng = np.random.default_rng(0)
    spread = rng.standard_normal((3, members))
    twin = Twin(
        np.full(members, 3e4),
        0.045 * np.exp(0.2 * spread[0]),
        9e4 * np.exp(0.1 * spread[1]),
        Response(0.05 * np.exp(0.2 * spread[2]), np.full(members, 10.0), {}),
    )
    return WeeklyProblem(twin, level=level)


def weekly(doses) -> Regimen:
    courses = [
        RadiotherapyCourse(fractions=5, dose_per_fraction_gy=dose, start_day=7.0 * week)
        for week, dose in enumerate(doses)
    ]
    return Regimen(name="x", fractions=tuple(f for course in courses for f in course.expand()))


def test_half_the_dose_at_the_tumor_controls_as_half_the_plan():
    plans = np.array([[2.0] * 6, [1.0] * 6])
    half = replace(problem(), relative_dose=0.5)
    assert half.progression_days(plans[:1]) == pytest.approx(problem().progression_days(plans[1:]))


def test_the_superquantile_is_the_mean_of_the_worst():
    values = np.array([5.0, 1.0, 3.0, 2.0, 4.0])
    assert lower_superquantile(values, 0.0) == pytest.approx(3.0)
    assert lower_superquantile(values, 0.6) == pytest.approx(1.5)
    assert lower_superquantile(values, 0.7) == pytest.approx((1.0 + 0.5 * 2.0) / 1.5)
    assert lower_superquantile(values, 0.99) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="level"):
        lower_superquantile(values, 1.0)


@given(st.lists(st.floats(0, 1e3), min_size=2, max_size=20), st.floats(0, 0.99), st.floats(0, 0.99))
def test_more_caution_never_promises_more(values, one, other):
    low, high = sorted((one, other))
    assert lower_superquantile(np.array(values), high) <= lower_superquantile(
        np.array(values), low
    ) + 1e-9 * max(values)


def test_the_day_of_progression_is_where_the_simulation_passes_it():
    one = problem(members=1)
    for doses in ([2.0] * 6, [0.0, 0.0, 3.0, 3.0, 3.0, 3.0], [0.0] * 6, [4.0, 0, 0, 0, 0, 0]):
        (day,) = one.progression_days(np.array([doses]))[0]
        path = simulate(one.twin, weekly(doses), horizon_days=400, save_every_days=0.05)
        grown = path.volume_mm3[0] >= PROGRESSION_FACTOR * one.twin.volume_mm3[0]
        assert day == pytest.approx(path.days[grown.argmax()], abs=0.06)


def test_a_tumor_that_never_grows_that_large_never_progresses():
    small = Twin(
        np.array([1e4]), np.array([0.05]), np.array([1.2e4]), Response(*np.ones((2, 1)), {})
    )
    assert WeeklyProblem(small).progression_days(np.zeros((1, 6))) == pytest.approx(3650.0)


@settings(deadline=None, max_examples=40)
@given(
    doses=st.lists(st.floats(0, 4), min_size=6, max_size=6),
    week=st.integers(0, 5),
    extra=st.floats(0, 3),
)
def test_more_dose_never_shortens_control_and_never_costs_less(doses, week, extra):
    more = list(doses)
    more[week] += extra
    plans = np.array([doses, more])
    days = problem().progression_days(plans)
    assert (days[1] >= days[0] - 1e-6).all()
    for toxicity in metrics(BRAIN, *PART).values():
        less, greater = toxicity(plans, 5)
        assert greater >= less - 1e-12


def test_measures_of_toxicity_are_what_they_are_called():
    standard = np.full((1, 6), 2.0)
    assert physical_dose(standard, 5)[0] == pytest.approx(60.0)
    assert bed3(standard, 5)[0] == pytest.approx(bed_gy([2.0] * 30, 3.0))
    # Burman 1991: 60 Gy to all of the brain in fractions of 2 Gy is TD50.
    one = np.ones(1)
    assert ntcp_of(BRAIN, one, one)(standard, 5)[0] == pytest.approx(0.5)
    # gEUD 60 x 0.2^0.25 = 40.1 Gy, Phi((40.1 - 60) / 9).
    assert ntcp_of(BRAIN, *PART)(standard, 5)[0] == pytest.approx(0.0136, abs=1e-4)
    for shares in (np.array([0.7, 0.7]), np.array([-0.1, 0.5]), np.zeros(2)):
        with pytest.raises(ValueError, match="add up to at most 1"):
            ntcp_of(BRAIN, np.ones(2), shares)


@settings(deadline=None, max_examples=40)
@given(shares=st.lists(st.floats(0.01, 1), min_size=1, max_size=6), dose=st.floats(0.1, 4))
def test_ntcp_of_parts_is_that_of_the_dose_volume_histogram(shares, dose):
    part = np.array(shares) / sum(shares)
    counts = np.maximum(np.rint(part * 1000).astype(int), 1)
    relative = np.linspace(0.2, 1.0, len(part))
    voxels = np.repeat(relative, counts) * dose * 30
    known = BRAIN.ntcp(DoseVolume(voxels).eqd2(30, BRAIN.alpha_beta_gy))
    found = ntcp_of(BRAIN, relative, counts / counts.sum())(np.full((1, 6), dose), 5)[0]
    assert found == pytest.approx(known, rel=1e-6, abs=1e-12)


def test_with_the_standard_fraction_as_the_cap_nothing_is_saved_and_with_more_something_is():
    made, dose = problem(), physical_dose
    control = float(made.control_days(made.standard()[None])[0])
    none, some = (
        least_toxic(made, dose, cap_gy=cap, control_days=control, seed=1) for cap in (2.0, 4.0)
    )
    assert none.toxicity == pytest.approx(60.0, abs=0.1)
    assert some.toxicity < 57.0
    for plan in (none, some):
        assert plan.control_days >= control * (1 - 1e-5)
        assert max(plan.doses_gy) <= 4.0


def test_a_budget_is_kept_and_used():
    made = problem()
    plan = longest_control(made, physical_dose, cap_gy=4.0, budget=60.0, seed=1)
    assert 58.0 < plan.toxicity <= 60.0 * (1 + 1e-5)
    assert plan.control_days > made.control_days(made.standard()[None])[0]


def test_a_front_rises_and_the_same_seed_finds_the_same_one():
    def found(budget):
        return longest_control(problem(), physical_dose, cap_gy=3.0, budget=budget, seed=2)

    plans = [found(budget) for budget in (60.0, 40.0, 50.0)]
    front = undominated(plans)
    assert len(front) == 3
    for less, more in pairwise(front):
        assert less.toxicity < more.toxicity
        assert less.control_days < more.control_days
    assert found(40.0) == plans[1]


def test_plans_that_another_beats_are_left_out():
    plans = [Plan((), 10.0, 5.0), Plan((), 9.0, 6.0), Plan((), 12.0, 6.0), Plan((), 12.0, 7.0)]
    assert [(p.control_days, p.toxicity) for p in undominated(plans)] == [(10.0, 5.0), (12.0, 6.0)]
