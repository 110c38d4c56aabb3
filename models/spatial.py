"""The twin in space: an ensemble of tumors grown from the edges on the scan, under a regimen.

Every member is the same visible tumor with its own velocity, infiltration length and response. All of it is
in silico.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from data.clinical import Markers
from data.errors import RegimenError
from data.treatment import MapTarget, Regimen, UniformTarget
from models.growth.field import Dose, Kill, solve
from models.growth.visible import EDGES, VisibleTumor, visible_volume_mm3, volumes_mm3
from models.inference.prior import PLAIN, ResponseOptions, TwinPrior
from models.response.adaptive import Pauses
from models.response.ensemble import DoseKill, Response
from models.response.pharmacokinetics import KINETICS
from models.simulation import Trajectory, removal_log_kill

Values = NDArray[np.float64]
Field = NDArray[np.floating[Any]]

STEP_DAYS = 8.0
"""Longest step; the solver's error is then about 3e-5 (benchmarks/twin.py)."""
EDGE_SHARE = 0.95
"""Of the prescribed dose at the edge of a planned target."""


@dataclass(frozen=True)
class SpatialTwin:
    """One visible tumor and, per member, how it grows and answers.

    Args:
        tumor: edges on the twin's grid.
        velocity_mm_per_day: (members,) of the front, in white matter.
        infiltration_mm: (members,) sqrt(D / rho).
        shift_mm: (members,) how much farther out the edges are than they were drawn.
        response: of as many members.
        followed: the region whose volume is told and decides of adaptive cycles.
    """

    tumor: VisibleTumor
    velocity_mm_per_day: Values
    infiltration_mm: Values
    shift_mm: Values
    response: Response
    followed: str = "WT"

    @property
    def members(self) -> int:
        """Size of the ensemble."""
        return len(self.velocity_mm_per_day)

    @property
    def diffusivity(self) -> Values:
        """(members,) in white matter, mm2/day."""
        return self.velocity_mm_per_day * self.infiltration_mm / 2.0

    @property
    def proliferation(self) -> Values:
        """(members,) 1/day."""
        return self.velocity_mm_per_day / self.infiltration_mm / 2.0

    def member(self, n: int, times: int = 1) -> SpatialTwin:
        """One member alone, or so many copies of it."""
        rows = np.full(times, n)
        return replace(
            self,
            velocity_mm_per_day=self.velocity_mm_per_day[rows],
            infiltration_mm=self.infiltration_mm[rows],
            shift_mm=self.shift_mm[rows],
            response=self.response.taken(rows),
        )

    @property
    def median_member(self) -> SpatialTwin:
        """The one tumor whose every parameter is the ensemble's median: what a picture shows."""
        return replace(
            self,
            velocity_mm_per_day=np.median(self.velocity_mm_per_day, keepdims=True),
            infiltration_mm=np.median(self.infiltration_mm, keepdims=True),
            shift_mm=np.median(self.shift_mm, keepdims=True),
            response=self.response.median(),
        )


PARAMETERS = ("log velocity", "log infiltration", "edge shift", "log alpha", "log alpha/beta")
"""What calibration changes, in the columns of :func:`parameters_of`; mm/day, mm, mm, 1/Gy, Gy."""


def parameters_of(twin: SpatialTwin) -> Values:
    """(members, parameters) on scales where beliefs are about Gaussian."""
    return np.stack(
        [
            np.log(twin.velocity_mm_per_day),
            np.log(twin.infiltration_mm),
            twin.shift_mm,
            np.log(twin.response.alpha_per_gy),
            np.log(twin.response.alpha_beta_gy),
        ],
        axis=1,
    )


def with_parameters(twin: SpatialTwin, parameters: Values) -> SpatialTwin:
    """The same tumor and drugs with other members.

    Args:
        twin: whose drugs' effects are kept, member by member; of as many members, or of one.
        parameters: (members, parameters) as :func:`parameters_of`.
    """
    velocity, infiltration, shift, alpha, alpha_beta = parameters.T
    return replace(
        twin,
        velocity_mm_per_day=np.exp(velocity),
        infiltration_mm=np.exp(infiltration),
        shift_mm=shift,
        response=replace(
            twin.response, alpha_per_gy=np.exp(alpha), alpha_beta_gy=np.exp(alpha_beta)
        ),
    )


