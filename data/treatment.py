"""Treatment as an exact list of events: resections, fractions of radiotherapy and cycles of a drug.

Days count from the start of the simulation (the day of the scan); doses are Gy and mg/m2, or mg where a
drug is given regardless of the body's size.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

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


class Adaptive(_Noun):
    """When cycles of a drug are left out, by the tumor's volume as a share of that before its first cycle.

    Zhang 2017 (Nat Commun 8:1816) stopped at half and began again at all of it.
    """

    pause_below: float = Field(default=0.5, gt=0, lt=1)
    resume_from: float = Field(default=1.0, gt=0, le=2)

    @model_validator(mode="after")
    def _pauses_before_it_resumes(self) -> Self:
        if self.resume_from <= self.pause_below:
            raise ValueError(
                f"treatment resumes from {self.resume_from:g}, which is not above where it pauses, "
                f"{self.pause_below:g}"
            )
        return self


class _Drug(_Noun):
    """A drug and one daily dose of it: in mg/m2, or in mg."""

    drug: str = Field(min_length=1)
    start_day: float = Field(ge=0, le=MAX_DAY)
    dose_mg_m2: float | None = Field(default=None, ge=0, le=10_000)
    dose_mg: float | None = Field(default=None, ge=0, le=10_000)

    @model_validator(mode="after")
    def _one_dose(self) -> Self:
        if (self.dose_mg_m2 is None) == (self.dose_mg is None):
            raise ValueError(f"{self.drug}: give dose_mg_m2 or dose_mg, one of them")
        return self


class Cycle(_Drug):
    """A drug given once a day on consecutive days; an adaptive one is left out while the tumor is small."""

    days: int = Field(gt=0, le=int(MAX_DAY))
    adaptive: Adaptive | None = None

    @property
    def end_day(self) -> float:
        """The day after the last dose."""
        return self.start_day + self.days


class Resection(_Noun):
    """Surgery that removes a share of a region's cells, and as much of what lies within a margin of it."""

    day: float = Field(ge=0, le=MAX_DAY)
    region: Literal["TC", "WT"] = "TC"
    extent: float = Field(gt=0, le=1, description="share removed: 0.95 leaves one cell in twenty")
    margin_mm: float = Field(default=0.0, ge=0, le=30)


class UniformTarget(_Noun):
    """Every voxel gets the dose."""

    kind: Literal["uniform"] = "uniform"


class MarginTarget(_Noun):
    """The dose goes to a region and a margin around it inside the brain, and falls off outside.

    Margins as ESTRO-EANO 2023 (Radiother Oncol 184:109663): clinical target volume 15 mm about the
    gross tumor, planning margin at most 3 mm. The fall-off is a Gaussian penumbra, 95 % at the edge.
    """

    kind: Literal["margin"] = "margin"
    region: Literal["TC", "WT"] = "TC"
    margin_mm: float = Field(default=15.0, ge=0, le=50)
    setup_mm: float = Field(default=3.0, ge=0, le=20)
    penumbra_mm: float = Field(default=6.0, gt=0, le=30, description="assumed")


class MapTarget(_Noun):
    """The dose goes where a dose map of the patient says: a plan as it was made, or dose painting.

    Each fraction gives a voxel its dose times the map's over ``prescribed_gy``.
    """

    kind: Literal["map"] = "map"
    dose: str = Field(min_length=1, description="its name under 'planning' in study.yaml")
    prescribed_gy: float = Field(gt=0, le=200, description="of the map: where all of it arrives")


Target = Annotated[UniformTarget | MarginTarget | MapTarget, Field(discriminator="kind")]
"""Where radiotherapy goes. A twin without space gives all of the tumor the dose, and knows no maps."""


