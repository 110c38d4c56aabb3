"""Fitted survival models as one file: skops, which holds no code, with what the model is in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile

import numpy as np
import skops.io

from data.cohort import Cohort, Covariate
from data.errors import CohortError
from data.files import replace_atomically, sha256_file
from data.io.cohort import read_cohort, read_covariates
from data.provenance import versions_of
from models.survival.bands import first_below
from models.survival.bootstrap import REFITS, Bootstrapped, bootstrapped
from models.survival.cox import CoxModel
from models.survival.encoding import unknown_of
from models.survival.families.base import SurvivalEstimator
from models.survival.families.registry import FAMILIES
from pipelines.config import survival_model, survival_models
from pipelines.evaluate_survival import CrossValidated
from pipelines.kept_cohorts import keep_cohort
from pipelines.optimism import Optimism

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


@dataclass(frozen=True, eq=False)
class SavedModel:
    """A model with its refits, and what it was made from.

    Args:
        about: plain values: cohort, data dictionary, scores, versions.
    """

    fitted: Bootstrapped
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
    dictionary: Path,
    family: str,
    store: Path,
    *,
    name: str | None = None,
    refits: int = REFITS,
    seed: int = 0,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Path, dict[str, Any]]:
    """Fit a family to all patients of a cohort, and keep it in a store, the cohort beside it.

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
    rng = np.random.default_rng(seed)
    model = made().fit(cohort, rng=rng)
    fitted = bootstrapped(model, cohort, refits, rng=rng, on_step=on_step)
    about = {
        "cohort": cohort.name, "family": family, "patients": len(cohort), "events": cohort.events,
        "event": told.event.name, "unit": cohort.unit, "time_zero": told.time.zero, "source": told.source,
        "followed_to": model.domain_[1], "id": told.id, "seed": seed, "refits": refits,
        "covariates": {key: kind.model_dump(mode="json") for key, kind in told.covariates.items()},
        "weights": getattr(model, "shares", {}), "sha256": sha256_file(dictionary.parent / told.file),
        "versions": versions_of("scikit-survival", "scikit-learn", "lifelines", "numpy"),
    }  # fmt: skip
    path = store / FOLDER / f"{called}{SUFFIX}"
    try:
        replace_atomically(path, dumped(SavedModel(fitted, about)))
    except OSError as error:
        raise CohortError(f"{path}: cannot be written ({error.strerror})") from error
    keep_cohort(store, called, cohort, told)
    return path, about


@dataclass(frozen=True)
class Predicted:
    """One patient's answer.

    Args:
        survival: by time, with the edges of the band, NaN where there is none; empty where there is no number.
        median: and the times at which the band's edges fall to one half; None beyond what is told.
        unknown: covariates that are not known.
        outside: in what the patient is unlike all of the fit's.
    """

    id: str
    survival: dict[float, tuple[float, float, float]]
    median: tuple[float | None, float | None, float | None]
    unknown: tuple[str, ...]
    outside: tuple[str, ...]

    @property
    def remark(self) -> str:
        """What has to be said of it."""
        unknown = f"not known: {', '.join(self.unknown)}" if self.unknown else ""
        return "; ".join(part for part in (*self.outside, unknown) if part)

    def row(self) -> dict[str, Any]:
        """For JSON."""
        names = ("value", "low", "high")
        told = None if self.outside else {
            f"{time:g}": {n: None if np.isnan(v) else v for n, v in zip(names, values, strict=True)}
            for time, values in self.survival.items()
        }  # fmt: skip
        return {"id": self.id, "survival": told, "median": dict(zip(names, self.median, strict=True)),
                "unknown": self.unknown, "outside": self.outside}  # fmt: skip


