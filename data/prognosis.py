"""Answers with their uncertainty: survival curves and simulated volumes."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


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


class SurvivalPrediction(_Noun):
    """Overall survival since diagnosis for one patient; months of 30.4375 days."""

    model: str
    months: tuple[float, ...]
    survival: Band
    median_months: float | None
    covariates: dict[str, float]
    unknown: tuple[str, ...]
    statement: str


class VolumeForecast(_Noun):
    """Simulated (in-silico) tumor volume under one regimen; days since the scan.

    ``progression_days`` are the quantiles of the band over members, with the nadir looked for from the start of
    treatment on; ``None`` is beyond the horizon.
    """

    regimen: str
    model: Literal["lumped", "in space"]
    region: str
    days: tuple[float, ...]
    volume_mm3: Band
    cells_mm3: Band | None = Field(
        default=None, description="what all cells would fill at capacity, seen or not; in space"
    )
    progression_days: tuple[float | None, float | None, float | None]
    progressed_share: float = Field(ge=0, le=1)
    horizon_days: float
    total_dose_gy: float
    bed_gy: float
    eqd2_gy: float
    members: int
    seed: int
