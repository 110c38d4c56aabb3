"""Radiotherapy as weekly doses on a lumped twin: how long each plan controls the tumor, many plans at once.

Logistic growth between fractions and linear-quadratic survival at each are both exact, and so is the day on
which the regrowth reaches progression, so that a plan costs microseconds and an optimizer may try thousands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

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
        goal_mm3: (members,) volume at which a member has progressed; by default 1.40 times that on day 0.
        relative_dose: share of a plan's dose that arrives at the tumor.
    """

    twin: Twin
    weeks: int = 6
    start_day: float = 0.0
    level: float = 0.8
    per_week: int = 5
    goal_mm3: Values | None = None
    relative_dose: float = 1.0

    @cached_property
    def days(self) -> Values:
        """Of the fractions, (weeks * per_week,)."""
        week, weekday = np.divmod(np.arange(self.weeks * self.per_week), self.per_week)
        return np.asarray(self.start_day + 7.0 * week + weekday, np.float64)

    def standard(self, dose_gy: float = 2.0) -> Values:
        """The plan with the same dose every week, (weeks,)."""
        return np.full(self.weeks, dose_gy)

    def progression_days(self, doses_gy: Values) -> Values:
        """Day of progression since day 0, (plans, members).

        Progression is the volume asked for, first reached during treatment or after it. Against the smallest
        volume so far, as on the board, an optimizer would choose plans that hardly shrink the tumor: a shallow
        nadir is passed later.

        Args:
            doses_gy: (plans, weeks) dose of each fraction of a week.
        """
        twin = self.twin
        each = self.relative_dose * np.asarray(doses_gy, np.float64)[..., None]
        killed = twin.response.alpha_per_gy * each * (1.0 + each / twin.response.alpha_beta_gy)
        room = twin.capacity_mm3 / twin.volume_mm3 - 1.0
        reached = PROGRESSION_FACTOR * twin.volume_mm3 if self.goal_mm3 is None else self.goal_mm3
        goal = twin.capacity_mm3 / reached - 1.0
        slowing = np.exp(-np.diff(self.days, prepend=0.0)[:, None] * twin.rate_per_day)
        found = np.full((len(each), twin.members), NEVER_DAYS)
        _progressed(
            np.exp(killed), room, goal, slowing, self.days, twin.rate_per_day, self.per_week, found
        )
        return found

    def control_days(self, doses_gy: Values) -> Values:
        """What a plan is judged by: the superquantile of its progression days over the members, (plans,)."""
        return lower_superquantile(self.progression_days(doses_gy), self.level)


@njit(cache=True, nogil=True, error_model="numpy")
def _progressed(revived, room, goal, slowing, days, rate, per_week, found):  # type: ignore[no-untyped-def]
    """Day of progression of each plan and member into ``found``, where it is earlier.

    Follows the room that a volume V leaves, w = K / V - 1: growth multiplies it by ``slowing`` (days, members),
    a fraction makes it (w + 1) ``revived`` - 1, with the inverse of the surviving share (plans, weeks,
    members). Progression is at ``goal`` (members,); negative where the capacity is below it.
    """
    plans, _, members = revived.shape
    for p in range(plans):
        for m in range(members):
            if goal[m] <= 0.0:
                continue
            w, before = room[m], 0.0
            for n in range(len(days)):
                grown = w * slowing[n, m]
                if grown < goal[m]:
                    break
                w = (grown + 1.0) * revived[p, n // per_week, m] - 1.0
                before = days[n]
            wait = max(np.log(w / goal[m]), 0.0) / rate[m]
            found[p, m] = min(before + wait, found[p, m])
