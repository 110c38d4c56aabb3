"""One patient of a run, from files to the record: what a worker does, and what a cluster's job does."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from data.errors import (
    AvatarError,
    KnowledgeError,
    SampleError,
    StoreError,
    StudyError,
)
from data.files import replace_atomically
from data.io.study import read_study
from data.store import AvatarStore
from pipelines.assemble import run_study
from pipelines.cohort.config import CohortConfig
from pipelines.cohort.discover import MADE, FoundStudy, taken_in
from pipelines.cohort.records import (
    Fault,
    PatientRecord,
    StepTaken,
    dump_digest,
    inputs_of,
    patients_of,
    read_record,
    readable,
    record_path,
    refused,
    write_record,
)
from pipelines.steps import STEPS, told_what_begins

TRACEBACKS = "tracebacks"
MACHINES = (SampleError, KnowledgeError, StoreError)
"""Errors that another try of the same input may not have; weights are an input."""
CLAIMS = "claims"
"""Folder of a run: which of its patients an avatar is of."""
KIB = 1024
"""Bytes: what Linux counts memory in."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors that are of the disk that is written to; others too, of a file in the store."""


class _Enough(Exception):
    """The step that was asked for is done."""


@dataclass
class Stopwatch:
    """Seconds, processor seconds and peak memory of each step that begins.

    Args:
        until: step after which to stop.
        tell: told a step's name when it begins.
    """

    until: str | None = None
    tell: Callable[[str], None] = lambda step: None
    taken: list[StepTaken] = field(default_factory=list)
    _step: str = ""
    _since: tuple[float, float] = (0.0, 0.0)

    def begins(self, step: str) -> None:
        """A step starts; the one before it has ended."""
        if step not in STEPS:  # a part of one
            return
        self.ends()
        if self.until is not None and STEPS.index(step) > STEPS.index(self.until):
            raise _Enough
        _forget_peak()
        self._step, self._since = step, (time.monotonic(), time.process_time())
        self.tell(step)

    def ends(self) -> None:
        """No step runs any more."""
        if not self._step:
            return
        seconds, cpu = time.monotonic() - self._since[0], time.process_time() - self._since[1]
        told = {"seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3)}
        self.taken.append(StepTaken(step=self._step, peak_mb=round(_peak_mb(), 1), **told))
        self._step = ""


def _forget_peak() -> None:
    """So that the peak is of what comes now; Linux only, elsewhere it is of the whole process."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak_mb() -> float:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * KIB / 1e6
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB / 1e6


def run_patient(
    study: FoundStudy,
    config: CohortConfig,
    store_folder: Path,
    run: Path,
    *,
    until: str | None = None,
    attempts: int = 1,
    tell: Callable[[str], None] = lambda step: None,
) -> PatientRecord:
    """Run a study, whatever comes of it, and write its record.

    Args:
        study: as it was found.
        config: of the cohort.
        store_folder: where the avatar goes.
        run: folder of the run.
        until: step after which to stop.
        attempts: how often it was begun, this one counted.
        tell: told a step's name when it begins.

    Raises:
        StoreError: the record cannot be written.
    """
    started = time.monotonic()
    watch = Stopwatch(until, tell)
    inputs: dict[str, str] = {}

    def made(status: str, avatar: str = "", sha256: str = "", **more: object) -> PatientRecord:
        watch.ends()
        told = {
            "patient": study.patient, "source": readable(study.source), "status": status, "avatar": avatar,
            "sha256": sha256, "inputs": inputs, "steps": watch.taken, "attempts": attempts,
            "seconds": round(time.monotonic() - started, 3),
        }  # fmt: skip
        if "error" in more:
            more["error"] = readable(more["error"])
        record = PatientRecord.model_validate(told | more)
        write_record(run, record)
        return record

    try:
        with AvatarStore(store_folder) as store:
            if study.is_dump:
                inputs["dump"] = dump_digest(study.source, config.site)
            study = taken_in(_without_an_old_copy(study, config, run), config, run)
            inputs |= inputs_of(study, config, store)
            if (folder := study.folder) is None:
                raise StudyError(f"{study.source}: has no study folder")
            told = read_study(folder)
            name = told.patient_id
            images = {inputs[str(p)] for scan in told.scans for p in scan.sequences.values()}
            _claim(run, name, study, images)
            with told_what_begins(watch.begins):
                run_study(
                    folder, store, segmenter=config.segmenter, despite_flags=config.despite_flags
                )
            watch.ends()
            return made("done", name, store.digests()[name])
    except _Enough:
        return made("stopped")
    except AvatarError as error:
        fault = _fault(error, store_folder)
        if not inputs:
            inputs |= refused(error)
        named = str(study.source) in str(error) or str(study.folder) in str(error)
        return made("failed", fault=fault, error=f"{'' if named else f'{study.source}: '}{error}")
    except MemoryError:
        sentence = f"{study.source}: there was not enough memory; give the cohort fewer workers"
        return made("failed", fault="budget", error=sentence)
    except OSError as error:
        if _is_of_the_store(error, store_folder):
            fault, remedy = "storage", "make room or mend it"
        elif error.filename is not None:
            fault, remedy = "input", "mend the file, or ask for the right to read it"
            inputs |= {} if inputs else refused(error)
        else:  # a pipe whose driver is gone
            fault, remedy = "crash", "run it again"
        what = error.filename or study.source
        return made(
            "failed", fault=fault, error=f"{what}: cannot be used ({error.strerror}); {remedy}"
        )
    except Exception as error:  # a defect of ours must not end the night
        path = run / TRACEBACKS / f"{study.patient}.txt"
        with suppress(OSError):
            replace_atomically(path, traceback.format_exc().encode())
        sentence = f"{study.source}: unforeseen {type(error).__name__}: {error}; please report it with {path}"
        return made("failed", fault="crash", error=sentence)


def _without_an_old_copy(study: FoundStudy, config: CohortConfig, run: Path) -> FoundStudy:
    """A dump that has changed since it was taken in is taken in again."""
    if not study.is_dump or study.folder is None:
        return study
    record = read_record(record_path(run, study.patient))
    if record is not None and record.inputs.get("dump") == dump_digest(study.source, config.site):
        return study
    shutil.rmtree(study.folder)
    return replace(study, folder=None)


def _fault(error: AvatarError, store: Path) -> Fault:
    """Whether the disk or the database is to blame, or what the machine lacks; else the input is."""
    cause: BaseException | None = error
    seen: list[BaseException] = []
    while cause is not None and cause not in seen:
        if isinstance(cause, SQLAlchemyError):
            return "storage"
        if isinstance(cause, OSError) and _is_of_the_store(cause, store):
            return "storage"
        seen.append(cause)
        cause = cause.__cause__
    if "disk is full" in str(error) or "cannot be written" in str(error):
        return "storage"
    return "setup" if isinstance(error, MACHINES) else "input"


def _is_of_the_store(error: OSError, store: Path) -> bool:
    """Whether a disk is full or read-only, or the file is one of the store: others will fare no better."""
    if error.errno in FULL:
        return True
    path = error.filename2 or error.filename
    if not isinstance(path, str | os.PathLike):
        return False
    place, folder = Path(path).resolve(), store.resolve()
    return place.is_relative_to(folder) and MADE not in place.relative_to(folder).parts


def _claim(run: Path, avatar: str, study: FoundStudy, images: set[str]) -> None:
    """An avatar is of one study; that of another, of this run or another of the store, is not overwritten.

    Args:
        run: folder of the run.
        avatar: patient id that the study has.
        study: whose it is from now on.
        images: digests of its scans; a study of another run that has any of them is of the same patient.

    Raises:
        StudyError: it is another study's.
    """
    path = run / CLAIMS / avatar
    path.parent.mkdir(parents=True, exist_ok=True)
    for other in sorted(run.parent.iterdir()):
        owner = None if other == run else _owner(other, avatar)
        record = None if owner is None else read_record(record_path(other, owner))
        if record is None or images & set(record.inputs.values()):
            continue
        if Path(record.source).exists() and record.source != readable(study.source):
            raise StudyError(
                f"{study.source}: is of patient {avatar}, and so is {record.source} of the run {other.name}, "
                "with other files; if they are two people give one another patient_id, or choose another "
                f"store with --store; if they are one take one of them away, and run {other.name} again"
            )
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "w") as file:
            file.write(study.patient)
    except FileExistsError:
        owner = _owner(run, avatar)
        if owner is None:
            replace_atomically(path, study.patient.encode())
        elif owner != study.patient:
            raise StudyError(
                f"{study.source}: is of patient {avatar}, as {owner} is; put the scans of one patient into "
                "one study"
            ) from None


def _owner(run: Path, avatar: str) -> str | None:
    """Which patient of a run has an avatar; None where nobody has, or who had it is gone or another's now."""
    try:
        owner = (run / CLAIMS / avatar).read_text()
    except OSError:
        return None
    listed, record = patients_of(run), read_record(record_path(run, owner))
    is_gone = listed is not None and owner not in listed
    is_another = record is not None and record.avatar not in ("", avatar)
    return None if not owner or is_gone or is_another else owner
