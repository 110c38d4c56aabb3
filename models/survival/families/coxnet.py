"""Cox with the elastic net (Simon 2011), its strength chosen by cross-validation; fitted by scikit-survival."""

from __future__ import annotations

import warnings
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sksurv.linear_model import CoxnetSurvivalAnalysis
from typing_extensions import override

from data.errors import CohortError
from models.survival.families.base import EncodedEstimator, Floats, at_times, outcome

INNER_FOLDS, STRENGTHS = 3, 20
LEAST_RATIOS = (0.01, 0.05, 0.3)
"""Of the weakest strength to the strongest, the first that can be computed."""


@final
class Coxnet(EncodedEstimator):
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
        fold = rng.permutation(len(x)) % INNER_FOLDS
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", UserWarning)  # the path ended early
            for least in LEAST_RATIOS:
                try:
                    self.model_ = self._chosen(x, y, fold, least)
                    break
                except ArithmeticError:  # the weakest strengths overflow
                    continue
            else:
                raise CohortError(
                    "Coxnet does not converge; leave it out, or take fewer covariates"
                )
        self.alpha_ = float(self.model_.alphas_[-1])

    def _chosen(
        self, x: Floats, y: NDArray[np.void], fold: NDArray[np.int64], least: float
    ) -> CoxnetSurvivalAnalysis:
        """Fitted down to the strength whose cross-validated partial likelihood is best (Verweij 1993)."""
        path = self._model(None, least).fit(x, y).alphas_
        scores = np.zeros(len(path))
        for n in range(INNER_FOLDS):
            inside = fold != n
            fitted = self._model(path, least).fit(x[inside], y[inside])
            for k, alpha in enumerate(path):
                risk = fitted.predict(x, alpha=alpha)
                scores[k] += partial_likelihood(risk, y) - partial_likelihood(
                    risk[inside], y[inside]
                )
        best = int(np.argmax(scores))
        return self._model(path[: best + 1], least, baseline=True).fit(x, y)

    def _model(
        self, alphas: Floats | None, least: float, *, baseline: bool = False
    ) -> CoxnetSurvivalAnalysis:
        return CoxnetSurvivalAnalysis(
            l1_ratio=self.l1_ratio, alphas=alphas, n_alphas=STRENGTHS, alpha_min_ratio=least,
            fit_baseline_model=baseline,
        )  # fmt: skip

    @override
    def _survival(self, x: Floats, times: Floats) -> Floats:
        told = self.model_.predict_survival_function(x, return_array=True)
        return at_times(self.model_.unique_times_, np.asarray(told), times)


def partial_likelihood(risk: Floats, y: NDArray[np.void]) -> float:
    """Logarithm of Cox's partial likelihood of log hazards, after Breslow for ties."""
    order = np.argsort(-y["time"], kind="stable")
    time, event, log_risk = y["time"][order], y["event"][order], risk[order]
    running = np.logaddexp.accumulate(log_risk)
    last = np.searchsorted(-time, -time, side="right") - 1  # with all that end at the same time
    return float((log_risk - running[last])[event].sum())
