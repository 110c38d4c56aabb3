"""The studies of a cohort: study folders as they are, or made of a manifest, a BIDS dataset or DICOM dumps."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from glob import escape, glob
from pathlib import Path
from typing import Any

from data.errors import AvatarError, StudyError
from data.files import UNREADABLE, open_text
from data.imaging import SEQUENCES
from data.io.structured import read_model
from data.io.study import StudyFile
from data.samples.shared_cases import write_yaml
from pipelines.cohort.config import NAME, CohortConfig
from pipelines.dicom_import import guessed, opened, take, user_secret

MADE = "studies"
"""Folder of a run for study folders that it makes."""
FILES = ("variants", "record", "segmentation", "brain_mask")
"""Columns of a manifest beside the sequences."""
UNSAFE = r"[^A-Za-z0-9._-]"
"""What a patient's id has not."""
MOST_LETTERS = 64
"""Of a patient's id."""
ARCHIVE = r"(?i)\.(zip|tar|tgz|tar\.gz|tar\.bz2|tar\.xz)$"
"""Ends of names that are not part of a patient's id."""
BIDS = (
    (re.compile(r"_ce-[A-Za-z0-9]+_.*T1w$|_ce-[A-Za-z0-9]+_T1w$"), "t1c"),
    (re.compile(r"_T1w$"), "t1"),
    (re.compile(r"_T2w$"), "t2"),
    (re.compile(r"_FLAIR$"), "flair"),
    (re.compile(r"_pet$"), "pet"),
    (re.compile(r"_ct$"), "ct"),
)
"""Ends of names (BIDS 1.10); contrast is given by the entity ``ce``."""


@dataclass(frozen=True)
class FoundStudy:
    """One patient's study.

    Args:
        patient: id, or where it cannot be told the folder's name.
        folder: with a study.yaml; None of a DICOM dump that is still to be taken in.
        source: where it was found.
        error: why it cannot be run.
        is_dump: of DICOM, which is taken in without the person before it is run.
    """

    patient: str
    folder: Path | None
    source: Path
    error: str = ""
    is_dump: bool = False


def discover(config: CohortConfig, base: Path, run: Path) -> list[FoundStudy]:
    """All studies, by patient; one that is broken is there with its error.

    Args:
        config: of the cohort.
        base: folder that its paths are relative to.
        run: folder of the run, where study folders are made.

    Raises:
        StudyError: nothing was found, or the manifest cannot be read.
    """
    found = [*_study_folders(config, base)]
    if config.manifest is not None:
        found += _of_manifest(base / config.manifest, config, run)
    if config.bids is not None:
        found += _of_bids(base / config.bids, config, run)
    found += _dumps(config, base, run)
    if not found:
        raise StudyError(
            f"{base}: no study was found for {config.name}; look at the paths in its file"
        )
    return sorted(_each_once(found), key=lambda study: (study.patient, str(study.source)))


def _each_once(found: list[FoundStudy]) -> Iterator[FoundStudy]:
    """A patient who is there twice is run neither time: which one is meant nobody said."""
    named = Counter(study.patient for study in found)
    usable = Counter(study.patient for study in found if not study.error)
    for study in found:
        if named[study.patient] == 1 or (usable[study.patient] == 1 and not study.error):
            yield study
            continue
        error = study.error
        if not error:
            others = [str(s.source) for s in found if s.patient == study.patient and s is not study]
            error = (
                f"{study.source}: patient {study.patient} is also in {', '.join(others)}; give each study "
                "another patient_id, or put the scans of one patient into one study.yaml"
            )
        own = _tag(str(study.source))
        yield replace(
            study, patient=f"{study.patient[: MOST_LETTERS - len(own)]}{own}", error=error
        )


def _tag(text: str) -> str:
    """Tells apart what has one name."""
    return "." + hashlib.sha256(os.fsencode(text)).hexdigest()[:6]


def _named_after(name: str) -> str:
    """A patient's id after a file, folder or cell; another name has another id."""
    safe = re.sub(UNSAFE, "-", name).lstrip("-._")[:MOST_LETTERS]
    if safe == name:
        return safe
    own = _tag(name)
    return f"{safe[: MOST_LETTERS - len(own)] or 'patient'}{own}"


