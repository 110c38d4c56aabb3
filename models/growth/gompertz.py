"""Gompertz growth, dV/dt = r V ln(K / V); Gompertz 1825, Laird 1964 (Br J Cancer 18:490) for tumors."""

from __future__ import annotations

from typing import Literal, final

import numpy as np
from typing_extensions import override

from models.growth.base import GrowthLaw, Values


@final
class Gompertz(GrowthLaw):
    """V(t) = K (V0 / K)^exp(-r t); V0 = 0 stays 0. The rate is that of slowing down, not of a small tumor."""

    kind: Literal["gompertz"] = "gompertz"

    @override
    def rate_of(self, net: Values, volume: Values, capacity: Values) -> Values:
        return np.asarray(net / np.log(capacity / volume))

    @override
    def flow(self, volume: Values, rate: Values, capacity: Values, days: Values | float) -> Values:
        return np.asarray(capacity * (volume / capacity) ** np.exp(-rate * days))
