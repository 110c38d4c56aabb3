"""Cells that a drug kills and cells that it does not, in competition for one capacity (Lotka-Volterra).

    dS/dt = r S (1 - (S + R) / K)        dR/dt = c r R (1 - (R + S) / K)

While sensitive cells are many they hold the resistant ones down; a drug that kills them all sets those free.
That is what adaptive therapy trades on (Gatenby 2009, Cancer Res 69:4894; Zhang 2017, Nat Commun 8:1816).
"""

from __future__ import annotations

from typing import Literal, final

import numpy as np
from pydantic import Field
from typing_extensions import override

from models.growth.base import GrowthLaw, Treatment, Values, runge_kutta

LONGEST_STEP = 0.08
"""Of rate times days; the classical Runge-Kutta rule is then within 1e-6 of the exact flow."""


@final
class Competition(GrowthLaw):
    """Sensitive and resistant cells, in this order.

    The share and the fitness of resistant cells are assumptions: no scan tells them.
    """

    kind: Literal["competition"] = "competition"
    resistant_share: float = Field(
        default=0.01, ge=0, le=1, description="of the cells at the start"
    )
    resistant_fitness: float = Field(default=0.8, gt=0, le=2, description="their rate over r")

    @override
    def start(self, volume: Values) -> Values:
        return np.stack([(1.0 - self.resistant_share) * volume, self.resistant_share * volume])

    @override
    def met_by(self, treatment: Treatment) -> Values:
        return np.array([[1.0], [0.0 if treatment == "drug" else 1.0]])

    @override
    def rate_of(self, net: Values, volume: Values, capacity: Values) -> Values:
        mean = 1.0 + self.resistant_share * (self.resistant_fitness - 1.0)
        return np.asarray(net / (1.0 - volume / capacity) / mean)

    @override
    def flow(self, volume: Values, rate: Values, capacity: Values, days: Values | float) -> Values:
        rates = np.stack([rate, self.resistant_fitness * rate])
        longest = float(np.max(rates * days, initial=0.0))
        steps = max(1, int(np.ceil(longest / LONGEST_STEP)))

        def slope(state: Values) -> Values:
            return np.asarray(rates * state * (1.0 - state.sum(0) / capacity))

        return runge_kutta(slope, volume, days, steps)
