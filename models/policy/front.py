"""Plans between which nobody but the patient can choose: more control only for more toxicity.

Every point of the front is found by differential evolution (Storn & Price 1997; SciPy's) with the other
objective as a bound, which is how fronts of any shape are reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import differential_evolution

from models.policy.toxicity import Toxicity
from models.policy.weekly import WeeklyProblem

Values = NDArray[np.float64]

POPULATION = 10
"""Plans tried at once, per week."""
ROUNDS = 80
SLACK = 1e-6
"""By how much of its size a bound may be missed, for the sake of rounding."""
INFEASIBLE = 1e6
"""More than any objective: plans that miss their bound are ranked by how far, behind all that do not."""


@dataclass(frozen=True)
class Plan:
    """One plan: dose per fraction of each week (Gy), how long it controls (days), what it costs."""

    doses_gy: tuple[float, ...]
    control_days: float
    toxicity: float


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

    return _searched(problem, toxicity, cost, cap_gy, seed)


def longest_control(
    problem: WeeklyProblem, toxicity: Toxicity, *, cap_gy: float, budget: float, seed: int
) -> Plan:
    """The plan that controls longest for a toxicity of at most ``budget``; see :func:`least_toxic`."""
    size = float(problem.control_days(problem.standard()[None])[0])

    def cost(doses: Values) -> Values:
        over = toxicity(doses, problem.per_week) / budget - 1.0
        return _feasible_first(-problem.control_days(doses) / size, over)

    return _searched(problem, toxicity, cost, cap_gy, seed)


def front(
    problem: WeeklyProblem,
    toxicity: Toxicity,
    *,
    cap_gy: float,
    budgets: Values,
    seed: int,
    on_point: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Plan, ...]:
    """Longest control for each of some budgets, without plans that another one beats in both.

    Args:
        problem: whose plans.
        toxicity: that the budgets are of.
        cap_gy: largest dose of a fraction.
        budgets: (points,).
        seed: of the search.
        on_point: told how many are done, of how many; what it raises ends the search.
    """
    found = []
    for n, budget in enumerate(budgets):
        plan = longest_control(problem, toxicity, cap_gy=cap_gy, budget=float(budget), seed=seed)
        found.append(plan)
        on_point(n + 1, len(budgets))
    return undominated(found)


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
    cap_gy: float,
    seed: int,
) -> Plan:
    found = differential_evolution(
        lambda doses: cost(doses.T),
        [(0.0, cap_gy)] * problem.weeks,
        vectorized=True,
        updating="deferred",
        popsize=POPULATION,
        maxiter=ROUNDS,
        tol=SLACK,
        polish=False,
        init="sobol",
        x0=np.minimum(problem.standard(), cap_gy),
        rng=np.random.default_rng(seed),
    )
    doses = np.asarray(found.x, np.float64)[None]
    return Plan(
        tuple(float(round(d, 4)) for d in doses[0]),
        float(problem.control_days(doses)[0]),
        float(toxicity(doses, problem.per_week)[0]),
    )
