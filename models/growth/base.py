"""How a tumor's volume grows when nothing is done about it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Values = NDArray[Any]
Slope = Callable[[Values], Values]
"""A state to how fast it changes; 1/time."""


Treatment = Literal["radiotherapy", "drug", "surgery"]


def runge_kutta(slope: Slope, state: Values, time: Values | float, steps: int) -> Values:
    """The state after a time, one for all members or one each, by the classical rule of fourth order."""
    step = np.asarray(time) / steps
    for _ in range(steps):
        one = slope(state)
        two = slope(state + step / 2.0 * one)
        three = slope(state + step / 2.0 * two)
        four = slope(state + step * three)
        state = state + step / 6.0 * (one + 2.0 * two + 2.0 * three + four)
    return np.asarray(state)


class GrowthLaw(BaseModel, ABC):
    """A flow: state now to state later, vectorised over members of an ensemble.

    A state is (compartments, members) in mm3; most laws have one compartment. Laws carry their rate and
    capacity at the call, because each member of an ensemble has its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str

    def start(self, volume: Values) -> Values:
        """The state (compartments, members) of a tumor's volume (members,)."""
        return volume[None]

    def tumor(self, state: Values) -> Values:
        """The tumor's volume (members,) of a state."""
        return np.asarray(state.sum(0))

    def met_by(self, treatment: Treatment) -> Values:
        """Share of a treatment's log-kill that each compartment meets, (compartments, 1)."""
        return np.ones((1, 1))

    @abstractmethod
    def rate_of(self, net: Values, volume: Values, capacity: Values) -> Values:
        """The rate (1/day) with which a tumor of a volume grows by ``net`` of it a day; all (members,)."""

    @abstractmethod
    def flow(self, volume: Values, rate: Values, capacity: Values, days: Values | float) -> Values:
        """State (mm3) after ``days`` with growth ``rate`` (1/day) and ``capacity`` (mm3)."""
