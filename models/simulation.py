"""The twin simulated: an ensemble of tumors under a regimen.

Between events every member follows its growth law exactly; at each resection, fraction and drug dose, at
its own time, the share of surviving cells multiplies the volume. All of it is in silico.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.clinical import Markers
from data.errors import RegimenError
from data.prognosis import Band, VolumeForecast
from data.treatment import Cycle, MapTarget, Regimen
from models.growth.base import GrowthLaw, Treatment
from models.growth.logistic import Logistic
from models.inference.prior import PLAIN, ResponseOptions, TwinPrior
from models.response import radiotherapy
from models.response.adaptive import Pauses
from models.response.ensemble import Response

Values = NDArray[np.float64]

PROGRESSION_FACTOR = 1.25**1.5
"""RANO's 25 % in the product of diameters, as a volume of the same shape: 1.40."""
MEASURABLE_MM3 = np.pi / 6 * 10.0**3
"""A sphere of 10 mm, the smallest measurable lesion of RANO: growth below it is not called."""
MOST_LOG_KILL = 50.0
"""No cell is left of any tumor."""
LOGISTIC = Logistic()
CLONOGENS = 1
"""Names the stream of chance that clonogens are drawn from."""
BAND_LEVEL = 0.9
QUANTILES = ((1 - BAND_LEVEL) / 2, 0.5, (1 + BAND_LEVEL) / 2)


@dataclass(frozen=True)
class Twin:
    """One value per member: mm3, 1/day, mm3, and how it answers to treatment."""

    volume_mm3: Values
    rate_per_day: Values
    capacity_mm3: Values
    response: Response

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

    def progression_days(self, from_day: float = 0.0) -> Values:
        """First day of each member at 1.4 times its nadir so far; infinity if never.

        A nadir below the measurable volume counts as the measurable volume. Between saved days the volume
        is taken to grow evenly on a logarithmic scale.

        Args:
            from_day: the nadir is looked for from here on: the start of treatment, as growth before it
                says nothing of the treatment.
        """
        first_column = int(np.searchsorted(self.days, from_day - 1e-9))
        days, volume = self.days[first_column:], np.maximum(self.volume_mm3[:, first_column:], 1e-9)
        nadir = np.maximum(np.minimum.accumulate(volume, axis=1), MEASURABLE_MM3)
        grown = volume >= PROGRESSION_FACTOR * nadir
        first = grown.argmax(axis=1)
        row, before = np.arange(len(volume)), np.maximum(first - 1, 0)
        wanted = np.log(PROGRESSION_FACTOR * nadir[row, before])
        low, high = np.log(volume[row, before]), np.log(volume[row, first])
        share = np.clip((wanted - low) / np.maximum(high - low, 1e-12), 0.0, 1.0)
        when = days[before] + share * (days[first] - days[before])
        return np.where(grown.any(axis=1), when, np.inf)


def draw_twin(
    prior: TwinPrior,
    volume_mm3: float,
    markers: Markers,
    *,
    members: int,
    rng: np.random.Generator,
    growth: GrowthLaw = LOGISTIC,
    options: ResponseOptions = PLAIN,
) -> Twin:
    """Draw an ensemble around a measured volume, whose net growth is the prior's whatever the law.

    Raises:
        ValueError: the volume is not positive: there is nothing to simulate.
    """
    if not volume_mm3 > 0:
        raise ValueError(f"a tumor of {volume_mm3} mm3 cannot be simulated")
    volume = volume_mm3 * prior.volume_error.draw(members, rng)
    net = prior.net_rate(volume, members, rng)
    if prior.regrowth_doubling_days is not None:
        regrowth = np.log(2.0) / prior.regrowth_doubling_days.draw(members, rng)
        capacity = volume / (1.0 - net / np.maximum(regrowth, 1.05 * net))
    else:
        assert prior.capacity_ml is not None  # noqa: S101  # by the prior's validator
        capacity = np.maximum(1000.0 * prior.capacity_ml.draw(members, rng), 1.2 * volume)
    return Twin(
        volume_mm3=volume,
        rate_per_day=growth.rate_of(net, volume, capacity),
        capacity_mm3=capacity,
        response=prior.response(markers, members, rng, options=options),
    )


def simulate(
    twin: Twin,
    regimen: Regimen,
    *,
    horizon_days: float,
    growth: GrowthLaw = LOGISTIC,
    save_every_days: float = 7.0,
) -> Trajectory:
    """Run every member to the horizon; a saved time equal to an event's comes after it.

    Raises:
        RegimenError: a drug without a known sensitivity in this twin, or a dose map.
    """
    if isinstance(regimen.target, MapTarget) and regimen.fractions:
        raise RegimenError(
            f"{regimen.name}: its dose is a map, which a twin without space cannot take; simulate it in space"
        )
    law, clock = growth, twin.response.clock(regimen)
    events = _events(twin, regimen, horizon_days)
    saves = saved_days(horizon_days, save_every_days)
    saves = np.union1d(saves, [day for day in regimen.course_ends if day < horizon_days])
    state, gone = law.start(twin.volume_mm3), clock.gone(0.0)
    saved = np.empty((twin.members, len(saves)))
    pauses = Pauses(twin.members)
    upcoming = iter([*events, _Event(np.inf, "surgery", np.zeros(twin.members))])
    event = next(upcoming)
    for column, save in enumerate(saves):
        while event.day <= save:
            now = clock.gone(event.day)
            state = law.flow(state, twin.rate_per_day, twin.capacity_mm3, now - gone)
            kill = law.met_by(event.treatment) * event.log_kill
            if event.cycle is not None:
                kill = kill * pauses.given(event.cycle, event.day, law.tumor(state))
            state = state * np.exp(-kill)
            gone = now
            event = next(upcoming)
        now = clock.gone(save)
        state = law.flow(state, twin.rate_per_day, twin.capacity_mm3, now - gone)
        gone = now
        saved[:, column] = law.tumor(state)
    return Trajectory(saves, saved)


