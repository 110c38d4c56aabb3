"""One regimen on one avatar."""

from __future__ import annotations

import numpy as np

from data.avatar import Avatar, Scan
from data.clinical import Markers
from data.errors import RegimenError
from data.prognosis import VolumeForecast
from data.treatment import Regimen
from models.inference.prior import TwinPrior
from models.simulation import Twin, draw_twin, forecast
from pipelines.config import find_regimen, twin_prior
from pipelines.sites.registry import SITES

MEMBERS = 300
SEED = 20260101
"""One seed for all regimens of a patient, so that two regimens meet the same members."""


def twin_of(scans: tuple[Scan, ...], markers: Markers, prior: str) -> tuple[Twin, str] | None:
    """The prior ensemble around the latest scan and the region it follows; None without a tumor."""
    latest = max(scans, key=lambda s: s.day)
    belief = twin_prior(prior)
    for region in (belief.region, "WT"):
        measured = latest.measured(region)
        if measured is not None and measured.volume_mm3 > 0:
            rng = np.random.default_rng(SEED)
            twin = draw_twin(
                belief, measured.volume_mm3, markers.mgmt_methylation, members=MEMBERS, rng=rng
            )
            return twin, region
    return None


def forecast_under(regimen: Regimen, twin: Twin, prior: TwinPrior) -> VolumeForecast:
    """Forecast to the prior's horizon, with doses compared at its alpha/beta."""
    return forecast(
        twin,
        regimen,
        horizon_days=prior.horizon_days,
        alpha_beta_gy=prior.alpha_beta_gy.median,
        seed=SEED,
    )


def simulate_avatar(avatar: Avatar, regimen: str | Regimen) -> VolumeForecast:
    """Forecast of the prior ensemble under a regimen (a name, a YAML path or the noun).

    Raises:
        RegimenError: an unknown regimen, or an avatar without a tumor volume or a growth prior.
    """
    if not (SITES[avatar.site].has_prior and avatar.scans):
        raise RegimenError(
            f"{avatar.patient_id}: the site {avatar.site!r} has no growth prior, so nothing can be "
            "simulated; choose a patient of a site that has one"
        )
    made = twin_of(avatar.scans, avatar.record.markers, avatar.prior_class)
    if made is None:
        raise RegimenError(f"{avatar.patient_id}: no tumor volume in the latest scan to simulate")
    chosen = regimen if isinstance(regimen, Regimen) else find_regimen(regimen)
    return forecast_under(chosen, made[0], twin_prior(avatar.prior_class))
