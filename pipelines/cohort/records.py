"""What became of each patient of a run: one file each, written whole, so that nothing that is done is lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.errors import AvatarError, StoreError, StudyError
from data.files import TEMPORARY, replace_atomically, sha256_file
from data.io.study import StudyFile, read_study
from data.provenance import digest_of, versions_of
from data.store import AvatarStore
from pipelines.cohort.config import CohortConfig, read_cohort_config
from pipelines.cohort.discover import FoundStudy
from pipelines.ingest import source_of
from pipelines.knowledge import FOLDER as KNOWLEDGE
from pipelines.steps import RECIPE

RUNS = "runs"
"""Folder of a store with a folder for each run."""
PATIENTS = "patients"
CONFIG = "cohort.json"
"""File of a run with its cohort's settings and who is in it."""
Fault = Literal["input", "setup", "budget", "crash", "storage"]
"""What is to blame; ``setup`` is what this machine lacks: an atlas, knowledge."""


class StepTaken(BaseModel):
    """A step that was computed, not found in the store.

    Args:
        cpu_seconds: of all of the worker's threads.
        peak_mb: most memory that the worker had resident meanwhile, megabytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    seconds: float
    cpu_seconds: float
    peak_mb: float


class PatientRecord(BaseModel):
    """One patient of a run.

    Args:
        patient: as the run calls it.
        avatar: patient id of the avatar; empty where there is none.
        source: where the study was found.
        status: ``stopped`` after the step that was asked for.
        fault: ``input`` stays until the input changes; the others are tried again.
        error: what was given, which rule it broke, what to do.
        inputs: digest of all that the avatar is made from, by name.
        sha256: of the avatar.
        steps: that were computed, in order; empty where all was in the store.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    patient: str
    avatar: str = ""
    source: str
    status: Literal["done", "failed", "stopped"]
    fault: Fault | None = None
    error: str = ""
    inputs: dict[str, str] = Field(default_factory=dict)
    sha256: str = ""
    steps: tuple[StepTaken, ...] = ()
    seconds: float = 0.0
    attempts: int = 1


def run_folder(store: Path, name: str) -> Path:
    """Where all of a run is."""
    return store / RUNS / name


def run_of(path: Path, store: Path) -> tuple[CohortConfig, Path]:
    """A cohort's settings, and the folder of its run in a store.

    Args:
        path: of the cohort's YAML.
        store: folder of the avatars.

    Raises:
        StudyError: the file breaks a rule, or another file's cohort has its name in this store.
    """
    config = read_cohort_config(path)
    run = run_folder(store, config.name)
    told = _told(run)
    if told is not None:
        other = Path(told["path"])
        moved = (run / told.get("beside", "")).resolve()  # where store and cohort went together
        if path.resolve() not in (other, moved) and other.exists():
            raise StudyError(
                f"{path}: a run of this name ({config.name}) is of {other} in this store; give one of them "
                "another name, or choose another store with --store"
            )
    return config, run


def write_config(run: Path, path: Path, config: CohortConfig, patients: list[str]) -> None:
    """Say what a run is of: the cohort's file and settings, and who is in it.

    Raises:
        StoreError: it cannot be written.
    """
    told = {
        "config": config.model_dump(mode="json"), "path": str(path.resolve()), "patients": patients,
        "beside": os.path.relpath(path.resolve(), run.resolve()),
    }  # fmt: skip
    write_text(run / CONFIG, json.dumps(told, indent=1))


