"""The columns that covariates become, said of the covariates as they are in the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from data.cohort import UNKNOWN


class Term(BaseModel):
    """One column: a number as it is, or 1 where a covariate has a level.

    Args:
        level: None for the number itself; ``unknown`` is 1 where the covariate is not known.
        center: of a number, whose column is (value - center) / scale.
        mean: of the column, over the fit's patients.
        gap: the column where the covariate is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    covariate: str
    level: str | None = None
    center: float = 0.0
    scale: float = Field(default=1.0, gt=0)
    mean: float = 0.0
    gap: float = 0.0

    def column(self, values: pd.Series) -> NDArray[np.float64]:
        """(n,) values of the column."""
        unknown = values.isna().to_numpy()
        if self.level is None:
            found = (pd.to_numeric(values).to_numpy(float) - self.center) / self.scale
        else:
            found = (levels_of(values) == self.level).astype(float)
        return found if self.level == UNKNOWN else np.where(unknown, self.gap, found)

    @property
    def words(self) -> str:
        """For tables."""
        return self.covariate if self.level is None else f"{self.covariate}: {self.level}"


def level_of(value: Any) -> str:
    """A category as text; what is not known has a level of its own."""
    return UNKNOWN if pd.isna(value) else str(value)


def levels_of(values: pd.Series) -> NDArray[np.object_]:
    """(n,) levels as text."""
    return np.asarray(values.astype(object).where(values.notna(), UNKNOWN).map(str), object)


def columns_of(terms: Sequence[Term], covariates: pd.DataFrame) -> NDArray[np.float64]:
    """(n, k) columns, each less its mean over the fit's patients."""
    if not terms:
        return np.zeros((len(covariates), 0))
    return np.column_stack([t.column(covariates[t.covariate]) - t.mean for t in terms])
