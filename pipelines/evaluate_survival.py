"""How well survival models do on a cohort: repeated stratified cross-validation, calibration, intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from data.cohort import Cohort
from data.errors import CohortError
from models.survival.calibration import AtHorizon, DCalibration, at_horizon, d_calibration
from models.survival.families.base import Floats, SurvivalEstimator
from models.survival.scores import auc, event_grid, harrell, integrated_brier, stratified_folds, uno

GRID = 50
Family = Callable[[], SurvivalEstimator]


@dataclass(frozen=True)
class FoldScore:
    """Of one model on one fold's patients, who were not in the fit."""

    uno: float
    harrell: float
    brier: float


@dataclass
class CrossValidated:
    """One model on one cohort.

    Args:
        scores: of each fold of each repeat.
        at_own_time: (n,) out-of-fold probability to survive beyond the own time, of the first repeat.
        event_by: by horizon, (n,) out-of-fold probabilities of the event, of the first repeat.
        auc: by horizon, of each fold of the first repeat that tells; folds are not thrown together, as a fold's
            baseline is low where the others' events were few.
        shares: a stack's mean weights.
        seconds: of all fits and predictions.
    """

    kind: str
    scores: list[FoldScore] = field(default_factory=list)
    at_own_time: Floats = field(default_factory=lambda: np.empty(0))
    event_by: dict[float, Floats] = field(default_factory=dict)
    auc: dict[float, list[float]] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)

    def mean(self, name: str) -> float:
        """Over folds and repeats."""
        return float(np.mean([getattr(score, name) for score in self.scores]))

    def spread(self, name: str) -> float:
        """Standard deviation over folds."""
        return float(np.std([getattr(score, name) for score in self.scores], ddof=1))

    def d_calibration(self, cohort: Cohort) -> DCalibration:
        """Of the out-of-fold curves."""
        return d_calibration(cohort, self.at_own_time)

    def at(self, cohort: Cohort, horizon: float) -> AtHorizon:
        """Calibration of the out-of-fold curves at a horizon.

        Raises:
            CohortError: too few events, or it was not asked for.
        """
        if horizon not in self.event_by:
            raise CohortError(f"{horizon:g} {cohort.unit} was not among the horizons")
        return at_horizon(cohort, self.event_by[horizon], horizon)


def cross_validate(
    cohort: Cohort,
    families: Mapping[str, Family],
    *,
    folds: int = 5,
    repeats: int = 1,
    horizons: tuple[float, ...] = (),
    seed: int = 0,
    on_step: Callable[[str, int, int], None] = lambda kind, done, total: None,
) -> dict[str, CrossValidated]:
    """Every family on the same folds, stratified by the event; a level that no patient of a fit had counts as
    not known.

    Args:
        cohort: the patients.
        families: by name.
        folds: of each repeat.
        repeats: with other folds.
        horizons: at which calibration will be asked for, in the cohort's unit.
        seed: of folds and fits.
        on_step: told each fit's name, number and how many there are.
    """
    found = {
        kind: CrossValidated(
            kind, at_own_time=np.full(len(cohort), np.nan),
            event_by={h: np.full(len(cohort), np.nan) for h in horizons},
        )
        for kind in families
    }  # fmt: skip
    total, done = folds * repeats * len(families), 0
    for repeat in range(repeats):
        rng = np.random.default_rng((seed, repeat))
        for number, out in enumerate(stratified_folds(cohort, folds, rng)):
            train, test = cohort.take(~out), cohort.take(out)
            for kind, family in families.items():
                model = family().fit(train, rng=np.random.default_rng((seed, repeat, number)))
                told = replace(test, covariates=model.encoder_.seen(test.covariates))
                found[kind].scores.append(score(model, train, told))
                if repeat == 0:
                    _keep(found[kind], model, train, told, out, horizons)
                for member, weight in getattr(model, "shares", {}).items():
                    kept = found[kind].shares
                    kept[member] = kept.get(member, 0.0) + weight / (folds * repeats)
                done += 1
                on_step(kind, done, total)
    return found


def score(model: SurvivalEstimator, train: Cohort, test: Cohort) -> FoldScore:
    """On patients that the model was not fitted to, between quantiles of the training event times.

    Raises:
        CohortError: too few of them had the event to say how good it is.
    """
    grid = event_grid(train, GRID)
    last = min(float(test.time.max()), model.domain_[1])
    grid = grid[(grid >= test.time.min()) & (grid < last)]
    too_few = CohortError(
        f"{test.name}: of {len(test)} patients in a fold {test.events} had the event, too few to tell how good "
        "a model is; ask for fewer --folds, or for more patients"
    )
    if len(grid) == 0 or test.events == 0:
        raise too_few
    risk = model.predict_risk(test.covariates, grid[-1])
    curves = model.predict_survival(test.covariates, grid)
    try:
        return FoldScore(
            uno(train, test, risk, grid[-1]), harrell(test, risk), integrated_brier(train, test, curves, grid)
        )  # fmt: skip
    except (
        ValueError
    ) as error:  # scikit-survival's, where nobody can be compared in the time that both cover
        raise too_few from error


def _keep(
    found: CrossValidated,
    model: SurvivalEstimator,
    train: Cohort,
    test: Cohort,
    out: np.ndarray,
    horizons: tuple[float, ...],
) -> None:
    end = model.domain_[1]
    order = np.argsort(test.time)
    curves = model.predict_survival(test.covariates, np.minimum(test.time[order], end))
    own = np.empty(len(test))
    own[order] = curves[order, np.arange(len(test))]
    found.at_own_time[out] = own
    for horizon in horizons:
        at = np.array([min(horizon, end)])
        event_by = 1 - model.predict_survival(test.covariates, at)[:, 0]
        found.event_by[horizon][out] = event_by
        happened = ((test.event == 1) & (test.time <= horizon)).sum()
        if happened and horizon < min(test.time.max(), train.time.max()):
            area, _ = auc(train, test, event_by, np.array([horizon]))
            found.auc.setdefault(horizon, []).append(float(area[0]))
