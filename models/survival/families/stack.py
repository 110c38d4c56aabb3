"""Survival curves of several models, weighted so that their out-of-fold Brier score is least.

Weights are non-negative and sum to one; the score is that of Graf 1999, with the inverse probability of being
seen (IPCW), over a grid of times (Golmakani and Polley 2020, doi:10.1515/ijb-2019-0065).
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.base import clone
from typing_extensions import override

from data.cohort import Cohort
from models.survival.families.aft import AcceleratedFailureTime
from models.survival.families.base import Floats, SurvivalEstimator, in_order
from models.survival.families.boosting import Boosting
from models.survival.families.cox import Cox
from models.survival.families.coxnet import Coxnet
from models.survival.families.forest import Forest
from models.survival.families.kaplan_meier import KaplanMeier
from models.survival.scores import censoring_weights, event_grid, stratified_folds

MUCH = 1e4
"""Weight of the row that makes the weights sum to one."""
TIMES = 20


def usual_members() -> tuple[SurvivalEstimator, ...]:
    """One of each family, Kaplan-Meier among them: where nothing helps, it has the weight."""
    return (KaplanMeier(), Cox(), Coxnet(), Forest(), Boosting(), AcceleratedFailureTime())


@final
class Stack(SurvivalEstimator):
    """A weighted mean of curves.

    Args:
        members: the models; None is :func:`usual_members`.
        folds: of the patients, from which the weights are learned.
    """

    kind: ClassVar[str] = "stack"

    def __init__(
        self, members: tuple[SurvivalEstimator, ...] | None = None, folds: int = 5
    ) -> None:
        self.members = members
        self.folds = folds

    @override
    def fit(self, cohort: Cohort, *, rng: np.random.Generator | None = None) -> Stack:
        """Learn weights out of fold, then each member from all patients."""
        rng = rng if rng is not None else np.random.default_rng(0)
        cohort = in_order(cohort)
        members = self.members if self.members is not None else usual_members()
        grid = event_grid(cohort, TIMES)
        curves = np.empty((len(members), len(cohort), len(grid)))
        for out in stratified_folds(cohort, self.folds, rng):
            inside = cohort.take(~out)
            for n, member in enumerate(members):
                fitted = clone(member).fit(inside, rng=rng)
                curves[n, out] = fitted.predict_survival(
                    cohort.covariates[out], np.minimum(grid, fitted.domain_[1])
                )
        self.weights_ = brier_weights(curves, cohort, grid)
        self.fitted_ = [clone(member).fit(cohort, rng=rng) for member in members]
        self.domain_ = (0.0, float(cohort.time.max()))
        self.unit_ = cohort.unit
        self.encoder_ = self.fitted_[0].encoder_
        return self

    @override
    def predict_survival(self, covariates: pd.DataFrame, times: Floats) -> Floats:
        """The members' curves by their weights."""
        told = [m.predict_survival(covariates, times) for m in self.fitted_]
        return np.asarray(np.tensordot(self.weights_, np.array(told), axes=1))

    @property
    def shares(self) -> dict[str, float]:
        """Each member's weight, by its kind."""
        return {m.kind: float(w) for m, w in zip(self.fitted_, self.weights_, strict=True)}

    @override
    def _fit(
        self, x: Floats, time: Floats, event: NDArray[np.bool_], rng: np.random.Generator
    ) -> None:
        raise NotImplementedError  # fit does it all

    @override
    def _survival(self, x: Floats, times: Floats) -> Floats:
        raise NotImplementedError  # predict_survival does it all


def brier_weights(curves: Floats, cohort: Cohort, times: Floats) -> Floats:
    """(m,) weights of curves (m, n, t) that make the IPCW Brier score at all times together least."""
    alive = cohort.time[:, None] > times
    seen = censoring_weights(cohort, times)
    root = np.sqrt(seen).ravel()
    design = curves.reshape(len(curves), -1).T * root[:, None]
    target = alive.astype(float).ravel() * root
    scale = np.sqrt(len(target))
    gram = design.T @ design / scale  # the same least squares, as small as there are members
    load = design.T @ target / scale
    size = MUCH * np.abs(gram).max()
    upper = np.linalg.cholesky(gram + 1e-9 * np.trace(gram) * np.eye(len(gram))).T
    side = np.linalg.solve(upper.T, load)
    weights = nnls(np.vstack([upper, size * np.ones(len(gram))]), np.r_[side, size])[0]
    return np.asarray(weights / weights.sum())
