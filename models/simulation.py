"""The twin simulated: an ensemble of tumors under a regimen.

Between events every member follows its growth law exactly; at each fraction and each drug dose, at its
own time, the share of surviving cells multiplies the volume. All of it is in silico.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.clinical import Presence
from data.errors import RegimenError
from data.prognosis import Band, VolumeForecast
from data.treatment import Regimen
from models.growth.base import GrowthLaw
from models.growth.logistic import Logistic
from models.inference.prior import TwinPrior
from models.response import chemotherapy, radiotherapy

Values = NDArray[np.float64]

PROGRESSION_FACTOR = 1.25**1.5
"""RANO's 25 % in the product of diameters, as a volume of the same shape: 1.40."""
MEASURABLE_MM3 = np.pi / 6 * 10.0**3
"""A sphere of 10 mm, the smallest measurable lesion of RANO: growth below it is not called."""
BAND_LEVEL = 0.9
QUANTILES = ((1 - BAND_LEVEL) / 2, 0.5, (1 + BAND_LEVEL) / 2)


@dataclass(frozen=True)
class Twin:
    """One value per member: mm3, 1/day, mm3, 1/Gy, Gy, and m2/mg per drug."""

    volume_mm3: Values
    rate_per_day: Values
    capacity_mm3: Values
    alpha_per_gy: Values
    alpha_beta_gy: Values
    sensitivity: Mapping[str, Values]

    @property
    def members(self) -> int:
        """Size of the ensemble."""
        return len(self.volume_mm3)


@dataclass(frozen=True)
class Trajectory:
    """Volume (members, times) in mm3 at ``days`` (times,) since the scan."""

    days: Values
    volume_mm3: Values

    def band(self) -> tuple[Values, Values, Values]:
        """5 %, 50 % and 95 % of the members at each time."""
        low, middle, high = np.quantile(self.volume_mm3, QUANTILES, axis=0)
        return low, middle, high

    def progression_days(self) -> Values:
        """First day of each member at 1.4 times its nadir so far; infinity if never.

        A nadir below the measurable volume counts as the measurable volume.
        """
        nadir = np.maximum(np.minimum.accumulate(self.volume_mm3, axis=1), MEASURABLE_MM3)
        grown = self.volume_mm3 >= PROGRESSION_FACTOR * nadir
        first = grown.argmax(axis=1)
        return np.where(grown.any(axis=1), self.days[first], np.inf)


def draw_twin(
    prior: TwinPrior,
    volume_mm3: float,
    mgmt: Presence,
    *,
    members: int,
    rng: np.random.Generator,
) -> Twin:
    """Draw an ensemble around a measured volume.

    Raises:
        ValueError: the volume is not positive: there is nothing to simulate.
    """
    if not volume_mm3 > 0:
        raise ValueError(f"a tumor of {volume_mm3} mm3 cannot be simulated")
    volume = volume_mm3 * prior.volume_error.draw(members, rng)
    net = prior.net_rate(volume, members, rng)
    if prior.regrowth_doubling_days is not None:
        rate = np.log(2.0) / prior.regrowth_doubling_days.draw(members, rng)
        rate = np.maximum(rate, 1.05 * net)
        capacity = volume / (1.0 - net / rate)
    else:
        assert prior.capacity_ml is not None  # noqa: S101  # by the prior's validator
        capacity = np.maximum(1000.0 * prior.capacity_ml.draw(members, rng), 1.2 * volume)
        rate = net / (1.0 - volume / capacity)
    return Twin(
        volume_mm3=volume,
        rate_per_day=np.asarray(rate),
        capacity_mm3=capacity,
        alpha_per_gy=prior.alpha_per_gy.draw(members, rng),
        alpha_beta_gy=prior.alpha_beta_gy.draw(members, rng),
        sensitivity={n: d.draw(mgmt, members, rng) for n, d in sorted(prior.drugs.items())},
    )


def simulate(
    twin: Twin,
    regimen: Regimen,
    *,
    horizon_days: float,
    growth: GrowthLaw | None = None,
    save_every_days: float = 7.0,
) -> Trajectory:
    """Run every member to the horizon; a saved time equal to an event's comes after it.

    Raises:
        RegimenError: a drug without a known sensitivity in this twin.
    """
    law = growth or Logistic()
    events = _events(twin, regimen, horizon_days)
    saves = np.append(np.arange(0.0, horizon_days, save_every_days), horizon_days)
    clock, volume = 0.0, twin.volume_mm3
    saved = np.empty((twin.members, len(saves)))
    upcoming = iter([*events, (np.inf, np.ones(twin.members))])
    day, surviving = next(upcoming)
    for column, save in enumerate(saves):
        while day <= save:
            volume = law.flow(volume, twin.rate_per_day, twin.capacity_mm3, day - clock) * surviving
            clock = day
            day, surviving = next(upcoming)
        volume = law.flow(volume, twin.rate_per_day, twin.capacity_mm3, save - clock)
        clock = save
        saved[:, column] = volume
    return Trajectory(saves, saved)


def _events(twin: Twin, regimen: Regimen, horizon_days: float) -> list[tuple[float, Values]]:
    """(day, surviving share per member) in order of time."""
    events = [
        (
            f.day,
            radiotherapy.surviving_fraction(f.dose_gy, twin.alpha_per_gy, twin.alpha_beta_gy),
        )
        for f in regimen.fractions
    ]
    for cycle in regimen.cycles:
        if cycle.drug not in twin.sensitivity:
            known = ", ".join(sorted(twin.sensitivity)) or "none"
            raise RegimenError(
                f"{regimen.name}: this tumor class has no kill rate for {cycle.drug!r}; "
                f"known drugs: {known}"
            )
        share = chemotherapy.surviving_fraction(cycle.dose_mg_m2, twin.sensitivity[cycle.drug])
        events += [(cycle.start_day + n, share) for n in range(cycle.days)]
    return sorted((e for e in events if e[0] <= horizon_days), key=lambda e: e[0])


def forecast(
    twin: Twin, regimen: Regimen, *, horizon_days: float, alpha_beta_gy: float, seed: int
) -> VolumeForecast:
    """Simulate and summarise: a 90 % band of volume, progression, and the doses of the regimen."""
    trajectory = simulate(twin, regimen, horizon_days=horizon_days)
    low, middle, high = trajectory.band()
    progression = trajectory.progression_days()
    quantiles = np.quantile(progression, QUANTILES, method="inverted_cdf")
    doses = regimen.fraction_doses_gy
    five, fifty, ninety_five = (None if np.isinf(q) else float(q) for q in quantiles)
    return VolumeForecast(
        regimen=regimen.name,
        days=tuple(trajectory.days.tolist()),
        volume_mm3=Band(
            lower=_rounded(low), median=_rounded(middle), upper=_rounded(high), level=BAND_LEVEL
        ),
        progression_days=(five, fifty, ninety_five),
        progressed_share=float(np.isfinite(progression).mean()),
        horizon_days=horizon_days,
        total_dose_gy=round(regimen.total_dose_gy, 6),
        bed_gy=round(radiotherapy.bed_gy(doses, alpha_beta_gy), 6),
        eqd2_gy=round(radiotherapy.eqd2_gy(doses, alpha_beta_gy), 6),
        members=twin.members,
        seed=seed,
    )


def _rounded(values: Values) -> tuple[float, ...]:
    """Six significant digits: the same on every machine's last bit."""
    return tuple(float(f"{v:.6g}") for v in values)
