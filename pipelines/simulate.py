"""One regimen on one avatar."""

from __future__ import annotations

from data.avatar import Avatar
from data.errors import RegimenError
from data.prognosis import VolumeForecast
from data.treatment import Regimen
from models.simulation import forecast
from pipelines.assemble import SEED, twin_of
from pipelines.config import find_regimen, twin_prior


def simulate_avatar(avatar: Avatar, regimen: str | Regimen) -> VolumeForecast:
    """Forecast of the prior ensemble under a regimen (a name, a YAML path or the noun).

    Raises:
        RegimenError: an unknown regimen, or an avatar without a tumor volume or a growth prior.
    """
    if avatar.site != "glioma" or not avatar.scans:
        raise RegimenError(
            f"{avatar.patient_id}: the site {avatar.site!r} has no growth prior, so nothing can be "
            "simulated; only glioma has one so far"
        )
    made = twin_of(avatar.scans, avatar.record.markers, avatar.prior_class)
    if made is None:
        raise RegimenError(f"{avatar.patient_id}: no tumor volume in the latest scan to simulate")
    prior = twin_prior(avatar.prior_class)
    return forecast(
        made[0],
        regimen if isinstance(regimen, Regimen) else find_regimen(regimen),
        horizon_days=prior.horizon_days,
        alpha_beta_gy=prior.alpha_beta_gy.median,
        seed=SEED,
    )
