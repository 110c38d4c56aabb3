"""Survival by group: Kaplan-Meier with intervals and numbers at risk, and the log-rank test, by lifelines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from lifelines import KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test
from lifelines.utils import median_survival_times
from numpy.typing import NDArray

from data.cohort import Cohort
from data.errors import CohortError

Floats = NDArray[np.float64]
INTERVAL = 0.95
LEAST_EVENTS = 5
"""Of each group, below which the log-rank test's normal approximation is poor (Cochran's rule)."""


@dataclass(frozen=True, eq=False)
class GroupCurve:
    """One group.

    Args:
        times: (t,) of its steps, from 0.
        survival: (t,) with ``lower`` and ``upper`` its pointwise 95 % interval (Greenwood, log-log).
        median: with its interval; None where the curve or an edge does not fall to one half.
    """

    name: str
    patients: int
    events: int
    times: Floats
    survival: Floats
    lower: Floats
    upper: Floats
    median: tuple[float | None, float | None, float | None]

    def at_risk(self, cohort: Cohort, mask: NDArray[np.bool_], times: Sequence[float]) -> list[int]:
        """Patients still followed just before each time."""
        return [int((cohort.time[mask] >= time).sum()) for time in times]


@dataclass(frozen=True, eq=False)
class Grouped:
    """Groups of a cohort, the largest first.

    Args:
        masks: of the patients of each.
        p: of the log-rank test over all groups; None where one has fewer than 5 events or there is one only.
        left_out: patients of whom the group is not known.
    """

    curves: tuple[GroupCurve, ...]
    masks: tuple[NDArray[np.bool_], ...]
    p: float | None
    left_out: int


def by_group(cohort: Cohort, groups: NDArray[np.object_]) -> Grouped:
    """Curves of groups; competing events count as being seen last.

    Args:
        cohort: the patients.
        groups: (n,) names; None where it is not known.

    Raises:
        CohortError: nobody is in a group.
    """
    names = [name for name in dict.fromkeys(groups) if name is not None]
    if not names:
        raise CohortError(f"{cohort.name}: nobody is in a group")
    parts = sorted(((str(n), groups == n) for n in names), key=lambda part: -int(part[1].sum()))
    curves = tuple(_curve(cohort, name, mask) for name, mask in parts)
    known = np.any([mask for _, mask in parts], axis=0)
    p = None
    if len(curves) > 1 and min(curve.events for curve in curves) >= LEAST_EVENTS:
        told = multivariate_logrank_test(
            cohort.time[known], groups[known].astype(str), cohort.event[known] == 1
        )  # fmt: skip
        p = float(told.p_value)
    return Grouped(curves, tuple(mask for _, mask in parts), p, int((~known).sum()))


def _curve(cohort: Cohort, name: str, mask: NDArray[np.bool_]) -> GroupCurve:
    event = cohort.event[mask] == 1
    fitter = KaplanMeierFitter(alpha=1 - INTERVAL).fit(cohort.time[mask], event)
    band = fitter.confidence_interval_
    edges = median_survival_times(band).to_numpy(float)[0]
    told = (float(fitter.median_survival_time_), float(edges[0]), float(edges[1]))
    middle, low, high = (time if np.isfinite(time) else None for time in told)
    return GroupCurve(
        name, int(mask.sum()), int(event.sum()), fitter.survival_function_.index.to_numpy(float),
        fitter.survival_function_.iloc[:, 0].to_numpy(float), band.iloc[:, 0].to_numpy(float),
        band.iloc[:, 1].to_numpy(float), (middle, low, high),
    )  # fmt: skip


def cut_at(
    values: NDArray[np.float64], cut: float, name: str, unit: str = ""
) -> NDArray[np.object_]:
    """(n,) groups of a number below a cut and from it on; None where it is not known."""
    words = f"{cut:g} {unit}".strip()
    told = np.where(values >= cut, f"{name} {words} and above", f"{name} below {words}").astype(
        object
    )
    told[np.isnan(values)] = None
    return told
