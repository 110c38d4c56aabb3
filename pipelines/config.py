"""The configuration files that ship with the project, each as a validated noun."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import configs
from data.errors import ClinicalError, CohortError, RegimenError
from data.io.structured import read_model, read_regimen
from data.treatment import Regimen, RegimenPlan
from models.genomics.diagnosis import DiagnosisTable
from models.inference.prior import TwinPrior
from models.response.dose_volume import Organ, OrganList
from models.survival.cox import CoxModel

CONFIGS = Path(configs.__file__).parent
SURVIVAL_MODELS = Path(__file__).parents[1] / "models" / "survival" / "weights"
DEFAULT_REGIMENS = ("observation", "stupp", "hypofractionated")


def twin_prior(prior_class: str) -> TwinPrior:
    """The growth and response prior of a tumor class."""
    return read_model(CONFIGS / "priors" / f"{prior_class}.yaml", TwinPrior, RegimenError)


def diagnosis_table(name: str) -> DiagnosisTable:
    """A decision table for diagnoses."""
    return read_model(CONFIGS / "diagnosis" / f"{name}.yaml", DiagnosisTable, ClinicalError)


def regimen_names() -> tuple[str, ...]:
    """Shipped regimens, the usual ones first."""
    found = sorted(path.stem for path in (CONFIGS / "regimens").glob("*.yaml"))
    return (*DEFAULT_REGIMENS, *(name for name in found if name not in DEFAULT_REGIMENS))


def regimen_plan(name: str) -> RegimenPlan:
    """A shipped regimen as courses."""
    return read_model(CONFIGS / "regimens" / f"{name}.yaml", RegimenPlan, RegimenError)


def find_regimen(name_or_path: str) -> Regimen:
    """A shipped regimen by name, or the user's own by the path of its YAML file.

    Raises:
        RegimenError: neither exists, or it breaks a rule.
    """
    if name_or_path in regimen_names():
        return read_regimen(CONFIGS / "regimens" / f"{name_or_path}.yaml")
    path = Path(name_or_path)
    if not path.suffix:
        raise RegimenError(
            f"no regimen {name_or_path!r}; known: {', '.join(regimen_names())}, or give a YAML file"
        )
    return read_regimen(path)


def organs() -> tuple[Organ, ...]:
    """Tolerances of the organs at risk in the head."""
    return read_model(CONFIGS / "organs.yaml", OrganList, RegimenError).organs


def organ(name: str) -> Organ:
    """One of them, by the name that the file gives it."""
    return next(found for found in organs() if found.name == name)


def survival_models() -> list[str]:
    """Names of the shipped survival models."""
    return sorted(path.stem for path in SURVIVAL_MODELS.glob("*.json"))


@cache
def survival_model(name: str) -> CoxModel:
    """A shipped survival model.

    Raises:
        CohortError: there is none of that name.
    """
    if name not in survival_models():
        raise CohortError(
            f"there is no shipped survival model {name!r}; there are {', '.join(survival_models())}"
        )
    return CoxModel.model_validate_json((SURVIVAL_MODELS / f"{name}.json").read_text())
