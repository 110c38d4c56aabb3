"""Cox with the elastic net (Simon 2011), its strength chosen by cross-validation; fitted by scikit-survival."""

from __future__ import annotations

import warnings
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sksurv.linear_model import CoxnetSurvivalAnalysis
from sksurv.metrics import concordance_index_censored
from typing_extensions import override

from models.survival.families.base import Floats, SurvivalEstimator, at_times, outcome

INNER_FOLDS, STRENGTHS, LEAST_RATIO = 3, 20, 0.01


@final
class Coxnet(SurvivalEstimator):
    """Sparse and linear on the log hazard.

    Args:
        l1_ratio: share of the lasso.
    """

    kind: ClassVar[str] = "Coxnet"

    def __init__(self, l1_ratio: float = 0.5) -> None:
        self.l1_ratio = l1_ratio

    @override
    def _fit(
        self, x: Floats, time: Floats, event: NDArray[np.bool_], rng: np.random.Generator
    ) -> None:
        y = outcome(time, event)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", UserWarning)  # the path ended early
            path = self._model(None).fit(x, y).alphas_
            fold = rng.permutation(len(x)) % INNER_FOLDS
            scores = np.zeros(len(path))
            for n in range(INNER_FOLDS):
                inside, outside = fold != n, fold == n
                fitted = self._model(path).fit(x[inside], y[inside])
                for k, alpha in enumerate(path):
                    risk = fitted.predict(x[outside], alpha=alpha)
                    scores[k] += concordance_index_censored(event[outside], time[outside], risk)[0]
            self.alpha_ = float(path[int(np.argmax(scores))])
            self.model_ = self._model([self.alpha_], baseline=True).fit(x, y)

    def _model(self, alphas: object, *, baseline: bool = False) -> CoxnetSurvivalAnalysis:
        return CoxnetSurvivalAnalysis(
            l1_ratio=self.l1_ratio, alphas=alphas, n_alphas=STRENGTHS, alpha_min_ratio=LEAST_RATIO,
            fit_baseline_model=baseline,
        )  # fmt: skip

    @override
    def _survival(self, x: Floats, times: Floats) -> Floats:
        told = self.model_.predict_survival_function(x, return_array=True)
        return at_times(self.model_.unique_times_, np.asarray(told), times)
