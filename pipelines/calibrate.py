"""A twin brought to a patient's own follow-up scans, and tried on the last of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.avatar import Scan
from data.clinical import ClinicalRecord, Markers
from data.prognosis import Backtest, Calibration, ParameterBelief, Quantiles
from data.provenance import Provenance, versions_of
from data.store import AvatarStore
from data.timeline import Timeline
from data.treatment import Regimen
from models.inference.baselines import exponential_fit, last_value
from models.inference.calibration import FollowUp, Method, judged, update
from models.inference.prior import TwinPrior
from models.simulation import QUANTILES
from models.spatial import (
    PARAMETERS,
    SpatialTwin,
    parameters_of,
    simulate_in_space,
    with_parameters,
)
from pipelines.config import twin_prior
from pipelines.space import ENSEMBLE_MM, MEMBERS, SEED, spatial_twin_of, told_of, tumor_in_space
from pipelines.steps import StepReport, StepResult, Watch, remembered
from pipelines.threads import threads

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
RANKS, BACKTEST = 10_001, 10_002
"""Name streams of chance that the members and their updates are not of."""


def why_not(scans: tuple[Scan, ...], timeline: Timeline, given: Regimen | None) -> str | None:
    """Why a patient's scans cannot calibrate the twin; None where they can."""
    ordered = sorted(scans, key=lambda s: s.day)
    if len(ordered) < 2:
        return "no follow-up scan has calibrated it"
    if ordered[0].tissue is None:
        return "the first scan has no tissue map, so follow-up has not calibrated it"
    first, last = ordered[0].day, ordered[-1].day
    between = [
        e for e in timeline.events
        if e.kind in TREATMENTS and e.day < last and (e.day >= first or e.last_day > first)
    ]  # fmt: skip
    if between and given is None:
        return (
            f"treatment between the scans ({between[0].text}, day {between[0].day:g}) is not given as a "
            "regimen, so follow-up has not calibrated it: name one under 'given' in study.yaml"
        )
    if given is not None and given.target.kind == "map":
        return (
            "the treatment between the scans is given by a dose map, which lies on the latest scan, not on the "
            "first, so follow-up has not calibrated it: give it by a margin"
        )
    if not all((m := s.measured("WT")) and m.volume_mm3 > 0 for s in ordered[:1]):
        return "the first scan shows no tumor, so follow-up has not calibrated it"
    return None


class CalibrationResult(StepResult):
    """A calibration, or the provenance alone, which says why there is none."""

    calibration: Calibration | None
    provenance: Provenance


def calibration_step(
    store: AvatarStore,
    scans: tuple[Scan, ...],
    record: ClinicalRecord,
    prior: str,
    given: Regimen | None,
    watch: Watch,
) -> CalibrationResult:
    """What the follow-up scans of a patient teach, or why they cannot.

    Args:
        store: that holds the scans' volumes.
        scans: of the patient.
        record: with the markers, and the treatments between the scans.
        prior: name of the class.
        given: treatment since the first scan, where it is known.
        watch: told what was done.
    """
    belief = twin_prior(prior)
    reason = why_not(scans, record.timeline, given)

    def make() -> CalibrationResult:
        found = None
        note = f"From priors: {reason}."
        if reason is None:
            found = calibration_of(store, scans, record.markers, belief, given)
            told = [f"{p.name} {100 * p.contraction:.0f} %" for p in found.parameters]
            note = (
                f"Calibrated on {len(scans)} scans under {found.given}; variance that they took away: "
                + ", ".join(told)
            )
        provenance = Provenance(
            step="calibrate",
            method="ensemble smoother (ES-MDA), later scans one by one; last value and exponential beside it",
            settings={"prior": prior, "members": MEMBERS, "seed": SEED},
            versions=versions_of("numpy", "numba"),
            note=note,
        )
        return CalibrationResult(calibration=found, provenance=provenance)

    key = [
        belief.model_dump(mode="json"),
        told_of(scans),
        record.markers.model_dump(),
        given and given.model_dump(mode="json"),
        reason,
        [MEMBERS, SEED],
    ]
    result, reused = remembered(store, "calibrate", key, CalibrationResult, make)
    watch(StepReport("calibrate", result.provenance.note, reused))
    return result


class _Updated(StepResult):
    """The members after one more scan, in the columns of ``PARAMETERS``."""

    members: tuple[tuple[float, ...], ...]
    solves: int