def _matching(base: Path, pattern: str) -> list[Path]:
    """What a pattern finds, relative to ``base`` or absolute; hidden files are not found."""
    found = glob(str(Path(escape(str(base))) / pattern), recursive=True)  # noqa: PTH207  # absolute ones
    return [Path(path) for path in sorted(found)]


def _study_folders(config: CohortConfig, base: Path) -> Iterator[FoundStudy]:
    seen: set[Path] = set()
    for pattern in config.studies:
        for folder in _matching(base, pattern):
            if not folder.is_dir() or folder.resolve() in seen:
                continue
            seen.add(folder.resolve())
            named, what = _read(folder)
            yield FoundStudy(named or _named_after(folder.name), folder, folder, what)


def _read(folder: Path) -> tuple[str, str]:
    """The patient of a study folder, or why that cannot be told."""
    try:
        if not (folder / "study.yaml").is_file():
            return (
                "",
                f"{folder}: has no study.yaml; 'avatar study init {folder}' writes one to fill in",
            )
        return read_model(folder / "study.yaml", StudyFile, StudyError).patient_id, ""
    except AvatarError as broken:
        return "", str(broken)
    except OSError as broken:
        return (
            "",
            f"{broken.filename or folder}: cannot be read ({broken.strerror}); ask for the right to",
        )


def _of_manifest(path: Path, config: CohortConfig, run: Path) -> Iterator[FoundStudy]:
    try:
        with open_text(path) as stream:
            table = csv.DictReader(stream)
            columns, rows = list(table.fieldnames or ()), list(table)
    except (*UNREADABLE, csv.Error) as error:
        raise StudyError(f"{path}: cannot be read ({error}); give a CSV in UTF-8") from error
    known = {"patient_id", "study", "site", "day", "origin", *SEQUENCES, *FILES}
    unknown = [column for column in columns if column not in known]
    if "patient_id" not in columns or unknown:
        what = (
            f"the column {unknown[0]!r} is not known"
            if unknown
            else "there is no column patient_id"
        )
        raise StudyError(f"{path}: {what}; known are {', '.join(sorted(known))}")
    for number, row in enumerate(rows, 2):
        beyond = row.pop(None, None)
        told = {key: value.strip() for key, value in row.items() if value and value.strip()}
        patient = told.get("patient_id", f"line-{number}")
        if beyond:
            what = (
                f"{path}, line {number}: has more cells than the first line; put commas in quotes"
            )
            yield FoundStudy(_named_after(patient), None, path, what)
            continue
        if not re.fullmatch(NAME, patient):
            what = (
                f"{path}, line {number}: {patient!r} is no patient id; use letters, digits, . _ -"
            )
            yield FoundStudy(_named_after(patient), None, path, what)
            continue
        if "study" in told:
            folder = path.parent / told["study"]
            named, what = _read(folder)
            others = sorted(set(told) - {"patient_id", "study"})
            if not what and named != patient:
                what = (
                    f"{path}, line {number}: calls {patient} whom {folder}/study.yaml calls {named}"
                )
            elif not what and others:
                what = (
                    f"{path}, line {number}: gives {', '.join(others)} beside a study, whose study.yaml says "
                    "that; leave these cells empty"
                )
            yield FoundStudy(patient, folder, path, what)
            continue
        try:
            scan: dict[str, Any] = {"day": float(told.get("day", 0.0))}
        except ValueError:
            what = f"{path}, line {number}: day is {told['day']!r}, which is no number of days"
            yield FoundStudy(patient, None, path, what)
            continue
        scan["sequences"] = {s: _absolute(path, told[s]) for s in SEQUENCES if s in told}
        scan |= {
            key: _absolute(path, told[key]) for key in ("segmentation", "brain_mask") if key in told
        }
        study: dict[str, Any] = {
            "patient_id": patient,
            "site": told.get("site", config.site),
            "scans": [scan],
        }
        study |= {"origin": told["origin"]} if "origin" in told else {}
        study |= (
            {"variants": {"file": _absolute(path, told["variants"])}} if "variants" in told else {}
        )
        study |= {"record": _absolute(path, told["record"])} if "record" in told else {}
        yield _made(run, patient, study, path, f"line {number}")


def _absolute(beside: Path, name: str) -> str:
    return str((beside.parent / name).resolve())


