"""Late fusion: a Cox model of each modality, their scores weighed by another, a mask where one is missing.

Each modality's score is learned from the patients who have it, out of fold, so that the weights do not trust a
modality for having seen the patients before (stacked generalization, Wolpert 1992).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from typing_extensions import override

from data.cohort import Cohort
from data.errors import CohortError
from models.survival.encoding import Encoder
from models.survival.families.base import Floats, SurvivalEstimator, in_order
from models.survival.families.cox import Cox
from models.survival.scores import stratified_folds


@final
class LateFusion(SurvivalEstimator):
    """One score a modality, so that a patient who lacks one still has a curve.

    Args:
        modalities: covariates of each, by name.
        penalizer: of all its Cox models.
        folds: from which the scores' weights are learned.
    """

    kind: ClassVar[str] = "late fusion"

    def __init__(
        self,
        modalities: Mapping[str, tuple[str, ...]],
        penalizer: float = 0.01,
        folds: int = 3,
    ) -> None:
        self.modalities = modalities
        self.penalizer = penalizer
        self.folds = folds

    @override
    def fit(self, cohort: Cohort, *, rng: np.random.Generator | None = None) -> LateFusion:
        """Scores out of fold, their weights, then each modality from all patients who have it.

        Raises:
            CohortError: a modality without covariates or with too few patients.
        """
        rng = rng if rng is not None else np.random.default_rng(0)
        cohort = in_order(
            cohort.with_columns([c for columns in self.modalities.values() for c in columns])
        )
        scores = pd.DataFrame(0.0, index=range(len(cohort)), columns=list(self.modalities))
        for out in stratified_folds(cohort, self.folds, rng):
            models = self._fitted(cohort.take(~out))
            scores.loc[out] = self._scores(models, cohort.covariates[out]).to_numpy()
        self.models_ = self._fitted(cohort)
        self.weigher_ = Cox(self.penalizer).fit(
            replace(cohort, covariates=self._with_masks(scores, cohort.covariates))
        )
        self.encoder_ = Encoder().fit(cohort.covariates)
        self.domain_, self.unit_ = self.weigher_.domain_, self.weigher_.unit_
        return self

    @override
    def predict_survival(self, covariates: pd.DataFrame, times: Floats) -> Floats:
        """By the scores of the modalities that each patient has."""
        scores = self._scores(self.models_, covariates)
        return self.weigher_.predict_survival(self._with_masks(scores, covariates), times)

    def present(self, covariates: pd.DataFrame) -> pd.DataFrame:
        """(n, m) whether anything of a modality is known of each patient."""
        return pd.DataFrame(
            {
                name: covariates[list(columns)].notna().any(axis=1)
                for name, columns in self.modalities.items()
            }
        )

    def _fitted(self, cohort: Cohort) -> dict[str, Cox]:
        found = {}
        for name, columns in self.modalities.items():
            has: NDArray[np.bool_] = self.present(cohort.covariates)[name].to_numpy()
            if not has.any():
                raise CohortError(
                    f"{cohort.name}: nothing of {name} is known of any patient; leave it out"
                )
            own = cohort.take(has).with_columns(list(columns))
            found[name] = Cox(self.penalizer).fit(own)
        return found

    def _scores(self, models: Mapping[str, Cox], covariates: pd.DataFrame) -> pd.DataFrame:
        """(n, m) log hazards against each modality's mean patient; 0 where it is missing."""
        has = self.present(covariates)
        told = {}
        for name, model in models.items():
            own = model.encoder_.seen(covariates[list(self.modalities[name])])
            parts = model.contributions(own).sum(axis=1).to_numpy()
            told[name] = np.where(has[name], parts, 0.0)
        return pd.DataFrame(told, index=covariates.index)

    def _with_masks(self, scores: pd.DataFrame, covariates: pd.DataFrame) -> pd.DataFrame:
        """(n, 2m) scores, and 1 where a modality is missing."""
        missing = (~self.present(covariates)).astype(float)
        masks = {f"{name} is missing": missing[name].to_numpy() for name in self.modalities}
        return pd.DataFrame(
            {name: scores[name].to_numpy() for name in self.modalities} | masks,
            index=covariates.index,
        )
