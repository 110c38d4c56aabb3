"""Adaptive therapy's rule: which members are given a drug's cycle, by their volume when it begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.treatment import Cycle

Values = NDArray[np.float64]


class Pauses:
    """Remembers, drug by drug, the volume before its first cycle and who is given it now."""

    def __init__(self, members: int) -> None:
        self._members = members
        self._before: dict[str, Values] = {}
        self._on: dict[str, Values] = {}

    def given(self, cycle: Cycle, day: float, volume: Values) -> Values:
        """1 for members that get the cycle's dose of a day, 0 for those whose cycle is left out.

        Args:
            cycle: that the dose is of; one that is not adaptive is given to all.
            day: of the dose; on the cycle's first one the rule decides. A tumor that did not show before
                the drug's first cycle is given all.
            volume: (members,) on that day.
        """
        if cycle.adaptive is None:
            return np.ones(self._members)
        if cycle.drug not in self._before:
            self._before[cycle.drug], self._on[cycle.drug] = volume, np.ones(self._members)
        if day == cycle.start_day:
            before = self._before[cycle.drug]
            share = np.divide(volume, before, out=np.ones_like(volume), where=before > 0.0)
            on = np.where(share < cycle.adaptive.pause_below, 0.0, self._on[cycle.drug])
            self._on[cycle.drug] = np.where(share >= cycle.adaptive.resume_from, 1.0, on)
        return self._on[cycle.drug]