def write_text(path: Path, text: str) -> None:
    """Whole, or not at all.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        replace_atomically(path, text.encode())
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror}); make room, then run the same command again: "
            "nothing that is done is lost"
        ) from error


def record_path(run: Path, patient: str) -> Path:
    """Of one patient."""
    return run / PATIENTS / f"{patient}.json"


def write_record(run: Path, record: PatientRecord) -> None:
    """Keep it in place of an earlier one.

    Raises:
        StoreError: it cannot be written.
    """
    write_text(record_path(run, record.patient), record.model_dump_json(indent=1) + "\n")


def read_record(path: Path) -> PatientRecord | None:
    """None where there is none that can be used."""
    try:
        return PatientRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def records_of(run: Path) -> dict[str, PatientRecord]:
    """By patient, of those who are in the cohort as it was planned last."""
    listed = patients_of(run)
    found = (
        read_record(path)
        for path in sorted((run / PATIENTS).glob("*.json"))
        if listed is None or path.stem in listed
    )
    return {record.patient: record for record in found if record is not None}


def patients_of(run: Path) -> frozenset[str] | None:
    """Who is in the cohort as it was planned last; None where that is not known."""
    told = _told(run)
    return None if told is None else frozenset(told["patients"])


def _told(run: Path) -> dict[str, Any] | None:
    """What :func:`write_config` wrote; None where that cannot be used."""
    try:
        told = json.loads((run / CONFIG).read_bytes())
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) and {"path", "patients"} <= set(told) else None


def readable(text: object) -> str:
    """A path or an error as text that can be written: a name on a disk need not be."""
    return os.fsencode(str(text)).decode(errors="replace")


def inputs_of(found: FoundStudy, config: CohortConfig, store: AvatarStore) -> dict[str, str]:
    """Digests of all that an avatar is made from: files, settings, what the store knows, the code's version.

    Of a DICOM dump they are names, sizes and times, of a genome its index.

    Raises:
        AvatarError: the study cannot be read.
    """
    if found.error:
        raise StudyError(found.error)
    digests = {"dump": dump_digest(found.source, config.site)} if found.is_dump else {}
    if found.folder is None:
        return digests
    study = read_study(found.folder)
    reference = study.variants.reference if study.variants else None
    digests["study.yaml"] = sha256_file(found.folder / "study.yaml")
    for path in study.named:
        file = found.folder / (f"{path}.fai" if path == reference else path)
        digests[str(path)] = source_of("", file).sha256 if file.exists() else "none"
    if named := config.segmenter or study.segmenter:
        digests["segmenter"] = _segmenter_digest(named)
    digests |= shared_inputs(config, store)
    digests["reviews"] = digest_of(_reviewed(study, store))
    return digests


def dump_digest(source: Path, site: str) -> str:
    """Of a folder's or archive's names, sizes and times, and the site that it is taken in for."""
    files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    told = ((readable(path.relative_to(source.parent)), path.stat()) for path in files)
    return digest_of([site, [[name, stat.st_size, stat.st_mtime_ns] for name, stat in told]])


@cache
def _segmenter_digest(named: str) -> str:
    """Of a network's weights and settings, which are the same for all patients of a run."""
    from pipelines.weights import segmenter_of  # torch takes seconds

    try:
        return digest_of(segmenter_of(named).settings)
    except AvatarError:
        return "none"


def shared_inputs(config: CohortConfig, store: AvatarStore) -> dict[str, str]:
    """Those that all patients have in common."""
    told = config.model_dump(mode="json", include={"segmenter", "despite_flags"})
    files = [
        path
        for path in sorted((store.folder / KNOWLEDGE).rglob("*"))
        if path.is_file() and not path.name.startswith(TEMPORARY)
    ]
    return {
        "settings": digest_of(told),
        "knowledge": digest_of([[path.name, sha256_file(path)] for path in files]),
        "cancer-avatars": digest_of([RECIPE, versions_of("cancer-avatars")]),
    }


def _reviewed(study: StudyFile, store: AvatarStore) -> list[str]:
    logs = (store.review(study.patient_id, scan.day) for scan in study.scans)
    return [entry.model_dump_json() for log in logs for entry in log.entries]


def refused(error: AvatarError | OSError) -> dict[str, str]:
    """In place of the inputs of a study that cannot be read."""
    return {"error": digest_of(readable(error))}


def why(
    record: PatientRecord | None,
    inputs: Callable[[], dict[str, str]],
    digests: dict[str, str],
    *,
    retry_failed: bool = False,
) -> str:
    """Why a patient has to be run, in words; empty where all is as it was.

    Args:
        record: of the last time.
        inputs: what the avatar would be made from now.
        digests: of the avatars that are in the store.
        retry_failed: also where the input was to blame and has not changed.
    """
    if record is None:
        return "was not run yet"
    if record.status == "stopped":
        return "was stopped after the step that was asked for"
    if record.status == "failed" and (retry_failed or record.fault != "input"):
        return f"failed: {record.error}"
    try:
        now = inputs()
    except (AvatarError, OSError) as error:
        now = refused(error)
    changed = [name for name in now if record.inputs.get(name) != now[name]]
    changed += [name for name in record.inputs if name not in now]
    if changed:
        return f"changed: {', '.join(changed)}"
    if record.status == "done" and digests.get(record.avatar) != record.sha256:
        state = "is another one" if record.avatar in digests else "is gone"
        return f"the avatar in the store {state}"
    return ""
