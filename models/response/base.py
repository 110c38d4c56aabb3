"""What a drug does to a tumor: kills a share of its cells with each dose, or slows its growth while taken."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.treatment import Cycle

Values = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class DrugEffect(ABC):
    """One drug's effect, with one value of each parameter per member of an ensemble."""

    @abstractmethod
    def log_kill(self, cycle: Cycle) -> Values:
        """Of one daily dose of a cycle, per member: minus the logarithm of the surviving share.

        Raises:
            ValueError: a dose that the effect says nothing about.
        """

    @abstractmethod
    def growth_factor(self, cycle: Cycle) -> Values:
        """What growth is multiplied by while the cycle lasts, per member.

        Raises:
            ValueError: a dose that the effect says nothing about.
        """

    def median(self) -> Self:
        """The effect with every parameter at the median of its members."""
        return self._with(lambda values: np.median(values, keepdims=True))

    def taken(self, rows: NDArray[np.intp]) -> Self:
        """Some of the members, by their numbers."""
        return self._with(lambda values: values[rows])

    def _with(self, change: Callable[[Values], Values]) -> Self:
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: change(v) for k, v in held.items() if isinstance(v, np.ndarray)})


def per_square_meter(cycle: Cycle) -> float:
    """The daily dose in mg/m2.

    Raises:
        ValueError: it is given in mg.
    """
    if cycle.dose_mg_m2 is None:
        raise ValueError(
            f"{cycle.drug}: its effect is known per mg/m2, the dose is in mg; give dose_mg_m2"
        )
    return cycle.dose_mg_m2