def calibration_of(
    store: AvatarStore,
    scans: tuple[Scan, ...],
    markers: Markers,
    prior: TwinPrior,
    given: Regimen | None,
    *,
    method: Method = "es-mda",
) -> Calibration:
    """Take in all scans after the first, one by one; with three or more, forecast the last from the others.

    What the earlier scans taught is kept in the store, so that a new scan adds to it.

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
    days = np.array([s.day - ordered[0].day for s in ordered[1:]])
    regions = REGIONS if drawn.tumor.shows_core else REGIONS[:1]
    seen = {r: np.array([_volume(s, r) for s in ordered]) for r in regions}
    follow_up = FollowUp(days, {r: v[1:] for r, v in seen.items()}, prior.volume_error.log_sd)
    basis = [
        [ordered[0].segmentation.sha256, ordered[0].tissue and ordered[0].tissue.sha256],
        prior.model_dump(mode="json"),
        markers.model_dump(mode="json"),
    ]
    after, solves, rng = [drawn], 0, np.random.default_rng([SEED, RANKS])
    for n in range(len(days)):
        updated = _updated(store, basis, after[-1], follow_up.scan(n), regimen, method)
        after.append(with_parameters(drawn, np.array(updated.members)))
        solves += updated.solves
    found = judged(drawn, after[-1], follow_up, given=regimen, solves=solves, threads=threads())
    beliefs = zip(
        PARAMETERS,
        found.posterior.prior.T,
        found.posterior.members.T,
        found.posterior.contraction,
        strict=True,
    )
    return Calibration(
        method=method,
        days=(0.0, *days.tolist()),
        seen_mm3={r: tuple(v.tolist()) for r, v in seen.items()},
        fitted_mm3={r: tuple(map(_quantiles, v.T)) for r, v in found.fitted_mm3.items()},
        ranks={
            r: _ranks(found.fitted_mm3[r], v, prior, rng) for r, v in follow_up.volumes_mm3.items()
        },
        given=regimen.name,
        parameters=tuple(
            ParameterBelief(
                name=name.removeprefix("log "),
                unit=UNITS[name],
                prior=_quantiles(_natural(name, before)),
                posterior=_quantiles(_natural(name, later)),
                contraction=round(float(share), 4),
            )
            for name, before, later, share in beliefs
        ),
        misfit=round(found.misfit, 4),
        flags=found.flags(),
        backtest=_backtest(after[-2], seen, days, prior, regimen) if len(days) > 1 else (),
        members=tuple(tuple(row) for row in found.posterior.members.tolist()),
        solves=solves,
        seed=SEED,
    )


def _updated(
    store: AvatarStore,
    basis: Sequence[object],
    before: SpatialTwin,
    scan: FollowUp,
    given: Regimen,
    method: Method,
) -> _Updated:
    """The members after one more scan, from those before it and what these were drawn from."""

    def make() -> _Updated:
        rng = np.random.default_rng([SEED, round(float(scan.days[0]))])
        found = update(before, scan, given=given, rng=rng, method=method, threads=threads())
        rows = tuple(tuple(float(f"{v:.6g}") for v in row) for row in found.members)
        return _Updated(members=rows, solves=found.solves)

    volumes = {region: v.tolist() for region, v in scan.volumes_mm3.items()}
    key = [
        *basis,
        parameters_of(before).tolist(),
        [scan.days.tolist(), volumes, scan.error_log_sd],
        given.model_dump(mode="json"),
        method,
    ]
    result, _ = remembered(store, "update", key, _Updated, make)
    return result


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


def _backtest(
    twin: SpatialTwin, seen: dict[str, Values], days: Values, prior: TwinPrior, given: Regimen
) -> tuple[Backtest, ...]:
    """The last scan as the twin of those before it forecasts it."""
    told = simulate_in_space(twin, given, saves=[0.0, days[-1]], threads=threads())
    rng = np.random.default_rng([SEED, BACKTEST])
    found = []
    for region, volumes in seen.items():
        ahead = _with_error(told.regions[region].volume_mm3[:, -1:], prior, rng)[:, 0]
        early = np.array([0.0, *days[:-1]])
        known = early, np.maximum(volumes[:-1], 1.0), days[-1:]
        found.append(
            Backtest(
                region=region,
                day=float(days[-1]),
                seen_mm3=float(volumes[-1]),
                forecast_mm3=_quantiles(ahead),
                last_value_mm3=float(last_value(*known)[0]),
                exponential_mm3=float(f"{exponential_fit(*known)[0]:.6g}"),
            )
        )
    return tuple(found)


def _with_error(volumes: Values, prior: TwinPrior, rng: np.random.Generator) -> Values:
    """Volumes (members, scans) as they would be measured."""
    error = prior.volume_error.draw(volumes.size, rng)
    return np.asarray(volumes * error.reshape(volumes.shape))


def _ranks(
    fitted: Values, seen: Values, prior: TwinPrior, rng: np.random.Generator
) -> tuple[float, ...]:
    below = (_with_error(fitted, prior, rng) < seen).mean(0)
    return tuple(round(float(share), 4) for share in below)


def _volume(scan: Scan, region: str) -> float:
    measured = scan.measured(region)
    return measured.volume_mm3 if measured else 0.0


def _natural(name: str, values: Values) -> Values:
    return np.exp(values) if name.startswith("log ") else values


def _quantiles(values: Values) -> Quantiles:
    low, middle, high = (float(f"{q:.6g}") for q in np.quantile(values, QUANTILES))
    return low, middle, high
