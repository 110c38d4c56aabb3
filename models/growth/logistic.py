"""Logistic growth, dV/dt = r V (1 - V / K); Verhulst 1838."""

from __future__ import annotations

from typing import Literal, final

import numpy as np
from typing_extensions import override

from models.growth.base import GrowthLaw, Values


@final
class Logistic(GrowthLaw):
    """V(t) = K / (1 + (K / V0 - 1) exp(-r t)), written so that V0 = 0 stays 0."""

    kind: Literal["logistic"] = "logistic"

    @override
    def rate_of(self, net: Values, volume: Values, capacity: Values) -> Values:
        return np.asarray(net / (1.0 - volume / capacity))

    @override
    def flow(self, volume: Values, rate: Values, capacity: Values, days: Values | float) -> Values:
        factor = np.exp(rate * days)
        return volume * factor / (1.0 + volume / capacity * (factor - 1.0))
