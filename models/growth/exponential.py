"""Exponential growth, dV/dt = r V."""

from __future__ import annotations

from typing import Literal, final

import numpy as np
from typing_extensions import override

from models.growth.base import GrowthLaw, Values


@final
class Exponential(GrowthLaw):
    """V(t) = V0 exp(r t); the capacity is not used."""

    kind: Literal["exponential"] = "exponential"

    @override
    def rate_of(self, net: Values, volume: Values, capacity: Values) -> Values:
        return net

    @override
    def flow(self, volume: Values, rate: Values, capacity: Values, days: Values | float) -> Values:
        return volume * np.exp(rate * days)
