"""An avatar's survival under a regimen: the survival model joined with the twin (in silico)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.avatar import Avatar
from data.clinical import Markers
from data.errors import RegimenError
from data.prognosis import DAYS_PER_MONTH
from data.treatment import Regimen
from models.inference.prior import TwinPrior
from models.markers import OWNERS
from models.simulation import LOGISTIC, draw_twin, simulate
from models.survival.bands import CurveBand, Floats, band_of, first_below, given_lived
from models.survival.joint import PROGRESSED, before_progression, exposure, survival_of
from pipelines.config import find_regimen, twin_prior
from pipelines.patient_survival import asked_of
from pipelines.sites.glioma import LEVELS
from pipelines.space import SEED

REFERENCE = "stupp"
"""The regimen that the survival model's patients are taken to have had."""
MEMBERS = 300
STEP_MONTHS = 1.0
END_MONTHS, FEWEST_MONTHS = 60.0, 24.0
FULL = 0.95
"""Of its capacity: a tumor that has nowhere left to grow counts as progressed, not as stable."""
OF_RESPONSE = tuple(name for name, (marker, *_) in LEVELS.items() if OWNERS[marker] == "response")
"""Covariates that the twin's response owns: here they do not enter the survival model, so that none "
"counts twice."""


@dataclass(frozen=True, eq=False)
class JointSurvival:
    """In silico.

    Args:
        months: (t,) since the latest scan, until which the patient has lived.
        joint: (1, t) under the regimen; the band is over refits of the survival model and the published ratio.
        alone: (t,) the survival model's own curve, with the covariates that the twin owns at their means; it
            knows of no regimen.
        progression_months: quantiles (5 %, 50 %, 95 %) over the twin's members; None is beyond the horizon.
    """

    regimen: str
    months: Floats
    joint: CurveBand
    alone: Floats
    progression_months: tuple[float | None, float | None, float | None]
    assumptions: tuple[str, ...]

    @property
    def median_months(self) -> float | None:
        """None beyond the horizon."""
        return first_below(self.months, self.joint.middle[0])


def joint_survival(avatar: Avatar, regimen: str | Regimen) -> JointSurvival:
    """Survival under a regimen.

    Raises:
        RegimenError: an avatar without a tumor, a twin or a survival model, or a regimen that cannot be given.
        ClinicalError: the survival model has no number for this patient.
    """
    chosen = regimen if isinstance(regimen, Regimen) else find_regimen(regimen)
    asked, scan = asked_of(avatar), avatar.latest_scan
    if asked is None or avatar.prior_class == "none" or scan is None:
        raise RegimenError(
            f"{avatar.patient_id}: has no survival model, no growth prior or no scan, so that a regimen says "
            "nothing of survival"
        )
    alone = asked.predict()  # refuses who is unlike all of the fit's
    prior = twin_prior(avatar.prior_class)
    measured = next(
        (m for r in (prior.region, "WT") if (m := scan.measured(r)) and m.volume_mm3 > 0), None
    )
    if measured is None:
        raise RegimenError(f"{avatar.patient_id}: no tumor volume in the latest scan to simulate")
    lived = max(0.0, scan.day / DAYS_PER_MONTH)
    end = np.floor(min(END_MONTHS, asked.model.times[-1] - lived))
    if end < FEWEST_MONTHS:
        raise RegimenError(
            f"{avatar.patient_id}: the latest scan is {lived:.0f} months after diagnosis; {alone.model} ends "
            f"at {asked.model.times[-1]:.0f}: too late a scan to say anything"
        )
    months = np.arange(0.0, end + STEP_MONTHS / 2, STEP_MONTHS)
    volume, markers = measured.volume_mm3, avatar.record.markers
    untested = markers.model_copy(update={LEVELS[name][0]: "untested" for name in OF_RESPONSE})
    usual = _progression(prior, volume, untested, find_regimen(REFERENCE))
    under = _progression(prior, volume, markers, chosen)
    since_diagnosis = np.append(months + lived, lived)
    drawn = asked.model.drawn(asked.model.frame(asked.values), since_diagnosis, at_mean=OF_RESPONSE)
    curves = given_lived(drawn[:, 0, :-1], drawn[:, 0, -1:])
    ratios = np.append(
        PROGRESSED.value, PROGRESSED.draw(len(curves) - 1, np.random.default_rng(SEED))
    )
    hazard = before_progression(curves, exposure(months, usual, ratios))
    told = survival_of(hazard, exposure(months, under, ratios))
    five, fifty, most = np.quantile(under, (0.05, 0.5, 0.95), method="inverted_cdf")
    return JointSurvival(
        chosen.name, months, band_of(told[:1], told[1:, None]), curves[0],
        tuple(None if np.isinf(q) else float(q) for q in (five, fifty, most)),  # type: ignore[arg-type]
        (
            f"The patients of {alone.model} are taken to have had {REFERENCE}; what they had is not "
            f"recorded.",
            f"After progression the hazard of death is {PROGRESSED.value:g} times that before "
            f"({PROGRESSED.low:g} to {PROGRESSED.high:g}): {PROGRESSED.source}.",
            "A regimen changes survival through the time to progression only.",
            f"Months count from the latest scan, {lived:.0f} months after diagnosis, until which the patient "
            "has lived.",
            f"{', '.join(asked.model.label(n) for n in OF_RESPONSE)}: only through the twin's response to "
            f"treatment.",
        ),
    )  # fmt: skip


def _progression(prior: TwinPrior, volume_mm3: float, markers: Markers, regimen: Regimen) -> Floats:
    """(m,) months from the scan at which each member progresses; infinity if not within the horizon."""
    twin = draw_twin(
        prior, volume_mm3, markers, members=MEMBERS, rng=np.random.default_rng(SEED), growth=LOGISTIC
    )  # fmt: skip
    horizon = END_MONTHS * DAYS_PER_MONTH
    trajectory = simulate(twin, regimen, horizon_days=horizon)
    full = trajectory.volume_mm3 >= FULL * twin.capacity_mm3[:, None]
    at_capacity = np.where(full.any(axis=1), trajectory.days[full.argmax(axis=1)], np.inf)
    progressed = np.minimum(trajectory.progression_days(regimen.start_day), at_capacity)
    return progressed / DAYS_PER_MONTH
