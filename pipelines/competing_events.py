"""Cumulative incidences of a cohort's competing events, as the command tells them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.cohort import Cohort
from data.errors import CohortError
from data.io.cohort import CohortFile, read_cohort
from models.survival.calibration import observed_by
from models.survival.competing import cumulative_incidence
from models.survival.terms import levels_of


@dataclass(frozen=True)
class Incidence:
    """Of one group at one time.

    Args:
        naive: what one less Kaplan-Meier would say of the event, in a world without the competing one.
    """

    group: str
    patients: int
    time: float
    event: float
    competing: float
    neither: float
    naive: float


def incidence_rows(
    dictionary: Path, times: tuple[float, ...], by: str | None = None
) -> tuple[CohortFile, list[Incidence]]:
    """All patients, or each level of a category.

    Raises:
        CohortError: no competing event, a covariate that is no category, or a time beyond what was followed.
    """
    cohort, told = read_cohort(dictionary)
    parts = {"all": cohort}
    if by is not None:
        values = cohort.with_columns([by]).covariates[by]
        if told.covariates[by].kind == "number":
            raise CohortError(f"{by} is a number; give a category, or cut it in the table")
        levels = levels_of(values)
        parts = {f"{by}: {level}": cohort.take(levels == level) for level in sorted(set(levels))}
    return told, [row for name, part in parts.items() for row in _rows(name, part, times)]


def _rows(name: str, cohort: Cohort, times: tuple[float, ...]) -> list[Incidence]:
    last = float(cohort.time.max())
    for time in times:
        if not 0 <= time <= last:
            raise CohortError(
                f"{name}: {time:g} is asked for; its patients were followed for 0 to {last:g}"
            )
    told = cumulative_incidence(cohort, np.array(times))
    return [
        Incidence(
            name, len(cohort), time, float(event), float(competing), float(1 - event - competing),
            observed_by(cohort, time),
        )
        for time, event, competing in zip(times, *told, strict=True)
    ]  # fmt: skip
