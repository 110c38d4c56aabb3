"""Gradient boosting of the partial likelihood (Ridgeway 1999), Breslow's baseline, by scikit-survival."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from sksurv.ensemble import GradientBoostingSurvivalAnalysis
from typing_extensions import override

from models.survival.families.base import EncodedEstimator, Floats, at_times, outcome
from models.survival.families.forest import SEEDS


@final
class Boosting(EncodedEstimator):
    """Small trees, one after another.

    Args:
        trees: how many.
        rate: of learning.
        depth: of a tree.
        leaf: patients of the smallest leaf.
    """

    kind: ClassVar[str] = "gradient boosting"

    def __init__(
        self, trees: int = 100, rate: float = 0.05, depth: int = 2, leaf: int = 15
    ) -> None:
        self.trees = trees
        self.rate = rate
        self.depth = depth
        self.leaf = leaf

    @override
    def _fit(
        self, x: Floats, time: Floats, event: NDArray[np.bool_], rng: np.random.Generator
    ) -> None:
        self.model_ = GradientBoostingSurvivalAnalysis(
            n_estimators=self.trees, learning_rate=self.rate, max_depth=self.depth,
            min_samples_leaf=self.leaf, subsample=0.7, random_state=int(rng.integers(SEEDS)),
        ).fit(x, outcome(time, event))  # fmt: skip

    @override
    def _survival(self, x: Floats, times: Floats) -> Floats:
        told = self.model_.predict_survival_function(x, return_array=True)
        return at_times(self.model_.unique_times_, np.asarray(told), times)
