"""Fit the shipped glioma survival model on the TCGA cohort, without the two demonstration patients."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from lifelines.utils import concordance_index

from data.clinical import ClinicalRecord, Markers, Presence
from data.errors import ClinicalError
from models.survival.cox import CoxFit, CoxModel, covariates_of

FLAGSHIPS = ("TCGA-DU-7294", "TCGA-FG-6692")
"""Shown on the board, so never trained on."""
MONTHS = tuple(float(m) for m in range(0, 121, 2))
PENALIZER = 0.01
REPLICATES = 100
FOLDS = 5


def fit_survival(
    cohort: Path, *, seed: int = 0, on_step: Callable[[int, int], None] = lambda done, total: None
) -> CoxModel:
    """A penalised Cox model with bootstrap replicates and its out-of-fold concordance.

    Raises:
        ClinicalError: the cohort lacks a needed column.
    """
    table = cohort_table(pd.read_csv(cohort))
    names = tuple(c for c in table.columns if c not in ("months", "dead"))
    names = tuple(c for c in names if table[c].nunique() > 1)
    table = table[[*names, "months", "dead"]]
    rng = np.random.default_rng(seed)
    folds = rng.permutation(len(table)) % FOLDS
    risk = np.empty(len(table))
    for fold in range(FOLDS):
        fitted = _fit(table[folds != fold])
        risk[folds == fold] = fitted.predict_log_partial_hazard(table[folds == fold])
    concordance = float(concordance_index(table["months"], -risk, table["dead"]))
    replicates = []
    for n in range(REPLICATES):
        drawn = table.iloc[rng.integers(len(table), size=len(table))]
        replicates.append(_as_fit(_fit(drawn), names))
        on_step(n + 1, REPLICATES)
    return CoxModel(
        name="glioma-cox-1",
        trained_on="TCGA GBM and LGG, treatment mixed and not recorded here",
        patients=len(table),
        events=int(table["dead"].sum()),
        concordance_out_of_fold=round(concordance, 4),
        covariates=names,
        months=MONTHS,
        fit=_as_fit(_fit(table), names),
        replicates=tuple(replicates),
    )


def cohort_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Covariates, months and dead for each usable patient but the flagship ones.

    Raises:
        ClinicalError: a column is missing.
    """
    needed = {"patient", "age", "Gender", "Grade", "kps", "idh", "codel", "mgmt", "os_m", "dead"}
    missing = sorted(needed - set(rows.columns))
    if missing:
        raise ClinicalError(f"the cohort has no columns {missing}")
    usable = rows[(rows["os_m"] > 0) & rows["dead"].notna() & ~rows["patient"].isin(FLAGSHIPS)]
    out = []
    for row in usable.to_dict("records"):
        record = record_of(row)
        values, _ = covariates_of(record, record.markers)
        out.append({**values, "months": float(row["os_m"]), "dead": int(row["dead"])})
    return pd.DataFrame(out)


AMPLIFIED, DELETED = 2, -2


def record_of(row: dict[Any, Any]) -> ClinicalRecord:
    """A row of the TCGA glioma table as a record; blanks are unknown."""
    grade = {"G2": 2, "G3": 3, "G4": 4}.get(str(row.get("Grade")))
    histology = str(row.get("Histology", ""))
    if grade is None and histology == "glioblastoma":
        grade = 4
    return ClinicalRecord.model_validate(
        {
            "patient_id": row["patient"],
            "age_years": _number(row.get("age")),
            "sex": row.get("Gender") if row.get("Gender") in ("female", "male") else None,
            "diagnosis": f"{histology}, {row.get('Grade')}" if histology else None,
            "grade": grade,
            "kps": None if (kps := _number(row.get("kps"))) is None else int(kps),
            "markers": Markers(
                idh_mutation=_state(row.get("idh"), "Mutant", "WT"),
                codeletion_1p19q=_state(row.get("codel"), "codel", "non-codel"),
                mgmt_methylation=_state(row.get("mgmt"), "Methylated", "Unmethylated"),
                tert_promoter_mutation=_state(row.get("tert"), "Mutant", "WT"),
                gain7_loss10=_state(row.get("c710"), "Gain chr 7 & loss chr 10", "No combined CNA"),
                egfr_amplification=_copies(row.get("egfr_cn"), AMPLIFIED),
                atrx_loss=_state(row.get("ATRX.status"), "Mutant", "WT"),
                cdkn2a_homozygous_deletion=_copies(row.get("cdkn2a_cn"), DELETED),
            ),
        }
    )


def _copies(value: Any, level: int) -> Presence:
    """By GISTIC's level: 2 amplified, -2 deleted on both chromosomes."""
    number = _number(value)
    if number is None:
        return "untested"
    return "present" if number == level else "absent"


def _number(value: Any) -> float | None:
    number = pd.to_numeric(value, errors="coerce")
    return None if pd.isna(number) else float(number)


def _state(value: Any, present: str, absent: str) -> Presence:
    if value == present:
        return "present"
    return "absent" if value == absent else "untested"


def _fit(table: pd.DataFrame) -> CoxPHFitter:
    fitter = CoxPHFitter(penalizer=PENALIZER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a resample may leave a rare level constant
        return fitter.fit(table, duration_col="months", event_col="dead")


def _as_fit(fitter: CoxPHFitter, names: tuple[str, ...]) -> CoxFit:
    """Coefficients and baseline for covariates as they are, not centred as lifelines keeps them."""
    coefficients = fitter.params_[list(names)].to_numpy(float)
    center = fitter._norm_mean[list(names)].to_numpy(float)
    hazard = fitter.baseline_cumulative_hazard_["baseline cumulative hazard"]
    at = np.interp(MONTHS, np.r_[0.0, hazard.index.to_numpy(float)], np.r_[0.0, hazard.to_numpy()])
    baseline = at * np.exp(-float(coefficients @ center))
    return CoxFit(
        coefficients=tuple(float(f"{c:.6g}") for c in coefficients),
        baseline=tuple(float(f"{b:.6g}") for b in np.maximum.accumulate(baseline)),
    )
