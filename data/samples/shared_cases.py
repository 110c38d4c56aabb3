"""Studies written from a local folder of real cases (``AVATAR_SHARED``), by reference and never copied."""

from __future__ import annotations

from pathlib import Path

import yaml

from data.clinical import ClinicalRecord
from data.errors import SampleError
from data.files import replace_atomically

CAPTURE_MB = 35.0
"""Of the TCGA exomes."""
SEQUENCES = ("t1", "t1c", "t2", "flair")


def write_tcga_study(shared: Path, record: ClinicalRecord, folder: Path) -> Path:
    """A study folder of one TCGA glioma case; scans and variants are named by their absolute path.

    Raises:
        SampleError: the case is not in the shared folder.
    """
    patient = record.patient_id
    case = shared / "glioma" / patient
    if not case.is_dir():
        raise SampleError(
            f"{case}: there is no such case; set AVATAR_SHARED to the folder of cases"
        )
    study = {
        "patient_id": patient,
        "site": "glioma",
        "scans": [{"sequences": {s: str(case / f"{patient}_{s}.nii.gz") for s in SEQUENCES}}],
        "variants": {"file": str(case / f"{patient}.vcf.gz"), "capture_mb": CAPTURE_MB},
        "record": "record.yaml",
    }
    write_yaml(folder / "record.yaml", record.model_dump(mode="json", exclude_none=True))
    write_yaml(folder / "study.yaml", study)
    return folder


def write_yaml(path: Path, content: object) -> None:
    """A YAML file with its keys in the order given."""
    replace_atomically(path, yaml.safe_dump(content, sort_keys=False).encode())
