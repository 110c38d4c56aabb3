"""Plans of weekly doses for one avatar, between how long they control the tumor and what they cost.

Planned on the density at the place where the tumor's edge would be at progression: it divides there and gets
the target's mean dose, but does not move, so that a plan costs microseconds. Whoever picks a plan gets it
solved in space. All of it is in silico.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from data.avatar import Avatar
from data.errors import RegimenError
from data.store import AvatarStore
from data.treatment import Fraction, RadiotherapyCourse, Regimen, RegimenPlan
from models.growth.visible import EDGES, VisibleTumor, place_on_wave, wave
from models.policy.front import Plan, judged, longest_control, undominated
from models.policy.toxicity import metrics
from models.policy.weekly import WeeklyProblem
from models.simulation import PROGRESSION_FACTOR, Twin
from models.spatial import SpatialTwin, relative_dose
from pipelines.calibrate import calibrated_twin
from pipelines.config import organ, twin_prior
from pipelines.sites.registry import SITES
from pipelines.space import ENSEMBLE_MM, TumorInSpace, spatial_twin_of, tumor_in_space
from pipelines.steps import StepResult, remembered

Values = NDArray[np.float64]
Doses = NDArray[np.floating[Any]]
Metric = Literal["physical dose", "BED3", "NTCP"]
METRICS: tuple[Metric, ...] = ("physical dose", "BED3", "NTCP")
UNITS = {"physical dose": "Gy", "BED3": "Gy", "NTCP": "of brain necrosis"}
STANDARD_GY = 2.0
MOST_LEAST_GY = 2.0
"""Largest smallest fraction that may be asked for."""
START_DAY = 28.0
"""Of radiotherapy that is added to a regimen without any."""
LEAST, MOST = 0.4, 1.3
"""Budgets of the front's ends, as shares of the standard course's physical dose or BED3."""
LEAST_NTCP, MOST_NTCP = 0.02, 10.0
"""The same of a probability, which changes much faster."""
ROUNDS = 200
DOSE_BINS = 40


class FrontPlan(BaseModel):
    """One plan: dose of each fraction of a week (Gy), what the worst of the members get of it, its cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    doses_gy: tuple[float, ...]
    control_days: float = Field(description="superquantile, from the first fraction to progression")
    toxicity: float

    @property
    def total_gy(self) -> float:
        """Physical dose of five fractions a week."""
        return 5.0 * sum(self.doses_gy)


class PlanFront(BaseModel):
    """Plans that no other one beats in both, by rising toxicity, and the usual course beside them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patient_id: str
    base: str = Field(description="the regimen whose radiotherapy was planned anew")
    metric: Metric
    least_gy: float
    cap_gy: float
    level: float = Field(description="of the superquantile: 0.8 is the mean of the worst fifth")
    members: int
    seed: int
    standard: FrontPlan
    plans: tuple[FrontPlan, ...]


class _Found(StepResult):
    plan: FrontPlan


def plan_front(
    avatar: Avatar,
    store: AvatarStore,
    base: RegimenPlan,
    *,
    metric: Metric,
    cap_gy: float,
    least_gy: float = 1.0,
    level: float = 0.8,
    weeks: int = 6,
    points: int = 9,
    seed: int = 1,
    on_point: Callable[[int, int], None] = lambda done, total: None,
) -> PlanFront:
    """Search the front; each point is kept in the store, so that a search that was stopped goes on.

    Args:
        avatar: whose tumor.
        store: that holds its volumes.
        base: whose target is irradiated; its radiotherapy is planned anew.
        metric: of toxicity.
        cap_gy: largest dose of a fraction.
        least_gy: smallest. The model knows no reason to hurry: without one, plans put off most of the dose.
        level: of the superquantile of control that plans are judged by.
        weeks: of treatment, five fractions each.
        points: budgets that are tried.
        seed: of the search.
        on_point: told how many are done, of how many; what it raises ends the search.

    Raises:
        RegimenError: a patient whose tumor does not grow in space, or numbers that cannot be.
    """
    _require(least_gy, cap_gy, level, weeks, points)
    tumor, twin = _in_space(avatar, store)
    problem = edge_problem(twin, _relative(twin.tumor, base), level=level, weeks=weeks)
    relative, shares = _brain_histogram(tumor, base)
    brain = organ("brain")
    toxicity = metrics(brain, relative, shares)[metric]
    standard = judged(problem, toxicity, problem.standard(STANDARD_GY))
    if standard.toxicity <= 0.0:
        raise RegimenError(
            f"{base.name}: its target leaves the brain without dose, so nothing can be weighed"
        )
    found = []
    shares_of_standard = (
        np.geomspace(LEAST_NTCP, MOST_NTCP, points)
        if metric == "NTCP"
        else np.linspace(LEAST, MOST, points)
    )
    floor = judged(problem, toxicity, problem.standard(least_gy)).toxicity
    budgets = [b for b in shares_of_standard * standard.toxicity if b > floor]
    for n, budget in enumerate(budgets):

        def make(budget: float = float(budget)) -> _Found:
            plan = longest_control(
                problem,
                toxicity,
                cap_gy=cap_gy,
                budget=budget,
                seed=seed,
                least_gy=least_gy,
                rounds=ROUNDS,
            )
            return _Found(plan=_told(plan))

        key = [
            [v.tolist() for v in (twin.proliferation, problem.twin.volume_mm3, relative, shares)],
            [v.tolist() for v in (twin.response.alpha_per_gy, twin.response.alpha_beta_gy)],
            problem.relative_dose,
            [metric, least_gy, cap_gy, float(budget), level, weeks, seed, ROUNDS],
            [brain.model_dump(mode="json")],
        ]
        result, _ = remembered(store, "plan", key, _Found, make)
        found.append(Plan(**result.plan.model_dump()))
        on_point(n + 1, len(budgets))
    return PlanFront(
        patient_id=avatar.patient_id,
        base=base.name,
        metric=metric,
        least_gy=least_gy,
        cap_gy=cap_gy,
        level=level,
        members=twin.members,
        seed=seed,
        standard=_told(standard),
        plans=tuple(map(_told, undominated(found))),
    )


def edge_problem(
    twin: SpatialTwin, given: Doses | None, *, level: float, weeks: int
) -> WeeklyProblem:
    """The density where the followed edge would be at progression, from the start of treatment on.

    Progression is 1.40 times the volume: the edge of a ball is then (1.40^(1/3) - 1) radii farther out. The
    front's density there at the scan is the start, capacity is 1, and the edge's density is the goal. The dose
    is the mean over that place.

    Args:
        twin: the ensemble.
        given: (i, j, k) share of the prescribed dose; none where all get all of it.
        level: of the superquantile.
        weeks: of treatment.
    """
    edge = EDGES[twin.followed]
    signed = twin.tumor.region_mm(twin.followed)
    inside = np.count_nonzero(signed < 0.0) * float(np.prod(twin.tumor.domain.spacing_mm))
    ahead = np.cbrt(3.0 * inside / (4.0 * np.pi)) * (np.cbrt(PROGRESSION_FACTOR) - 1.0)
    start = wave(place_on_wave(edge) + ahead / twin.infiltration_mm).astype(np.float64)
    one = np.ones(twin.members)
    return WeeklyProblem(
        Twin(start, twin.proliferation, one, twin.response),
        weeks=weeks,
        level=level,
        goal_mm3=edge * one,
        relative_dose=1.0 if given is None else _mean_at(twin, given, float(ahead)),
    )


def _mean_at(twin: SpatialTwin, given: Doses, ahead_mm: float) -> float:
    """Mean share of the dose where the edge would be so much farther out."""
    signed, domain = twin.tumor.region_mm(twin.followed), twin.tumor.domain
    shell = (np.abs(signed - ahead_mm) <= max(domain.spacing_mm)) & (domain.mobility > 0)
    return float(given[shell].mean()) if shell.any() else 1.0


def as_regimen(plan: FrontPlan, base: RegimenPlan, name: str) -> RegimenPlan:
    """A plan as courses that take the place of the base's radiotherapy; weeks alike are one course."""
    start = base.radiotherapy[0].start_day if base.radiotherapy else START_DAY
    courses, week = [], 0
    for dose, alike in groupby(round(d, 2) for d in plan.doses_gy):
        weeks = len(list(alike))
        if dose > 0:
            courses.append(
                RadiotherapyCourse(
                    fractions=5 * weeks, dose_per_fraction_gy=dose, start_day=start + 7.0 * week
                )
            )
        week += weeks
    source = f"planned in silico on {base.name}; see docs/TWIN.md"
    return base.model_copy(
        update={"name": name[:80], "source": source, "radiotherapy": tuple(courses)}
    )


