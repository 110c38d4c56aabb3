"""Public cohorts that come with scikit-survival and lifelines, and those of a local folder of real data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from data.cohort import Cohort, Covariate, TimeUnit
from data.errors import SampleError
from data.files import replace_atomically
from data.io.cohort import CohortFile, EventColumn, TimeColumn


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


SEX = {"M": "male", "F": "female", "male": "male", "female": "female"}
IDH = {"Wildtype": "wildtype", "WT": "wildtype", "Mutated": "mutant", "Mutant": "mutant"}
MGMT = {"Methylated": "methylated", "Unmethylated": "unmethylated"}
DAYS = 30.4375
"""Of a month."""


def _glioblastoma(
    name: str, frame: pd.DataFrame, age: str, idh: str, mgmt: str, months: Any, dead: Any, ids: str
) -> Cohort:
    """Age, sex, IDH and MGMT under the same names and levels in both cohorts; what is not told is not known."""
    told = {"sex": ("Gender", SEX), "idh": (idh, IDH), "mgmt": (mgmt, MGMT)}
    x = pd.DataFrame({"age": pd.to_numeric(frame[age], errors="coerce").to_numpy(float)})
    for column, (source, levels) in told.items():
        values = frame[source].map(levels).to_numpy(object)
        x[column] = pd.Categorical(values, categories=sorted(set(levels.values())))
    return Cohort(
        name, frame[ids].to_numpy(object), x, np.asarray(months, float),
        np.asarray(dead).astype(np.int64), "months",
    )  # fmt: skip


def tcga_glioblastoma(folder: Path) -> Cohort:
    """Overall survival since diagnosis of TCGA's glioblastomas, by histology; treatment mixed."""
    frame = _read(folder / "cohorts/tcga_glioma_clinical.csv.gz")
    frame = frame[
        (frame["os_m"] > 0) & frame["dead"].notna() & (frame["Histology"] == "glioblastoma")
    ]
    return _glioblastoma(
        "TCGA-GBM", frame, "age", "idh", "mgmt", frame["os_m"], frame["dead"], "patient"
    )


def upenn_glioblastoma(folder: Path) -> Cohort:
    """Overall survival since surgery of UPENN-GBM, scans before it; all whose days are told have died."""
    frame = _read(folder / "cohorts/UPENN-GBM_clinical_info_v2.1.csv")
    days = pd.to_numeric(frame["Survival_from_surgery_days_UPDATED"], errors="coerce")
    patient = frame["ID"].str.rsplit("_", n=1).str[0]
    frame = frame.assign(patient=patient, months=days / DAYS)
    before_surgery = frame["ID"].str.endswith("_11")  # others are scans of a recurrence
    frame = frame[(days > 0) & (frame["Survival_Status"] == "Deceased") & before_surgery]
    return _glioblastoma(
        "UPENN-GBM", frame, "Age_at_scan_years", "IDH1", "MGMT", frame["months"], np.ones(len(frame)),
        "patient",
    )  # fmt: skip


UPENN_MODALITIES: Mapping[str, tuple[str, ...]] = {
    "clinical": ("age", "sex"), "molecular": ("idh", "mgmt"),
    "imaging": ("log10_necrosis_mm3", "necrosis_eccentricity", "necrosis_flair_mean"),
}  # fmt: skip
"""Covariates of UPENN-GBM; imaging is of the necrotic core, as segmented and measured by CaPTk."""
CAPTK = {
    "log10_necrosis_mm3": "FLAIR_NC_Volumetric_Volume",
    "necrosis_eccentricity": "FLAIR_NC_Morphologic_Eccentricity",
    "necrosis_flair_mean": "FLAIR_NC_Intensity_Mean",
}


def upenn_modalities(folder: Path) -> Cohort:
    """UPENN-GBM with imaging of those who have it."""
    cohort = upenn_glioblastoma(folder)
    frame = _read(folder / "cohorts/UPENN-GBM_CaPTk_segm_FLAIR_NC.csv")
    frame = frame[frame["SubjectID"].str.endswith("_11")]
    frame = frame.set_index(frame["SubjectID"].str.rsplit("_", n=1).str[0]).reindex(cohort.ids)
    imaging = {name: frame[column].to_numpy(float) for name, column in CAPTK.items()}
    imaging["log10_necrosis_mm3"] = np.log10(imaging["log10_necrosis_mm3"])
    return replace(cohort, covariates=cohort.covariates.assign(**imaging))


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
    "METABRIC-9": metabric, "TCGA glioma": tcga_glioma, "UPENN-GBM": upenn_glioblastoma,
}  # fmt: skip
"""Those of a folder of real data."""


def write_public(name: str, folder: Path) -> Path:
    """A cohort of the libraries as a table with its data dictionary, to try things on.

    Raises:
        SampleError: there is no such cohort.
    """
    if name not in PUBLIC:
        raise SampleError(f"there is no cohort {name!r}; there are {', '.join(PUBLIC)}")
    cohort = PUBLIC[name]()
    told = CohortFile(
        name=name, file=Path(f"{name}.csv"), id="id", time=TimeColumn(column="time", unit=cohort.unit),
        event=EventColumn(column="event"), source="comes with scikit-survival or lifelines",
        covariates={
            str(c): Covariate(kind="number")
            if pd.api.types.is_numeric_dtype(values)
            else Covariate(kind="category", levels=tuple(map(str, values.cat.categories)))
            for c, values in cohort.covariates.items()
        },
    )  # fmt: skip
    outcome = {"id": cohort.ids, "time": cohort.time, "event": cohort.event}
    table = cohort.covariates.assign(**outcome)[[*outcome, *cohort.covariates]]
    replace_atomically(folder / told.file, table.to_csv(index=False).encode())
    path = folder / f"{name}.yaml"
    content = told.model_dump(mode="json", exclude_defaults=True)
    replace_atomically(path, yaml.safe_dump(content, sort_keys=False).encode())
    return path
