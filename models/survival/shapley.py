"""What drives a curve of any family: Shapley values of the probability at one time (Lundberg and Lee 2017)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.survival.families.base import Floats

BACKGROUND = 50
"""Patients that stand for the cohort."""
EXACT = 10
"""Covariates up to which all coalitions are tried; above, permutations of them are drawn."""


@dataclass(frozen=True, eq=False)
class Shares:
    """A patient's probability is ``mean`` plus the own ``shares``.

    Args:
        mean: of the patients that stand for the cohort.
        shares: (n, p) of each covariate, by its name.
    """

    mean: float
    shares: pd.DataFrame


def shapley(
    told: Callable[[pd.DataFrame], Floats],
    patients: pd.DataFrame,
    cohort: pd.DataFrame,
    *,
    rng: np.random.Generator,
) -> Shares:
    """How each covariate moves patients' probabilities away from the cohort's mean.

    A covariate that is left out of a coalition takes the values of patients of the cohort, as if it were
    independent of the others.

    Args:
        told: from (n) patients to their (n,) probabilities.
        patients: who are asked about.
        cohort: whom to compare with, with the same covariates; ``BACKGROUND`` of them are drawn.
        rng: draws the patients of the cohort, and permutations of many covariates.
    """
    import shap  # which imports matplotlib

    names = list(patients.columns)
    drawn = rng.permutation(len(cohort))[:BACKGROUND]
    rows = pd.concat([cohort[names].iloc[np.sort(drawn)], patients], ignore_index=True)
    # shap takes plain numbers: the number of the row that a value is of
    places = np.repeat(np.arange(len(rows), dtype=float)[:, None], len(names), axis=1)

    def at(chosen: Floats) -> Floats:
        taken = {name: rows[name].take(chosen[:, n].astype(int)) for n, name in enumerate(names)}
        return told(
            pd.DataFrame({key: column.reset_index(drop=True) for key, column in taken.items()})
        )

    count = len(rows) - len(patients)
    masker = shap.maskers.Independent(places[:count], max_samples=count)
    kind = "exact" if len(names) <= EXACT else "permutation"
    explain = shap.Explainer(at, masker, algorithm=kind, seed=int(rng.integers(2**31)))
    found = explain(places[count:], silent=True)
    mean = float(np.mean(at(places[:count])))
    return Shares(mean, pd.DataFrame(found.values, index=patients.index, columns=names))
