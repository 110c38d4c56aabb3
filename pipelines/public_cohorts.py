"""Public cohorts that come with scikit-survival and lifelines, and those of a local folder of real data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.cohort import Cohort, TimeUnit
from data.errors import SampleError


def _made(
    name: str, frame: pd.DataFrame, time: Any, event: Any, unit: TimeUnit, ids: Any = None
) -> Cohort:
    """A cohort whose columns of text are categories; those that never vary are left out."""
    columns = {}
    for column in frame.columns:
        values = frame[column]
        if values.nunique(dropna=True) < 2:
            continue
        numeric = pd.api.types.is_numeric_dtype(values)
        columns[str(column)] = values.astype(float) if numeric else values.astype("category")
    told = np.arange(len(frame)) if ids is None else np.asarray(ids)
    return Cohort(
        name, np.array([f"{name}-{i}" for i in told], object),
        pd.DataFrame(columns).reset_index(drop=True), np.asarray(time, float),
        np.asarray(event).astype(np.int64), unit,
    )  # fmt: skip


def _sksurv(name: str, loader: str, unit: TimeUnit) -> Cohort:
    from sksurv import datasets

    x, y = getattr(datasets, loader)()
    event, time = y.dtype.names
    return _made(name, x, y[time], y[event], unit)


def _lifelines(name: str, loader: str, time: str, event: str, unit: TimeUnit) -> Cohort:
    from lifelines import datasets

    frame = getattr(datasets, loader)()
    dead = frame[event]
    return _made(name, frame.drop(columns=[time, event]), frame[time], dead > dead.min(), unit)


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise SampleError(
            f"{path}: there is no such cohort; set AVATAR_SHARED to the folder of real data"
        )
    return pd.read_csv(path)


def metabric(folder: Path) -> Cohort:
    """METABRIC, nine covariates as DeepSurv took them: overall survival of 1,904 breast cancers, months."""
    frame = _read(folder / "cohorts/metabric_deepsurv9.csv")
    columns = [c for c in frame.columns if c not in ("duration", "event")]
    return _made("METABRIC-9", frame[columns], frame["duration"], frame["event"], "months")


GLIOMA = {"age": float, "Gender": "category", "Grade": "category", "kps": float, "idh": "category",
          "codel": "category", "mgmt": "category", "tert": "category", "c710": "category"}  # fmt: skip
"""Covariates of TCGA's gliomas, clinical and molecular."""


def tcga_glioma(folder: Path) -> Cohort:
    """Overall survival of TCGA's gliomas of grade 2 to 4, months."""
    frame = _read(folder / "cohorts/tcga_glioma_clinical.csv.gz")
    frame = frame[(frame["os_m"] > 0) & frame["dead"].notna()]
    x = pd.DataFrame(
        {
            c: pd.to_numeric(frame[c], errors="coerce") if kind is float else frame[c]
            for c, kind in GLIOMA.items()
        }
    )
    return _made("TCGA glioma", x, frame["os_m"], frame["dead"], "months", frame["patient"])


PUBLIC: Mapping[str, Callable[[], Cohort]] = {
    "GBSG2": partial(_sksurv, "GBSG2", "load_gbsg2", "days"),
    "WHAS500": partial(_sksurv, "WHAS500", "load_whas500", "days"),
    "veterans": partial(_sksurv, "veterans", "load_veterans_lung_cancer", "days"),
    "GSE7390": partial(_sksurv, "GSE7390", "load_breast_cancer", "days"),
    "AIDS": partial(_sksurv, "AIDS", "load_aids", "days"),
    "lung": partial(_lifelines, "lung", "load_lung", "time", "status", "days"),
    "rossi": partial(_lifelines, "rossi", "load_rossi", "week", "arrest", "weeks"),
}
"""Those that come with the libraries."""
LOCAL: Mapping[str, Callable[[Path], Cohort]] = {
    "METABRIC-9": metabric, "TCGA glioma": tcga_glioma,
}  # fmt: skip
"""Those of a folder of real data."""
