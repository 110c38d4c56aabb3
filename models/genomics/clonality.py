"""How many copies of a variant a tumor cell has, from reads, purity and segments; a hint, no phylogeny.

With purity p, N copies in the tumor's cells and two in normal ones, an allele fraction f means
u = f (p N + 2 (1 - p)) / p copies in each tumor cell on average (McGranahan 2015,
doi:10.1126/scitranslmed.aaa1408). A variant in every cell has at least one.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.calls import Calls
from data.copy_number import CopyNumber
from data.genome import CHROMOSOMES, plain
from models.genomics.copy_number import DIPLOID, copies_of
from models.genomics.fraction import interval

Clonality = Literal["in every cell", "in some cells", "open", "not known"]
LEAST_COPIES = 0.9
"""Copies per tumor cell that count as one, given how well purity is ever known."""


def local_copies(calls: Calls, copy_number: CopyNumber) -> NDArray[np.float64]:
    """Copies in the tumor's cells where each call is; NaN where no segment is, or on X and Y."""
    purity = copy_number.purity
    copies = np.full(len(calls), np.nan)
    if purity is None:
        return copies
    chromosomes = np.array([plain(str(c)) for c in calls.texts("chromosome")], object)
    positions = np.asarray(calls.table["position"])
    for segment in copy_number.segments:
        if segment.chromosome in CHROMOSOMES[:22]:
            inside = (
                (chromosomes == segment.chromosome)
                & (positions >= segment.start)
                & (positions <= segment.end)
            )
            copies[inside] = copies_of(segment.log2, purity, copy_number.ploidy)
    return copies


def clonality(calls: Calls, copy_number: CopyNumber | None) -> list[Clonality]:
    """Of each call whether every tumor cell has it: the 95 % interval of its copies lies above or below one.

    "Open" where the interval holds both; "not known" without purity, segment or reads.
    """
    if copy_number is None or copy_number.purity is None:
        return ["not known"] * len(calls)
    purity, copies = copy_number.purity, local_copies(calls, copy_number)
    reads = (calls.table[name].to_pandas() for name in ("tumor_alt_depth", "tumor_depth"))
    factor = (purity * copies + DIPLOID * (1 - purity)) / purity
    low, high = (factor * bound for bound in interval(*reads))
    return [_told(a, b) for a, b in zip(low, high, strict=True)]


def _told(low: float, high: float) -> Clonality:
    if not np.isfinite(low + high):
        return "not known"
    if low >= LEAST_COPIES:
        return "in every cell"
    return "in some cells" if high < LEAST_COPIES else "open"
