"""Runs of a store as somebody else sees them: where each stands, and how to stop it or go on with it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil

from data.errors import StoreError, StudyError
from data.files import HOST
from pipelines.cohort.records import CONFIG, PATIENTS, RUNS, PatientRecord, read_record, record_path
from pipelines.cohort.run import (
    CANCEL,
    LOCK,
    LOG,
    LOOKING,
    PLAN,
    PROGRESS,
    REPORT,
    Progress,
    holder,
)
from pipelines.cohort.table import TABLE

SILENT = timedelta(seconds=30)
"""After which a run of another machine is taken to have ended."""
SILENT_JOBS = timedelta(minutes=15)
"""Without a record of any patient, after which jobs of another engine may have ended."""
BY_JOBS, NO_JOBS = "run by jobs", "silent jobs"
"""States of a run that was planned for another engine."""
LOG_LINES = 200
STARTED = "started.log"


@dataclass(frozen=True)
class RunState:
    """One run.

    Args:
        progress: what the driver told last, or what the records say where another engine runs the patients;
            empty before anything was told.
        is_running: whether a driver is at it.
        cohort: the file that it is run by.
    """

    name: str
    folder: Path
    progress: dict[str, Any]
    is_running: bool
    cohort: Path | None

    @property
    def state(self) -> str:
        """In a word."""
        if self.is_running:
            return "stopping" if (self.folder / CANCEL).exists() else "running"
        told = str(self.progress.get("state", "not run here"))
        return "was cut off" if told in ("running", LOOKING) else told

    @property
    def is_looking(self) -> bool:
        """Whether it was being found out who has to be run; ``done`` and ``total`` are of that."""
        return self.progress.get("state") == LOOKING

    @property
    def share(self) -> float:
        """Of its patients that are finished, 0 to 1."""
        total = int(self.progress.get("total", 0))
        finished = int(self.progress.get("done", 0)) + int(self.progress.get("failed", 0))
        return 1.0 if not total else finished / total

    @property
    def has_table(self) -> bool:
        """Whether it was summed up."""
        return (self.folder / TABLE).is_file()

    @property
    def is_summed_up(self) -> bool:
        """Whether the table is of all that was run since."""
        return self.has_table and (self.folder / REPORT).is_file()

    @property
    def log(self) -> str:
        """The last lines, the latest first."""
        return "\n".join(reversed(_lines(self.folder / LOG)))

    @property
    def started(self) -> str:
        """What a start from elsewhere said, where it was refused."""
        return "" if self.is_running else "\n".join(_lines(self.folder / STARTED))


def runs_of(store: Path) -> list[RunState]:
    """All runs of a store, the latest first."""
    folders = [path for path in (store / RUNS).glob("*") if (path / PATIENTS).is_dir()]
    return sorted(
        (run_state(path) for path in folders), key=lambda run: str(run.progress.get("at", "")), reverse=True
    )  # fmt: skip


def run_state(folder: Path) -> RunState:
    """Of one run."""
    progress = _told_by_records(folder) if _is_planned(folder) else _read(folder / PROGRESS)
    path = _read(folder / CONFIG).get("path")
    return RunState(
        folder.name, folder, progress, _is_running(folder, progress), None if path is None else Path(path)
    )  # fmt: skip


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()[-LOG_LINES:]
    except OSError:
        return []


def _unwritable(run: RunState, error: OSError) -> StoreError:
    return StoreError(f"{run.folder}: cannot be written ({error.strerror}); ask for the right to")


def _read(path: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return told


def _is_planned(folder: Path) -> bool:
    """Whether the run was planned for another engine since a driver was last at it."""
    return _modified(folder / PLAN) > _modified(folder / PROGRESS)


def _modified(path: Path) -> float:
    """Seconds since the epoch; 0 where there is no file."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _told_by_records(folder: Path) -> dict[str, Any]:
    """As a driver would tell it."""
    planned, begun = _read(folder / PLAN), _modified(folder / PLAN)
    patients = list(planned.get("patients", ()))
    to_run = list(planned.get("to_run", patients))
    kept = [_recorded(folder, patient) for patient in sorted({*patients} - {*to_run})]
    found = {p: record for p in to_run if (record := _recorded(folder, p)) is not None}
    kept_failed, failed = (
        [record for record in of if record is not None and record.status == "failed"]
        for of in (kept, found.values())
    )
    last = max([begun, *(_modified(record_path(folder, patient)) for patient in found)])
    is_over = len(found) == len(to_run)
    is_silent = time.time() - last > SILENT_JOBS.total_seconds()
    steps = [step for record in found.values() for step in record.steps]
    shown = Progress(
        folder.name,
        state="finished" if is_over else NO_JOBS if is_silent else BY_JOBS,
        total=len(to_run), kept=len(patients) - len(to_run), kept_failed=len(kept_failed),
        done=len(found) - len(failed), failed=len(failed),
        steps=dict(Counter(step.step for step in steps)),
        failures=[(record.patient, record.error) for record in [*kept_failed, *failed]],
        seconds=last - begun, at=datetime.fromtimestamp(last, UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    for step in steps:
        shown.step_seconds[step.step] = shown.step_seconds.get(step.step, 0.0) + step.seconds
    return asdict(shown)


def _recorded(folder: Path, patient: str) -> PatientRecord | None:
    path = record_path(folder, patient)
    return _record(path, _modified(path))


@lru_cache(maxsize=8192)
def _record(path: Path, modified: float) -> PatientRecord | None:
    """Read once as long as it is not written again."""
    return read_record(path)


def _is_running(folder: Path, progress: dict[str, Any]) -> bool:
    """Whether the process that the lock names lives, or on another machine somebody wrote just now."""
    try:
        told = (folder / LOCK).read_text()
        host, pid, _ = told.split()
    except (OSError, ValueError):
        return False
    if host == HOST:
        try:
            is_over = psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE
            return not is_over and holder(int(pid)) == told
        except psutil.Error:
            return False
    if progress.get("state") not in ("running", LOOKING):
        return False
    return datetime.now(UTC) - datetime.fromisoformat(str(progress["at"])) < SILENT


def cancel(run: RunState) -> None:
    """Let a run finish the patients in hand, and end.

    Raises:
        StoreError: the run's folder cannot be written.
    """
    try:
        (run.folder / CANCEL).touch()
    except OSError as error:
        raise _unwritable(run, error) from error


def go_on(run: RunState, store: Path, *, retry_failed: bool = False) -> None:
    """Start a run again, in a process of its own that outlives who asked for it.

    Raises:
        StudyError: its cohort's file is not there any more.
        StoreError: the run's folder cannot be written.
    """
    if run.cohort is None or not run.cohort.is_file():
        raise StudyError(
            f"{run.cohort or run.folder / CONFIG}: is not there any more; run it from where it is"
        )
    command = [
        sys.executable,
        "-m",
        "app.cli",
        "cohort",
        "run",
        str(run.cohort),
        "--store",
        str(store),
    ]
    try:
        log = (run.folder / STARTED).open("w")
    except OSError as error:
        raise _unwritable(run, error) from error
    with log:
        subprocess.Popen(
            [*command, "--retry-failed"] if retry_failed else command,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
