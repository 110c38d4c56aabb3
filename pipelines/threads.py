"""How many threads one process computes with: said once, here, for all libraries."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLES = (
    "OMP_NUM_THREADS",  # torch, OpenBLAS of numpy and scipy, scikit-learn, OpenVINO by torch's count
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMBA_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",  # SimpleITK's registrations
)
OWN = "AVATAR_THREADS"
"""For the project's own solvers, which would else take all cores."""


MOST = 8
"""Of the own solvers: more gain nothing (benchmarks/twin.py)."""


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """Of the own solvers: what :func:`for_children` said, else all cores."""
    told = os.environ.get(OWN, "")
    return min(MOST, max(1, int(told)) if told.isdigit() else cores())


@contextmanager
def for_children(count: int) -> Iterator[None]:
    """Processes that are started within have so many threads; libraries read it when they are loaded."""
    before = {name: os.environ.get(name) for name in (*VARIABLES, OWN)}
    os.environ.update(dict.fromkeys(before, str(count)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
