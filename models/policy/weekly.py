"""Radiotherapy as weekly doses on a lumped twin: how long each plan controls the tumor, many plans at once.

Logistic growth between fractions and linear-quadratic survival at each are both exact, and so is the day on
which the regrowth reaches progression, so that a plan costs microseconds and an optimizer may try thousands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data.treatment import RadiotherapyCourse, Regimen
from models.policy.superquantile import lower_superquantile
from models.simulation import PROGRESSION_FACTOR, Twin

Values = NDArray[np.float64]

NEVER_DAYS = 3650.0
"""A tumor that has not come back by then is counted as coming back then."""


@dataclass(frozen=True)
class WeeklyProblem:
    """Plans of a number of weeks, each with one dose per fraction on its weekdays.

    Args:
        twin: whose tumor is to be controlled; its growth is logistic.
        weeks: of treatment.
        start_day: a Monday.
        level: of the superquantile that a plan is judged by.
        per_week: fractions.
    """

    twin: Twin
    weeks: int = 6
    start_day: float = 0.0
    level: float = 0.8
    per_week: int = 5

    @cached_property
    def days(self) -> Values:
        """Of the fractions, (weeks * per_week,)."""
        week, weekday = np.divmod(np.arange(self.weeks * self.per_week), self.per_week)
        return np.asarray(self.start_day + 7.0 * week + weekday, np.float64)

    def standard(self, dose_gy: float = 2.0) -> Values:
        """The plan with the same dose every week, (weeks,)."""
        return np.full(self.weeks, dose_gy)

    def regimen(self, doses_gy: Values, name: str) -> Regimen:
        """A plan as a regimen; weeks without dose are left out."""
        courses = [
            RadiotherapyCourse(
                fractions=self.per_week,
                dose_per_fraction_gy=float(dose),
                start_day=self.start_day + 7.0 * week,
                per_week=self.per_week,
            )
            for week, dose in enumerate(doses_gy)
            if dose > 0
        ]
        return Regimen(name=name, fractions=tuple(f for c in courses for f in c.expand()))

    def progression_days(self, doses_gy: Values) -> Values:
        """Day of progression since day 0, (plans, members).

        Progression is 1.40 times the volume on day 0, first reached during treatment or after it. Against the
        smallest volume so far, as on the board, an optimizer would choose plans that hardly shrink the tumor:
        a shallow nadir is passed later.

        Args:
            doses_gy: (plans, weeks) dose of each fraction of a week.
        """
        twin = self.twin
        alpha, ratio = twin.response.alpha_per_gy, twin.response.alpha_beta_gy
        each = doses_gy[..., None]
        surviving = np.exp(-alpha * each * (1.0 + each / ratio))  # (plans, weeks, members)
        volume = np.broadcast_to(twin.volume_mm3, (len(doses_gy), twin.members))
        progressed = np.full(volume.shape, np.inf)
        before = 0.0
        for n, day in enumerate(self.days):
            when = before + self._wait_days(volume)
            progressed = np.where((when < day) & np.isinf(progressed), when, progressed)
            volume = self._grown(volume, float(day) - before) * surviving[:, n // self.per_week]
            before = float(day)
        when = before + self._wait_days(volume)
        return np.minimum(np.where(np.isinf(progressed), when, progressed), NEVER_DAYS)

    def _grown(self, volume: Values, days: float) -> Values:
        capacity = self.twin.capacity_mm3
        slowing = np.exp(-self.twin.rate_per_day * days)
        return np.asarray(capacity / (1.0 + (capacity / volume - 1.0) * slowing))

    def _wait_days(self, volume: Values) -> Values:
        """Until an untreated volume has reached progression; infinity where its capacity is below that."""
        twin, capacity = self.twin, self.twin.capacity_mm3
        goal = PROGRESSION_FACTOR * twin.volume_mm3
        with np.errstate(divide="ignore", invalid="ignore"):
            wait = np.log(goal * (capacity - volume) / (volume * (capacity - goal)))
        return np.where(goal < capacity, np.maximum(wait, 0.0) / twin.rate_per_day, np.inf)

    def control_days(self, doses_gy: Values) -> Values:
        """What a plan is judged by: the superquantile of its progression days over the members, (plans,)."""
        return lower_superquantile(self.progression_days(doses_gy), self.level)
