"""Survival curves of several models, weighted so that their out-of-fold Brier score is least.

Weights are non-negative and sum to one; the score is that of Graf 1999, with the inverse probability of being
seen (IPCW), over a grid of times (Golmakani and Polley 2020, doi:10.1515/ijb-2019-0065).
"""

from __future__ import annotations

from collections.abc import Sequence
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
LEAST_WEIGHT = 0.01
SHRINKAGE = 0.5
"""Draws weights to equal ones of all but Kaplan-Meier where events are few; a choice."""


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
                told = fitted.encoder_.seen(cohort.covariates[out])
                curves[n, out] = fitted.predict_survival(told, np.minimum(grid, fitted.domain_[1]))
        weights = brier_weights(curves, cohort, grid, _toward(members))
        return self._of([clone(member).fit(cohort, rng=rng) for member in members], weights)

    def _of(self, fitted: list[SurvivalEstimator], weights: Floats) -> Stack:
        self.weights_ = weights
        self.fitted_ = fitted
        self.domain_ = fitted[0].domain_
        self.unit_ = fitted[0].unit_
        self.encoder_ = fitted[0].encoder_
        return self

    @override
    def refitted(self, cohort: Cohort, rows: NDArray[np.int64], rng: np.random.Generator) -> Stack:
        """With weights learned anew from the patients that were not drawn; members without any are left out."""
        kept = np.flatnonzero(self.weights_ >= LEAST_WEIGHT)
        fitted = [self.fitted_[n].refitted(cohort, rows, rng) for n in kept]
        out = cohort.take(np.setdiff1d(np.arange(len(cohort)), rows))
        grid = event_grid(out, TIMES)
        curves = np.array([
            m.predict_survival(m.encoder_.seen(out.covariates), np.minimum(grid, m.domain_[1])) for m in fitted
        ])  # fmt: skip
        weights = brier_weights(curves, out, grid, _toward([self.fitted_[n] for n in kept]))
        return Stack(self.members, self.folds)._of(fitted, weights)

    @override
    def predict_survival(self, covariates: pd.DataFrame, times: Floats) -> Floats:
        """The members' curves by their weights."""
        told = [m.predict_survival(covariates, times) for m in self.fitted_]
        return np.asarray(np.tensordot(self.weights_, np.array(told), axes=1))

    @property
    def shares(self) -> dict[str, float]:
        """Each member's weight, by its kind."""
        return {m.kind: float(w) for m, w in zip(self.fitted_, self.weights_, strict=True)}


def _toward(members: Sequence[SurvivalEstimator]) -> Floats:
    """Equal weights of all but Kaplan-Meier."""
    informed = np.array([member.kind != KaplanMeier.kind for member in members], float)
    return informed / informed.sum() if informed.any() else np.full(len(members), 1.0)


def brier_weights(
    curves: Floats, cohort: Cohort, times: Floats, toward: Floats, shrinkage: float = SHRINKAGE
) -> Floats:
    """(m,) weights of curves that make the IPCW Brier score at all times together least, drawn to given ones.

    Args:
        curves: (m, n, t) out-of-fold probabilities of m models.
        cohort: the n patients.
        times: (t,) of the grid.
        toward: (m,) weights that few events leave standing.
        shrinkage: of the squared distance to these, per event.
    """
    alive = cohort.time[:, None] > times
    root = np.sqrt(censoring_weights(cohort, times)).ravel()
    design = curves.reshape(len(curves), -1).T * root[:, None]
    target = alive.astype(float).ravel() * root
    pull = shrinkage / cohort.events
    gram = design.T @ design / len(target) + pull * np.eye(len(curves))
    load = design.T @ target / len(target) + pull * toward
    # the same least squares, as small as there are models
    upper = np.linalg.cholesky(gram + 1e-12 * np.eye(len(gram))).T
    side = np.linalg.solve(upper.T, load)
    size = MUCH * np.abs(gram).max()
    weights = nnls(np.vstack([upper, size * np.ones(len(gram))]), np.r_[side, size])[0]
    return np.asarray(weights / weights.sum())
