"""What each modality adds to the others, on the same folds; often it is little."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from data.cohort import Cohort
from data.errors import CohortError
from models.survival.families.base import SurvivalEstimator
from models.survival.families.fusion import LateFusion
from pipelines.evaluate_survival import CrossValidated, cross_validate

ALL = "all"
Z90 = 1.6448536269514722


@dataclass(frozen=True)
class Difference:
    """Of two models on the same folds, with a 90 % interval.

    The variance over folds is corrected for their sharing training patients (Nadeau and Bengio 2003,
    doi:10.1023/A:1024068626366).
    """

    value: float
    low: float
    high: float

    @property
    def is_told_apart(self) -> bool:
        """Whether zero is outside the interval."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Modality:
    """One modality.

    Args:
        known: share of the patients of whom anything of it is known.
        alone: Uno's C of it alone.
        adds_concordance: of all modalities, less without this one; above 0 it helps.
        adds_brier: likewise of the integrated Brier score; below 0 it helps.
    """

    name: str
    covariates: tuple[str, ...]
    known: float
    alone: float
    adds_concordance: Difference
    adds_brier: Difference


def what_each_adds(
    cohort: Cohort,
    modalities: Mapping[str, tuple[str, ...]],
    *,
    folds: int = 5,
    repeats: int = 2,
    seed: int = 0,
    on_step: Callable[[str, int, int], None] = lambda kind, done, total: None,
) -> tuple[dict[str, CrossValidated], tuple[Modality, ...]]:
    """All modalities together, each alone, and all without each.

    Raises:
        CohortError: fewer than two modalities, or one that cannot be fitted.
    """
    if len(modalities) < 2:
        raise CohortError(
            f"{cohort.name}: has {len(modalities)} modalities; say of covariates which they belong to, so that "
            "there are two or more"
        )
    families: dict[str, Callable[[], SurvivalEstimator]] = {
        ALL: partial(LateFusion, dict(modalities))
    }
    for name in modalities:
        others = {other: columns for other, columns in modalities.items() if other != name}
        families[f"only {name}"] = partial(LateFusion, {name: modalities[name]})
        families[f"without {name}"] = partial(LateFusion, others)
    found = cross_validate(
        cohort, families, folds=folds, repeats=repeats, seed=seed, on_step=on_step
    )
    has = LateFusion(modalities).present(cohort.covariates).mean()
    return found, tuple(
        Modality(
            name, columns, float(has[name]), found[f"only {name}"].mean("uno"),
            *(_difference(found[ALL], found[f"without {name}"], score, folds) for score in ("uno", "brier")),
        )
        for name, columns in modalities.items()
    )  # fmt: skip


def _difference(one: CrossValidated, other: CrossValidated, score: str, folds: int) -> Difference:
    gaps = np.array([
        getattr(a, score) - getattr(b, score) for a, b in zip(one.scores, other.scores, strict=True)
    ])  # fmt: skip
    spread = float(np.sqrt((1 / len(gaps) + 1 / (folds - 1)) * gaps.var(ddof=1)))
    value = float(gaps.mean())
    return Difference(value, value - Z90 * spread, value + Z90 * spread)
