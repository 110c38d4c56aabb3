"""Filters of variants that say what they remove, and never remove what matters.

Each filter counts the rows that it takes from what the filters before it left, so that counts add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.calls import Calls
from models.genomics.oncogenicity import COMMON
from models.genomics.origin import IN_POPULATION, is_common_enough

LEAST_DEPTH, LEAST_ALTERNATE, LEAST_FRACTION = 20, 4, 0.05


@dataclass(frozen=True)
class Entry:
    """What one filter did.

    Args:
        removed: rows.
        kept_despite: rows that it would have removed and that are of tier I or II.
    """

    name: str
    why: str
    removed: int
    kept_despite: int


@dataclass(frozen=True)
class Ledger:
    """Which rows are left, and what removed the others.

    Args:
        kept: for each row.
        removed_by: the filter's name for each row, empty where it is kept.
    """

    kept: NDArray[np.bool_]
    removed_by: NDArray[np.object_]
    entries: tuple[Entry, ...]


def filter_calls(calls: Calls, protected: NDArray[np.bool_], chosen: Sequence[str]) -> Ledger:
    """Apply filters by their names, in the order of :data:`FILTERS`.

    Args:
        calls: of one tumor.
        protected: rows that no filter removes: tier I and II.
        chosen: names of filters.
    """
    kept = np.ones(len(calls), bool)
    removed_by = np.full(len(calls), "", object)
    entries = []
    for name, (why, fails) in FILTERS.items():
        if name not in chosen:
            continue
        failing = kept & fails(calls)
        taken = failing & ~protected
        entries.append(Entry(name, why, int(taken.sum()), int((failing & protected).sum())))
        removed_by[taken] = name
        kept &= ~taken
    return Ledger(kept, removed_by, tuple(entries))


def _column(calls: Calls, name: str, missing: object) -> NDArray[np.float64]:
    return np.asarray(pc.fill_null(calls.table[name], missing))


def _not_in_tumor(calls: Calls) -> NDArray[np.bool_]:
    return ~_column(calls, "in_tumor", False).astype(bool)


def _failed(calls: Calls) -> NDArray[np.bool_]:
    return ~calls.passed


def _germline(calls: Calls) -> NDArray[np.bool_]:
    return np.asarray(pc.equal(pc.fill_null(calls.table["status"], ""), "germline"))


def _common(calls: Calls) -> NDArray[np.bool_]:
    return _column(calls, "population_frequency", 0.0) >= COMMON


def _shallow(calls: Calls) -> NDArray[np.bool_]:
    depth, alternate = (_column(calls, n, 10**6) for n in ("tumor_depth", "tumor_alt_depth"))
    return (depth < LEAST_DEPTH) | (alternate < LEAST_ALTERNATE)


def _rare_reads(calls: Calls) -> NDArray[np.bool_]:
    return _column(calls, "vaf", 1.0) < LEAST_FRACTION


def _silent(calls: Calls) -> NDArray[np.bool_]:
    impact = pc.fill_null(calls.table["impact"], "MODERATE")  # what is not annotated may alter it
    return ~np.asarray(pc.is_in(impact, value_set=pa.array(["MODERATE", "HIGH"])))


FILTERS = {
    "not in the tumor": ("the tumor sample does not show the allele", _not_in_tumor),
    "caller's filter": ("the caller did not pass it", _failed),
    "germline": ("the caller calls it germline", _germline),
    "common": (f"at least {COMMON:.0%} of the population have it", _common),
    "likely germline": (
        f"a heuristic: no normal sample, and at least {IN_POPULATION:.1%} of the population have it",
        is_common_enough,
    ),
    "few reads": (
        f"depth below {LEAST_DEPTH}, or fewer than {LEAST_ALTERNATE} reads with it",
        _shallow,
    ),
    "low fraction": (f"VAF below {LEAST_FRACTION:.0%}", _rare_reads),
    "no change of protein": ("the annotated impact is neither moderate nor high", _silent),
}
"""By name: why, and which rows fail."""
USUAL = (
    "not in the tumor", "caller's filter", "germline", "common", "likely germline", "no change of protein",
)  # fmt: skip
