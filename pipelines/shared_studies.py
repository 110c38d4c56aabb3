"""Study folders of the real cases in ``AVATAR_SHARED``, with their rows of the TCGA cohort as record."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from data.errors import SampleError
from data.prognosis import DAYS_PER_MONTH
from data.samples.shared_cases import write_tcga_study
from pipelines.tcga_glioma import record_of
from pipelines.weights import shared_dir


def write_shared_study(patient: str, folder: Path) -> Path:
    """A study of one TCGA glioma patient.

    Raises:
        SampleError: the cohort or the case is not in the shared folder.
    """
    cohort = shared_dir() / "cohorts" / "tcga_glioma_clinical.csv.gz"
    if not cohort.is_file():
        raise SampleError(f"{cohort}: there is no such file; set AVATAR_SHARED")
    rows = pd.read_csv(cohort)
    rows = rows[rows["patient"] == patient]
    if len(rows) != 1:
        raise SampleError(f"{cohort}: has {len(rows)} rows for {patient!r}, expected one")
    row = rows.iloc[0].to_dict()
    followed = {
        "followup_days": round(float(row["os_m"]) * DAYS_PER_MONTH),
        "vital_status": "dead" if row["dead"] else "alive",
    }
    return write_tcga_study(shared_dir(), record_of(row).model_copy(update=followed), folder)
