"""How a tumor's volume grows when nothing is done about it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Values = NDArray[Any]


class GrowthLaw(BaseModel, ABC):
    """An exact flow: volume now to volume later, vectorised over members of an ensemble.

    Members of the family carry their parameters at the call, because each member of an ensemble has
    its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str

    @abstractmethod
    def flow(self, volume: Values, rate: Values, capacity: Values, days: Values | float) -> Values:
        """Volume (mm3) after ``days`` with growth ``rate`` (1/day) and ``capacity`` (mm3)."""
