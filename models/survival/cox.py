"""Cox proportional hazards as plain numbers, which is how fitted models are shipped; Cox 1972, Breslow 1974.

Whoever has the file can compute a patient's curve by hand: add up the terms' coefficients times their columns,
and raise the baseline's curve to the power of the exponential.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.stats import t as student

from data.cohort import UNKNOWN, Covariate, TimeUnit
from data.errors import ClinicalError, CohortError
from data.prognosis import Band, Driver, SurvivalPrediction
from models.survival.bands import LEVEL, CurveBand, Floats, band_of, first_below, given_lived
from models.survival.domain import UNLIKE, always_known, beyond, distances, never_seen
from models.survival.terms import Term, columns_of


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Ratio(NamedTuple):
    """A factor on the hazard, with the edges of its band."""

    hazard_ratio: float
    low: float
    high: float


class CoxFit(_Part):
    """One fit.

    Args:
        coefficients: (k,) log hazard ratio of each term.
        baseline: (t,) cumulative hazard at the model's times, of a patient at the mean of each term.
    """

    coefficients: tuple[float, ...]
    baseline: tuple[float, ...]


class Seen(_Part):
    """What the fit's patients had of one covariate.

    Args:
        low: of a number.
        levels: of a category, the first is what the others' hazard ratios are against.
        gaps: whether it was not known of some.
    """

    low: float | None = None
    high: float | None = None
    levels: tuple[str, ...] = ()
    gaps: bool


class CoxModel(_Part):
    """A fitted model.

    Args:
        times: (t,) in months from time zero, ascending from 0.
        precision: (k, k) inverse covariance of the terms' columns; ``farthest`` is the largest squared
            Mahalanobis distance among the fit's patients.
        replicates: the same fit to patients drawn with replacement.
    """

    name: str
    title: str
    event: str
    time_zero: str
    trained_on: str
    patients: int
    events: int
    concordance_out_of_fold: float
    penalizer: float
    covariates: dict[str, Covariate]
    seen: dict[str, Seen]
    terms: tuple[Term, ...]
    precision: tuple[tuple[float, ...], ...]
    farthest: float
    times: tuple[float, ...]
    fit: CoxFit
    replicates: tuple[CoxFit, ...] = Field(min_length=20)
    sha256: str = Field(description="of the table that it was fitted to")

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        for fit in (self.fit, *self.replicates):
            if len(fit.coefficients) != len(self.terms) or len(fit.baseline) != len(self.times):
                raise ValueError("a fit's lengths do not match the terms and times")
        if {len(row) for row in self.precision} - {len(self.terms)} or set(self.seen) != set(
            self.covariates
        ):
            raise ValueError("the precision or what was seen does not match the covariates")
        return self

    @property
    def end(self) -> float:
        """Last time that is told, months."""
        return self.times[-1]

    @property
    def unit(self) -> TimeUnit:
        """Of all times."""
        return "months"

    def frame(self, values: Mapping[str, float | str | None]) -> pd.DataFrame:
        """One patient as a table.

        Raises:
            CohortError: a covariate is not there, whose value may be None but has to be said.
        """
        missing = [name for name in self.covariates if name not in values]
        if missing:
            raise CohortError(f"{', '.join(missing)} is missing; the model was fitted with it")
        return pd.DataFrame({name: pd.Series([values[name]]) for name in self.covariates})

    def outside(self, covariates: pd.DataFrame) -> list[tuple[str, ...]]:
        """Of each patient, in what it is unlike all of the fit's, in words."""
        far = distances(columns_of(self.terms, covariates), np.array(self.precision))
        told = []
        for row, distance in zip(covariates.to_dict("records"), far, strict=True):
            reasons = [r for name in self.covariates if (r := self._unlike(name, row[name]))]
            if not reasons and distance > self.farthest * (1 + 1e-6):
                reasons = [UNLIKE]
            told.append(tuple(reasons))
        return told

    def _unlike(self, name: str, value: Any) -> str | None:
        label, seen = self.label(name), self.seen[name]
        if pd.isna(value):
            return None if seen.gaps else always_known(label)
        if seen.low is not None and seen.high is not None:
            inside = seen.low <= value <= seen.high
            return None if inside else beyond(label, value, seen.low, seen.high)
        return None if str(value) in seen.levels else never_seen(label, str(value), seen.levels)

    def curves(self, covariates: pd.DataFrame, times: Floats, *, lived: float = 0.0) -> CurveBand:
        """(n, t) curves at ascending months, for patients who have lived for some of them.

        Raises:
            CohortError: times beyond what is told.
        """
        at = np.append(times, lived)
        if at.min() < 0 or at.max() > self.end:
            raise CohortError(
                f"{at.max():g} months are asked for; {self.name} tells 0 to {self.end:g}"
            )
        told = self.drawn(covariates, at)
        middle, *drawn = (
            given_lived(c[:, :-1], c[:, -1:]) if lived > 0 else c[:, :-1] for c in told
        )
        return band_of(middle, np.array(drawn))

    def drawn(
        self, covariates: pd.DataFrame, times: Floats, *, at_mean: Collection[str] = ()
    ) -> Floats:
        """(1 + r, n, t) curves of the fit and of each of its refits.

        Args:
            covariates: of the patients.
            times: in months.
            at_mean: covariates that are left to another model: everyone is at the fit's mean of them.
        """
        counted = np.array([term.covariate not in at_mean for term in self.terms])
        columns = columns_of(self.terms, covariates) * counted
        return np.array([self._curves(f, columns, times) for f in (self.fit, *self.replicates)])

    def _curves(self, fit: CoxFit, columns: Floats, at: Floats) -> Floats:
        hazard = np.interp(at, self.times, fit.baseline)
        risk = np.exp(np.clip(columns @ np.array(fit.coefficients), -50, 50))
        return np.asarray(np.exp(-np.outer(risk, hazard)))

    def parts(self, covariates: pd.DataFrame) -> Floats:
        """(n, p) each covariate's part of the log hazard, against the mean of the fit's patients."""
        columns = columns_of(self.terms, covariates) * np.array(self.fit.coefficients)
        owner = np.array([[t.covariate == name for name in self.covariates] for t in self.terms])
        return np.asarray(columns @ owner.astype(float))

    def drivers(self, values: Mapping[str, float | str | None]) -> tuple[Driver, ...]:
        """What each covariate does to this patient's hazard against the mean of the fit's patients: exact.

        The factors' product is the patient's hazard ratio. The strongest come first.
        """
        columns = columns_of(self.terms, self.frame(values))[0]
        fits = np.array([fit.coefficients for fit in (self.fit, *self.replicates)])
        found = []
        for name in self.covariates:
            own = [n for n, term in enumerate(self.terms) if term.covariate == name]
            logs = fits[:, own] @ columns[own]
            ratio = _ratio(logs[0], logs[1:])
            words = self.words(name, values[name])
            found.append(Driver(name=self.label(name), value=words, **ratio._asdict()))
        return tuple(sorted(found, key=lambda d: -abs(np.log(d.hazard_ratio))))

    def ratio_of(self, covariate: str, level: str | None, against: str | None) -> Ratio:
        """The factor on the hazard between two values of a covariate.

        Args:
            covariate: its name.
            level: of a category, or ``unknown``; None of a number is one ``scale`` more.
            against: another level; None of a number is its center.
        """
        own = [term for term in self.terms if term.covariate == covariate]
        center, scale = next(((t.center, t.scale) for t in own if t.level is None), (None, 0.0))
        usual = center if against is None else against
        asked = center + scale if level is None and center is not None else level
        pair = pd.Series([None if asked == UNKNOWN else asked, usual])
        side = np.array([
            float(-np.diff(t.column(pair))[0]) if t.covariate == covariate else 0.0 for t in self.terms
        ])  # fmt: skip
        fits = np.array([fit.coefficients for fit in (self.fit, *self.replicates)]) @ side
        return _ratio(fits[0], fits[1:])

    def label(self, covariate: str) -> str:
        """For people."""
        return self.covariates[covariate].label or covariate

    def words(self, covariate: str, value: Any) -> str:
        """A value with its unit."""
        return self.covariates[covariate].words(value)

    def predict(
        self, values: Mapping[str, float | str | None], *, lived: float = 0.0
    ) -> SurvivalPrediction:
        """One patient's curve, and what drives it; time lived in months.

        Raises:
            ClinicalError: the patient is unlike all of the fit's, so that there is no number.
        """
        frame = self.frame(values)
        (outside,) = self.outside(frame)
        if outside:
            raise ClinicalError(f"{self.name} has no number here: {'; '.join(outside)}")
        times = np.array(self.times)
        band = self.curves(frame, times, lived=lived)
        low, middle, high = (_rounded(c[0]) for c in (band.lower, band.middle, band.upper))
        return SurvivalPrediction(
            model=self.name, months=self.times, lived_months=lived,
            survival=Band(lower=low, median=middle, upper=high, level=LEVEL),
            median_months=first_below(times, band.middle[0]),
            median_low=first_below(times, band.lower[0]), median_high=first_below(times, band.upper[0]),
            covariates={self.label(name): self.words(name, values[name]) for name in self.covariates},
            unknown=tuple(self.label(name) for name in self.covariates if pd.isna(values[name])),
            drivers=self.drivers(values), statement=self.statement,
        )  # fmt: skip

    @property
    def statement(self) -> str:
        """Where it is from and how good it is, in a sentence."""
        return (
            f"Cox model on {self.patients} patients ({self.events} with {self.event}), {self.trained_on}; "
            f"out-of-fold concordance {self.concordance_out_of_fold:.2f}"
        )


def _ratio(log: float, drawn: Floats) -> Ratio:
    reach = float(student.ppf((1 + LEVEL) / 2, len(drawn) - 1) * np.std(drawn, ddof=1))
    return Ratio(*(float(f"{np.exp(value):.6g}") for value in (log, log - reach, log + reach)))


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(float(f"{v:.6g}") for v in values)