def draw_spatial_twin(
    prior: TwinPrior,
    tumor: VisibleTumor,
    edges_mm: float | None,
    markers: Markers,
    *,
    members: int,
    rng: np.random.Generator,
    options: ResponseOptions = PLAIN,
) -> SpatialTwin:
    """Draw an ensemble around a visible tumor.

    Args:
        prior: of the tumor's class.
        tumor: on the twin's grid.
        edges_mm: the infiltration length that its two edges tell; none where it shows one only.
        markers: that act on the response.
        members: how many.
        rng: where chance comes from.
        options: of the response.
    """
    velocity, infiltration = prior.invasion.draw(edges_mm, members, rng)
    response = prior.response(markers, members, rng, in_space=True, options=options)
    radius = np.cbrt(3.0 * tumor.volume_mm3 / (4.0 * np.pi))
    shift = radius * (np.cbrt(prior.volume_error.draw(members, rng)) - 1.0)
    followed = prior.region if tumor.shows_core else "WT"
    return SpatialTwin(tumor, velocity, infiltration, shift, response, followed)


def relative_dose(tumor: VisibleTumor, regimen: Regimen) -> Field | None:
    """Share of the prescribed dose at each voxel (i, j, k); none where all get all of it.

    Raises:
        RegimenError: a dose map that the patient does not have.
    """
    target = regimen.target
    if isinstance(target, UniformTarget) or not regimen.fractions:
        return None
    if isinstance(target, MapTarget):
        if target.dose not in tumor.doses_gy:
            known = ", ".join(sorted(tumor.doses_gy)) or "none"
            raise RegimenError(
                f"{regimen.name}: this patient has no dose map {target.dose!r}, but {known}; name it under "
                "'planning' in study.yaml and run the study again"
            )
        return np.asarray(tumor.doses_gy[target.dose] / target.prescribed_gy, np.float32)
    beyond = tumor.region_mm(target.region) - target.margin_mm - target.setup_mm
    return np.asarray(ndtr(ndtri(EDGE_SHARE) - beyond / target.penumbra_mm), np.float32)


def grow_member(
    twin: SpatialTwin,
    member: int,
    regimen: Regimen,
    *,
    saves: Sequence[float] | Values,
    on_save: Callable[[float, Field], None],
    share: Field | None = None,
    step_days: float = STEP_DAYS,
) -> None:
    """Run one member to the last saved day.

    The run stops where an adaptive cycle would begin, to look at the volume, and goes on from there.

    Args:
        twin: the ensemble.
        member: which of it.
        regimen: what is done.
        saves: days since the scan, ascending.
        on_save: told the day and a view of the cell fraction (i, j, k), to be copied if kept.
        share: :func:`relative_dose` of the regimen, where it is known already.
        step_days: longest step of the solver.

    Raises:
        RegimenError: a drug that the twin knows nothing of.
    """
    one = twin.member(member)  # so that nothing is worked out for the others again
    clock, pauses, last = one.response.clock(regimen), Pauses(1), float(max(saves))
    share = relative_dose(one.tumor, regimen) if share is None else share
    kills, upcoming = tuple(_kills(one, regimen, share)), tuple(_known_doses(one, regimen))
    decisions = {d.cycle.start_day for d in upcoming if d.cycle.adaptive is not None}
    u = one.tumor.cells(one.infiltration_mm.item(), one.shift_mm.item())
    taken: list[DoseKill] = []
    for start, stop in pairwise([0.0, *sorted(d for d in decisions if 0.0 < d < last), last]):
        begun = clock.gone(start).item()

        def when(day: float, begun: float = begun) -> float:
            return float(clock.gone(day).item() - begun)

        def inside(day: float, start: float = start, stop: float = stop) -> bool:
            return start < day <= stop or day == start == 0.0

        volume = np.array([_followed_mm3(one, u) if start in decisions else 0.0])
        taken += [
            dose
            for dose in upcoming
            if start <= dose.day < stop and pauses.given(dose.cycle, dose.day, volume).item()
        ]
        days = {when(float(day)): float(day) for day in saves if inside(float(day))}
        u = solve(
            u,
            one.tumor.domain,
            diffusivity=one.diffusivity.item(),
            proliferation=one.proliferation.item(),
            days=when(stop),
            kills=[Kill(when(k.day), k.log_kill) for k in kills if inside(k.day)],
            doses=[Dose(when(d.day), d.log_kill.item(), KINETICS[d.drug]) for d in taken],
            saves=sorted(days),
            on_save=lambda day, u, days=days: on_save(days[day], u),  # type: ignore[misc]  # bound now
            step_days=step_days,
        )


