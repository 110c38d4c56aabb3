"""The twin in space brought to what later scans showed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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

    def scan(self, n: int) -> FollowUp:
        """One of the scans alone."""
        return replace(
            self,
            days=self.days[n : n + 1],
            volumes_mm3={r: v[n : n + 1] for r, v in self.volumes_mm3.items()},
        )

    @property
    def told(self) -> Values:
        """(regions * scans,) logarithms of the volumes, region by region."""
        return np.concatenate([_told(volumes) for volumes in self.volumes_mm3.values()])


@dataclass(frozen=True)
class CalibratedTwin:
    """A twin whose members agree with follow-up, and how much that taught.

    Args:
        twin: of the posterior's members.
        posterior: in the columns of ``PARAMETERS``.
        fitted_mm3: (members, scans) what they say of each scan, by region.
        misfit: root mean square of (median prediction - observation) over its error; near 1 if all fits.
    """

    twin: SpatialTwin
    posterior: Posterior
    fitted_mm3: Mapping[str, Values]
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
) -> CalibratedTwin:
    """Bring a twin to later scans, one after another; see :func:`update`."""
    after, solves = twin, 0
    for n in range(len(follow_up.days)):
        found = update(
            after, follow_up.scan(n), given=given, rng=rng, method=method, threads=threads
        )
        after = with_parameters(twin, found.members)
        solves += found.solves
    return judged(twin, after, follow_up, given=given, solves=solves, threads=threads)


def update(
    twin: SpatialTwin,
    follow_up: FollowUp,
    *,
    given: Regimen,
    rng: np.random.Generator,
    method: Method = "es-mda",
    threads: int = 1,
) -> Posterior:
    """What is believed of a twin after volumes of a later scan.

    The twin may be a prior's or one that was updated before: a new scan then adds to what the earlier ones
    taught.

    Args:
        twin: starting from the first scan.
        follow_up: what was seen after it; of several scans, all are weighed at once.
        given: the treatment between the scans.
        rng: where perturbations come from.
        method: ensemble smoother, or the quick one.
        threads: members that run at once.
    """
    before = parameters_of(twin)
    acting = _acting(given, float(follow_up.days[-1]))
    alike = method == "es-mda"  # asked for all members at once, else for a few about their middle

    def model(columns: Values) -> Values:
        known = before if alike else np.tile(before.mean(0), (len(columns), 1))
        drugs = twin if alike else twin.median_member.member(0, len(columns))
        tried = with_parameters(drugs, _replaced(known, acting, columns))
        found = _predicted(tried, follow_up, given, threads)
        return np.hstack([_told(volumes) for volumes in found.values()])

    error = np.full(len(follow_up.told), follow_up.error_log_sd)
    solve = smoothed if method == "es-mda" else most_probable
    found = solve(before[:, acting], model, follow_up.told, error, rng=rng)
    return Posterior(before, _replaced(before, acting, found.members), found.solves)


def judged(
    before: SpatialTwin,
    after: SpatialTwin,
    follow_up: FollowUp,
    *,
    given: Regimen,
    solves: int,
    threads: int = 1,
) -> CalibratedTwin:
    """How far a calibrated twin is from all the scans that taught it, and how much they did.

    Args:
        before: the prior's members.
        after: the same members after all scans.
        follow_up: all scans.
        given: the treatment between them.
        solves: that it took.
        threads: members that run at once.
    """
    fitted = _predicted(after, follow_up, given, threads)
    middle = np.concatenate([np.median(_told(volumes), axis=0) for volumes in fitted.values()])
    off = (middle - follow_up.told) / follow_up.error_log_sd
    posterior = Posterior(parameters_of(before), parameters_of(after), solves)
    return CalibratedTwin(after, posterior, fitted, float(np.sqrt(np.mean(off**2))))


def _predicted(
    twin: SpatialTwin, follow_up: FollowUp, given: Regimen, threads: int
) -> dict[str, Values]:
    """(members, scans) volumes in mm3 by region, in the order of the follow-up's."""
    saves = np.concatenate([[0.0], follow_up.days])
    found = simulate_in_space(twin, given, saves=saves, threads=threads)
    return {region: found.regions[region].volume_mm3[:, 1:] for region in follow_up.volumes_mm3}


def _acting(given: Regimen, until: float) -> list[int]:
    """Columns of the parameters that matter to what is seen; chance correlations do not move the others."""
    irradiated = any(fraction.day < until for fraction in given.fractions)
    idle = () if irradiated else ("log alpha", "log alpha/beta")
    return [n for n, name in enumerate(PARAMETERS) if name not in idle]


def _replaced(parameters: Values, columns: list[int], by: Values) -> Values:
    changed = parameters.copy()
    changed[:, columns] = by
    return changed


def _told(volumes_mm3: Values) -> Values:
    return np.asarray(np.log(volumes_mm3 + SMALLEST_MM3))
