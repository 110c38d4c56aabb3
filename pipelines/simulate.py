"""What becomes of one avatar's tumor under a regimen."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from data.avatar import Avatar, Planning, Scan
from data.clinical import Markers
from data.errors import RegimenError
from data.prognosis import Calibration, VolumeForecast
from data.provenance import Provenance, versions_of
from data.store import AvatarStore
from data.treatment import Regimen
from models.growth.base import GrowthLaw
from models.growth.registry import growth_laws
from models.inference.prior import PLAIN, ResponseOptions, TwinPrior
from models.simulation import LOGISTIC, Twin, draw_twin, forecast
from pipelines.calibrate import calibrated_twin
from pipelines.config import DEFAULT_REGIMENS, find_regimen, twin_prior
from pipelines.sites.registry import SITES
from pipelines.space import (
    ENSEMBLE_MM,
    IN_SPACE,
    MEMBERS,
    NOTHING_PLANNED,
    SEED,
    forecast_in_space,
    spatial_twin_of,
    told_of,
    tumor_in_space,
)
from pipelines.steps import StepReport, StepResult, Watch, recalled, remembered

LUMPED_MEMBERS = 300


class ForecastResult(StepResult):
    """One for each usual regimen; none without a tumor volume, or where nothing is known of its growth."""

    forecasts: tuple[VolumeForecast, ...]
    provenance: Provenance


def simulate_avatar(
    avatar: Avatar,
    regimen: str | Regimen,
    store: AvatarStore | None = None,
    *,
    growth: str = IN_SPACE,
    options: ResponseOptions = PLAIN,
    on_member: Callable[[int, int], None] = lambda done, total: None,
) -> VolumeForecast:
    """Forecast of the prior ensemble under a regimen (a name, a YAML path or the noun).

    In space where the store that holds the avatar's volumes is given and its scan has a tissue map; else of
    the volume alone. What the avatar's own run found is not computed again.

    Args:
        avatar: whose tumor.
        regimen: what is done.
        store: that holds the avatar's volumes; none for a twin without space.
        growth: in space, or the kind of a law without.
        options: of the response.
        on_member: told how many members are done, of how many.

    Raises:
        RegimenError: an unknown regimen, or an avatar without a tumor volume or a growth prior.
    """
    chosen = regimen if isinstance(regimen, Regimen) else find_regimen(regimen)
    scan = avatar.latest_scan
    if not (SITES[avatar.site].has_prior and scan):
        raise RegimenError(
            f"{avatar.patient_id}: the site {avatar.site!r} has no growth prior, so nothing can be "
            "simulated; choose a patient of a site that has one"
        )
    if store is not None:
        kept = kept_forecast(avatar, chosen, store, growth=growth, options=options)
        if kept is not None:
            on_member(kept.members, kept.members)
            return kept
    found = forecasts_of(
        scan,
        avatar.record.markers,
        twin_prior(avatar.prior_class),
        [chosen],
        store if growth == IN_SPACE else None,
        calibration=avatar.calibration,
        planning=avatar.planning,
        growth=LOGISTIC if growth == IN_SPACE else law_called(growth),
        options=options,
        on_member=on_member,
    )
    if not found:
        raise RegimenError(f"{avatar.patient_id}: no tumor volume in the latest scan to simulate")
    return found[0]


def forecasts_of(
    scan: Scan,
    markers: Markers,
    prior: TwinPrior,
    regimens: Iterable[Regimen],
    store: AvatarStore | None,
    *,
    calibration: Calibration | None = None,
    planning: Planning = NOTHING_PLANNED,
    growth: GrowthLaw = LOGISTIC,
    options: ResponseOptions = PLAIN,
    on_member: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[VolumeForecast, ...]:
    """One for each regimen, over the same members; none for a scan without a tumor.

    Members are those of a calibration where there is one.
    """
    made = _lumped(scan, markers, prior, growth, options)
    if made is None:
        return ()
    if store is not None and scan.tissue is not None:
        tumor = tumor_in_space(store, scan, prior, voxel_mm=ENSEMBLE_MM, planning=planning)
        twin = spatial_twin_of(tumor, prior, markers, options=options)
        if calibration is not None:
            twin = calibrated_twin(twin, calibration)
        return tuple(
            forecast_in_space(twin, regimen, prior, on_member=on_member) for regimen in regimens
        )
    lumped, region = made
    return tuple(
        forecast(lumped, regimen, prior=prior, seed=SEED, region=region, growth=growth)
        for regimen in regimens
    )


def forecast_step(
    store: AvatarStore,
    latest: Scan,
    markers: Markers,
    prior: str,
    calibration: Calibration | None,
    watch: Watch,
) -> ForecastResult:
    """What becomes of a patient under the usual regimens.

    Args:
        store: that holds the scan's volumes.
        latest: scan, which the forecasts start from.
        markers: that act on the response.
        prior: name of the class.
        calibration: what earlier scans taught; none without.
        watch: told what was done.
    """
    belief = twin_prior(prior)
    regimens = [find_regimen(name) for name in DEFAULT_REGIMENS]

    def make() -> ForecastResult:
        forecasts = forecasts_of(latest, markers, belief, regimens, store, calibration=calibration)
        note = "In silico, from priors."
        if calibration is not None:
            note = f"In silico, calibrated on {len(calibration.days)} scans."
        if not forecasts:
            note = "No tumor volume in the latest scan: nothing to simulate."
        else:
            note += f" Region {forecasts[0].region}, {forecasts[0].model}."
        provenance = Provenance(
            step="simulate",
            method=(
                "reaction-diffusion growth in the tissue map (lumped logistic growth where there is none), "
                "linear-quadratic radiotherapy, log-kill temozolomide"
            ),
            settings={
                "prior": prior,
                "members": forecasts[0].members if forecasts else 0,
                "seed": SEED,
            },
            versions=versions_of("numpy"),
            note=note,
        )
        return ForecastResult(forecasts=forecasts, provenance=provenance)

    key = _key(latest, markers, belief, regimens, calibration)
    result, reused = remembered(store, "simulate", key, ForecastResult, make)
    watch(StepReport("simulate", f"{prior} prior; {result.provenance.note}", reused))
    return result


def _key(
    latest: Scan,
    markers: Markers,
    belief: TwinPrior,
    regimens: list[Regimen],
    calibration: Calibration | None,
) -> list[object]:
    """All that the forecasts rest on."""
    return [
        belief.model_dump(mode="json"),
        [r.model_dump(mode="json") for r in regimens],
        told_of((latest,)),
        markers.model_dump(),
        calibration and calibration.model_dump(mode="json"),
        [MEMBERS, LUMPED_MEMBERS, SEED],
    ]


def kept_forecast(
    avatar: Avatar,
    regimen: Regimen,
    store: AvatarStore,
    *,
    growth: str = IN_SPACE,
    options: ResponseOptions = PLAIN,
) -> VolumeForecast | None:
    """The forecast that the avatar's own run left in the store; None where there is none of this regimen, or
    it was computed from other input or by an earlier model.
    """
    scan = avatar.latest_scan
    usual = [find_regimen(name) for name in DEFAULT_REGIMENS]
    if scan is None or regimen not in usual or growth != IN_SPACE or options != PLAIN:
        return None
    belief = twin_prior(avatar.prior_class)
    key = _key(scan, avatar.record.markers, belief, usual, avatar.calibration)
    kept = recalled(store, "simulate", key, ForecastResult)
    return kept.forecasts[usual.index(regimen)] if kept and kept.forecasts else None


def law_called(kind: str) -> GrowthLaw:
    """The growth law of a kind, an own one or a plug-in's.

    Raises:
        RegimenError: there is none of that name, or a plug-in is broken.
    """
    try:
        laws = growth_laws()
    except ValueError as error:
        raise RegimenError(f"{error}; uninstall it or mend it") from error
    if kind not in laws:
        raise RegimenError(f"no growth law {kind!r}; known: {', '.join((IN_SPACE, *laws))}")
    try:
        return laws[kind](kind=kind)
    except (ValueError, TypeError) as error:  # of a plug-in; pydantic's are ValueErrors
        raise RegimenError(
            f"the growth law {kind!r} cannot be made ({error}); mend the plug-in"
        ) from error


def _lumped(
    scan: Scan, markers: Markers, prior: TwinPrior, growth: GrowthLaw, options: ResponseOptions
) -> tuple[Twin, str] | None:
    """The prior ensemble without space, and the region it follows; None without a tumor."""
    for region in (prior.region, "WT"):
        measured = scan.measured(region)
        if measured is not None and measured.volume_mm3 > 0:
            rng = np.random.default_rng(SEED)
            volume = measured.volume_mm3
            twin = draw_twin(
                prior,
                volume,
                markers,
                members=LUMPED_MEMBERS,
                rng=rng,
                growth=growth,
                options=options,
            )
            return twin, region
    return None
