"""Tumor cells held in check by immune cells (effectors), as a growth law of its own package.

    dx/dt = s + p x y / (g + y) - m x y - d x        dy/dt = a y (1 - b y) - x y

Kuznetsov, Makalkin, Taylor & Perelson 1994, Bull Math Biol 56:295, without dimensions: x effectors, y tumor
cells, with the paper's values for a lymphoma of the mouse. Here 1 / b is the tumor's capacity and a its rate,
so that y and the time take the patient's units; the other values stay those of the mouse, which makes this an
example of a plug-in and no model of a glioma.
"""

from __future__ import annotations

from typing import Literal, final

import numpy as np
from pydantic import Field
from typing_extensions import override

from models.growth.base import GrowthLaw, Treatment, Values, runge_kutta

GROWTH, CROWDING = 1.636, 0.002
"""a and b of the paper."""
LONGEST_STEP = 0.05
"""Of the paper's time; the classical Runge-Kutta rule is then within 1e-6 of the flow."""
SLOWEST_SHARE = 0.05
"""Of its rate a tumor grows with at least at the scan, where effectors would shrink it."""


@final
class Kuznetsov(GrowthLaw):
    """A state is tumor cells (mm3) and effectors (in the paper's unit)."""

    kind: Literal["kuznetsov"] = "kuznetsov"
    source: float = Field(default=0.1181, gt=0, description="s")
    recruitment: float = Field(default=1.131, ge=0, description="p")
    half_saturation: float = Field(default=20.19, gt=0, description="g")
    exhaustion: float = Field(default=0.00311, ge=0, description="m")
    death: float = Field(default=0.3743, gt=0, description="d")

    @property
    def without_tumor(self) -> float:
        """Effectors where there is no tumor."""
        return self.source / self.death

    @override
    def start(self, volume: Values) -> Values:
        return np.stack([volume, np.full_like(volume, self.without_tumor)])

    @override
    def tumor(self, state: Values) -> Values:
        return np.asarray(state[0])

    @override
    def met_by(self, treatment: Treatment) -> Values:
        """Radiation and drugs kill effectors as they kill tumor cells; surgery leaves them."""
        return np.array([[1.0], [0.0 if treatment == "surgery" else 1.0]])

    @override
    def rate_of(self, net: Values, volume: Values, capacity: Values) -> Values:
        held = self.without_tumor / GROWTH
        return np.asarray(net / np.maximum(1.0 - volume / capacity - held, SLOWEST_SHARE))

    @override
    def flow(self, volume: Values, rate: Values, capacity: Values, days: Values | float) -> Values:
        per_mm3 = 1.0 / (CROWDING * capacity)
        time = np.asarray(rate * days / GROWTH)
        steps = max(1, int(np.ceil(np.max(time, initial=0.0) / LONGEST_STEP)))

        def slope(state: Values) -> Values:
            y, x = state
            recruited = self.recruitment * x * y / (self.half_saturation + y)
            return np.stack(
                [
                    GROWTH * y * (1.0 - CROWDING * y) - x * y,
                    self.source + recruited - self.exhaustion * x * y - self.death * x,
                ]
            )

        y, x = runge_kutta(slope, np.stack([volume[0] * per_mm3, volume[1]]), time, steps)
        return np.stack([y / per_mm3, x])
