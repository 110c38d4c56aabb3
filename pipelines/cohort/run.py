"""``avatar cohort run``: all patients of a cohort side by side, and on with it after any kind of stop."""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from data.errors import StoreError, StudyError
from data.files import HOST, abandoned, replace_atomically
from data.store import AvatarStore
from pipelines.cohort.config import CohortConfig
from pipelines.cohort.discover import FoundStudy, discover
from pipelines.cohort.records import (
    PATIENTS,
    PatientRecord,
    inputs_of,
    patients_of,
    read_record,
    readable,
    record_path,
    records_of,
    run_of,
    why,
    write_config,
    write_record,
    write_text,
)
from pipelines.cohort.workers import Begun, Job, Lost, Refused, Workers, how_many
from pipelines.steps import STEPS
from pipelines.threads import cores

PROGRESS, LOG, LOCK, CANCEL = "progress.json", "log.txt", "lock", "cancel"
PLAN, REPORT = "plan.json", "quality.html"
MOST_ATTEMPTS = 2
"""Of a patient whose worker was killed: a machine may have been short of memory once, not twice."""
HEARD_SECONDS = 0.5
LOOKING = "looking at what has changed"
ASKED = "it was asked to; run the same command to go on"
SHOWN_SECONDS = 2.0
"""Between two writings of the progress, for the board."""


class _AskedToStop(Exception):
    """Before anybody was run."""


@dataclass(frozen=True)
class Planned:
    """A patient, and why there is something to do; empty where there is not.

    Args:
        record: of the last time.
    """

    study: FoundStudy
    why: str
    record: PatientRecord | None


