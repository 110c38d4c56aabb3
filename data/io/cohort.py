"""Cohorts as tables (CSV or Parquet) with a data dictionary beside them that says what each column is."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TextIO

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from data.cohort import Cohort, Covariate, TimeUnit
from data.errors import CohortError
from data.files import UNREADABLE, open_text
from data.io.structured import read_model

MAX_BYTES = 500_000_000
ROW = "row"
MISSING = [
    "", "NA", "N/A", "NaN", "nan", "unknown", "Unknown", ".", "Not Available", "[Not Available]",
]  # fmt: skip
"""What tables write for what is not known, TCGA's words among them."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TimeColumn(_Part):
    """Time from time zero to the event, or to when the patient was last seen."""

    column: str
    unit: TimeUnit
    zero: str = Field(default="", description="what time zero is: diagnosis, surgery ...")


class EventColumn(_Part):
    """What happened at that time."""

    column: str
    codes: dict[str, Literal[0, 1, 2]] = Field(
        default={"0": 0, "1": 1},
        description="code in the file: 0 seen last without an event, 1 event, 2 competing event",
    )
    name: str = Field(default="event", description="what the event is: death, relapse ...")


class CohortFile(_Part):
    """The data dictionary of one table."""

    name: str = Field(min_length=1)
    file: Path
    id: str = Field(default="", description="column of patient ids; numbers of rows without")
    time: TimeColumn
    event: EventColumn
    covariates: dict[str, Covariate] = Field(min_length=1)
    source: str = ""
    only: dict[str, str] = Field(
        default={},
        description="column: pattern that a row's text has to match as a whole; others are left out",
    )
    leave_out: tuple[str, ...] = Field(default=(), description="ids of patients to be left out")
    without_outcome: Literal["refuse", "leave out"] = Field(
        default="refuse",
        description="of rows whose time or event is missing, or whose time is 0 or less",
    )


def read_cohort(dictionary: Path) -> tuple[Cohort, CohortFile]:
    """A cohort by its data dictionary (YAML), whose ``file`` is beside it.

    Raises:
        CohortError: a file, column, code or value that breaks a rule, with the patient.
    """
    told = read_model(dictionary, CohortFile, CohortError)
    return read_table(dictionary.parent / told.file, told), told


def read_table(path: Path, told: CohortFile) -> Cohort:
    """A cohort's table, CSV or Parquet, as a data dictionary says.

    Raises:
        CohortError: as :func:`read_cohort` says.
    """
    frame = _table(path)
    if not told.id:
        told = told.model_copy(update={"id": ROW})
        frame[ROW] = [str(n) for n in range(1, len(frame) + 1)]
    columns = {name: k.column or name for name, k in told.covariates.items() if not k.constant}
    for name, kind in told.covariates.items():
        if kind.constant:
            columns[name] = f"{name} (constant)"
            frame[columns[name]] = kind.constant
    needed = [told.id, told.time.column, told.event.column, *columns.values(), *told.only]
    missing = [name for name in dict.fromkeys(needed) if name not in frame]
    if missing:
        raise CohortError(
            f"{path}: has no column {', '.join(missing)}, which the data dictionary names; it has "
            f"{', '.join(map(str, frame.columns[:12]))}"
        )
    if frame[told.id].isna().any():
        raise CohortError(f"{path}: {int(frame[told.id].isna().sum())} rows have no {told.id}")
    frame = _kept(path, frame, told).reset_index(drop=True)
    ids = frame[told.id].astype(str).to_numpy(object)
    return Cohort(
        told.name, ids,
        pd.DataFrame({
            name: _covariate(path, name, frame[columns[name]], ids, kind)
            for name, kind in told.covariates.items()
        }),
        _numbers(path, told.time.column, frame[told.time.column], ids),
        _events(path, frame[told.event.column], ids, told.event), told.time.unit,
    )  # fmt: skip


def _kept(path: Path, frame: pd.DataFrame, told: CohortFile) -> pd.DataFrame:
    """Rows that the dictionary wants."""
    kept = ~frame[told.id].astype(str).isin(told.leave_out)
    for column, pattern in told.only.items():
        try:
            kept &= frame[column].astype("string").str.fullmatch(pattern).fillna(False)
        except re.error as error:
            raise CohortError(f"only.{column}: {pattern!r} is no pattern ({error})") from error
    if told.without_outcome == "leave out":
        given = frame[told.time.column]
        time = pd.to_numeric(given, errors="coerce")
        is_no_number = given.notna() & time.isna()  # which is told, not left out
        kept &= (is_no_number | (time > 0)) & frame[told.event.column].notna()
    if not kept.any():
        raise CohortError(f"{path}: no row is left by only, leave_out and without_outcome")
    return frame[kept]


