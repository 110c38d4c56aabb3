"""The patients of a cohort who are most like one patient in what the outcome depends on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

COUNT = 20
"""Patients that are told of; a choice."""


def nearest(
    patient: Floats, cohort: Floats, count: int = COUNT
) -> tuple[NDArray[np.int64], Floats]:
    """Rows of the nearest patients, the nearest first, and their distances.

    A covariate counts by how far apart it puts two patients on the log hazard: one that does not matter for the
    outcome does not part them, and two whose risks are alike for different reasons are not neighbors.

    Args:
        patient: (p,) each covariate's part of the log hazard.
        cohort: (n, p) likewise.
        count: how many, or all if there are fewer.
    """
    distance = np.sqrt(((cohort - patient) ** 2).sum(axis=1))
    order = np.argsort(distance, kind="stable")[:count]
    return order, distance[order]