@dataclass
class Progress:
    """Where a run stands, for who watches.

    Args:
        state: of the run.
        total: patients to be run now.
        kept: who was run before, from the same inputs.
        kept_failed: how many of them have no avatar.
        done: finished now; ``failed`` those that were not.
        running: patient to step.
        steps: how often each was computed.
        step_seconds: all in all.
        failures: patient and error, the latest last.
    """

    name: str
    state: str = "running"
    total: int = 0
    kept: int = 0
    kept_failed: int = 0
    done: int = 0
    failed: int = 0
    workers: int = 0
    running: dict[str, str] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    step_seconds: dict[str, float] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    at: str = ""

    @property
    def left(self) -> int:
        """Patients that are not finished."""
        return self.total - self.done - self.failed

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far; None before there is one."""
        finished = self.done + self.failed
        return None if not finished else self.seconds / finished * self.left


@dataclass(frozen=True)
class Finished:
    """What a run came to.

    Args:
        records: of the patients that were run by now, in order.
        patients: of the cohort.
        stopped: why before its end; empty otherwise.
        was_asked: whether somebody wanted it stopped.
        recomputed: patients that there was something to do for.
    """

    run: Path
    records: tuple[PatientRecord, ...]
    patients: int
    stopped: str
    was_asked: bool
    recomputed: int
    workers: int
    seconds: float

    @property
    def failed(self) -> tuple[PatientRecord, ...]:
        """Patients without an avatar."""
        return tuple(record for record in self.records if record.status == "failed")


def plan(
    path: Path,
    store_folder: Path,
    *,
    resume: bool = True,
    retry_failed: bool = False,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> list[Planned]:
    """All patients, and why each has to be run.

    Args:
        path: of the cohort's YAML.
        store_folder: of the avatars.
        resume: leave out who is done, from the same inputs.
        retry_failed: run those again whose input was to blame.
        on_step: told how many were looked at; files of those that were run before are read for it.

    Raises:
        AvatarError: no study, or a store that cannot be used.
    """
    config, run = run_of(path, store_folder)
    with AvatarStore(store_folder) as store:
        digests = store.digests()
        planned = []
        found = discover(config, path.parent, run)
        for number, study in enumerate(found):
            record = read_record(record_path(run, study.patient))
            reason = why(
                record,
                lambda study=study: inputs_of(study, config, store),  # type: ignore[misc]
                digests,
                retry_failed=retry_failed,
            )
            planned.append(Planned(study, reason or ("" if resume else "was asked for"), record))
            on_step(number + 1, len(found))
    return planned


def run_cohort(
    path: Path,
    store_folder: Path,
    *,
    resume: bool = True,
    retry_failed: bool = False,
    until: str | None = None,
    workers: int | None = None,
    on_change: Callable[[Progress], None] = lambda progress: None,
    is_asked_to_stop: Callable[[], int] = lambda: 0,
) -> Finished:
    """Run all patients of a cohort that are not done.

    Args:
        path: of the cohort's YAML.
        store_folder: of the avatars.
        resume: leave out who is done, from the same inputs.
        retry_failed: run those again whose input was to blame.
        until: step after which to stop each patient.
        workers: processes, instead of what the file says.
        on_change: told where it stands.
        is_asked_to_stop: 1 ends after the patients in hand, 2 at once.

    Raises:
        AvatarError: the cohort cannot be run at all, or is being run by somebody else.
    """
    if until is not None and until not in STEPS:
        raise StudyError(f"there is no step {until!r}; there are {', '.join(STEPS)}")
    config, run = run_of(path, store_folder)
    started = time.monotonic()
    with _locked(run):
        (run / CANCEL).unlink(missing_ok=True)
        for leftover in abandoned(run, "**"):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)
        looking = _Told(run, Progress(config.name, state=LOOKING), started, on_change)

        def looked(done: int, total: int) -> None:
            looking.shown.done, looking.shown.total = done, total
            looking.show()
            if is_asked_to_stop() or (run / CANCEL).exists():
                raise _AskedToStop

        try:
            planned = plan(
                path, store_folder, resume=resume, retry_failed=retry_failed, on_step=looked
            )
        except _AskedToStop:
            total, known = looking.shown.total, list(records_of(run).values())
            looking.shown = _before(config.name, known, state="stopped")
            looking.shown.total = max(0, total - len(known))
            looking.show(last=True)
            return Finished(
                run, (), total, ASKED, was_asked=True, recomputed=0, workers=0,
                seconds=time.monotonic() - started,
            )  # fmt: skip
        before, patients = patients_of(run), [one.study.patient for one in planned]
        write_config(run, path, config, patients)
        to_do = [one.study for one in planned if one.why]
        count = how_many(workers or config.workers, config.budgets.most_gb, cores(), len(to_do))
        if to_do or before != frozenset(
            patients
        ):  # what sums up the earlier ones is no longer true
            (run / REPORT).unlink(missing_ok=True)
        shown = _before(config.name, [one.record for one in planned if not one.why])
        shown.total, shown.workers = len(to_do), count
        telling = _Told(run, shown, started, on_change)
        driver = _Driver(config, store_folder, run, until, telling)
        try:
            stopped = driver.go(to_do, count, is_asked_to_stop) if to_do else ""
        finally:
            driver.end()
        found = records_of(run)
    records = tuple(found[patient] for patient in patients if patient in found)
    return Finished(
        run, records, len(planned), stopped, driver.was_asked, shown.done + shown.failed, count,
        time.monotonic() - started,
    )  # fmt: skip


def _before(name: str, kept: Sequence[PatientRecord | None], state: str = "running") -> Progress:
    """Where a run stands by what it keeps of an earlier one, before anybody is run."""
    failed = [(r.patient, r.error) for r in kept if r is not None and r.status == "failed"]
    return Progress(name, state, kept=len(kept), kept_failed=len(failed), failures=failed)


class _Told:
    """Where a run stands, for who watches here and for who reads it from its folder."""

    def __init__(
        self, run: Path, shown: Progress, started: float, on_change: Callable[[Progress], None]
    ) -> None:
        self.run, self.shown, self.started, self.on_change = run, shown, started, on_change
        self._written = 0.0

    def show(self, *, last: bool = False) -> None:
        """Tell it now; into the folder every other second, and at last."""
        shown = self.shown
        shown.seconds = time.monotonic() - self.started
        shown.at = datetime.now(UTC).isoformat(timespec="seconds")
        if last or time.monotonic() - self._written > SHOWN_SECONDS:
            with suppress(OSError):  # the records are what counts
                replace_atomically(self.run / PROGRESS, json.dumps(asdict(shown)).encode())
            self._written = time.monotonic()
        self.on_change(shown)


class _Driver:
    """Gives patients to workers, hears of them, and writes down what came of those that died."""

    def __init__(
        self,
        config: CohortConfig,
        store: Path,
        run: Path,
        until: str | None,
        telling: _Told,
    ) -> None:
        self.config, self.store, self.run, self.until = config, store, run, until
        self.telling, self.shown = telling, telling.shown
        self.stopped, self.was_asked = "", False

    def go(self, studies: list[FoundStudy], count: int, is_asked: Callable[[], int]) -> str:
        """Until all are finished; why not, where it ends before."""
        waiting = deque((study, 1) for study in studies)
        threads = self.config.threads or max(1, cores() // count)
        workers = Workers(count, threads, self.config.budgets)
        now = False
        try:
            while waiting or workers.busy:
                asked = max(is_asked(), 1 if (self.run / CANCEL).exists() else 0)
                if asked and not self.stopped:
                    self.stopped = ASKED
                    self.was_asked = True
                if asked > 1:
                    now = True
                    break
                while waiting and not self.stopped and (worker := workers.free()) is not None:
                    study, attempts = waiting.popleft()
                    worker.give(Job(study, self.config, self.store, self.run, self.until, attempts))
                    self.shown.running[study.patient] = "starting"
                if self.stopped and not workers.busy:
                    break
                for job, told in workers.heard(HEARD_SECONDS):
                    if isinstance(told, Begun):
                        self.shown.running[job.study.patient] = told.step
                    elif again := self._ended(job, told):
                        waiting.append(again)
                self.telling.show()
        except KeyboardInterrupt:
            self.stopped, now = "it was interrupted; run the same command to go on", True
            self.was_asked = True
        finally:
            workers.stop(now=now)
        return self.stopped

    def _ended(
        self, job: Job, told: PatientRecord | Refused | Lost
    ) -> tuple[FoundStudy, int] | None:
        """Note what came of a patient; who has to be tried again."""
        patient = job.study.patient
        self.shown.running.pop(patient, None)
        if isinstance(told, Refused):
            self.stopped = self.stopped or told.error
            return None
        if isinstance(told, Lost):
            if not told.budget and job.attempts < MOST_ATTEMPTS and not self.stopped:
                self._log(f"{patient}: its worker was killed; it is tried once more")
                return job.study, job.attempts + 1
            told = self._record(told)
        if told.status == "failed":
            self.shown.failed += 1
            self.shown.failures.append((patient, told.error))
            if told.fault == "storage":
                self.stopped = self.stopped or told.error
        else:
            self.shown.done += 1
        for step in told.steps:
            counts, spent = self.shown.steps, self.shown.step_seconds
            counts[step.step] = counts.get(step.step, 0) + 1
            spent[step.step] = spent.get(step.step, 0.0) + step.seconds
        self._log(f"{patient}: {told.error or told.status} ({told.seconds:.1f} s)")
        return None

    def _record(self, lost: Lost) -> PatientRecord:
        """Of a patient whose worker is no more."""
        source, step = readable(lost.job.study.source), lost.step or "reading"
        if lost.budget:
            error = f"{source}: {lost.budget}; raise it under 'budgets' in the cohort's file if it has to"
        else:
            how = f"signal {-lost.exit_code}" if lost.exit_code < 0 else f"exit {lost.exit_code}"
            error = (
                f"{source}: its worker was killed ({how}) in {step}, {lost.job.attempts} times; most likely "
                "the machine was short of memory: give the cohort fewer workers"
            )
        record = PatientRecord(
            patient=lost.job.study.patient, source=source, status="failed", error=error,
            fault="budget" if lost.budget else "crash", attempts=lost.job.attempts,
        )  # fmt: skip
        try:
            write_record(self.run, record)
        except StoreError as unwritten:
            self.stopped = self.stopped or str(unwritten)
        return record

    def end(self) -> None:
        """Say that nobody is at it any more."""
        ended = "finished" if self.until is None else f"finished up to {self.until}"
        self.shown.state = "stopped" if self.stopped or self.shown.left else ended
        self.shown.running = {}
        self._log(f"{self.shown.state}: {self.shown.done} done, {self.shown.failed} failed")
        self.telling.show(last=True)

    def _log(self, words: str) -> None:
        line = f"{datetime.now(UTC).isoformat(timespec='seconds')} {words}\n"
        with suppress(OSError), (self.run / LOG).open("a") as file:
            file.write(line)


def write_plan(path: Path, store_folder: Path, *, retry_failed: bool = False) -> list[Planned]:
    """For another engine: who is to be run, whose earlier records are taken away, so that they are missing.

    In the plan are ``patients``, all of them, and ``to_run``, those whose records are to come.

    Raises:
        AvatarError: the cohort cannot be run at all, or is being run by somebody else.
    """
    config, run = run_of(path, store_folder)
    with _locked(run):
        planned = plan(path, store_folder, retry_failed=retry_failed)
        for one in planned:
            if one.why:
                record_path(run, one.study.patient).unlink(missing_ok=True)
        (run / REPORT).unlink(missing_ok=True)
        patients = [one.study.patient for one in planned]
        write_config(run, path, config, patients)
        told = {"patients": patients, "to_run": [one.study.patient for one in planned if one.why]}
        write_text(run / PLAN, json.dumps(told, indent=1))
    return planned


def holder(pid: int | None = None) -> str:
    """A process of this machine as a lock names it: a later one with the same number is another.

    Raises:
        psutil.NoSuchProcess: there is none.
    """
    process = psutil.Process(pid)
    return f"{HOST} {process.pid} {process.create_time()}"


@contextmanager
def _locked(run: Path) -> Iterator[None]:
    """By one driver at a time; the lock ends with its process, however that ends."""
    try:
        (run / PATIENTS).mkdir(parents=True, exist_ok=True)
        file = (run / LOCK).open("a+")
    except OSError as error:
        raise StoreError(
            f"{run}: cannot be written ({error.strerror}); choose another store with --store"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StudyError(
                f"{run}: is being run already; wait for that run, or cancel it on the board or with Ctrl-C"
            ) from error
        file.truncate(0)
        file.write(holder())
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
