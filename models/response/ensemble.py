"""What a regimen does to each member of an ensemble, the same to every growth law."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from data.errors import RegimenError
from data.treatment import Cycle, Regimen
from models.growth.clock import GrowthClock, Pace
from models.response.base import DrugEffect

Values = NDArray[np.float64]


@dataclass(frozen=True)
class FractionKill:
    """A fraction's log-kill per member where a share m of its dose arrives: linear m + quadratic m^2."""

    day: float
    linear: Values
    quadratic: Values

    @property
    def log_kill(self) -> Values:
        """Where all of the dose arrives."""
        return self.linear + self.quadratic


@dataclass(frozen=True)
class DoseKill:
    """One dose of a drug, the log-kill per member that it comes to, and the cycle it is of."""

    day: float
    drug: str
    log_kill: Values
    cycle: Cycle


@dataclass(frozen=True)
class Repopulation:
    """Growth that speeds up some days after the first fraction, until the last one."""

    kickoff_days: float
    factor: Values


@dataclass(frozen=True)
class Response:
    """How each member answers to treatment.

    Args:
        alpha_per_gy: (members,) 1/Gy.
        alpha_beta_gy: (members,) Gy.
        drugs: effect of each drug that something is known of.
        repair_half_time_h: of sublethal damage, in hours; none for repair that is complete before the
            next fraction. Incomplete repair after Thames 1985, Int J Radiat Biol 47:319.
        repopulation: none unless asked for.
    """

    alpha_per_gy: Values
    alpha_beta_gy: Values
    drugs: Mapping[str, DrugEffect]
    repair_half_time_h: float | None = None
    repopulation: Repopulation | None = None

    @property
    def members(self) -> int:
        """Size of the ensemble."""
        return len(self.alpha_per_gy)

    @property
    def options(self) -> tuple[str, ...]:
        """What goes beyond plain linear-quadratic survival, in words."""
        found = []
        if self.repair_half_time_h is not None:
            found.append(f"incomplete repair, half-time {self.repair_half_time_h:g} h")
        if self.repopulation is not None:
            faster = float(np.median(self.repopulation.factor))
            found.append(
                f"growth {faster:.2g} times as fast from day {self.repopulation.kickoff_days:g} of "
                "radiotherapy to its end"
            )
        return tuple(found)

    def median(self) -> Response:
        """One member, every parameter of it the median."""
        return self._with(
            lambda values: np.median(values, keepdims=True), lambda effect: effect.median()
        )

    def taken(self, rows: NDArray[np.intp]) -> Response:
        """Some of the members, by their numbers; the same one several times if it is asked for."""
        return self._with(lambda values: values[rows], lambda effect: effect.taken(rows))

    def _with(
        self, values: Callable[[Values], Values], effects: Callable[[DrugEffect], DrugEffect]
    ) -> Response:
        faster = self.repopulation
        return replace(
            self,
            alpha_per_gy=values(self.alpha_per_gy),
            alpha_beta_gy=values(self.alpha_beta_gy),
            drugs={name: effects(effect) for name, effect in self.drugs.items()},
            repopulation=faster and replace(faster, factor=values(faster.factor)),
        )

    def fractions(self, regimen: Regimen) -> tuple[FractionKill, ...]:
        """Of its radiotherapy, in order of time."""
        beta = self.alpha_per_gy / self.alpha_beta_gy
        ordered = sorted(regimen.fractions, key=lambda f: f.day)
        left, lefts = 0.0, [0.0]
        for before, now in pairwise(ordered):
            left = (left + before.dose_gy) * self._unrepaired(now.day - before.day)
            lefts.append(left)
        return tuple(
            FractionKill(
                f.day,
                self.alpha_per_gy * f.dose_gy,
                beta * f.dose_gy * (f.dose_gy + 2.0 * left),
            )
            for f, left in zip(ordered, lefts, strict=False)
        )

    def _unrepaired(self, days: float) -> float:
        if self.repair_half_time_h is None:
            return 0.0
        return float(0.5 ** (24.0 * days / self.repair_half_time_h))

    def doses(self, regimen: Regimen) -> tuple[DoseKill, ...]:
        """Of its drugs that kill, one a day of each cycle.

        Raises:
            RegimenError: a drug that nothing is known of, or a dose that its effect does not cover.
        """
        found = []
        for cycle in regimen.cycles:
            effect = self._effect(regimen, cycle)
            try:
                log_kill = np.asarray(effect.log_kill(cycle), np.float64)
            except ValueError as error:
                raise RegimenError(f"{regimen.name}: {error}") from error
            if log_kill.any():
                days = cycle.start_day + np.arange(cycle.days)
                found += [DoseKill(float(day), cycle.drug, log_kill, cycle) for day in days]
        return tuple(sorted(found, key=lambda dose: dose.day))

    def clock(self, regimen: Regimen) -> GrowthClock:
        """How growth keeps time under the regimen.

        Raises:
            RegimenError: as :meth:`doses`.
        """
        paces = []
        for cycle in regimen.cycles:
            try:
                factor = self._effect(regimen, cycle).growth_factor(cycle)
            except ValueError as error:
                raise RegimenError(f"{regimen.name}: {error}") from error
            if (factor != 1.0).any():
                paces.append(Pace(cycle.start_day, cycle.end_day, np.asarray(factor)))
        if self.repopulation is not None and regimen.fractions:
            days = [f.day for f in regimen.fractions]
            start = min(days) + self.repopulation.kickoff_days
            if start < max(days):
                paces.append(Pace(start, max(days), self.repopulation.factor))
        return GrowthClock(self.members, paces)

    def _effect(self, regimen: Regimen, cycle: Cycle) -> DrugEffect:
        if cycle.drug not in self.drugs:
            known = ", ".join(sorted(self.drugs)) or "none"
            raise RegimenError(
                f"{regimen.name}: this tumor class has no known effect of {cycle.drug!r}; "
                f"known drugs: {known}"
            )
        return self.drugs[cycle.drug]