def read_covariates(
    path: Path, covariates: Mapping[str, Covariate], id_column: str
) -> pd.DataFrame:
    """Patients without outcomes, for whom curves are wanted, by their ids.

    Raises:
        CohortError: as :func:`read_cohort` says.
    """
    frame = _table(path)
    columns = {
        name: kind.column if kind.column in frame else name for name, kind in covariates.items()
    }
    missing = [name for name in (id_column, *columns.values()) if name not in frame]
    if missing:
        raise CohortError(f"{path}: has no column {', '.join(missing)}, which the model needs")
    ids = frame[id_column].astype(str).to_numpy(object)
    told = {
        name: _covariate(path, name, frame[columns[name]], ids, kind)
        for name, kind in covariates.items()
    }
    return pd.DataFrame(told).set_axis(pd.Index(ids, name=id_column))


def _table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise CohortError(f"{path}: there is no such file")
    if path.stat().st_size > MAX_BYTES:
        raise CohortError(f"{path}: is larger than {MAX_BYTES:,} bytes")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path).reset_index(drop=True)
        with open_text(path) as stream, warnings.catch_warnings():
            warnings.simplefilter(
                "error", pd.errors.ParserWarning
            )  # a row is longer than the header
            _skip_comments(stream)
            return pd.read_csv(
                stream, dtype=str, keep_default_na=False, na_values=MISSING, sep=None, engine="python",
                index_col=False,
            )  # fmt: skip
    except (*UNREADABLE, csv.Error, pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError,
            ValueError, pa.ArrowException) as error:  # fmt: skip
        words = " ".join(str(error).split())[:200]
        raise CohortError(
            f"{path}: is no table that can be read ({words}); give CSV or Parquet"
        ) from error


def _skip_comments(stream: TextIO) -> None:
    """Go to the first line that does not begin with a number sign."""
    place = stream.tell()
    while stream.readline().startswith("#"):
        place = stream.tell()
    stream.seek(place)


def _covariate(
    path: Path, name: str, values: pd.Series, ids: np.ndarray, kind: Covariate
) -> pd.Series:
    if kind.kind == "category":
        text = values.where(values.notna(), None).map(
            lambda v: None if v is None else kind.codes.get(_code(v), str(v).strip())
        )
        text = text.where(~text.isin(MISSING), None)
        levels = list(kind.levels) or sorted({v for v in text if v is not None})
        odd = text.notna() & ~text.isin(levels)
        if odd.any():
            n = int(np.flatnonzero(odd)[0])
            raise CohortError(
                f"{path}: {name} of {ids[n]} is {text.iloc[n]!r}; its levels are {', '.join(levels)}"
            )
        return pd.Series(pd.Categorical(text, categories=levels))
    numbers = _numbers(path, name, values, ids, gaps=True)
    for limit, wrong, words in (
        (kind.low, numbers < (kind.low if kind.low is not None else -np.inf), "below"),
        (kind.high, numbers > (kind.high if kind.high is not None else np.inf), "above"),
    ):
        if wrong.any():
            n = int(np.flatnonzero(wrong)[0])
            raise CohortError(
                f"{path}: {name} of {ids[n]} is {numbers[n]:g} {kind.unit}".rstrip()
                + f", {words} {limit:g}; correct it"
            )
    return pd.Series(numbers)


def _numbers(
    path: Path, name: str, values: pd.Series, ids: np.ndarray, *, gaps: bool = False
) -> np.ndarray:
    if values.dtype.kind in "mM":
        raise CohortError(f"{path}: {name} holds dates or durations; give a number of its unit")
    numbers = pd.to_numeric(values, errors="coerce")
    odd = numbers.isna() & (values.notna() if gaps else True)
    if odd.any():
        n = int(np.flatnonzero(odd)[0])
        given = "missing" if pd.isna(values.iloc[n]) else repr(values.iloc[n])
        raise CohortError(f"{path}: {name} of {ids[n]} is {given}, which is no number; correct it")
    return numbers.to_numpy(float)


def _events(path: Path, values: pd.Series, ids: np.ndarray, told: EventColumn) -> np.ndarray:
    codes = values.map(_code)
    odd = ~codes.isin(list(told.codes))
    if odd.any():
        n = int(np.flatnonzero(odd)[0])
        given = "missing" if pd.isna(values.iloc[n]) else repr(values.iloc[n])
        raise CohortError(
            f"{path}: {told.column} of {ids[n]} is {given}; its codes are {', '.join(told.codes)}. Say under "
            "event.codes which is 0 (seen last), 1 (event) and 2 (competing event)"
        )
    return codes.map(told.codes).to_numpy(np.int64)


def _code(value: object) -> str:
    """A code as text, 1 for 1.0 and true."""
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    return text.removesuffix(".0")
