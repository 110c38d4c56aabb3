"""How a model does in parts of a cohort; a part with few events gets no number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.cohort import Cohort
from data.errors import CohortError
from models.survival.calibration import LEAST_EVENTS, AtHorizon, at_horizon
from models.survival.families.base import Floats
from models.survival.scores import harrell
from models.survival.terms import level_of


@dataclass(frozen=True)
class Subgroup:
    """One part of a cohort.

    Args:
        harrell: concordance; None where there are fewer than 20 events.
        at: calibration at the horizon; None likewise, or where too few were followed.
    """

    name: str
    patients: int
    events: int
    harrell: float | None
    at: AtHorizon | None


def subgroups(
    cohort: Cohort,
    event_by: Floats,
    horizon: float,
    columns: Sequence[str],
    *,
    cuts: Mapping[str, Sequence[float]],
) -> tuple[Subgroup, ...]:
    """By the levels of covariates, whether the model uses them or not.

    Args:
        cohort: the patients.
        event_by: (n,) out-of-fold or external probabilities of the event by the horizon.
        horizon: in the cohort's unit.
        columns: categories, or numbers with cuts.
        cuts: of numbers, chosen before a look at the outcomes.

    Raises:
        CohortError: a column is not there, or a number has no cuts.
    """
    cohort.with_columns(list(columns))  # refuses what is not there
    found = []
    for column in columns:
        for name, mask in _parts(cohort.covariates[column], column, cuts):
            if mask.sum() < 2:
                continue
            part = cohort.take(mask)
            enough = part.events >= LEAST_EVENTS
            found.append(
                Subgroup(
                    name, len(part), part.events,
                    harrell(part, event_by[mask]) if enough else None,
                    _at(part, event_by[mask], horizon) if enough else None,
                )
            )  # fmt: skip
    return tuple(found)


def _parts(
    values: pd.Series, column: str, cuts: Mapping[str, Sequence[float]]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    if not pd.api.types.is_numeric_dtype(values):
        levels = np.array([level_of(value) for value in values], object)
        for level in sorted(set(levels)):
            yield f"{column}: {level}", np.asarray(levels == level)
        return
    if column not in cuts:
        raise CohortError(f"{column} is a number; say with which cuts it is to be parted")
    edges = [-np.inf, *sorted(cuts[column]), np.inf]
    numbers = values.to_numpy(float)
    for low, high in pairwise(edges):
        name = f"{low:g} to {high:g}"
        if np.isinf(low):
            name = f"below {high:g}"
        elif np.isinf(high):
            name = f"{low:g} and above"
        yield f"{column}: {name}", (numbers >= low) & (numbers < high)


def _at(cohort: Cohort, event_by: Floats, horizon: float) -> AtHorizon | None:
    try:
        return at_horizon(cohort, event_by, horizon)
    except CohortError:
        return None
