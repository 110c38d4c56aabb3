"""Cohorts whose true curves are known: Weibull proportional hazards (Bender 2005, doi:10.1002/sim.2059)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.cohort import Cohort

Floats = NDArray[np.float64]
SHAPE, SCALE_MONTHS = 1.3, 20.0
PER_YEAR, GROUP_B, MEAN_AGE, AGE_SD = 0.05, 0.8, 60.0, 10.0
SEEN_FROM, SEEN_TO = 5.0, 60.0
GROUPS = ("a", "b", "c")


@dataclass(frozen=True, eq=False)
class Simulated:
    """In-silico patients: age and group matter, ``noise`` does not.

    Args:
        cohort: months, some patients last seen without the event.
        log_hazard: (n,) true, against a patient of the mean age in group a or c.
    """

    cohort: Cohort
    log_hazard: Floats

    def survival(self, months: Floats) -> Floats:
        """(n, t) true probabilities."""
        return np.asarray(
            np.exp(-np.exp(self.log_hazard)[:, None] * (np.asarray(months) / SCALE_MONTHS) ** SHAPE)
        )


def simulated(patients: int, rng: np.random.Generator) -> Simulated:
    """Draw patients and what became of them."""
    age = rng.normal(MEAN_AGE, AGE_SD, patients)
    group = rng.choice(GROUPS, patients)
    frame = pd.DataFrame(
        {"age": age, "noise": rng.normal(size=patients), "group": pd.Categorical(group, categories=GROUPS)}
    )  # fmt: skip
    log_hazard = PER_YEAR * (age - MEAN_AGE) + GROUP_B * (group == "b")
    months = SCALE_MONTHS * (rng.exponential(size=patients) / np.exp(log_hazard)) ** (1 / SHAPE)
    last = rng.uniform(SEEN_FROM, SEEN_TO, patients)
    ids = np.array([f"in-silico-{n:04d}" for n in range(patients)], object)
    event = (months <= last).astype(np.int64)
    return Simulated(
        Cohort("in-silico", ids, frame, np.minimum(months, last), event, "months"), log_hazard
    )
