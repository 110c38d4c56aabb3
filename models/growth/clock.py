"""How much growth fits into a time: a clock that runs slower under a drug that slows growth.

Where treatment multiplies both diffusion and division by a factor, the tumor goes the same way at another
pace. So growth laws need not know of it: they are run for the days that this clock has gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Pace:
    """A time in which growth is multiplied by a factor, one per member."""

    start_day: float
    end_day: float
    factor: Values


class GrowthClock:
    """Days of growth since day 0, per member; paces that overlap multiply."""

    def __init__(self, members: int, paces: Sequence[Pace] = ()) -> None:
        ends = {0.0, *(p.start_day for p in paces), *(p.end_day for p in paces)}
        self._breaks = np.array(sorted(ends))
        self._factors = np.ones((len(self._breaks), members))
        for pace in paces:
            during = (self._breaks >= pace.start_day) & (self._breaks < pace.end_day)
            self._factors[during] *= pace.factor
        steps = np.diff(self._breaks)[:, None] * self._factors[:-1]
        self._gone = np.vstack([np.zeros(members), np.cumsum(steps, axis=0)])

    def gone(self, day: float) -> Values:
        """Days of growth by ``day``, per member (members,)."""
        n = max(0, int(np.searchsorted(self._breaks, day, side="right")) - 1)
        return np.asarray(self._gone[n] + self._factors[n] * (day - self._breaks[n]))