def predict(
    model: str, patients: Path, store: Path, times: tuple[float, ...], *, lived: float = 0.0
) -> tuple[dict[str, Any], list[Predicted]]:
    """Curves of new patients, by a model of the store, a shipped one, or its file.

    Args:
        model: its name, or a path.
        patients: a table with the ids and covariates that the model was fitted with.
        store: where models are kept.
        times: in the model's unit; without any, quarters of the time that patients were followed.
        lived: time that the patients have lived already.

    Raises:
        CohortError: no such model, or patients that it cannot be asked for.
    """
    fitted, about = find_model(model, store)
    if not 0 <= lived < fitted.end:
        raise CohortError(
            f"{lived:g} {fitted.unit} lived is asked for; {model} tells 0 to {fitted.end:g}"
        )
    kinds = {key: Covariate.model_validate(kind) for key, kind in about["covariates"].items()}
    frame = read_covariates(patients, kinds, about["id"])
    asked = np.array(times or [lived + (fitted.end - lived) * n / 4 for n in (1, 2, 3)])
    if (asked < lived).any():
        raise CohortError(
            f"{asked.min():g} {fitted.unit} is asked for, of patients who lived {lived:g}"
        )
    grid = np.union1d(asked, np.linspace(lived, fitted.end, MEDIAN_TIMES))
    band = fitted.curves(frame, grid, lived=lived)
    edges = (band.middle, band.lower, band.upper)
    at = np.searchsorted(grid, asked)
    found = []
    for n, (unknown, beyond) in enumerate(
        zip(unknown_of(frame), fitted.outside(frame), strict=True)
    ):
        middle, low, high = (None if beyond else first_below(grid, c[n]) for c in edges)
        told = {
            float(t): (float(band.middle[n, k]), float(band.lower[n, k]), float(band.upper[n, k]))
            for t, k in zip(asked, at, strict=True)
        }
        found.append(
            Predicted(str(frame.index[n]), {} if beyond else told, (middle, low, high), unknown, beyond)
        )  # fmt: skip
    return about, found


def find_model(name: str, store: Path) -> tuple[Bootstrapped | CoxModel, dict[str, Any]]:
    """A model and what it is about: of the store first, then the shipped ones, then a file.

    Raises:
        CohortError: there is none.
    """
    path = store / FOLDER / f"{name}{SUFFIX}"
    if not path.is_file() and name in survival_models():
        shipped = survival_model(name)
        kinds = {
            key: kind.model_copy(update={"column": "", "constant": "", "codes": {}}).model_dump(mode="json")
            for key, kind in shipped.covariates.items()
        }  # fmt: skip
        return shipped, {
            "cohort": shipped.trained_on, "family": "Cox", "patients": shipped.patients, "id": "patient",
            "events": shipped.events, "event": shipped.event, "unit": shipped.unit, "covariates": kinds,
            "time_zero": shipped.time_zero, "sha256": shipped.sha256,
        }  # fmt: skip
    if not path.is_file() and not Path(name).is_file():
        own = sorted(p.stem for p in (store / FOLDER).glob(f"*{SUFFIX}"))
        raise CohortError(
            f"there is no survival model {name!r}: {store} has {', '.join(own) or 'none'}, shipped are "
            f"{', '.join(survival_models())}; or give a file"
        )
    saved = load_model(path if path.is_file() else Path(name))
    return saved.fitted, saved.about


def summary(
    cohort: Cohort,
    found: Mapping[str, CrossValidated],
    horizons: tuple[float, ...],
    optimism: Mapping[str, Mapping[str, Optimism]] | None = None,
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
            calibration[f"{horizon:g}"] = {name: getattr(told, name) for name in names} | {
                "auc": float(np.mean(one.auc[horizon])) if one.auc.get(horizon) else None
            }
        spread = one.d_calibration(cohort)
        families[kind] = {
            name: {"mean": one.mean(name), "spread": one.spread(name)} for name in ("uno", "harrell", "brier")
        } | {
            "d_calibration_p": spread.p, "d_calibration_shares": spread.shares.tolist(),
            "calibration": calibration, "weights": one.shares,
            "optimism": {
                name: {"corrected": score.corrected} | asdict(score)
                for name, score in (optimism or {}).get(kind, {}).items()
            },
        }  # fmt: skip
    return {
        "cohort": cohort.name,
        "patients": len(cohort),
        "events": cohort.events,
        "families": families,
    }


def dumped(saved: SavedModel) -> bytes:
    """The content of the file; the same model gives the same predictions back."""
    content = {
        "model": saved.fitted.model, "refits": list(saved.fitted.refits), "about": json.dumps(saved.about),
    }  # fmt: skip
    return bytes(skops.io.dumps(content, compression=ZIP_DEFLATED))


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
        fitted = Bootstrapped(kept["model"], tuple(kept["refits"]))
        return SavedModel(fitted, json.loads(kept["about"]))
    except CohortError:
        raise
    except (OSError, BadZipFile, LookupError, TypeError, ValueError, AttributeError) as error:
        raise CohortError(
            f"{path}: is no survival model, or damaged; fit it again with 'avatar survival fit'"
        ) from error
