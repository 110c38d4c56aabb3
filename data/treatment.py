"""Treatment as an exact list of events: fractions of radiotherapy and cycles of a drug.

Days count from the start of the simulation (the day of the scan); doses are Gy and mg/m2.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_FRACTIONS = 200
"""More fractions than any published course; a larger number is a typing mistake."""
MAX_CYCLES = 100
MAX_DAY = 3650.0


class _Noun(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Fraction(_Noun):
    """One irradiation. ``day`` may carry the clock time: 3.25 is six hours into day 3."""

    day: float = Field(ge=0, le=MAX_DAY)
    dose_gy: float = Field(ge=0, le=30)


class Cycle(_Noun):
    """A drug given once a day on consecutive days."""

    drug: str = Field(min_length=1)
    start_day: float = Field(ge=0, le=MAX_DAY)
    days: int = Field(gt=0, le=366)
    dose_mg_m2: float = Field(ge=0, le=10_000)

    @property
    def end_day(self) -> float:
        """The day after the last dose."""
        return self.start_day + self.days


class Regimen(_Noun):
    """What is given and when.

    Raises:
        pydantic.ValidationError: a negative or NaN dose, too many fractions, two fractions at one
            time, or cycles of one drug that overlap.
    """

    name: str = Field(min_length=1, max_length=80)
    fractions: tuple[Fraction, ...] = ()
    cycles: tuple[Cycle, ...] = ()
    source: str = ""

    @model_validator(mode="after")
    def _can_be_given(self) -> Self:
        if len(self.fractions) > MAX_FRACTIONS:
            raise ValueError(
                f"{len(self.fractions)} fractions: a course has at most {MAX_FRACTIONS}"
            )
        times = [fraction.day for fraction in self.fractions]
        if len(set(times)) != len(times):
            repeated = next(day for day in times if times.count(day) > 1)
            raise ValueError(
                f"two fractions at the same time, day {repeated:g}: courses overlap; give them "
                "different days or clock times"
            )
        if len(self.cycles) > MAX_CYCLES:
            raise ValueError(f"{len(self.cycles)} cycles: at most {MAX_CYCLES}")
        for drug in {cycle.drug for cycle in self.cycles}:
            ordered = sorted((c for c in self.cycles if c.drug == drug), key=lambda c: c.start_day)
            for first, second in pairwise(ordered):
                if second.start_day < first.end_day:
                    raise ValueError(
                        f"{drug} cycles overlap: one runs from day {first.start_day:g} to "
                        f"{first.end_day:g}, the next starts on day {second.start_day:g}"
                    )
        return self

    @property
    def total_dose_gy(self) -> float:
        """Physical dose in Gy."""
        return float(sum(f.dose_gy for f in self.fractions))

    @property
    def fraction_doses_gy(self) -> NDArray[np.float64]:
        """Dose of each fraction in Gy, in the order given."""
        return np.array([f.dose_gy for f in self.fractions], np.float64)


class RadiotherapyCourse(_Noun):
    """Equal fractions on weekdays; the course starts on a Monday."""

    fractions: int = Field(gt=0, le=MAX_FRACTIONS)
    dose_per_fraction_gy: float = Field(ge=0, le=30)
    start_day: float = Field(ge=0, le=MAX_DAY)
    per_week: int = Field(default=5, gt=0, le=7)

    def expand(self) -> tuple[Fraction, ...]:
        """The single fractions."""
        return tuple(
            Fraction(
                day=self.start_day + 7 * (n // self.per_week) + n % self.per_week,
                dose_gy=self.dose_per_fraction_gy,
            )
            for n in range(self.fractions)
        )


class DrugCourse(_Noun):
    """Equal cycles of a drug, ``every_days`` apart."""

    drug: str = Field(min_length=1)
    dose_mg_m2: float = Field(ge=0, le=10_000)
    start_day: float = Field(ge=0, le=MAX_DAY)
    days_per_cycle: int = Field(gt=0, le=366)
    cycles: int = Field(default=1, gt=0, le=MAX_CYCLES)
    every_days: float = Field(default=28, gt=0, le=366)

    def expand(self) -> tuple[Cycle, ...]:
        """The single cycles."""
        return tuple(
            Cycle(
                drug=self.drug,
                start_day=self.start_day + n * self.every_days,
                days=self.days_per_cycle,
                dose_mg_m2=self.dose_mg_m2,
            )
            for n in range(self.cycles)
        )


class RegimenPlan(_Noun):
    """A regimen as people write it (YAML, the board's editor): courses instead of single events."""

    name: str = Field(min_length=1, max_length=80)
    source: str = ""
    radiotherapy: tuple[RadiotherapyCourse, ...] = ()
    drugs: tuple[DrugCourse, ...] = ()

    def expand(self) -> Regimen:
        """Every fraction and cycle, checked."""
        return Regimen(
            name=self.name,
            source=self.source,
            fractions=tuple(f for course in self.radiotherapy for f in course.expand()),
            cycles=tuple(c for course in self.drugs for c in course.expand()),
        )
