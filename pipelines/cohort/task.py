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

from data.errors import AvatarError, StudyError
from data.files import replace_atomically
from data.io.study import read_study
from data.store import AvatarStore
from pipelines.assemble import run_study
from pipelines.cohort.config import CohortConfig
from pipelines.cohort.discover import FoundStudy, taken_in
from pipelines.cohort.records import (
    Fault,
    PatientRecord,
    StepTaken,
    dump_digest,
    inputs_of,
    read_record,
    record_path,
    refused,
    write_record,
)
from pipelines.steps import STEPS, told_what_begins

TRACEBACKS = "tracebacks"
CLAIMS = "claims"
"""Folder of a run: which of its patients an avatar is of."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)


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
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


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
            "patient": study.patient, "source": str(study.source), "status": status, "avatar": avatar,
            "sha256": sha256, "inputs": inputs, "steps": watch.taken, "attempts": attempts,
            "seconds": round(time.monotonic() - started, 3),
        }  # fmt: skip
        record = PatientRecord.model_validate(told | more)
        write_record(run, record)
        return record

    try:
        with AvatarStore(store_folder) as store:
            study = taken_in(_without_an_old_copy(study, run), config, run)
            inputs |= inputs_of(study, config, store)
            if (folder := study.folder) is None:
                raise StudyError(f"{study.source}: has no study folder")
            name = read_study(folder).patient_id
            _claim(run, name, study)
            with told_what_begins(watch.begins):
                run_study(
                    folder, store, segmenter=config.segmenter, despite_flags=config.despite_flags
                )
            watch.ends()
            return made("done", name, store.digests()[name])
    except _Enough:
        return made("stopped")
    except AvatarError as error:
        fault = _fault(error)
        if not inputs:
            inputs |= refused(error)
        named = str(study.source) in str(error) or str(study.folder) in str(error)
        return made("failed", fault=fault, error=f"{'' if named else f'{study.source}: '}{error}")
    except MemoryError:
        sentence = f"{study.source}: there was not enough memory; give the cohort fewer workers"
        return made("failed", fault="budget", error=sentence)
    except OSError as error:
        fault = "storage" if error.errno in FULL else "crash"
        return made(
            "failed", fault=fault, error=f"{error.filename or study.source}: {error.strerror}"
        )
    except Exception as error:  # a defect of ours must not end the night
        path = run / TRACEBACKS / f"{study.patient}.txt"
        with suppress(OSError):
            replace_atomically(path, traceback.format_exc().encode())
        sentence = f"{study.source}: unforeseen {type(error).__name__}: {error}; please report it with {path}"
        return made("failed", fault="crash", error=sentence)


def _without_an_old_copy(study: FoundStudy, run: Path) -> FoundStudy:
    """A dump that has changed since it was taken in is taken in again."""
    if not study.is_dump or study.folder is None:
        return study
    record = read_record(record_path(run, study.patient))
    if record is not None and record.inputs.get("dump") == dump_digest(study.source):
        return study
    shutil.rmtree(study.folder)
    return replace(study, folder=None)


def _fault(error: AvatarError) -> Fault:
    """Whether a disk is to blame; else the input is."""
    cause: BaseException | None = error
    seen: list[BaseException] = []
    while cause is not None and cause not in seen:
        if isinstance(cause, OSError) and cause.errno in FULL:
            return "storage"
        seen.append(cause)
        cause = cause.__cause__
    return (
        "storage" if "disk is full" in str(error) or "cannot be written" in str(error) else "input"
    )


def _claim(run: Path, avatar: str, study: FoundStudy) -> None:
    """An avatar is of one study of a run; that of another is not overwritten."""
    path = run / CLAIMS / avatar
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "w") as file:
            file.write(study.patient)
    except FileExistsError:
        owner = path.read_text()
        if owner not in ("", study.patient):
            raise StudyError(
                f"{study.source}: is of patient {avatar}, as {owner} is; put the scans of one patient into "
                "one study"
            ) from None
