"""Fitted survival models as one file: skops, which holds no code, with what the model is in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import skops.io

from data.cohort import Cohort
from data.errors import CohortError
from data.files import replace_atomically, sha256_file
from data.io.cohort import Covariate, read_cohort, read_covariates
from data.provenance import versions_of
from models.survival.encoding import unknown_of
from models.survival.families.base import SurvivalEstimator
from models.survival.families.registry import FAMILIES
from pipelines.evaluate_survival import CrossValidated

TRUSTED = frozenset(
    {"models.survival.encoding.Encoder", "numpy.dtype"}
    | {f"{family.__module__}.{family.__qualname__}" for family in FAMILIES.values()}
    | {
        "sksurv.functions.StepFunction",
        "sksurv.linear_model.coxnet.CoxnetSurvivalAnalysis",
        "sksurv.linear_model.coxph.BreslowEstimator",
        "sksurv.ensemble.forest.RandomSurvivalForest",
        "sksurv.tree.tree.SurvivalTree",
        "sksurv.ensemble.boosting.GradientBoostingSurvivalAnalysis",
        "sksurv.ensemble.survival_loss.CoxPH",
    }
)
"""Types that a model may hold beside those that skops trusts; a file with any other is refused."""


@dataclass(frozen=True)
class SavedModel:
    """A model, and what it was made from.

    Args:
        about: plain values: cohort, data dictionary, scores, versions.
    """

    model: SurvivalEstimator
    about: dict[str, Any]


FOLDER = "survival"
"""In a store: one file for each model."""
SUFFIX = ".skops"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,63}")
MEDIAN_TIMES = 400


def families_named(names: Sequence[str] | None) -> dict[str, type[SurvivalEstimator]]:
    """Families by their names; all without.

    Raises:
        CohortError: there is no such family.
    """
    unknown = [name for name in names or () if name not in FAMILIES]
    if unknown:
        raise CohortError(f"there is no family {unknown[0]!r}; there are {', '.join(FAMILIES)}")
    return {name: FAMILIES[name] for name in names or FAMILIES}


def fit_and_keep(
    dictionary: Path, family: str, store: Path, *, name: str | None = None, seed: int = 0
) -> tuple[Path, dict[str, Any]]:
    """Fit a family to all patients of a cohort, and keep it in a store.

    Raises:
        CohortError: the cohort or the family cannot be used, or the store cannot be written.
    """
    (made,) = families_named([family]).values()
    cohort, told = read_cohort(dictionary)
    called = name or cohort.name
    if not NAME.fullmatch(called):
        raise CohortError(
            f"{called!r} is no name of a model; give letters, digits, . _ - with --name"
        )
    model = made().fit(cohort, rng=np.random.default_rng(seed))
    about = {
        "cohort": cohort.name, "family": family, "patients": len(cohort), "events": cohort.events,
        "event": told.event.name, "unit": cohort.unit, "time_zero": told.time.zero, "source": told.source,
        "followed_to": model.domain_[1], "id": told.id, "seed": seed,
        "covariates": {key: kind.model_dump(mode="json") for key, kind in told.covariates.items()},
        "weights": getattr(model, "shares", {}), "sha256": sha256_file(dictionary.parent / told.file),
        "versions": versions_of("scikit-survival", "scikit-learn", "lifelines", "numpy"),
    }  # fmt: skip
    path = store / FOLDER / f"{called}{SUFFIX}"
    try:
        replace_atomically(path, dumped(SavedModel(model, about)))
    except OSError as error:
        raise CohortError(f"{path}: cannot be written ({error.strerror})") from error
    return path, about


@dataclass(frozen=True)
class Predicted:
    """One patient's answer.

    Args:
        survival: by time; empty where there is no number.
        median: None where the curve does not fall to one half while patients were followed.
        unknown: covariates that were filled in.
        outside: in what the patient is unlike all of the fit's.
    """

    id: str
    survival: dict[float, float]
    median: float | None
    unknown: tuple[str, ...]
    outside: tuple[str, ...]

    @property
    def remark(self) -> str:
        """What has to be said of it."""
        unknown = f"not known: {', '.join(self.unknown)}" if self.unknown else ""
        return "; ".join(part for part in (*self.outside, unknown) if part)

    def row(self) -> dict[str, Any]:
        """For JSON."""
        told = (
            None if self.outside else {f"{time:g}": value for time, value in self.survival.items()}
        )
        return {"id": self.id, "survival": told, "median": self.median, "unknown": self.unknown,
                "outside": self.outside}  # fmt: skip


def predict(
    model: str, patients: Path, store: Path, times: tuple[float, ...]
) -> tuple[dict[str, Any], list[Predicted]]:
    """Curves of new patients, by a model of the store or its file.

    Args:
        model: its name, or a path.
        patients: a table with the ids and covariates that the model was fitted with.
        store: where models are kept.
        times: in the model's unit; without any, quarters of the time that patients were followed.

    Raises:
        CohortError: no such model, or patients that it cannot be asked for.
    """
    named = store / FOLDER / f"{model}{SUFFIX}"
    saved = load_model(named if named.is_file() or not Path(model).is_file() else Path(model))
    about = saved.about
    kinds = {key: Covariate.model_validate(kind) for key, kind in about["covariates"].items()}
    frame = read_covariates(patients, kinds, about["id"])
    end = saved.model.domain_[1]
    asked = np.array(times or [end * n / 4 for n in (1, 2, 3)])
    grid = np.linspace(0.0, end, MEDIAN_TIMES)
    told = saved.model.predict_survival(frame, np.r_[asked, grid])
    curves, whole = told[:, : len(asked)], told[:, len(asked) :]
    outside = saved.model.encoder_.outside(frame)
    found = []
    for n, (unknown, beyond) in enumerate(zip(unknown_of(frame), outside, strict=True)):
        below = np.flatnonzero(whole[n] <= 0.5)
        found.append(
            Predicted(
                str(frame.index[n]),
                {} if beyond else {float(t): float(s) for t, s in zip(asked, curves[n], strict=True)},
                None if beyond or not len(below) else float(grid[below[0]]), unknown, beyond,
            )
        )  # fmt: skip
    return about, found


def summary(
    cohort: Cohort, found: Mapping[str, CrossValidated], horizons: tuple[float, ...]
) -> dict[str, Any]:
    """Scores of a cross-validation as plain values; why there is none where calibration cannot be told."""
    families = {}
    for kind, one in found.items():
        calibration: dict[str, Any] = {}
        for horizon in horizons:
            try:
                told = one.at(cohort, horizon)
            except CohortError as error:
                calibration[f"{horizon:g}"] = str(error)
                continue
            names = ("predicted", "observed", "intercept", "slope", "ici", "e50", "e90")
            calibration[f"{horizon:g}"] = {name: getattr(told, name) for name in names}
        spread = one.d_calibration(cohort)
        families[kind] = {
            name: {"mean": one.mean(name), "spread": one.spread(name)} for name in ("uno", "harrell", "brier")
        } | {
            "d_calibration_p": spread.p, "d_calibration_shares": spread.shares.tolist(),
            "calibration": calibration, "weights": one.shares,
        }  # fmt: skip
    return {
        "cohort": cohort.name,
        "patients": len(cohort),
        "events": cohort.events,
        "families": families,
    }


def dumped(saved: SavedModel) -> bytes:
    """The content of the file; the same model gives the same predictions back."""
    return bytes(skops.io.dumps({"model": saved.model, "about": json.dumps(saved.about)}))


def load_model(path: Path) -> SavedModel:
    """What :func:`dumped` made.

    Raises:
        CohortError: no such file, a damaged one, or one with types that a model does not have.
    """
    if not path.is_file():
        raise CohortError(f"{path}: there is no such model")
    try:
        content = path.read_bytes()
        found = skops.io.get_untrusted_types(data=content)
        foreign = sorted(set(found) - TRUSTED)
        if foreign:
            raise CohortError(
                f"{path}: holds {', '.join(foreign[:3])}, which no model of this project has; do not use it"
            )
        kept = skops.io.loads(content, trusted=found)
        return SavedModel(kept["model"], json.loads(kept["about"]))
    except CohortError:
        raise
    except (OSError, BadZipFile, LookupError, TypeError, ValueError, AttributeError) as error:
        raise CohortError(
            f"{path}: is no survival model, or damaged; fit it again with 'avatar survival fit'"
        ) from error
