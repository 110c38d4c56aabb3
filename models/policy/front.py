"""Plans between which nobody but the patient can choose: more control only for more toxicity.

Every point of the front is found by differential evolution (Storn & Price 1997; SciPy's) with the other
objective as a bound, which is how fronts of any shape are reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, differential_evolution

from models.policy.toxicity import Toxicity
from models.policy.weekly import WeeklyProblem

Values = NDArray[np.float64]

POPULATION = 10
"""Plans tried at once, per week."""
ROUNDS = 80
SLACK = 1e-6
"""By how much of its size a bound may be missed, for the sake of rounding."""
INWARD = 1e-9
"""Gy that a first plan stays off its bounds, which SciPy may miss by rounding."""
INFEASIBLE = 1e6
"""More than any objective: plans that miss their bound are ranked by how far, behind all that do not."""


@dataclass(frozen=True)
class Plan:
    """One plan: dose per fraction of each week (Gy), how long it controls (days), what it costs."""

    doses_gy: tuple[float, ...]
    control_days: float
    toxicity: float


def judged(problem: WeeklyProblem, toxicity: Toxicity, doses_gy: Values) -> Plan:
    """A plan that somebody made, (weeks,)."""
    tried = np.asarray(doses_gy, np.float64)[None]
    return Plan(
        tuple(float(round(d, 4)) for d in tried[0]),
        float(problem.control_days(tried)[0]),
        float(toxicity(tried, problem.per_week)[0]),
    )


def least_toxic(
    problem: WeeklyProblem, toxicity: Toxicity, *, cap_gy: float, control_days: float, seed: int
) -> Plan:
    """The plan of least toxicity that controls as long as asked for.

    Args:
        problem: whose plans.
        toxicity: to be least.
        cap_gy: largest dose of a fraction.
        control_days: superquantile of the progression days, at least.
        seed: of the search.
    """
    size = float(toxicity(problem.standard()[None], problem.per_week)[0])

    def cost(doses: Values) -> Values:
        missed = 1.0 - problem.control_days(doses) / control_days
        return _feasible_first(toxicity(doses, problem.per_week) / size, missed)

    start = np.minimum(problem.standard(), cap_gy)
    return _searched(problem, toxicity, cost, (0.0, cap_gy), start, seed)


def longest_control(
    problem: WeeklyProblem,
    toxicity: Toxicity,
    *,
    cap_gy: float,
    budget: float,
    seed: int,
    least_gy: float = 0.0,
    rounds: int = ROUNDS,
) -> Plan:
    """The plan that controls longest for a toxicity of at most ``budget``; see :func:`least_toxic`.

    Raises:
        ValueError: fractions of ``least_gy`` cost more than the budget.
    """
    least = judged(problem, toxicity, problem.standard(least_gy))
    if least.toxicity > budget * (1.0 + SLACK):
        raise ValueError(f"fractions of {least_gy:g} Gy cost {least.toxicity:g}, over {budget:g}")
    size = float(problem.control_days(problem.standard()[None])[0])

    def over_budget(dose: float) -> float:
        return judged(problem, toxicity, problem.standard(dose)).toxicity - budget

    even = cap_gy if over_budget(cap_gy) <= 0.0 else brentq(over_budget, least_gy, cap_gy)

    def cost(doses: Values) -> Values:
        over = toxicity(doses, problem.per_week) / budget - 1.0
        return _feasible_first(-problem.control_days(doses) / size, over)

    start = problem.standard(max(least_gy, even * (1.0 - SLACK)))
    return _searched(problem, toxicity, cost, (least_gy, cap_gy), start, seed, rounds)


def undominated(plans: list[Plan]) -> tuple[Plan, ...]:
    """Plans that no other one beats in both objectives, by rising toxicity."""
    kept: list[Plan] = []
    for plan in sorted(plans, key=lambda p: (p.toxicity, -p.control_days)):
        if not kept or plan.control_days > kept[-1].control_days:
            kept.append(plan)
    return tuple(kept)


def _feasible_first(objective: Values, missed: Values) -> Values:
    """Deb 2000, Comput Methods Appl Mech Eng 186:311: a plan within its bound beats any that is not."""
    return np.where(missed > SLACK, INFEASIBLE + missed, objective)


def _searched(
    problem: WeeklyProblem,
    toxicity: Toxicity,
    cost: Callable[[Values], Values],
    bounds_gy: tuple[float, float],
    start: Values,
    seed: int,
    rounds: int = ROUNDS,
) -> Plan:
    found = differential_evolution(
        lambda doses: cost(doses.T),
        [bounds_gy] * problem.weeks,
        vectorized=True,
        updating="deferred",
        popsize=POPULATION,
        maxiter=rounds,
        tol=SLACK,
        polish=False,
        init="sobol",
        x0=np.clip(start, *(np.array(bounds_gy) + INWARD * np.array([1.0, -1.0]))),
        rng=np.random.default_rng(seed),
    )
    return judged(problem, toxicity, found.x)
