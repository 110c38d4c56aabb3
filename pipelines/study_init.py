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
    ("brain_mask", r"brain.?mask|mask.?brain|(^|[^a-z])bet.?mask"),
    ("segmentation", r"seg|mask|label|gtv"),
    ("flair", r"flair|t2f"),
    ("t2", r"t2w?(?![a-z])"),
    ("t1", r"t1(n|w|c|ce|gd|post)?(?![a-z])"),
    ("ct", r"(^|[^a-z])ct([^a-z]|$)"),
    ("pet", r"pet|suv"),
)
WITH_CONTRAST = r"t1c|post(?!er)|\+ ?c(?![a-z])|(?<![a-z])(gd|gad|gado[a-z]*|ce|contrast)(?![a-z])"
BEFORE_CONTRAST = (
    r"(?<![a-z])(pre[ _-]?(contrast|gd|gad|ce)?|(non?|without|w/o)[ _-]?(contrast|gd|gad|ce)|native?)"
    r"(?![a-z])"
)
CALLS = (".vcf", ".vcf.gz", ".bcf")
MASKS: tuple[str, ...] = ("segmentation", "brain_mask")


def kind_named(text: str, *, has_agent: bool = False) -> str | None:
    """Which sequence or mask a name speaks of; None where it speaks of none.

    Args:
        text: of a file's or a series' name.
        has_agent: whether a contrast agent is known to have been given, unless the name says it was before.
    """
    told = text.lower()
    kind = next((kind for kind, pattern in NAMES if re.search(pattern, told)), None)
    if kind != "t1" or re.search(BEFORE_CONTRAST, told):
        return kind
    return "t1c" if has_agent or re.search(WITH_CONTRAST, told) else kind


def guess_study(folder: Path, patient: str, site: str = "glioma") -> Path:
    """Write the file.

    Raises:
        StudyError: there is one already, no image could be told by its name, or two look alike.
    """
    path = folder / "study.yaml"
    if path.exists():
        raise StudyError(f"{path}: exists already; edit it, or remove it first")
    if not folder.is_dir():
        raise StudyError(f"{folder}: there is no such folder")
    found: dict[str, str] = {}
    for file in sorted([*folder.glob("*.nii"), *folder.glob("*.nii.gz")]):
        kind = kind_named(file.name.split(".nii")[0])
        if kind in found:
            raise StudyError(
                f"{folder}: {found[kind]} and {file.name} both look like {kind}; move one of them away, or "
                "write study.yaml by hand"
            )
        if kind:
            found[kind] = file.name
    masks = {kind: found.pop(kind) for kind in MASKS if kind in found}
    if not found:
        raise StudyError(f"{folder}: no .nii or .nii.gz file named after its sequence")
    scan: dict[str, object] = {"sequences": found, **masks}
    study: dict[str, object] = {"patient_id": patient, "site": site, "scans": [scan]}
    calls = sorted(c for end in CALLS for c in folder.glob(f"*{end}"))
    if len(calls) > 1:
        names = ", ".join(c.name for c in calls)
        raise StudyError(f"{folder}: which of {names} has the somatic calls? Move the others away")
    if calls:
        study["variants"] = {"file": calls[0].name}
    if (folder / "record.yaml").exists():
        study["record"] = "record.yaml"
    try:
        StudyFile.model_validate(study)
    except ValidationError as error:
        raise StudyError(f"{path}: cannot be written: {explain(error)}") from error
    write_yaml(path, study)
    return path
