"""One avatar's survival as the board tells it: by the site's shipped model, and patients like this one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.avatar import Avatar
from data.cohort import Cohort
from data.errors import CohortError
from data.prognosis import SurvivalPrediction
from models.survival.cox import CoxModel
from models.survival.groups import GroupCurve, by_group
from models.survival.neighbors import nearest
from pipelines.config import survival_model
from pipelines.kept_cohorts import kept_cohort, kept_names
from pipelines.ship_survival import shipped_config
from pipelines.sites.registry import SITES

LANDMARKS = (6.0, 12.0, 24.0, 36.0, 60.0, 120.0)
"""Months at which survival is told."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A model and what it is told of a patient."""

    model: CoxModel
    values: dict[str, float | str | None]
    patient: str

    @property
    def was_left_out(self) -> bool:
        """Whether the model's configuration names the patient as one not to learn from."""
        return self.patient in shipped_config(self.model.name).cohort.leave_out

    @property
    def outside(self) -> tuple[str, ...]:
        """Why there is no number; empty where there is one."""
        (reasons,) = self.model.outside(self.model.frame(self.values))
        return reasons

    def predict(self, lived: float = 0.0) -> SurvivalPrediction:
        """The curve.

        Raises:
            ClinicalError: there is no number for such a patient.
        """
        return self.model.predict(self.values, lived=lived)


def asked_of(avatar: Avatar) -> Asked | None:
    """None where there is no model of the avatar's site."""
    told = SITES[avatar.site].survival
    if told is None:
        return None
    return Asked(survival_model(told.model), told.covariates(avatar.record), avatar.patient_id)


@dataclass(frozen=True, eq=False)
class Alike:
    """The patients of a cohort who are most like one.

    Args:
        rows: their numbers in the cohort, the nearest first.
        distances: on the log hazard.
        curve: Kaplan-Meier of them.
        has_patient: whether the one was in the cohort, before it was left out.
    """

    cohort: Cohort
    rows: np.ndarray
    distances: np.ndarray
    curve: GroupCurve
    has_patient: bool

    def table(self, model: CoxModel) -> list[dict[str, str]]:
        """One line a patient."""
        return [
            {
                "Patient": str(self.cohort.ids[row]),
                "Distance": f"{distance:.2f}",
                "Outcome": f"{'died' if self.cohort.event[row] == 1 else 'alive'} at "
                f"{self.cohort.time[row]:.0f} months",
            }
            | {
                model.label(name): model.words(name, self.cohort.covariates[name].iloc[row])
                for name in model.covariates
            }
            for row, distance in zip(self.rows, self.distances, strict=True)
        ]


def alike(asked: Asked, store: Path) -> Alike | None:
    """From the cohort of the model that the store keeps, without the patient; None where it keeps none.

    Raises:
        CohortError: the kept cohort is damaged, or not the model's.
    """
    model = asked.model
    if model.name not in kept_names(store):
        return None
    cohort, _ = kept_cohort(store, model.name)
    if cohort.unit != model.unit:
        raise CohortError(
            f"{store}: the cohort {model.name!r} is in {cohort.unit}, the model in {model.unit}; keep it "
            f"with 'avatar survival keep {model.name} TABLE'"
        )
    cohort = cohort.with_columns(list(model.covariates))
    others = cohort.take(cohort.ids != asked.patient)
    (own,) = model.parts(model.frame(asked.values))
    rows, distances = nearest(own, model.parts(others.covariates))
    chosen = others.take(rows)
    (curve,) = by_group(chosen, np.full(len(chosen), "patients like this one", object)).curves
    return Alike(others, rows, distances, curve, len(others) < len(cohort))
