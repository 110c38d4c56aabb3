"""The twin in space brought to what later scans showed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.treatment import Regimen
from models.inference.laplace import most_probable
from models.inference.smoother import Posterior, smoothed
from models.spatial import (
    PARAMETERS,
    SpatialTwin,
    parameters_of,
    simulate_in_space,
    with_parameters,
)

Values = NDArray[np.float64]
Method = Literal["es-mda", "laplace"]
METHODS: tuple[Method, ...] = ("es-mda", "laplace")

SMALLEST_MM3 = 100.0
"""Added to every volume before its logarithm is taken, so that a lesion out of sight is a finite number."""
HARDLY_KNOWN = 0.1
"""A parameter whose variance shrinks by less than this share is not told by the scans."""
ONLY_TOGETHER = 0.9
"""Correlation from which only a combination of two parameters is told."""


@dataclass(frozen=True)
class FollowUp:
    """Volumes seen on later scans.

    Args:
        days: (scans,) since the scan that the twin starts from.
        volumes_mm3: (scans,) by region.
        error_log_sd: of each volume's logarithm.
    """

    days: Values
    volumes_mm3: Mapping[str, Values]
    error_log_sd: float

    def __post_init__(self) -> None:
        if not len(self.days) or not (np.diff(self.days) > 0).all() or self.days[0] <= 0:
            raise ValueError(f"later scans are in order and after the first, got days {self.days}")
        for region, volumes in self.volumes_mm3.items():
            if volumes.shape != self.days.shape or not (volumes >= 0).all():
                raise ValueError(
                    f"{region}: a volume for each of {len(self.days)} scans, none negative"
                )
        if not self.error_log_sd > 0:
            raise ValueError(f"an error is positive, got {self.error_log_sd}")


@dataclass(frozen=True)
class CalibratedTwin:
    """A twin whose members agree with follow-up, and how much that taught.

    Args:
        twin: of the posterior's members.
        posterior: in the columns of ``PARAMETERS``.
        misfit: root mean square of (median prediction - observation) over its error; near 1 if all fits.
    """

    twin: SpatialTwin
    posterior: Posterior
    misfit: float

    def flags(self) -> tuple[str, ...]:
        """What the scans do not tell, in words."""
        found = [
            f"the scans hardly tell the {name}"
            for name, share in zip(PARAMETERS, self.posterior.contraction, strict=True)
            if share < HARDLY_KNOWN
        ]
        together = np.abs(np.triu(self.posterior.correlation, 1)) > ONLY_TOGETHER
        found += [
            f"the scans tell {PARAMETERS[i]} and {PARAMETERS[j]} only together"
            for i, j in np.argwhere(together)
        ]
        if self.misfit > 2.0:
            found.append(
                f"no parameters within the prior explain the scans: they are off by {self.misfit:.1f} errors"
            )
        return tuple(found)


def calibrate(
    twin: SpatialTwin,
    follow_up: FollowUp,
    *,
    given: Regimen,
    rng: np.random.Generator,
    method: Method = "es-mda",
    threads: int = 1,
    on_member: Callable[[int, int], None] = lambda done, total: None,
) -> CalibratedTwin:
    """Update a twin by volumes of later scans.

    The twin may be a prior's or one that was calibrated before: a new scan then updates what the earlier
    ones taught.

    Args:
        twin: starting from the first scan.
        follow_up: what was seen after it.
        given: the treatment between the scans.
        rng: where perturbations come from.
        method: ensemble smoother, or the quick one.
        threads: members that run at once.
        on_member: told how many members of a round are done, of how many.
    """
    regions = tuple(follow_up.volumes_mm3)
    observed = np.concatenate([_told(follow_up.volumes_mm3[region]) for region in regions])
    saves = np.concatenate([[0.0], follow_up.days])

    before = parameters_of(twin)
    acting = _acting(given)

    def model(columns: Values) -> Values:
        alike = len(columns) == twin.members
        known = before if alike else np.tile(before.mean(0), (len(columns), 1))
        drugs = twin if alike else twin.median_member.member(0, len(columns))
        found = simulate_in_space(
            with_parameters(drugs, _replaced(known, acting, columns)),
            given,
            saves=saves,
            threads=threads,
            on_member=on_member,
        )
        return np.hstack([_told(found.regions[region].volume_mm3[:, 1:]) for region in regions])

    error = np.full(len(observed), follow_up.error_log_sd)
    solve = smoothed if method == "es-mda" else most_probable
    found = solve(before[:, acting], model, observed, error, rng=rng)
    off = (np.median(model(found.members), axis=0) - observed) / error
    posterior = Posterior(before, _replaced(before, acting, found.members), found.solves)
    return CalibratedTwin(
        with_parameters(twin, posterior.members), posterior, float(np.sqrt(np.mean(off**2)))
    )


def _acting(given: Regimen) -> list[int]:
    """Columns of the parameters that matter to what is seen; chance correlations do not move the others."""
    idle = () if given.fractions else ("log alpha", "log alpha/beta")
    return [n for n, name in enumerate(PARAMETERS) if name not in idle]


def _replaced(parameters: Values, columns: list[int], by: Values) -> Values:
    changed = parameters.copy()
    changed[:, columns] = by
    return changed


def _told(volumes_mm3: Values) -> Values:
    return np.asarray(np.log(volumes_mm3 + SMALLEST_MM3))