def saved_days(horizon_days: float, every_days: float) -> Values:
    """The days that a simulation keeps: every so many, and the last."""
    return np.append(np.arange(0.0, horizon_days, every_days), horizon_days)


@dataclass(frozen=True)
class _Event:
    """What kills on a day, and of a drug the cycle that it is given in."""

    day: float
    treatment: Treatment
    log_kill: Values
    cycle: Cycle | None = None


def _events(twin: Twin, regimen: Regimen, horizon_days: float) -> list[_Event]:
    """In order of time."""
    events = [
        _Event(r.day, "surgery", np.full(twin.members, removal_log_kill(r.extent)))
        for r in regimen.resections
    ]
    events += [_Event(f.day, "radiotherapy", f.log_kill) for f in twin.response.fractions(regimen)]
    events += [_Event(d.day, "drug", d.log_kill, d.cycle) for d in twin.response.doses(regimen)]
    return sorted((e for e in events if e.day <= horizon_days), key=lambda e: e.day)


def removal_log_kill(extent: float) -> float:
    """What removing a share of the cells comes to; of all of them, more than any tumor has."""
    return float(min(-np.log1p(-extent), MOST_LOG_KILL)) if extent < 1.0 else MOST_LOG_KILL


def forecast(
    twin: Twin,
    regimen: Regimen,
    *,
    prior: TwinPrior,
    seed: int,
    region: str,
    growth: GrowthLaw = LOGISTIC,
) -> VolumeForecast:
    """Simulate to the prior's horizon and summarise; see :func:`summary`."""
    trajectory = simulate(twin, regimen, horizon_days=prior.horizon_days, growth=growth)
    return summary(
        trajectory,
        regimen,
        twin.response,
        prior,
        model="lumped",
        growth=growth.kind,
        region=region,
        seed=seed,
    )


def summary(
    trajectory: Trajectory,
    regimen: Regimen,
    response: Response,
    prior: TwinPrior,
    *,
    model: Literal["lumped", "in space"],
    growth: str,
    region: str,
    seed: int,
    cells: Trajectory | None = None,
) -> VolumeForecast:
    """A 90 % band of volume, progression, tumor control, and the doses of the regimen.

    Tumor control is Poisson's (Munro & Gilbert 1961): that no clonogen is left when the fewest cells are,
    on average over the members.
    """
    all_cells = trajectory if cells is None else cells
    rng = np.random.default_rng([seed, CLONOGENS])  # not the stream that the members are of
    clonogens = prior.clonogens_per_mm3.draw(len(all_cells.volume_mm3), rng)
    control = float(np.exp(-clonogens * all_cells.volume_mm3.min(axis=1)).mean())
    alpha_beta_gy = prior.alpha_beta_gy.median
    progression = trajectory.progression_days(regimen.start_day)
    quantiles = np.quantile(progression, QUANTILES, method="inverted_cdf")
    doses = regimen.fraction_doses_gy
    five, fifty, ninety_five = (None if np.isinf(q) else float(f"{q:.6g}") for q in quantiles)
    return VolumeForecast(
        regimen=regimen.name,
        model=model,
        growth=growth,
        options=response.options,
        region=region,
        days=tuple(trajectory.days.tolist()),
        volume_mm3=_band(trajectory),
        cells_mm3=None if cells is None else _band(cells),
        progression_days=(five, fifty, ninety_five),
        progressed_share=float(np.isfinite(progression).mean()),
        tumor_control=float(f"{control:.4g}"),
        horizon_days=float(trajectory.days[-1]),
        total_dose_gy=round(regimen.total_dose_gy, 6),
        bed_gy=round(radiotherapy.bed_gy(doses, alpha_beta_gy), 6),
        eqd2_gy=round(radiotherapy.eqd2_gy(doses, alpha_beta_gy), 6),
        members=len(trajectory.volume_mm3),
        seed=seed,
    )


def _band(trajectory: Trajectory) -> Band:
    lower, median, upper = (_rounded(curve) for curve in trajectory.band())
    return Band(lower=lower, median=median, upper=upper, level=BAND_LEVEL)


def _rounded(values: Values) -> tuple[float, ...]:
    """Six significant digits: the same on every machine's last bit."""
    return tuple(float(f"{v:.6g}") for v in values)
