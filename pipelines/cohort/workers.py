"""Worker processes, each on a pipe of its own: one that is killed takes its patient with it, and nothing else.

A pool with shared queues would have a lock in them, which a killed worker can hold for ever, and the standard
library's stops as a whole when a worker dies. Here the driver waits on pipes and processes alone, so that it
also sees who has died of what, and can stop a worker that is over its budget.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

from data.errors import AvatarError
from pipelines.cohort.config import Budgets, CohortConfig
from pipelines.cohort.discover import FoundStudy
from pipelines.cohort.records import PatientRecord
from pipelines.threads import for_children

GB = 1e9


@dataclass(frozen=True)
class Job:
    """What a worker is sent."""

    study: FoundStudy
    config: CohortConfig
    store: Path
    run: Path
    until: str | None
    attempts: int


@dataclass(frozen=True)
class Begun:
    """A worker's step."""

    step: str


@dataclass(frozen=True)
class Lost:
    """A worker that is no more.

    Args:
        budget: which one it was over, in words; empty where it died otherwise.
        exit_code: below 0 the signal that killed it.
    """

    job: Job
    step: str
    budget: str
    exit_code: int


@dataclass(frozen=True)
class Refused:
    """A worker that could not even write the record."""

    job: Job
    error: str


Told = Begun | PatientRecord | Refused | Lost


def serve(pipe: Connection) -> None:
    """A worker's life: one job after the other, until the pipe ends."""
    _die_with_parent()
    for asked in (signal.SIGINT, signal.SIGTERM):  # the driver's to judge
        signal.signal(asked, signal.SIG_IGN)
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  # of libraries that print
    from pipelines.cohort.task import run_patient  # torch and its like take seconds

    while True:
        try:
            job: Job = pipe.recv()
        except EOFError:
            os._exit(0)  # all is written; taking torch down takes seconds
        try:
            told: PatientRecord | Refused = run_patient(
                job.study, job.config, job.store, job.run,
                until=job.until, attempts=job.attempts, tell=lambda step: pipe.send(Begun(step)),
            )  # fmt: skip
        except AvatarError as error:
            told = Refused(job, str(error))
        except (
            Exception
        ) as error:  # not even a record: nothing that is done is lost by stopping here
            told = Refused(job, f"{job.study.patient}: unforeseen {type(error).__name__}: {error}")
        pipe.send(told)


def _die_with_parent() -> None:
    """A worker whose driver was killed would go on beside the next run's (Linux: prctl PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@contextmanager
def _without_main() -> Iterator[None]:
    """A process that is started within does not run the driver's script again, whatever that is."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@dataclass
class Worker:
    """A process and what it does."""

    process: Any
    pipe: Connection
    job: Job | None = None
    step: str = ""
    since: float = field(default_factory=time.monotonic)

    def give(self, job: Job) -> None:
        """The next job."""
        self.job, self.step, self.since = job, "", time.monotonic()
        with suppress(OSError):  # it has just died, which is heard of next
            self.pipe.send(job)

    def over(self, budgets: Budgets) -> str:
        """Which budget it is over, in words."""
        if self.job is None:
            return ""
        budget = budgets.of(self.step)
        name = self.step or "reading"
        minutes = (time.monotonic() - self.since) / 60
        if minutes > budget.minutes:
            return f"{name} took more than its budget of {budget.minutes:g} minutes"
        try:
            used = psutil.Process(self.process.pid).memory_info().rss / GB
        except psutil.Error:
            return ""
        if used > budget.memory_gb:
            return (
                f"{name} took {used:.1f} GB of memory, over its budget of {budget.memory_gb:g} GB"
            )
        return ""


class Workers:
    """As many processes as are asked for; one that dies is replaced when there is something to do.

    They are forked from a server that has loaded torch and its like once, so that a new one is there at once.

    Args:
        count: of processes.
        threads: that each computes with.
        budgets: of each step.
    """

    def __init__(self, count: int, threads: int, budgets: Budgets) -> None:
        self.count, self.threads, self.budgets = count, threads, budgets
        self._workers: list[Worker] = []
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["pipelines.cohort.task"])

    @property
    def busy(self) -> list[Worker]:
        """Those with a job."""
        return [worker for worker in self._workers if worker.job is not None]

    def free(self) -> Worker | None:
        """One without a job, started where there are fewer than asked for."""
        for worker in self._workers:
            if worker.job is None and worker.process.is_alive():
                return worker
        self._workers = [w for w in self._workers if w.job is not None]
        if len(self._workers) >= self.count:
            return None
        mine, its = self._context.Pipe()
        process = self._context.Process(target=serve, args=(its,), daemon=True)
        with for_children(self.threads), _without_main():
            process.start()
        its.close()
        worker = Worker(process, mine)
        self._workers.append(worker)
        return worker

    def heard(self, seconds: float) -> list[tuple[Job, Told]]:
        """What the workers tell within some seconds, and which of them are gone."""
        busy = self.busy
        by_handle = {w.pipe: w for w in busy} | {w.process.sentinel: w for w in busy}
        ready = wait(list(by_handle), seconds)
        told: list[tuple[Job, Told]] = []
        for worker in {id(by_handle[handle]): by_handle[handle] for handle in ready}.values():
            told += self._listen(worker)
        for worker in self.busy:
            if budget := worker.over(self.budgets):
                told += self._listen(worker, budget)
        return told

    def _listen(self, worker: Worker, budget: str = "") -> list[tuple[Job, Told]]:
        job, told = worker.job, list[tuple[Job, Told]]()
        if job is None:
            return told
        try:
            while worker.pipe.poll():
                said = worker.pipe.recv()
                told.append((job, said))
                if isinstance(said, Begun):
                    worker.step, worker.since = said.step, time.monotonic()
                else:
                    worker.job = None
        except (EOFError, OSError):
            pass
        if worker.job is None or (not budget and worker.process.is_alive()):
            return told
        if budget:
            worker.process.kill()
        worker.process.join(10)
        worker.job = None
        told.append((job, Lost(job, worker.step, budget, worker.process.exitcode or 0)))
        return told

    def stop(self, *, now: bool = False) -> None:
        """End all processes; those with a job too where it has to be now."""
        for worker in self._workers:
            if now:
                worker.process.kill()
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(10)
            if worker.process.is_alive():
                worker.process.kill()
        self._workers = []


def how_many(asked: int | None, memory_gb: float, cores: int, patients: int) -> int:
    """Workers that cores and free memory allow for.

    Args:
        asked: takes precedence.
        memory_gb: budget of one.
        cores: of this process.
        patients: more workers than these have nothing to do.
    """
    by_memory = int(psutil.virtual_memory().available / GB / memory_gb)
    return max(1, min(asked or min(cores, by_memory), patients))
