"""How long a dose of a drug acts: one compartment, first-order absorption and elimination.

    c(t) = F dose / V * ka / (ka - ke) * (exp(-ke t) - exp(-ka t))

With linear kinetics the share of a dose's exposure that is reached by a time has a closed form, so that
its log-kill is exact whatever the time step.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator


class OneCompartment(BaseModel):
    """Rate constants of a drug taken by mouth, in 1/day; absorption is not equal to elimination."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    absorption_per_day: float = Field(gt=0)
    elimination_per_day: float = Field(gt=0)
    source: str = ""

    @model_validator(mode="after")
    def _rates_differ(self) -> Self:
        if np.isclose(self.absorption_per_day, self.elimination_per_day, rtol=1e-6):
            raise ValueError(
                f"absorption and elimination are both {self.elimination_per_day:g} per day: the closed "
                "form needs them to differ; change one by a thousandth"
            )
        return self

    @property
    def over_days(self) -> float:
        """When a dose has done all that double precision can tell."""
        return 40.0 / min(self.absorption_per_day, self.elimination_per_day)

    def share(self, days: ArrayLike) -> NDArray[Any]:
        """Share, in [0, 1], of a dose's area under the curve that is reached ``days`` after it."""
        t = np.maximum(np.asarray(days, float), 0.0)
        ka, ke = self.absorption_per_day, self.elimination_per_day
        left = (ka * np.exp(-ke * t) - ke * np.exp(-ka * t)) / (ka - ke)
        return np.asarray(1.0 - left)


TEMOZOLOMIDE = OneCompartment(
    absorption_per_day=5.8 * 24.0,
    elimination_per_day=10.0 / 30.3 * 24.0,
    source="Ostermann 2004, Clin Cancer Res 10:3728: ka 5.8/h, CL 10 L/h, V 30.3 L",
)

KINETICS = {"temozolomide": TEMOZOLOMIDE}
"""How long a dose of each drug acts, by its name."""