def _require(least_gy: float, cap_gy: float, level: float, weeks: int, points: int) -> None:
    for name, value, low, high in (
        ("the smallest fraction (Gy)", least_gy, 0.0, MOST_LEAST_GY),
        ("the largest fraction (Gy)", cap_gy, max(0.5, least_gy), 10.0),
        ("the level of the superquantile", level, 0.0, 0.99),
        ("weeks", weeks, 1, 12),
        ("points of the front", points, 2, 40),
    ):
        if not low <= value <= high:
            raise RegimenError(f"{name}: {value:g} was given, it is from {low:g} to {high:g}")


def _in_space(avatar: Avatar, store: AvatarStore) -> tuple[TumorInSpace, SpatialTwin]:
    scan = avatar.latest_scan
    if not (SITES[avatar.site].has_prior and scan):
        raise RegimenError(
            f"{avatar.patient_id}: the site {avatar.site!r} has no growth prior to plan on"
        )
    prior = twin_prior(avatar.prior_class)
    tumor = tumor_in_space(store, scan, prior, voxel_mm=ENSEMBLE_MM, planning=avatar.planning)
    twin = spatial_twin_of(tumor, prior, avatar.record.markers)
    if avatar.calibration is not None:
        twin = calibrated_twin(twin, avatar.calibration)
    return tumor, twin


def _relative(visible: VisibleTumor, base: RegimenPlan) -> Doses | None:
    """Share of the prescribed dose that the base's target gives each voxel, whatever its fractions."""
    one = Fraction(day=0.0, dose_gy=STANDARD_GY)
    return relative_dose(visible, Regimen(name=base.name, target=base.target, fractions=(one,)))


def _brain_histogram(tumor: TumorInSpace, base: RegimenPlan) -> tuple[Values, Values]:
    """Relative dose of the brain outside the core in parts, and their shares of its volume."""
    visible = tumor.visible
    sound = (visible.domain.mobility > 0) & (visible.region_mm("TC") > 0)
    given = _relative(visible, base)
    inside = np.ones(1) if given is None else np.maximum(given[sound], 0.0)
    counts, edges = np.histogram(inside, DOSE_BINS, (0.0, max(float(inside.max()), 1e-6)))
    total = len(inside)
    return (edges[:-1] + edges[1:]) / 2.0, counts / total


def _told(plan: Plan) -> FrontPlan:
    return FrontPlan(
        doses_gy=plan.doses_gy,
        control_days=float(f"{plan.control_days:.6g}"),
        toxicity=float(f"{plan.toxicity:.6g}"),
    )
