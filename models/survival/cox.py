"""Cox proportional hazards, applied from shipped coefficients; Cox 1972, baseline after Breslow 1974.

The band is over bootstrap replicates of the whole fit (coefficients and baseline): it is the
uncertainty of the model's curve, not the spread of single patients around it.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.clinical import ClinicalRecord, Markers
from data.errors import ClinicalError
from data.prognosis import Band, SurvivalPrediction

LEVEL = 0.9
AGE_DECADE_FROM = 50.0


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CoxFit(_Part):
    """One fit: log hazard ratios per covariate, cumulative baseline hazard at the model's months."""

    coefficients: tuple[float, ...]
    baseline: tuple[float, ...]


class CoxModel(_Part):
    """A fitted model as plain numbers."""

    name: str
    trained_on: str
    patients: int
    events: int
    concordance_out_of_fold: float
    covariates: tuple[str, ...]
    months: tuple[float, ...]
    fit: CoxFit
    replicates: tuple[CoxFit, ...] = Field(min_length=20)

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        for fit in (self.fit, *self.replicates):
            if len(fit.coefficients) != len(self.covariates) or len(fit.baseline) != len(
                self.months
            ):
                raise ValueError("a fit's lengths do not match the covariates and months")
        return self

    def predict(self, record: ClinicalRecord, markers: Markers) -> SurvivalPrediction:
        """One patient's curve. What is unknown enters as its own level, as it did in training.

        Raises:
            ClinicalError: something is unknown that was known of every patient in training.
        """
        values, unknown = covariates_of(record, markers)
        needed = [name for name in unknown if f"{name}_unknown" not in self.covariates]
        if needed:
            raise ClinicalError(
                f"{self.name} was never shown a patient without {' and '.join(needed)}; add it to the "
                "record for a survival curve"
            )
        x = np.array([values[name] for name in self.covariates])
        curve = self._curve(self.fit, x)
        spread = np.stack([self._curve(fit, x) for fit in self.replicates])
        low, high = np.quantile(spread, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        low, high = np.minimum(low, curve), np.maximum(high, curve)
        below = np.flatnonzero(curve <= 0.5)
        return SurvivalPrediction(
            model=self.name,
            months=self.months,
            survival=Band(
                lower=_rounded(low), median=_rounded(curve), upper=_rounded(high), level=LEVEL
            ),
            median_months=float(self.months[below[0]]) if len(below) else None,
            covariates={name: float(values[name]) for name in self.covariates},
            unknown=unknown,
            statement=(
                f"Cox model on {self.patients} patients ({self.events} deaths), {self.trained_on}; "
                f"out-of-fold concordance {self.concordance_out_of_fold:.2f}"
            ),
        )

    def _curve(
        self, fit: CoxFit, x: np.ndarray[tuple[int], np.dtype[np.float64]]
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        risk = np.exp(float(np.dot(fit.coefficients, x)))
        return np.asarray(np.exp(-np.array(fit.baseline) * risk))


def covariates_of(
    record: ClinicalRecord, markers: Markers
) -> tuple[dict[str, float], tuple[str, ...]]:
    """The model's covariates of a patient, and the names of those not known.

    Age enters in decades from 50, KPS in tens below 100; each unknown has an indicator of its own.
    """
    unknown = []
    values: dict[str, float] = {}

    def add(name: str, known: float | None) -> None:
        values[name] = 0.0 if known is None else known
        values[f"{name}_unknown"] = float(known is None)
        if known is None:
            unknown.append(name)

    add("age", None if record.age_years is None else (record.age_years - AGE_DECADE_FROM) / 10)
    add("kps", None if record.kps is None else (100 - record.kps) / 10)
    add("grade3", None if record.grade is None else float(record.grade == 3))
    add("grade4", None if record.grade is None else float(record.grade == 4))
    for name, state in (
        ("idh_mutant", markers.idh_mutation),
        ("codeleted", markers.codeletion_1p19q),
        ("mgmt_methylated", markers.mgmt_methylation),
    ):
        add(name, None if state == "untested" else float(state == "present"))
    values["grade_unknown"] = values.pop("grade3_unknown")
    values.pop("grade4_unknown")
    named = tuple(dict.fromkeys("grade" if n.startswith("grade") else n for n in unknown))
    return values, named


def _rounded(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, ...]:
    return tuple(float(f"{v:.6g}") for v in values)
