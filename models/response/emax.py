"""Log-kill that saturates with the dose (Hill's equation with exponent 1; Holford & Sheiner 1981).

For small doses it is a log-kill in proportion to the dose, with sensitivity largest / half_dose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from typing_extensions import override

from data.treatment import Cycle
from models.response.base import DrugEffect, Values, per_square_meter


@final
@dataclass(frozen=True)
class Emax(DrugEffect):
    """largest D / (half_dose + D), the dose in mg/m2."""

    largest: Values
    half_dose_mg_m2: Values

    @override
    def log_kill(self, cycle: Cycle) -> Values:
        dose = per_square_meter(cycle)
        return np.asarray(self.largest * dose / (self.half_dose_mg_m2 + dose))

    @override
    def growth_factor(self, cycle: Cycle) -> Values:
        return np.ones_like(self.largest)
