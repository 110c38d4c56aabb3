"""Answers with their uncertainty: survival curves and simulated volumes."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

DAYS_PER_MONTH = 30.4375


class _Noun(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Band(_Noun):
    """Lower, middle and upper values on a common time axis."""

    lower: tuple[float, ...]
    median: tuple[float, ...]
    upper: tuple[float, ...]
    level: float = Field(gt=0, lt=1, description="probability between lower and upper")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not len(self.lower) == len(self.median) == len(self.upper):
            raise ValueError("the three curves of a band have different lengths")
        rows = zip(self.lower, self.median, self.upper, strict=True)
        if any(low > mid or mid > high for low, mid, high in rows):
            raise ValueError("a band needs lower <= median <= upper everywhere")
        return self


class Driver(_Noun):
    """What one covariate does to a patient's hazard, against the mean of the patients of the fit.

    The factors of all covariates multiply to the patient's hazard ratio; ``low`` to ``high`` is a 90 % band.
    """

    name: str
    value: str
    hazard_ratio: float = Field(gt=0)
    low: float = Field(gt=0)
    high: float = Field(gt=0)


class SurvivalPrediction(_Noun):
    """Overall survival since diagnosis for one patient; months of 30.4375 days.

    ``median_low`` and ``median_high`` are where the band's edges fall to one half; ``None`` is beyond the last
    month told. With ``lived_months`` the curve is of those who have lived as long.
    """

    model: str
    months: tuple[float, ...]
    survival: Band
    lived_months: float = 0.0
    median_months: float | None
    median_low: float | None = None
    median_high: float | None = None
    covariates: dict[str, float | str]
    unknown: tuple[str, ...]
    drivers: tuple[Driver, ...] = ()
    statement: str


Quantiles = tuple[float, float, float]
"""5 %, 50 % and 95 %."""


class ParameterBelief(_Noun):
    """A parameter before and after the follow-up scans."""

    name: str
    unit: str
    prior: Quantiles
    posterior: Quantiles
    contraction: float = Field(
        description="1 - posterior variance / prior variance: 0 where the scans say nothing of it"
    )


class Backtest(_Noun):
    """The last scan's volume of a region as it would have been forecast from the scans before it; mm3."""

    region: str
    day: float = Field(description="days since the first scan")
    seen_mm3: float
    forecast_mm3: Quantiles
    last_value_mm3: float
    exponential_mm3: float


class Calibration(_Noun):
    """What follow-up scans taught the twin; days count from the first scan."""

    method: Literal["es-mda", "laplace"]
    days: tuple[float, ...]
    seen_mm3: dict[str, tuple[float, ...]]
    fitted_mm3: dict[str, tuple[Quantiles, ...]] = Field(
        description="what the members say of each scan after the first"
    )
    ranks: dict[str, tuple[float, ...]] = Field(
        description="share of the members, with the error of a volume, below what each of these scans showed"
    )
    given: str = Field(description="the treatment between the scans")
    parameters: tuple[ParameterBelief, ...]
    misfit: float = Field(
        ge=0, description="root mean square distance of the scans from the medians, in their errors"
    )
    flags: tuple[str, ...]
    backtest: tuple[Backtest, ...]
    members: tuple[tuple[float, ...], ...] = Field(
        description="the ensemble after the scans, in the solver's own scales"
    )
    solves: int
    seed: int


class VolumeForecast(_Noun):
    """Simulated (in-silico) tumor volume under one regimen; days since the scan.

    ``progression_days`` are the quantiles of the band over members, with the nadir looked for from the start of
    treatment on; ``None`` is beyond the horizon.
    """

    regimen: str
    model: Literal["lumped", "in space"]
    growth: str = Field(description="kind of the growth law")
    options: tuple[str, ...] = Field(default=(), description="of the response, that were asked for")
    region: str
    days: tuple[float, ...]
    volume_mm3: Band
    cells_mm3: Band | None = Field(
        default=None, description="what all cells would fill at capacity, seen or not; in space"
    )
    progression_days: tuple[float | None, float | None, float | None]
    progressed_share: float = Field(ge=0, le=1)
    tumor_control: float = Field(ge=0, le=1, description="probability that no clonogen is left")
    horizon_days: float
    total_dose_gy: float
    bed_gy: float
    eqd2_gy: float
    members: int
    seed: int