class Regimen(_Noun):
    """What is given and when.

    Raises:
        pydantic.ValidationError: a negative or NaN dose, too many fractions, two fractions at one
            time, or cycles of one drug that overlap.
    """

    name: str = Field(min_length=1, max_length=80)
    fractions: tuple[Fraction, ...] = ()
    cycles: tuple[Cycle, ...] = ()
    resections: tuple[Resection, ...] = ()
    target: Target = UniformTarget()
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
    def start_day(self) -> float:
        """Day of the first thing done; 0 if nothing is."""
        days = [*(r.day for r in self.resections), *(f.day for f in self.fractions)]
        return min([*days, *(c.start_day for c in self.cycles)], default=0.0)

    @property
    def course_ends(self) -> tuple[float, ...]:
        """Days on which something ends: each resection, the last fraction, each cycle."""
        last = [max(f.day for f in self.fractions)] if self.fractions else []
        days = {*(r.day for r in self.resections), *last, *(c.end_day for c in self.cycles)}
        return tuple(sorted(days))

    @property
    def total_dose_gy(self) -> float:
        """Physical dose in Gy."""
        return float(sum(f.dose_gy for f in self.fractions))

    @property
    def fraction_doses_gy(self) -> NDArray[np.float64]:
        """Dose of each fraction in Gy, in the order given."""
        return np.array([f.dose_gy for f in self.fractions], np.float64)


class RadiotherapyCourse(_Noun):
    """Equal fractions on weekdays; the course starts on a Monday.

    Several fractions a day are ``hours_apart``. Of missed fractions, counted from 1, the others keep their
    days; ``made_up`` gives as many at the end of the course.
    """

    fractions: int = Field(gt=0, le=MAX_FRACTIONS)
    dose_per_fraction_gy: float = Field(ge=0, le=30)
    start_day: float = Field(ge=0, le=MAX_DAY)
    per_week: int = Field(default=5, gt=0, le=7)
    per_day: int = Field(default=1, gt=0, le=4)
    hours_apart: float = Field(default=6.0, ge=4, le=12)
    missed: tuple[int, ...] = ()
    made_up: bool = True

    @model_validator(mode="after")
    def _missed_are_of_the_course(self) -> Self:
        beyond = [n for n in self.missed if not 1 <= n <= self.fractions]
        if beyond or len(set(self.missed)) != len(self.missed):
            raise ValueError(
                f"missed fractions {list(self.missed)}: each once, from 1 to {self.fractions}"
            )
        if (self.per_day - 1) * self.hours_apart >= 24:
            raise ValueError(
                f"{self.per_day} fractions {self.hours_apart:g} hours apart do not fit a day"
            )
        return self

    def expand(self) -> tuple[Fraction, ...]:
        """The single fractions."""
        count = self.fractions + (len(self.missed) if self.made_up else 0)
        return tuple(
            Fraction(day=self._day(n), dose_gy=self.dose_per_fraction_gy)
            for n in range(count)
            if n + 1 not in self.missed
        )

    def _day(self, n: int) -> float:
        session, turn = divmod(n, self.per_day)
        week, weekday = divmod(session, self.per_week)
        return self.start_day + 7 * week + weekday + turn * self.hours_apart / 24.0


class DrugCourse(_Drug):
    """Equal cycles of a drug, ``every_days`` apart."""

    days_per_cycle: int = Field(gt=0, le=int(MAX_DAY))
    cycles: int = Field(default=1, gt=0, le=MAX_CYCLES)
    every_days: float = Field(default=28, gt=0, le=366)
    adaptive: Adaptive | None = None

    def expand(self) -> tuple[Cycle, ...]:
        """The single cycles."""
        return tuple(
            Cycle(
                drug=self.drug,
                start_day=self.start_day + n * self.every_days,
                days=self.days_per_cycle,
                dose_mg_m2=self.dose_mg_m2,
                dose_mg=self.dose_mg,
                adaptive=self.adaptive,
            )
            for n in range(self.cycles)
        )


class RegimenPlan(_Noun):
    """A regimen as people write it (YAML, the board's editor): courses instead of single events.

    ``delay_days`` moves radiotherapy and drugs, not surgery.
    """

    name: str = Field(min_length=1, max_length=80)
    source: str = ""
    surgery: tuple[Resection, ...] = ()
    target: Target = UniformTarget()
    radiotherapy: tuple[RadiotherapyCourse, ...] = ()
    drugs: tuple[DrugCourse, ...] = ()
    delay_days: float = Field(default=0.0, ge=0, le=366)

    def expand(self) -> Regimen:
        """Every fraction and cycle, checked."""
        return Regimen(
            name=self.name,
            source=self.source,
            target=self.target,
            resections=self.surgery,
            fractions=tuple(
                f.model_copy(update={"day": f.day + self.delay_days})
                for course in self.radiotherapy
                for f in course.expand()
            ),
            cycles=tuple(
                c.model_copy(update={"start_day": c.start_day + self.delay_days})
                for course in self.drugs
                for c in course.expand()
            ),
        )
