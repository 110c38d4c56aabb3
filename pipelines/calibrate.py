"""A twin brought to a patient's own follow-up scans, and tried on the last of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.avatar import Scan
from data.clinical import Markers
from data.prognosis import Backtest, Calibration, ParameterBelief, Quantiles
from data.store import AvatarStore
from data.timeline import Timeline
from data.treatment import Regimen
from models.inference.baselines import exponential_fit, last_value
from models.inference.calibration import CalibratedTwin, FollowUp, Method, calibrate
from models.inference.prior import TwinPrior
from models.simulation import QUANTILES
from models.spatial import (
    PARAMETERS,
    SpatialTwin,
    parameters_of,
    simulate_in_space,
    with_parameters,
)
from pipelines.space import ENSEMBLE_MM, SEED, THREADS, spatial_twin_of, tumor_in_space

Values = NDArray[np.float64]

UNITS = {
    "log velocity": "mm/d",
    "log infiltration": "mm",
    "edge shift": "mm",
    "log alpha": "1/Gy",
    "log alpha/beta": "Gy",
}
TREATMENTS = ("surgery", "radiotherapy", "drug")
REGIONS = ("WT", "TC")


def why_not(scans: tuple[Scan, ...], timeline: Timeline, given: Regimen | None) -> str | None:
    """Why a patient's scans cannot calibrate the twin; None where they can."""
    ordered = sorted(scans, key=lambda s: s.day)
    if len(ordered) < 2:
        return "no follow-up scan has calibrated it"
    if ordered[0].tissue is None:
        return "the first scan has no tissue map, so follow-up has not calibrated it"
    first, last = ordered[0].day, ordered[-1].day
    between = [e for e in timeline.events if e.kind in TREATMENTS and first <= e.day < last]
    if between and given is None:
        return (
            f"treatment between the scans ({between[0].text}, day {between[0].day:g}) is not given as a "
            "regimen, so follow-up has not calibrated it: name one under 'given' in study.yaml"
        )
    if not all((m := s.measured("WT")) and m.volume_mm3 > 0 for s in ordered[:1]):
        return "the first scan shows no tumor, so follow-up has not calibrated it"
    return None


def calibration_of(
    store: AvatarStore,
    scans: tuple[Scan, ...],
    markers: Markers,
    prior: TwinPrior,
    given: Regimen | None,
    *,
    method: Method = "es-mda",
) -> Calibration:
    """Calibrate on all scans after the first; with three or more, also forecast the last from those before.

    Args:
        store: that holds the scans' volumes.
        scans: at least two, the first with a tissue map; see :func:`why_not`.
        markers: that act on the response.
        prior: of the class.
        given: treatment since the first scan, whose days count from it; none for observation.
        method: of calibration.
    """
    ordered = sorted(scans, key=lambda s: s.day)
    regimen = given or Regimen(name="Observation")
    tumor = tumor_in_space(store, ordered[0], prior, voxel_mm=ENSEMBLE_MM)
    drawn = spatial_twin_of(tumor, prior, markers)
    days = np.array([s.day - ordered[0].day for s in ordered])
    seen = {r: np.array([_volume(s, r) for s in ordered]) for r in REGIONS}
    if not drawn.tumor.shows_core:
        del seen["TC"]
    found = _calibrated(drawn, days, seen, prior, regimen, method)
    beliefs = zip(
        PARAMETERS,
        parameters_of(drawn).T,
        found.posterior.members.T,
        found.posterior.contraction,
        strict=True,
    )
    return Calibration(
        method=method,
        days=tuple(days.tolist()),
        seen_mm3={r: tuple(v.tolist()) for r, v in seen.items()},
        given=regimen.name,
        parameters=tuple(
            ParameterBelief(
                name=name.removeprefix("log "),
                unit=UNITS[name],
                prior=_quantiles(_natural(name, before)),
                posterior=_quantiles(_natural(name, after)),
                contraction=round(float(share), 4),
            )
            for name, before, after, share in beliefs
        ),
        misfit=round(found.misfit, 4),
        flags=found.flags(),
        backtest=_backtest(drawn, days, seen, prior, regimen, method) if len(days) > 2 else (),
        members=tuple(tuple(float(f"{v:.6g}") for v in row) for row in found.posterior.members),
        solves=found.posterior.solves,
        seed=SEED,
    )


def calibrated_twin(drawn: SpatialTwin, calibration: Calibration) -> SpatialTwin:
    """A prior ensemble about the latest scan with the members that agree with follow-up.

    Where the edges are is the latest scan's to tell, so that their shift stays as it was drawn.

    Raises:
        ValueError: the two have different numbers of members.
    """
    members = np.array(calibration.members)
    if len(members) != drawn.members:
        raise ValueError(f"{len(members)} calibrated members for an ensemble of {drawn.members}")
    return replace(with_parameters(drawn, members), shift_mm=drawn.shift_mm)


def _calibrated(
    drawn: SpatialTwin,
    days: Values,
    seen: dict[str, Values],
    prior: TwinPrior,
    given: Regimen,
    method: Method,
) -> CalibratedTwin:
    follow_up = FollowUp(days[1:], {r: v[1:] for r, v in seen.items()}, prior.volume_error.log_sd)
    rng = np.random.default_rng(SEED)
    return calibrate(drawn, follow_up, given=given, rng=rng, method=method, threads=THREADS)


def _backtest(
    drawn: SpatialTwin,
    days: Values,
    seen: dict[str, Values],
    prior: TwinPrior,
    given: Regimen,
    method: Method,
) -> tuple[Backtest, ...]:
    """The last scan as it would have been forecast from those before it."""
    early = {r: v[:-1] for r, v in seen.items()}
    twin = _calibrated(drawn, days[:-1], early, prior, given, method).twin
    told = simulate_in_space(twin, given, saves=[0.0, days[-1]], threads=THREADS)
    rng = np.random.default_rng(SEED)
    found = []
    for region, before in early.items():
        ahead = told.regions[region].volume_mm3[:, -1]
        ahead = ahead * prior.volume_error.draw(len(ahead), rng)
        known = days[:-1], np.maximum(before, 1.0), days[-1:]
        found.append(
            Backtest(
                region=region,
                day=float(days[-1]),
                seen_mm3=float(seen[region][-1]),
                forecast_mm3=_quantiles(ahead),
                last_value_mm3=float(last_value(*known)[0]),
                exponential_mm3=float(f"{exponential_fit(*known)[0]:.6g}"),
            )
        )
    return tuple(found)


def _volume(scan: Scan, region: str) -> float:
    measured = scan.measured(region)
    return measured.volume_mm3 if measured else 0.0


def _natural(name: str, values: Values) -> Values:
    return np.exp(values) if name.startswith("log ") else values


def _quantiles(values: Values) -> Quantiles:
    low, middle, high = (float(f"{q:.6g}") for q in np.quantile(values, QUANTILES))
    return low, middle, high
