"""Random survival forest (Ishwaran 2008, doi:10.1214/08-AOAS169), fitted by scikit-survival."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from sksurv.ensemble import RandomSurvivalForest
from typing_extensions import override

from data.cohort import Cohort
from models.survival.families.base import EncodedEstimator, Floats, at_times, outcome

SEEDS = 2**31 - 1
REFIT_TREES = 25
"""Of a refit: enough for its spread, and a quarter of the size."""


@final
class Forest(EncodedEstimator):
    """Trees by the log-rank test, averaged.

    Args:
        trees: how many.
        leaf: patients of the smallest leaf.
        jobs: threads.
    """

    kind: ClassVar[str] = "random survival forest"

    def __init__(self, trees: int = 100, leaf: int = 15, jobs: int = 1) -> None:
        self.trees = trees
        self.leaf = leaf
        self.jobs = jobs

    @override
    def _fit(
        self, x: Floats, time: Floats, event: NDArray[np.bool_], rng: np.random.Generator
    ) -> None:
        self.model_ = RandomSurvivalForest(
            n_estimators=self.trees, min_samples_leaf=self.leaf, max_features="sqrt",
            n_jobs=self.jobs, random_state=int(rng.integers(SEEDS)),
        ).fit(x, outcome(time, event))  # fmt: skip

    @override
    def refitted(self, cohort: Cohort, rows: NDArray[np.int64], rng: np.random.Generator) -> Forest:
        """With fewer trees."""
        return Forest(min(self.trees, REFIT_TREES), self.leaf, self.jobs).fit(
            cohort.drawn(rows), rng=rng
        )

    @override
    def _survival(self, x: Floats, times: Floats) -> Floats:
        told = self.model_.predict_survival_function(x, return_array=True)
        return at_times(self.model_.unique_times_, np.asarray(told), times)
