"""Accelerated failure time: Weibull, log-logistic or log-normal, the best by AIC; fitted by lifelines."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np
import pandas as pd
from lifelines import LogLogisticAFTFitter, LogNormalAFTFitter, WeibullAFTFitter
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm
from typing_extensions import override

from data.cohort import Cohort
from data.errors import CohortError
from models.survival.families.base import EncodedEstimator, Floats
from models.survival.families.cox import NOT_FITTED, penalties

LAWS = {
    "Weibull": WeibullAFTFitter, "log-logistic": LogLogisticAFTFitter, "log-normal": LogNormalAFTFitter,
}  # fmt: skip
PARAMETERS = {
    "Weibull": ("lambda_", "rho_"), "log-logistic": ("alpha_", "beta_"), "log-normal": ("mu_", "sigma_"),
}  # fmt: skip
"""What the covariates act on, and the shape, by lifelines' names; both as logarithms but for mu."""


@final
class AcceleratedFailureTime(EncodedEstimator):
    """Covariates stretch time.

    Args:
        penalizer: of the squared coefficients; more where columns are many for the events.
        laws: to choose from.
    """

    kind: ClassVar[str] = "accelerated failure time"

    def __init__(self, penalizer: float = 0.01, laws: tuple[str, ...] = tuple(LAWS)) -> None:
        self.penalizer = penalizer
        self.laws = laws

    @override
    def refitted(
        self, cohort: Cohort, rows: NDArray[np.int64], rng: np.random.Generator
    ) -> AcceleratedFailureTime:
        """By the law that was chosen."""
        return AcceleratedFailureTime(self.penalizer, (self.law_,)).fit(cohort.drawn(rows), rng=rng)

    @override
    def _fit(
        self, x: Floats, time: Floats, event: NDArray[np.bool_], rng: np.random.Generator
    ) -> None:
        scale = float(np.median(time))  # so that the fits start near their end
        frame = pd.DataFrame(x).assign(time=time / scale, event=event)
        frame.columns = frame.columns.map(str)
        for penalizer in penalties(self.penalizer, x, event):
            fitted = _converged(frame, penalizer, self.laws)
            if fitted:
                break
        else:
            raise CohortError(
                "no accelerated failure time model converges; leave it out, or take fewer covariates"
            )
        self.penalizer_ = penalizer
        self.law_ = min(fitted, key=lambda name: fitted[name].AIC_)
        place, shape = (fitted[self.law_].params_[name] for name in PARAMETERS[self.law_])
        self.coefficients_ = np.array([place[str(n)] for n in range(x.shape[1])])  # lifelines sorts
        self.intercept_ = float(place["Intercept"]) + float(np.log(scale))
        self.log_shape_ = float(shape["Intercept"])

    @override
    def _survival(self, x: Floats, times: Floats) -> Floats:
        place = np.clip(x @ self.coefficients_ + self.intercept_, -100, 100)[:, None]
        shape = np.exp(self.log_shape_)
        with np.errstate(divide="ignore"):
            log_time = np.log(times)[None]
        match self.law_:
            case "Weibull":
                return np.asarray(np.exp(-np.exp(np.minimum(shape * (log_time - place), 50))))
            case "log-logistic":
                return np.asarray(expit(-shape * (log_time - place)))
            case _:
                return np.asarray(norm.sf((log_time - place) / shape))


def _converged(frame: pd.DataFrame, penalizer: float, laws: Sequence[str]) -> dict[str, Any]:
    """Each law that can be fitted."""
    found = {}
    for name in laws:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of steps on the way
                found[name] = LAWS[name](penalizer=penalizer).fit(
                    frame, duration_col="time", event_col="event"
                )
        except NOT_FITTED:
            continue
    return found
