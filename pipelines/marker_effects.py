"""What each of a patient's markers changes: the twin's growth, a treatment's effect, the survival model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp

from data.avatar import Avatar
from data.clinical import Presence
from data.cohort import UNKNOWN
from models.inference.prior import LogKillPrior, LogNormal, TwinPrior
from models.markers import OWNERS
from pipelines.config import survival_model, twin_prior
from pipelines.diagnose import cns5
from pipelines.sites.glioma import LEVELS

Z90 = 1.6448536269514722


@dataclass(frozen=True)
class MarkerEffect:
    """One marker and one thing that it changes, with the 90 % interval.

    Args:
        marker: in words.
        told_by: where its state is from; empty where it is untested.
        acts_on: the part that owns the effect.
        changes: the parameter.
    """

    marker: str
    state: Presence
    told_by: str
    acts_on: str
    changes: str
    median: float
    low: float
    high: float
    unit: str
    source: str


def marker_effects(avatar: Avatar) -> tuple[MarkerEffect, ...]:
    """Growth first, then response, then survival; empty for a site without a twin."""
    if avatar.diagnosis is None or avatar.prior_class == "none":
        return ()
    belief = twin_prior(avatar.prior_class)
    found = [*_growth(avatar, belief), *_response(avatar, belief)]
    if avatar.survival is not None:
        found += _survival(avatar)
    return tuple(found)


def _growth(avatar: Avatar, belief: TwinPrior) -> Iterator[MarkerEffect]:
    """The markers that decided the class, each with the growth that comes with it."""
    step = avatar.diagnosis.trace[-1] if avatar.diagnosis else None
    told = dict(_parted(line) for line in (step.evidence if step else ()))
    growth = belief.doubling_days or belief.expansion_mm_per_year
    name = "doubling time" if belief.doubling_days else "diametric expansion"
    for marker, owner in OWNERS.items():
        words = _words(marker)
        if owner == "growth" and growth is not None and words in told:
            yield _effect(
                words,
                _state(avatar, marker),
                told[words],
                "growth",
                f"{name} of the class {belief.kind}",
                growth,
            )


def _response(avatar: Avatar, belief: TwinPrior) -> Iterator[MarkerEffect]:
    for drug, prior in belief.drugs.items():
        if not isinstance(prior, LogKillPrior) or prior.needs_marker is None:
            continue
        state = _state(avatar, prior.needs_marker)
        share = {"present": 1.0, "absent": prior.relative_without_marker}.get(state)
        changes = f"sensitivity to {drug}"
        if share is None:
            changes += f", in {prior.marker_share:.0%} of the members as if present"
        scaled = prior.sensitivity.model_copy(
            update={"median": prior.sensitivity.median * (1.0 if share is None else share)}
        )
        told = "record" if state != "untested" else ""
        yield _effect(_words(prior.needs_marker), state, told, "response", changes, scaled)


def _survival(avatar: Avatar) -> Iterator[MarkerEffect]:
    """Of the glioma model's markers, those that are present or not known."""
    model = survival_model("glioma")
    for covariate, (marker, present, absent) in LEVELS.items():
        state = _state(avatar, marker)
        if state == "absent":
            continue
        level = present if state == "present" else UNKNOWN
        ratio = model.ratio_of(covariate, level, absent)
        yield MarkerEffect(
            _words(marker), state, "", "survival model", "hazard ratio of death against absent",
            *ratio, "1", f"{model.name}, {model.patients} patients",
        )  # fmt: skip


def _effect(
    words: str, state: Presence, told_by: str, acts_on: str, changes: str, belief: LogNormal
) -> MarkerEffect:
    spread = exp(Z90 * belief.log_sd)
    return MarkerEffect(
        words, state, told_by, acts_on, changes, belief.median, belief.median / spread, belief.median * spread,
        belief.unit, belief.source + ("" if belief.confirmed else " (assumed)"),
    )  # fmt: skip


def _state(avatar: Avatar, marker: str) -> Presence:
    state: Presence = getattr(avatar.record.markers, marker, "untested")
    return state


def _words(marker: str) -> str:
    """As the table of diagnoses calls it, or by its own name."""
    found = cns5().findings.get(marker)
    return found or marker.replace("_", " ").replace("mgmt", "MGMT")


def _parted(line: str) -> tuple[str, str]:
    """A finding's words, and where it is from, of a line of evidence."""
    words, _, rest = line.partition(": ")
    return words, rest.partition("(")[2].removesuffix(")")
