"""Runs of a store as somebody else sees them: where each stands, and how to stop it or go on with it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from data.errors import StudyError
from data.files import HOST
from pipelines.cohort.records import PATIENTS, RUNS
from pipelines.cohort.run import CANCEL, CONFIG, LOCK, LOG, PROGRESS, holder
from pipelines.cohort.table import TABLE

SILENT = timedelta(seconds=30)
"""After which a run of another machine is taken to have ended."""
LOG_LINES = 200


@dataclass(frozen=True)
class RunState:
    """One run.

    Args:
        progress: what the driver told last; empty before it told anything.
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
        return "was cut off" if told == "running" else told

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
    def log(self) -> str:
        """The last lines, the latest first."""
        try:
            lines = (self.folder / LOG).read_text().splitlines()
        except OSError:
            return ""
        return "\n".join(reversed(lines[-LOG_LINES:]))


def runs_of(store: Path) -> list[RunState]:
    """All runs of a store, the latest first."""
    folders = [path for path in (store / RUNS).glob("*") if (path / PATIENTS).is_dir()]
    return sorted(
        (run_state(path) for path in folders), key=lambda run: str(run.progress.get("at", "")), reverse=True
    )  # fmt: skip


def run_state(folder: Path) -> RunState:
    """Of one run."""
    progress = _read(folder / PROGRESS)
    path = _read(folder / CONFIG).get("path")
    return RunState(
        folder.name, folder, progress, _is_running(folder, progress), None if path is None else Path(path)
    )  # fmt: skip


def _read(path: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return told


def _is_running(folder: Path, progress: dict[str, Any]) -> bool:
    """Whether the process that the lock names lives, or on another machine somebody wrote just now."""
    try:
        told = (folder / LOCK).read_text()
        host, pid, _ = told.split()
    except (OSError, ValueError):
        return False
    if host == HOST:
        try:
            return holder(int(pid)) == told
        except psutil.Error:
            return False
    if progress.get("state") != "running":
        return False
    return datetime.now(UTC) - datetime.fromisoformat(str(progress["at"])) < SILENT


def cancel(run: RunState) -> None:
    """Let a run finish the patients in hand, and end."""
    (run.folder / CANCEL).touch()


def go_on(run: RunState, store: Path, *, retry_failed: bool = False) -> None:
    """Start a run again, in a process of its own that outlives who asked for it.

    Raises:
        StudyError: its cohort's file is not there any more.
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
    with (run.folder / "started.log").open("w") as log:
        subprocess.Popen(
            [*command, "--retry-failed"] if retry_failed else command,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
