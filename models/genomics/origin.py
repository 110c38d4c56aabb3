"""Whether a variant was inherited, where no normal sample tells: heuristics, and called so.

By frequency in the population, by being a hotspot, and where purity and copies are known by the share of
reads: an inherited variant is in normal cells too, so that it shows (p m + 1 - p) / (p N + 2 (1 - p)) of the
reads, all of them from both parents, and a somatic one p m / (p N + 2 (1 - p)), for purity p and m of N copies
in a tumor cell (Sun 2018, doi:10.1371/journal.pcbi.1005965). A tumor without normal cells leaves that open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.stats import norm

from data.calls import Calls
from data.copy_number import CopyNumber
from models.genomics.clonality import local_copies
from models.genomics.copy_number import DIPLOID

Label = Literal[
    "somatic",
    "germline",
    "other",
    "against normal",
    "not told",
    "likely germline",
    "likely somatic",
    "open",
]
IN_POPULATION = 0.001
"""Frequency from which a variant is rather inherited than somatic."""
TIMES = 10.0
"""How much likelier one origin has to be."""
UNFIT = 0.01
"""Two-sided p below which a share of reads fits no inherited variant."""
MOST_COPIES = 12
ERROR = 0.005
"""Share of reads that are wrong, which keeps every share off 0 and 1."""
SPREAD = 200.0
"""Reads that would scatter as much as mapping, and errors of purity and copies, do beside the counting."""
LARGE = 1e9
"""Minus this is the log density of what cannot be."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Origin:
    """Where a variant is from, and what says so; ``likely`` is a heuristic."""

    label: Label
    reason: str


def origins(
    calls: Calls, copy_number: CopyNumber | None, is_hotspot: Callable[[str, str], bool]
) -> list[Origin]:
    """Of each call.

    Args:
        calls: of one tumor.
        copy_number: with purity, where it is known.
        is_hotspot: of a gene and a protein change in one-letter code or HGVS.
    """
    status = calls.texts("status")
    said: dict[str, Label] = {"somatic": "somatic", "germline": "germline"}
    if not calls.is_tumor_only:
        rest = Origin("not told", "the file does not say whether there was a normal sample")
        if calls.normal_sample is not None:
            rest = Origin("against normal", "called against a normal sample")
        return [
            rest if s is None else Origin(said.get(s, "other"), f"{s} by the caller")
            for s in status
        ]
    frequency = np.asarray(pc.fill_null(calls.table["population_frequency"], 0.0))
    genes, changes = calls.texts("gene"), calls.texts("hgvs_protein")
    by_reads = _by_reads(calls, copy_number)
    found = []
    for n, one in enumerate(status):
        if one in said:
            found.append(Origin(said[one], f"{one} by the caller"))
        elif frequency[n] >= IN_POPULATION:
            found.append(Origin("likely germline", f"{frequency[n]:.2%} of the population have it"))
        elif genes[n] and changes[n] and is_hotspot(genes[n], changes[n]):
            found.append(Origin("likely somatic", "a hotspot"))
        else:
            found.append(by_reads[n])
    return found


def is_common_enough(calls: Calls) -> NDArray[np.bool_]:
    """Calls that neither caller nor normal sample tells of, and that so many have as to be rather inherited."""
    frequency = np.asarray(pc.fill_null(calls.table["population_frequency"], 0.0))
    untold = np.asarray(pc.is_null(calls.table["status"]))
    return calls.is_tumor_only & untold & (frequency >= IN_POPULATION)


def _by_reads(calls: Calls, copy_number: CopyNumber | None) -> list[Origin]:
    untold = Origin("open", "no normal sample, and nothing else tells")
    purity = None if copy_number is None else copy_number.purity
    if copy_number is None or purity is None:
        return [untold] * len(calls)
    copies = local_copies(calls, copy_number)
    alternate, depth = (
        calls.table[name].to_pandas().to_numpy(float) for name in ("tumor_alt_depth", "tumor_depth")
    )
    usable = np.isfinite(alternate + depth + copies) & (depth > 0) & (alternate <= depth)
    found = [untold] * len(calls)
    at = np.flatnonzero(usable)
    compared = _compared(alternate[at], depth[at], copies[at], purity)
    for n, fit, inherited, acquired in zip(at, *compared, strict=True):
        told = f"{alternate[n] / depth[n]:.0%} of reads at a purity of {purity:.0%} and {copies[n]:.1f} copies"
        if fit < UNFIT and acquired >= np.log(TIMES):
            found[n] = Origin("likely somatic", f"{told} fit no inherited variant")
        elif fit >= UNFIT and inherited >= np.log(TIMES):
            found[n] = Origin("likely germline", f"{told} fit an inherited variant")
        else:
            found[n] = Origin("open", f"no normal sample, and {told} fit both")
    return found


def _compared(
    alternate: Floats, depth: Floats, copies: Floats, purity: float
) -> tuple[Floats, Floats, Floats]:
    """Two-sided p of the inherited variant that fits best; log ratio of its density to that of a somatic one
    of every tumor cell; and of any somatic one, of some cells too, to its own.
    """
    whole = np.clip(np.round(copies), 0, MOST_COPIES)
    cells = np.maximum(purity * copies + DIPLOID * (1 - purity), ERROR)
    seen, both_parents = alternate / depth, np.ones(len(depth))
    away = np.full(
        len(depth), np.inf
    )  # in standard deviations, of the inherited one that fits best
    inherited, acquired = np.full(len(depth), -LARGE), np.full(len(depth), -LARGE)
    for m in range(MOST_COPIES + 1):
        there = m <= whole
        for share in ((purity * m + 1 - purity) / cells, both_parents):
            distance, density = _likeness(seen, depth, share)
            away = np.where(there, np.minimum(away, np.abs(distance)), away)
            inherited = np.where(there, np.maximum(inherited, density), inherited)
        if m:
            _, density = _likeness(seen, depth, purity * m / cells)
            acquired = np.where(there, np.maximum(acquired, density), acquired)
    _, any_share = _likeness(seen, depth, np.minimum(seen, purity * np.maximum(copies, 1) / cells))
    return 2 * norm.sf(away), inherited - acquired, any_share - inherited


def _likeness(seen: Floats, depth: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Distance of shares of reads from an expected one in standard deviations, and the log density there."""
    expected = np.clip(share, ERROR, 1 - ERROR)
    deviation = np.sqrt(expected * (1 - expected) * (1 / depth + 1 / SPREAD))
    distance = (seen - expected) / deviation
    return distance, norm.logpdf(distance) - np.log(deviation)
