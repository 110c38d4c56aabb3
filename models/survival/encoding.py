"""Covariates as numbers: what is not known is filled in and marked, categories become columns.

All of it is learned from the patients that a model is fitted to, and from no others.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.cohort import UNKNOWN
from data.errors import CohortError
from models.survival.domain import (
    UNLIKE,
    always_known,
    beyond,
    distances,
    never_seen,
    precision_of,
)
from models.survival.terms import Term, columns_of, levels_of

MARKED = 0.05
"""Share of the patients above which not being known is a level of its own. Below, why so few are not known is
theirs alone: what is not known then counts as the mean."""


class Encoder:
    """From covariates to standardized columns without gaps.

    A number that is not known becomes the median, a category that is not known the mean of its columns; where
    more than a few of the fit's patients had such a gap, a column says so. A level that nobody had is refused.
    """

    def fit(self, covariates: pd.DataFrame) -> Encoder:
        """Learn medians, levels and scales.

        Raises:
            CohortError: nothing to learn from.
        """
        self.columns_ = sorted(covariates.columns)  # so that their order says nothing
        if not self.columns_:
            raise CohortError("there are no covariates; name at least one")
        self.numbers_ = [c for c in self.columns_ if pd.api.types.is_numeric_dtype(covariates[c])]
        self.categories_ = [c for c in self.columns_ if c not in self.numbers_]
        empty = [str(c) for c in self.columns_ if covariates[c].isna().all()]
        if empty:
            raise CohortError(f"{', '.join(empty)} is not known of any patient; leave it out")
        self.ranges_ = {
            c: (float(covariates[c].min()), float(covariates[c].max())) for c in self.numbers_
        }
        self.levels_ = {
            c: sorted(set(levels_of(covariates[c])) - {UNKNOWN}) for c in self.categories_
        }
        self.gaps_ = [c for c in self.columns_ if covariates[c].isna().any()]
        terms = [term for c in self.columns_ for term in self._terms(c, covariates[c])]
        spread = columns_of(terms, covariates).std(axis=0)
        kept = np.flatnonzero(spread > 0)
        # plain values, so that a file holds no more
        self.terms_ = [terms[n].model_dump() for n in kept]
        self.spread_ = spread[kept]
        x = self.transform(covariates)
        self.precision_ = precision_of(x)
        self.farthest_ = float(distances(x, self.precision_).max(initial=0.0))
        return self

    def _terms(self, name: str, values: pd.Series) -> Iterator[Term]:
        """Of one covariate, from the fit's patients."""
        unknown = values.isna().to_numpy()
        if name in self.numbers_:
            center = float(values.median())
            filled = np.where(unknown, center, values.to_numpy(float))
            scale = float(filled.std()) or 1.0
            yield Term(
                covariate=name, center=center, scale=scale, mean=float(filled.mean() - center) / scale
            )  # fmt: skip
        else:
            levels = levels_of(values)
            for level in self.levels_[name][1:]:
                column = (levels == level).astype(float)
                gap = 0.0 if unknown.mean() >= MARKED else float(column[~unknown].mean())
                mean = float(np.where(unknown, gap, column).mean())
                yield Term(covariate=name, level=level, mean=mean, gap=gap)
        if unknown.mean() >= MARKED:
            yield Term(covariate=name, level=UNKNOWN, mean=float(unknown.mean()))

    @property
    def names_(self) -> list[str]:
        """Of the columns."""
        return [term.words for term in self.terms()]

    def terms(self) -> list[Term]:
        """The columns: each term less its mean, by its standard deviation ``spread_``."""
        return [Term.model_validate(term) for term in self.terms_]

    def transform(self, covariates: pd.DataFrame) -> NDArray[np.float64]:
        """(n, k) columns.

        Raises:
            CohortError: a covariate is missing, or has a level that was never seen.
        """
        missing = [str(c) for c in self.columns_ if c not in covariates]
        if missing:
            raise CohortError(f"{', '.join(missing)} is missing; the model was fitted with it")
        for column in self.categories_:
            new = sorted(set(levels_of(covariates[column])) - {*self.levels_[column], UNKNOWN})
            if new:
                said = never_seen(column, ", ".join(new), self.levels_[column])
                raise CohortError(
                    f"{said}; map it to one of these, or fit again with such patients"
                )
        return np.asarray(columns_of(self.terms(), covariates) / self.spread_)

    def seen(self, covariates: pd.DataFrame) -> pd.DataFrame:
        """With levels that the fit had not as not known: for folds, whose other patients may have rare ones."""
        told = covariates.copy()
        for column in self.categories_:
            named = levels_of(told[column])
            new = ~np.isin(named, [*self.levels_[column], UNKNOWN])
            if new.any():
                told[column] = told[column].where(~new)
        return told

    def outside(self, covariates: pd.DataFrame) -> list[tuple[str, ...]]:
        """Of each patient, in what it is unlike all of the fit's, in words.

        A number beyond all of theirs, a gap where none of them had one, or covariates that together lie farther
        from the mean (Mahalanobis) than anyone's.
        """
        found: list[list[str]] = [[] for _ in range(len(covariates))]
        for column, (low, high) in self.ranges_.items():
            values = covariates[column].to_numpy(float)
            for n in np.flatnonzero((values < low) | (values > high)):
                found[n].append(beyond(column, values[n], low, high))
        for column in self.columns_:
            if not self.may_be_unknown(column):
                for n in np.flatnonzero(covariates[column].isna()):
                    found[n].append(always_known(column))
        far = distances(self.transform(covariates), self.precision_) > self.farthest_ * (1 + 1e-9)
        for n in np.flatnonzero(far):
            if not found[n]:
                found[n].append(UNLIKE)
        return [tuple(reasons) for reasons in found]

    def center_of(self, column: str) -> float | str:
        """The value at which all of its terms are 0: the median, or the level without a column."""
        if column in self.categories_:
            return str(self.levels_[column][0])
        centers = [t.center for t in self.terms() if t.covariate == column and t.level is None]
        return centers[0] if centers else self.ranges_[column][0]

    def may_be_unknown(self, column: str) -> bool:
        """Whether the fit had patients of whom it was not known."""
        return column in self.gaps_


def unknown_of(covariates: pd.DataFrame) -> list[tuple[str, ...]]:
    """Of each patient, which covariates are not known."""
    names = np.array([str(c) for c in covariates.columns], object)
    return [tuple(names[row]) for row in covariates.isna().to_numpy()]
