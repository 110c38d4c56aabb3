"""What is believed of a tumor's growth and response before its own follow-up scans are seen."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.clinical import Presence

DAYS_PER_YEAR = 365.25
Z90 = 1.6448536269514722


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LogNormal(_Part):
    """A positive quantity: median and the standard deviation of its logarithm, with its origin."""

    median: float = Field(gt=0)
    log_sd: float = Field(ge=0, le=3)
    unit: str
    source: str
    confirmed: bool

    def draw(self, members: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """One value per member."""
        return np.asarray(self.median * np.exp(self.log_sd * rng.standard_normal(members)))


class DrugPrior(_Part):
    """Log-kill per mg/m2, and what a marker leaves of it when absent.

    A marker acts here and nowhere else in the twin, so its effect is never counted twice.
    """

    sensitivity: LogNormal
    needs_marker: Literal["mgmt_methylation"] | None = None
    relative_without_marker: float = Field(default=1.0, ge=0, le=1)
    marker_share: float = Field(default=0.5, ge=0, le=1, description="share assumed where untested")
    source: str

    def draw(self, marker: Presence, members: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Sensitivity per member, m2/mg; an untested marker leaves both possibilities open."""
        values = self.sensitivity.draw(members, rng)
        chance = rng.random(members)
        if self.needs_marker is None or marker == "present":
            return values
        without = chance >= self.marker_share if marker == "untested" else np.full(members, True)
        return np.where(without, values * self.relative_without_marker, values)


class TwinPrior(_Part):
    """One class of tumor.

    Net growth of the scanned volume is given by a doubling time or by a velocity of diametric
    expansion; ``regrowth_doubling_days`` is that of the few clonogens left after treatment. Logistic
    growth with both: rate r = ln 2 / regrowth doubling, and a capacity K with r (1 - V0/K) = net rate.
    Without a regrowth time, K is ``capacity_ml``.
    """

    kind: str
    region: Literal["WT", "TC"]
    volume_error: LogNormal
    doubling_days: LogNormal | None = None
    expansion_mm_per_year: LogNormal | None = None
    regrowth_doubling_days: LogNormal | None = None
    capacity_ml: LogNormal | None = None
    alpha_per_gy: LogNormal
    alpha_beta_gy: LogNormal
    drugs: dict[str, DrugPrior] = Field(default_factory=dict)
    horizon_days: float = Field(gt=0, le=3650)

    @model_validator(mode="after")
    def _growth_is_determined(self) -> Self:
        if (self.doubling_days is None) == (self.expansion_mm_per_year is None):
            raise ValueError("give doubling_days or expansion_mm_per_year, one of them")
        if (self.regrowth_doubling_days is None) == (self.capacity_ml is None):
            raise ValueError("give regrowth_doubling_days or capacity_ml, one of them")
        return self

    def net_rate(
        self, volume_mm3: NDArray[np.float64], members: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Relative growth of the scanned volume, 1/day.

        From an expansion velocity v of the diameter d of a sphere: (dV/dt)/V = 3 v / d.
        """
        if self.doubling_days is not None:
            return np.asarray(np.log(2.0) / self.doubling_days.draw(members, rng))
        assert self.expansion_mm_per_year is not None  # noqa: S101  # by the validator
        diameter = np.cbrt(6.0 * volume_mm3 / np.pi)
        velocity = self.expansion_mm_per_year.draw(members, rng) / DAYS_PER_YEAR
        return np.asarray(3.0 * velocity / diameter)