def _made(run: Path, patient: str, study: dict[str, Any], source: Path, where: str) -> FoundStudy:
    """Write a study.yaml into a folder of the run; only where it says something new."""
    if not re.fullmatch(NAME, patient):
        return FoundStudy(
            _named_after(patient), None, source,
            f"{source}, {where}: {patient!r} is no patient id; use letters, digits, . _ -",
        )  # fmt: skip
    folder = run / MADE / patient
    write_yaml(folder / "study.yaml", study)
    return FoundStudy(patient, folder, source)


def _of_bids(root: Path, config: CohortConfig, run: Path) -> Iterator[FoundStudy]:
    """``sub-ID[/ses-N]/anat/sub-ID..._T1w.nii.gz``; days of sessions are from ``sub-ID_sessions.tsv``."""
    if not root.is_dir():
        raise StudyError(f"{root}: is no folder; give the one with sub-* in it")
    for subject in sorted(root.glob("sub-*")):
        patient = subject.name.removeprefix("sub-")
        sessions = {
            session: found
            for session in sorted(subject.glob("ses-*")) or [subject]
            if (found := _bids_sequences(session))
        }
        try:
            if not sessions:
                raise StudyError(
                    f"{subject}: has no image that is known; names end in _T1w, _T2w, _FLAIR, with ce- for "
                    "contrast"
                )
            days = _bids_days(subject, list(sessions))
        except StudyError as error:
            yield FoundStudy(_named_after(patient), None, subject, str(error))
            continue
        scans = [{"day": d, "sequences": s} for d, s in zip(days, sessions.values(), strict=True)]
        study = {"patient_id": patient, "site": config.site, "scans": scans}
        yield _made(run, patient, study, subject, subject.name)


def _bids_sequences(session: Path) -> dict[str, str]:
    """Paths by sequence; of several of one kind the first by name."""
    sequences: dict[str, str] = {}
    for path in sorted([*session.glob("*/*.nii.gz"), *session.glob("*/*.nii")]):
        stem = path.name.removesuffix(".gz").removesuffix(".nii")
        kind = next((kind for ends, kind in BIDS if ends.search(stem)), None)
        if kind is not None:
            sequences.setdefault(kind, str(path.resolve()))
    return sequences


def _bids_days(subject: Path, sessions: list[Path]) -> list[float]:
    """Days since the first session."""
    if len(sessions) == 1:
        return [0.0]
    path = subject / f"{subject.name}_sessions.tsv"
    try:
        with open_text(path) as stream:
            rows = {
                row["session_id"]: row["acq_time"] for row in csv.DictReader(stream, delimiter="\t")
            }
        times = [datetime.fromisoformat(rows[session.name]) for session in sessions]
        return [(time - min(times)).total_seconds() / 86400 for time in times]
    except (*UNREADABLE, KeyError, ValueError, TypeError) as error:
        raise StudyError(
            f"{subject}: has {len(sessions)} sessions, and {path.name} does not tell when each was ({error}); "
            "give it the columns session_id and acq_time"
        ) from error


def _dumps(config: CohortConfig, base: Path, run: Path) -> Iterator[FoundStudy]:
    for pattern in config.dicom:
        for source in _matching(base, pattern):
            name = _named_after(re.sub(ARCHIVE, "", source.name))
            folder = run / MADE / name
            there = (folder / "study.yaml").is_file()
            yield FoundStudy(name, folder if there else None, source, is_dump=True)


def taken_in(study: FoundStudy, config: CohortConfig, run: Path) -> FoundStudy:
    """A DICOM dump as a study folder without the person, its series picked by what they look like.

    Raises:
        AvatarError: it cannot be read, or no series looks like one that the site needs.
    """
    if study.folder is not None or study.error:
        return study
    folder = run / MADE / study.patient
    if folder.is_dir() and not (folder / "study.yaml").exists():
        shutil.rmtree(folder)  # what is left of one that was cut off
    with opened(study.source) as found:
        picked = guessed(found.series)
        if not picked:
            raise StudyError(
                f"{study.source}: none of its {len(found.series)} series looks like a sequence that is known; "
                "take them by hand with 'avatar study import'"
            )
        take(found, picked, folder, secret=user_secret(), site=config.site)
    return replace(study, folder=folder)
