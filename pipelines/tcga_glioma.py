"""A row of TCGA's glioma table (Ceccarelli 2016) as a patient's record; blanks are unknown."""

from __future__ import annotations

from typing import Any

import pandas as pd

from data.clinical import ClinicalRecord, Markers, Presence

AMPLIFIED, DELETED = 2, -2


def record_of(row: dict[Any, Any]) -> ClinicalRecord:
    """Clinical facts and markers."""
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
