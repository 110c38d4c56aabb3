"""What drives patients' curves: exact factors of a shipped Cox model, Shapley values of any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.cohort import Covariate
from data.errors import CohortError
from data.io.cohort import read_covariates
from data.prognosis import Driver
from models.survival.bootstrap import Bootstrapped
from models.survival.cox import CoxModel
from models.survival.shapley import shapley
from pipelines.kept_cohorts import kept_cohort
from pipelines.survival_models import FOLDER, SUFFIX, find_model

SEED = 0


@dataclass(frozen=True)
class Share:
    """How far one covariate moves a patient's probability away from the cohort's mean; 0.1 is ten points."""

    name: str
    value: str
    share: float


@dataclass(frozen=True)
class Explained:
    """One patient.

    Args:
        outside: in what the patient is unlike all of the fit's; then nothing is told.
        factors: of the hazard, by a Cox model; their product is the patient's hazard ratio.
        shares: of the probability, by any other; ``mean`` and all of them add up to ``survival``.
        survival: probability to be without the event at the time asked for.
    """

    id: str
    outside: tuple[str, ...]
    factors: tuple[Driver, ...] = ()
    shares: tuple[Share, ...] = ()
    mean: float | None = None
    survival: float | None = None


def explain(
    model: str,
    patients: Path,
    store: Path,
    at: float,
    *,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, Any], list[Explained]]:
    """What drives each patient's curve, the strongest first.

    Args:
        model: of the store, or a shipped one's name.
        patients: a table with the ids and covariates that the model was fitted with.
        store: where models are kept, each with its cohort.
        at: the time, in the model's unit, at which shares are told.
        on_step: told how many of the patients are done.

    Raises:
        CohortError: no such model or cohort, or a time or patients that it cannot be asked for.
    """
    fitted, about = find_model(model, store)
    if not 0 < at <= fitted.end:
        raise CohortError(
            f"{at:g} {fitted.unit} is asked for; {model} tells times above 0 up to {fitted.end:g}"
        )
    kinds = {key: Covariate.model_validate(kind) for key, kind in about["covariates"].items()}
    frame = read_covariates(patients, kinds, about["id"])
    cohort = None if isinstance(fitted, CoxModel) else _beside(model, store)
    found = []
    for n, outside in enumerate(fitted.outside(frame)):
        one = frame.iloc[[n]]
        name = str(frame.index[n])
        if outside:
            found.append(Explained(name, outside))
        elif isinstance(fitted, CoxModel):
            values = {str(key): _plain(one[key].iloc[0]) for key in one.columns}
            survival = fitted.curves(one, np.array([at])).middle[0, 0]
            found.append(Explained(name, (), fitted.drivers(values), survival=float(survival)))
        elif cohort is not None:
            found.append(_shares(fitted, one, cohort[list(one.columns)], at, kinds))
        on_step(n + 1, len(frame))
    return about, found


def _beside(model: str, store: Path) -> pd.DataFrame:
    """The covariates of the cohort that a kept model was fitted to."""
    if not (store / FOLDER / f"{model}{SUFFIX}").is_file():
        raise CohortError(
            f"{model} is a file, and its cohort is not there to compare with; fit it with "
            "'avatar survival fit', which keeps both in a store, and give its name"
        )
    cohort, _ = kept_cohort(store, model)
    return cohort.covariates


def _shares(
    fitted: Bootstrapped,
    one: pd.DataFrame,
    cohort: pd.DataFrame,
    at: float,
    kinds: dict[str, Covariate],
) -> Explained:
    times = np.array([at])

    def told(frame: pd.DataFrame) -> np.ndarray:
        return fitted.model.predict_survival(frame, times)[:, 0]

    found = shapley(told, one, cohort, rng=np.random.default_rng(SEED))
    row = found.shares.iloc[0]
    strongest = row.abs().sort_values(ascending=False, kind="stable").index
    shares = tuple(
        Share(kinds[name].label or name, kinds[name].words(one[name].iloc[0]), float(row[name]))
        for name in strongest
    )
    return Explained(str(one.index[0]), (), (), shares, found.mean, float(told(one)[0]))


def _plain(value: Any) -> float | str | None:
    return None if pd.isna(value) else value
