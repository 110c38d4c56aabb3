"""A first ``study.yaml`` from the names of the files in a folder."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ValidationError

from data.errors import StudyError
from data.io.structured import explain
from data.io.study import StudyFile
from data.samples.shared_cases import write_yaml

NAMES: tuple[tuple[str, str], ...] = (
    ("segmentation", r"seg|mask|label|gtv"),
    ("flair", r"flair|t2f"),
    ("t1c", r"t1c|t1ce|t1gd|t1post"),
    ("t2", r"t2w?(?![a-z])"),
    ("t1", r"t1n?(?![a-z])"),
    ("ct", r"(^|[^a-z])ct([^a-z]|$)"),
    ("pet", r"pet|suv"),
)


def kind_named(text: str) -> str | None:
    """Which sequence, or a segmentation, a name speaks of; None where it speaks of none."""
    return next((kind for kind, pattern in NAMES if re.search(pattern, text.lower())), None)


def guess_study(folder: Path, patient: str, site: str = "glioma") -> Path:
    """Write the file.

    Raises:
        StudyError: there is one already, or no image could be told by its name.
    """
    path = folder / "study.yaml"
    if path.exists():
        raise StudyError(f"{path}: exists already; edit it, or remove it first")
    if not folder.is_dir():
        raise StudyError(f"{folder}: there is no such folder")
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.nii*")):
        kind = kind_named(file.name.split(".nii")[0])
        if kind and kind not in found:
            found[kind] = file.name
    segmentation = found.pop("segmentation", None)
    if not found:
        raise StudyError(f"{folder}: no .nii or .nii.gz file named after its sequence")
    scan: dict[str, object] = {"sequences": found}
    if segmentation:
        scan["segmentation"] = segmentation
    study: dict[str, object] = {"patient_id": patient, "site": site, "scans": [scan]}
    calls = sorted(folder.glob("*.vcf*"))
    calls = [c for c in calls if not c.name.endswith(".tbi")]
    if len(calls) == 1:
        study["variants"] = {"file": calls[0].name}
    if (folder / "record.yaml").exists():
        study["record"] = "record.yaml"
    try:
        StudyFile.model_validate(study)
    except ValidationError as error:
        raise StudyError(f"{path}: cannot be written: {explain(error)}") from error
    write_yaml(path, study)
    return path
