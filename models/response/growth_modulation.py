"""A drug that slows growth while it is taken and kills nothing, such as an inhibitor of mutant IDH.

How much slower is known at one dose only, that of the trial it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from typing_extensions import override

from data.treatment import Cycle
from models.response.base import DrugEffect, Values


@final
@dataclass(frozen=True)
class GrowthModulation(DrugEffect):
    """Growth is multiplied by a factor at the one daily dose that it is known for."""

    factor: Values
    dose_mg: float

    @override
    def log_kill(self, cycle: Cycle) -> Values:
        self._require_dose(cycle)
        return np.zeros_like(self.factor)

    @override
    def growth_factor(self, cycle: Cycle) -> Values:
        self._require_dose(cycle)
        return self.factor

    def _require_dose(self, cycle: Cycle) -> None:
        if cycle.dose_mg != self.dose_mg:
            given = "in mg/m2" if cycle.dose_mg is None else f"{cycle.dose_mg:g} mg"
            raise ValueError(
                f"{cycle.drug}: its effect is known at {self.dose_mg:g} mg a day only, the dose is {given}"
            )
