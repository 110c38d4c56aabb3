"""Log-kill by a drug: each dose removes a fixed share of cells (Skipper 1964).

With linear pharmacokinetics the exposure of a dose, its area under the curve, is proportional to it,
so the log-kill is the sensitivity (per mg/m2) times the dose, whatever the time step.
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
class LogKill(DrugEffect):
    """s D, with the sensitivity s in m2/mg."""

    sensitivity: Values

    @override
    def log_kill(self, cycle: Cycle) -> Values:
        return self.sensitivity * per_square_meter(cycle)

    @override
    def growth_factor(self, cycle: Cycle) -> Values:
        return np.ones_like(self.sensitivity)