def _followed_mm3(one: SpatialTwin, u: Field) -> float:
    return visible_volume_mm3(u, EDGES[one.followed], one.tumor.domain.spacing_mm)


def _kills(one: SpatialTwin, regimen: Regimen, share: Field | None) -> Iterable[Kill]:
    """Resections and fractions of a twin of one member; equal fractions share one map."""
    for resection in regimen.resections:
        removed = one.tumor.region_mm(resection.region) <= resection.margin_mm
        yield Kill(resection.day, np.where(removed, removal_log_kill(resection.extent), 0.0))
    maps: dict[tuple[float, float], float | Field] = {}
    for fraction in one.response.fractions(regimen):
        linear, quadratic = fraction.linear.item(), fraction.quadratic.item()
        if (linear, quadratic) not in maps:
            maps[linear, quadratic] = (
                linear + quadratic
                if share is None
                else share * np.float32(linear) + share**2 * np.float32(quadratic)
            )
        yield Kill(fraction.day, maps[linear, quadratic])


def _known_doses(one: SpatialTwin, regimen: Regimen) -> Iterable[DoseKill]:
    for dose in one.response.doses(regimen):
        if dose.drug not in KINETICS:
            raise RegimenError(
                f"{regimen.name}: how long a dose of {dose.drug} acts is not known; drugs with known "
                f"kinetics: {', '.join(sorted(KINETICS))}"
            )
        yield dose


@dataclass(frozen=True)
class SpatialTrajectory:
    """What became of each region, by its abbreviation, and of all cells: the members at common days.

    ``cells`` is the volume that all cells would fill at capacity, seen or not.
    """

    regions: Mapping[str, Trajectory]
    cells: Trajectory


def simulate_in_space(
    twin: SpatialTwin,
    regimen: Regimen,
    *,
    saves: Sequence[float] | Values,
    threads: int = 1,
    on_member: Callable[[int, int], None] = lambda done, total: None,
) -> SpatialTrajectory:
    """Run every member to the last saved day.

    Args:
        twin: the ensemble.
        regimen: what is done.
        saves: days since the scan, ascending, whose volumes are kept.
        threads: members that run at once.
        on_member: told how many are done, of how many; what it raises ends the run.

    Raises:
        RegimenError: a drug that the twin knows nothing of.
    """
    spacing = twin.tumor.domain.spacing_mm
    twin.tumor.domain.faces(np.dtype(np.float32))  # once, not in every thread
    share = relative_dose(twin.tumor, regimen)

    def one(member: int) -> Values:
        rows: list[list[float]] = []

        def keep(day: float, u: Field) -> None:
            volumes, cells = volumes_mm3(u, tuple(EDGES.values()), spacing)
            rows.append([*volumes, cells])

        grow_member(twin, member, regimen, saves=saves, on_save=keep, share=share)
        return np.array(rows).T

    found: list[Values] = []
    with ThreadPoolExecutor(threads) as pool:
        try:
            for volumes in pool.map(one, range(twin.members)):
                found.append(volumes)
                on_member(len(found), twin.members)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    stacked = np.stack(found, axis=1)  # (what, member, day)
    days = np.asarray(saves, np.float64)
    *regions, cells = (Trajectory(days, volumes) for volumes in stacked)
    return SpatialTrajectory(dict(zip(EDGES, regions, strict=True)), cells)
