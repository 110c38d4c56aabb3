"""Shipped survival models: a configuration and a table become plain numbers and a model card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from data.cohort import UNKNOWN, Cohort
from data.errors import CohortError
from data.files import sha256_file
from data.io.cohort import CohortFile, read_cohort, read_table
from data.io.structured import read_model
from data.prognosis import DAYS_PER_MONTH
from models.survival.bands import FEWEST_REFITS
from models.survival.bootstrap import Bootstrapped, bootstrapped
from models.survival.cox import CoxFit, CoxModel, Seen
from models.survival.encoding import Encoder
from models.survival.families.base import Floats
from models.survival.families.cox import Cox
from models.survival.families.kaplan_meier import KaplanMeier
from models.survival.terms import Term
from pipelines.config import CONFIGS
from pipelines.evaluate_survival import CrossValidated, Family, cross_validate
from pipelines.kept_cohorts import keep_cohort
from pipelines.optimism import Optimism, optimism
from pipelines.subgroups import Subgroup, subgroups
from pipelines.validate_survival import Validation, judge

MONTHS = {"days": 1 / DAYS_PER_MONTH, "weeks": 7 / DAYS_PER_MONTH, "months": 1.0, "years": 12.0}
BASELINE, AGE_ONLY = "Kaplan-Meier", "age only"
REPEATS = 2


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Card(_Part):
    """What a model card has to say that no command can measure, by TRIPOD+AI's items (BMJ "
    "2024;385:e078378).
    """

    context: str = Field(description="3a: what the model is for")
    population: str = Field(description="3b: for whom, used by whom")
    inequalities: str = Field(description="3c")
    dates: str = Field(description="5b")
    setting: str = Field(description="6a")
    treatments: str = Field(description="6c")
    sample_size: str = Field(default="All patients of the table with an outcome.", description="10")
    ethics: str = Field(description="17")
    data_sharing: str = Field(description="18e")
    limits: str = Field(description="26")


class ShippedModel(_Part):
    """How a shipped model is made.

    Args:
        cohort: data dictionary of the table; its file's name tells people which one it is.
        validation: of another cohort's, where there is one.
        end_months: last time told; ``step_months`` apart.
        horizons: months at which calibration is judged.
        subgroups: covariates by whose levels the model is judged apart, with ``cuts`` of numbers.
    """

    title: str
    cohort: CohortFile
    validation: CohortFile | None = None
    penalizer: float = Field(default=0.01, ge=0)
    end_months: float = Field(gt=0)
    step_months: float = Field(default=2.0, gt=0)
    refits: int = Field(default=200, ge=20)
    horizons: tuple[float, ...] = Field(min_length=1)
    validation_horizons: tuple[float, ...] = ()
    subgroups: tuple[str, ...] = ()
    cuts: dict[str, tuple[float, ...]] = {}
    age: str = Field(default="age", description="covariate of the age-only baseline")
    card: Card

    @property
    def middle(self) -> float:
        """The horizon of the subgroups."""
        return self.horizons[len(self.horizons) // 2]


def shipped_config(name: str) -> ShippedModel:
    """The configuration of a shipped model.

    Raises:
        CohortError: there is none of that name, or it breaks a rule.
    """
    names = shipped_names()
    if name not in names:
        raise CohortError(
            f"there is no survival model {name!r} to fit; there are {', '.join(names)}"
        )
    return read_model(CONFIGS / "survival" / f"{name}.yaml", ShippedModel, CohortError)


def shipped_names() -> list[str]:
    """Of all configurations."""
    return sorted(path.stem for path in (CONFIGS / "survival").glob("*.yaml"))


@dataclass(frozen=True, eq=False)
class Shipped:
    """A fitted model with all that was measured of it.

    Args:
        scores: cross-validated, with the baselines on the same folds.
        parts: subgroups by out-of-fold predictions at the middle horizon.
        external: on the validation cohort.
    """

    model: CoxModel
    config: ShippedModel
    cohort: Cohort
    scores: dict[str, CrossValidated]
    optimism: dict[str, Optimism]
    parts: tuple[Subgroup, ...]
    external: Validation | None


def ship(
    name: str,
    table: Path,
    *,
    validation: Path | None = None,
    seed: int = 0,
    quick: bool = False,
    on_step: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Shipped:
    """Fit a configuration to its table, and measure the model.

    Args:
        name: of the configuration.
        table: that it describes.
        validation: table of the validation cohort.
        seed: of folds and draws.
        quick: with the fewest refits and draws that there can be, as tests want.
        on_step: told what is done, and how much of it.

    Raises:
        CohortError: a table that does not suit the configuration.
    """
    config = shipped_config(name)
    cohort = in_months(read_table(table, config.cohort))
    scores = _scores(config, cohort, seed, on_step)
    model = Cox(config.penalizer).fit(cohort)
    fitted = bootstrapped(
        model, cohort, FEWEST_REFITS if quick else config.refits, rng=np.random.default_rng(seed),
        on_step=lambda done, total: on_step("refits", done, total),
    )  # fmt: skip
    better = optimism(
        lambda: Cox(config.penalizer), cohort, draws=2 if quick else 100, seed=seed,
        on_step=lambda done, total: on_step("optimism", done, total),
    )  # fmt: skip
    concordance = round(scores[Cox.kind].mean("harrell"), 4)
    about = {
        "name": name, "concordance_out_of_fold": concordance, "sha256": sha256_file(table),
    }  # fmt: skip
    return Shipped(
        plain(about, config, cohort, fitted), config, cohort, scores, better,
        subgroups(
            cohort, scores[Cox.kind].event_by[config.middle], config.middle, config.subgroups, cuts=config.cuts
        ),
        None if validation is None else _external(config, model, cohort, validation, seed, quick=quick),
    )  # fmt: skip


def _scores(
    config: ShippedModel, cohort: Cohort, seed: int, on_step: Callable[[str, int, int], None]
) -> dict[str, CrossValidated]:
    """The model and its baselines on the same folds."""

    def crossed(families: Mapping[str, Family], of: Cohort) -> dict[str, CrossValidated]:
        return cross_validate(
            of, families, horizons=config.horizons, repeats=REPEATS, seed=seed,
            on_step=lambda kind, done, total: on_step("folds", done, total),
        )  # fmt: skip

    found = crossed({Cox.kind: lambda: Cox(config.penalizer), BASELINE: KaplanMeier}, cohort)
    return found | crossed({AGE_ONLY: Cox}, cohort.with_columns([config.age]))


def in_months(cohort: Cohort) -> Cohort:
    """The same cohort with times in months of 30.4375 days."""
    return Cohort(
        cohort.name, cohort.ids, cohort.covariates, cohort.time * MONTHS[cohort.unit], cohort.event, "months"
    )  # fmt: skip


def keep_for(name: str, table: Path | None, store: Path) -> tuple[Path, Cohort]:
    """Keep the cohort of a shipped model, or of a data dictionary, in a store.

    Raises:
        CohortError: a table that does not suit, or none where a shipped model needs it.
    """
    if Path(name).suffix in (".yaml", ".yml"):
        cohort, told = read_cohort(Path(name))
        return keep_cohort(store, Path(name).stem, cohort, told), cohort
    told = shipped_config(name).cohort
    if table is None:
        raise CohortError(f"{name}: give its table too, {told.file} ({told.source})")
    cohort = in_months(read_table(table, told))
    return keep_cohort(store, name, cohort, told), cohort


def _external(
    config: ShippedModel, model: Cox, cohort: Cohort, table: Path, seed: int, *, quick: bool
) -> Validation:
    """On the validation cohort, where what its table does not have is not known."""
    if config.validation is None:
        raise CohortError(f"{config.title}: names no validation cohort; leave --validation out")
    other = in_months(read_table(table, config.validation))
    gaps = {
        name: np.nan if config.cohort.covariates[name].kind == "number" else pd.Categorical([None] * len(other))
        for name in config.cohort.covariates
        if name not in other.covariates
    }  # fmt: skip
    other = replace(other, covariates=other.covariates.assign(**gaps))
    horizons = config.validation_horizons or config.horizons
    return judge(model, cohort, other, horizons, draws=10 if quick else 200, seed=seed)


def plain(
    about: Mapping[str, Any], config: ShippedModel, cohort: Cohort, fitted: Bootstrapped
) -> CoxModel:
    """A fitted Cox model and its refits as numbers.

    Args:
        about: fields of :class:`CoxModel` that the fit does not tell.
        config: of the model.
        cohort: that it was fitted to, in months.
        fitted: of the family Cox.
    """
    model = fitted.model
    encoder = model.encoder_
    terms = tuple(_short(term) for term in encoder.terms())
    precision = encoder.precision_ / np.outer(encoder.spread_, encoder.spread_)
    times = np.arange(0.0, min(config.end_months, model.domain_[1]) + 1e-9, config.step_months)
    fits = [
        _as_fit(m, terms, encoder, times) for m in (model, *fitted.refits) if isinstance(m, Cox)
    ]
    return CoxModel(
        title=config.title, event=config.cohort.event.name, time_zero=config.cohort.time.zero,
        trained_on=config.cohort.source, patients=len(cohort), events=cohort.events,
        penalizer=config.penalizer, covariates=config.cohort.covariates,
        seen={name: _seen(encoder, name) for name in config.cohort.covariates}, terms=terms,
        precision=tuple(_short_all(row) for row in precision),
        farthest=encoder.farthest_, times=_short_all(times), fit=fits[0], replicates=tuple(fits[1:]), **about,
    )  # fmt: skip


def _as_fit(model: Cox, terms: Sequence[Term], encoder: Encoder, times: Floats) -> CoxFit:
    """Coefficients as the log hazard answers to each term, and the hazard where all are at their means.

    Each refit has an encoder of its own; asked for patients who differ in one term, its answer is in the terms
    of the model.
    """
    usual: dict[str, Any] = {name: encoder.center_of(name) for name in encoder.columns_}
    patients = [usual]
    for term in terms:
        changed = {
            None: term.center + term.scale,
            UNKNOWN: np.nan if term.covariate in encoder.numbers_ else None,
        }.get(term.level, term.level)
        patients.append(usual | {term.covariate: changed})
    frame = pd.DataFrame(patients).astype({name: float for name in encoder.numbers_})
    told = model.encoder_.transform(model.encoder_.seen(frame)) @ model.coefficients_
    coefficients = told[1:] - told[0]
    at_means = told[0] + float(coefficients @ np.array([term.mean for term in terms]))
    hazard = np.maximum.accumulate(np.r_[0.0, model.hazard_])
    place = np.searchsorted(model.steps_, np.minimum(times, model.domain_[1]), side="right")
    return CoxFit(
        coefficients=_short_all(coefficients), baseline=_short_all(hazard[place] * np.exp(at_means))
    )


def _seen(encoder: Encoder, name: str) -> Seen:
    low, high = encoder.ranges_.get(name, (None, None))
    return Seen(
        low=low,
        high=high,
        levels=tuple(encoder.levels_.get(name, ())),
        gaps=encoder.may_be_unknown(name),
    )


def _short(term: Term) -> Term:
    told = {
        name: float(f"{getattr(term, name):.9g}") for name in ("center", "scale", "mean", "gap")
    }
    return term.model_copy(update=told)


def _short_all(values: Floats) -> tuple[float, ...]:
    """With seven digits."""
    return tuple(float(f"{value:.7g}") for value in values)
