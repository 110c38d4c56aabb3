"""Patients with covariates and what became of them, as survival models are fitted to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from data.errors import CohortError

TimeUnit = Literal["days", "weeks", "months", "years"]
FEWEST = 2
"""Patients, and as many events, below which there is nothing to fit."""
UNKNOWN = "unknown"
"""In place of a value that is not known, and the level of those."""


class Covariate(BaseModel):
    """What a column of a cohort's table holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["number", "category"]
    unit: str = ""
    column: str = Field(default="", description="in the file, where it has another name there")
    constant: str = Field(default="", description="the same of every patient, and not in the file")
    levels: tuple[str, ...] = Field(default=(), description="of a category; all that occur without")
    codes: dict[str, str] = Field(
        default={},
        description="code in the file: level; codes that are not listed stay as they are",
    )
    low: float | None = Field(default=None, description="of a number: what is below is an error")
    high: float | None = None
    label: str = Field(default="", description="for tables and axes")
    modality: str = Field(
        default="", description="clinical, molecular, imaging ...: what it adds is told"
    )

    def words(self, value: Any) -> str:
        """A value with its unit, for people."""
        if pd.isna(value):
            return UNKNOWN
        return f"{value:g} {self.unit}".strip() if self.kind == "number" else str(value)


@dataclass(frozen=True, eq=False)
class Cohort:
    """``n`` patients.

    Args:
        name: for tables.
        ids: (n,) each once.
        covariates: (n, p) columns of numbers (NaN where not known) or of categories (missing likewise).
        time: (n,) from time zero to the event, or to when the patient was last seen.
        event: (n,) 0 seen last without an event, 1 event, 2 competing event.
        unit: of the times.

    Raises:
        CohortError: which patient breaks which rule.
    """

    name: str
    ids: NDArray[np.object_]
    covariates: pd.DataFrame
    time: NDArray[np.float64]
    event: NDArray[np.int64]
    unit: TimeUnit

    def __post_init__(self) -> None:
        """Hold to what a survival model can be fitted to."""
        lengths = {len(self.ids), len(self.covariates), len(self.time), len(self.event)}
        if len(lengths) != 1:
            raise CohortError(
                f"{self.name}: columns have {sorted(lengths)} rows; give each patient all of them"
            )
        if len(self) < FEWEST:
            raise CohortError(
                f"{self.name}: has {len(self)} patients; at least {FEWEST} are needed"
            )
        self._refuse(
            ~np.isfinite(self.time), "has no time; leave the patient out, or find the day last seen"
        )
        self._refuse(
            self.time < 0, "has a time below zero: time zero lies after the event; correct either"
        )
        self._refuse(
            ~np.isin(self.event, (0, 1, 2)),
            "has an event other than 0 (seen last), 1 (event), 2 (competing event); map its codes",
        )
        repeated = pd.Series(self.ids).duplicated().to_numpy()
        self._refuse(repeated, "is there twice; keep one row for each patient")
        for column in self.covariates:
            values = self.covariates[column]
            if not (
                pd.api.types.is_numeric_dtype(values)
                or isinstance(values.dtype, pd.CategoricalDtype)
            ):
                raise CohortError(
                    f"{self.name}: {column} is neither of numbers nor of categories; say its kind"
                )
            if pd.api.types.is_numeric_dtype(values):
                self._refuse(
                    np.isinf(values.to_numpy(float)), f"has an infinite {column}; correct it"
                )

    def _refuse(self, bad: NDArray[np.bool_], rule: str) -> None:
        if bad.any():
            more = f" (and {int(bad.sum()) - 1} more)" if bad.sum() > 1 else ""
            raise CohortError(
                f"{self.name}: patient {self.ids[int(np.flatnonzero(bad)[0])]}{more} {rule}"
            )

    def __len__(self) -> int:
        return len(self.time)

    @property
    def events(self) -> int:
        """Patients with the event itself."""
        return int((self.event == 1).sum())

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Cohort:
        """Some of the patients, by number or mask."""
        return replace(
            self, ids=self.ids[rows], covariates=self.covariates.iloc[np.arange(len(self))[rows]],
            time=self.time[rows], event=self.event[rows],
        )  # fmt: skip

    def drawn(self, rows: NDArray[np.integer]) -> Cohort:
        """Patients drawn with replacement, each draw under a name of its own."""
        names = np.array([f"{self.ids[row]}/{n}" for n, row in enumerate(rows)], object)
        return Cohort(
            self.name, names, self.covariates.iloc[rows].reset_index(drop=True), self.time[rows],
            self.event[rows], self.unit,
        )  # fmt: skip

    def with_columns(self, names: list[str]) -> Cohort:
        """Some of the covariates.

        Raises:
            CohortError: one is not there.
        """
        missing = [name for name in names if name not in self.covariates]
        if missing:
            known = ", ".join(map(str, self.covariates.columns))
            raise CohortError(f"{self.name}: has no covariate {', '.join(missing)}; it has {known}")
        return replace(self, covariates=self.covariates[names])


def refuse_shared(train: Cohort, test: Cohort) -> None:
    """Hold two cohorts apart.

    Raises:
        CohortError: a patient is in both.
    """
    shared = sorted(set(map(str, train.ids)) & set(map(str, test.ids)))
    if shared:
        raise CohortError(
            f"{train.name} and {test.name} share {len(shared)} patients ({', '.join(shared[:3])}), so that "
            "nothing could be said of new ones; take them out of one"
        )
