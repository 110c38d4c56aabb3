"""Long work behind a page: it goes on while the page is redrawn, says how far it is, and can be cancelled."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

KEPT = 64
"""Finished jobs whose results are kept, the latest ones."""

Progress = Callable[[int, int], None]


class _Cancelled(Exception):
    """Raised inside the work when nobody wants it any more."""


@dataclass
class Job:
    """One piece of work and what became of it."""

    done: int = 0
    total: int = 0
    result: Any = None
    error: Exception | None = None
    finished: bool = False
    _unwanted: threading.Event = field(default_factory=threading.Event)

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        return self.done / self.total if self.total else 0.0

    @property
    def cancelled(self) -> bool:
        """Whether it was told to stop."""
        return self._unwanted.is_set()

    def cancel(self) -> None:
        """Stop it at its next report."""
        self._unwanted.set()

    def report(self, done: int, total: int) -> None:
        """Called by the work; ends it where it was cancelled."""
        self.done, self.total = done, total
        if self._unwanted.is_set():
            raise _Cancelled


class Jobs:
    """Work by key, one piece at a time; the same key is never worked on twice at once."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="avatar-job")
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()

    def want(self, key: str, work: Callable[[Progress], Any]) -> Job:
        """The job of a key, started if it is new or was cancelled."""
        with self._lock:
            known = self._jobs.get(key)
            if known is not None and not known.cancelled:
                self._jobs.move_to_end(key)
                return known
            job = self._jobs[key] = Job()
            self._jobs.move_to_end(key)
            finished = [k for k, j in self._jobs.items() if j.finished]
            for old in finished[: max(0, len(self._jobs) - KEPT)]:
                del self._jobs[old]
        self._pool.submit(self._run, job, work)
        return job

    def find(self, key: str) -> Job | None:
        """The job of a key, if there is one that nobody cancelled."""
        job = self._jobs.get(key)
        return None if job is None or job.cancelled else job

    @staticmethod
    def _run(job: Job, work: Callable[[Progress], Any]) -> None:
        try:
            job.report(0, 0)
            job.result = work(job.report)
        except _Cancelled:
            pass
        except Exception as error:  # shown where the result would be
            job.error = error
        finally:
            job.finished = True
