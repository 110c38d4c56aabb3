"""Covariates as numbers: what is not known is filled in and marked, categories become columns.

All of it is learned from the patients that a model is fitted to, and from no others.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from data.errors import CohortError

UNKNOWN = "unknown"
"""The level of a category that is not known."""


class Encoder:
    """From covariates to standardized columns without gaps.

    A number that is not known becomes the median, with a column that says so where the fit had such patients; a
    category that is not known is a level of its own, or the most frequent one where the fit had none. A level
    that no patient had is refused by its name.
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
        named = {c: _levels(covariates[c]) for c in self.categories_}
        self.levels_ = {c: sorted(set(values)) for c, values in named.items()}
        self.usual_ = {c: str(pd.Series(values).mode().iloc[0]) for c, values in named.items()}
        numbers = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
        )
        categories = make_pipeline(
            OneHotEncoder(
                categories=[self.levels_[c] for c in self.categories_],
                drop="first",
                sparse_output=False,
            ),
            StandardScaler(),
        )
        self.transformer_ = ColumnTransformer(
            [("numbers", numbers, self.numbers_), ("categories", categories, self.categories_)],
            verbose_feature_names_out=False,
        )
        ready = self._ready(covariates)
        spread = np.ptp(self.transformer_.fit_transform(ready), axis=0)
        names = self.transformer_.get_feature_names_out()
        self.kept_ = np.flatnonzero(spread > 0)
        self.names_ = [str(names[n]) for n in self.kept_]
        return self

    def transform(self, covariates: pd.DataFrame) -> NDArray[np.float64]:
        """(n, k) columns.

        Raises:
            CohortError: a covariate is missing, or has a level that was never seen.
        """
        missing = [str(c) for c in self.columns_ if c not in covariates]
        if missing:
            raise CohortError(f"{', '.join(missing)} is missing; the model was fitted with it")
        ready = self._ready(covariates)
        for column in self.categories_:
            new = sorted(set(ready[column]) - set(self.levels_[column]))
            if new:
                known = ", ".join(self.levels_[column])
                raise CohortError(
                    f"{column} is {', '.join(new)}, which no patient of the fit had (there were {known}); "
                    "map it to one of these, or fit again with such patients"
                )
        return np.asarray(self.transformer_.transform(ready), float)[:, self.kept_]

    def _ready(self, covariates: pd.DataFrame) -> pd.DataFrame:
        """Numbers as they are, categories as text without gaps."""
        ready = {c: covariates[c].astype(float) for c in self.numbers_}
        for column in self.categories_:
            values = _levels(covariates[column])
            if UNKNOWN not in self.levels_[column]:
                values = np.where(values == UNKNOWN, self.usual_[column], values)
            ready[column] = pd.Series(values, covariates.index)
        return pd.DataFrame(ready, index=covariates.index)

    def seen(self, covariates: pd.DataFrame) -> pd.DataFrame:
        """With levels that the fit had not as not known: for folds, whose other patients may have rare ones."""
        told = covariates.copy()
        for column in self.categories_:
            named = _levels(told[column])
            new = ~np.isin(named, [*self.levels_[column], UNKNOWN])
            if new.any():
                told[column] = told[column].where(~new)
        return told

    def outside(self, covariates: pd.DataFrame) -> list[tuple[str, ...]]:
        """Of each patient, which numbers lie beyond those of all patients of the fit, in words."""
        found: list[list[str]] = [[] for _ in range(len(covariates))]
        for column, (low, high) in self.ranges_.items():
            values = covariates[column].to_numpy(float)
            for n in np.flatnonzero((values < low) | (values > high)):
                found[n].append(
                    f"{column} is {values[n]:g}, the fit's patients had {low:g} to {high:g}"
                )
        return [tuple(reasons) for reasons in found]


def unknown_of(covariates: pd.DataFrame) -> list[tuple[str, ...]]:
    """Of each patient, which covariates are not known."""
    names = np.array([str(c) for c in covariates.columns], object)
    return [tuple(names[row]) for row in covariates.isna().to_numpy()]


def _levels(values: pd.Series) -> NDArray[np.object_]:
    return np.asarray(values.astype(object).where(values.notna(), UNKNOWN).map(str), object)
