"""From segments to arms and genes: what is gained and lost, and how much of the genome.

An arm is gained (lost) where at least 80 % of what is covered lies beyond a log2 ratio of 0.1 (GISTIC's limit
for broad events; Mermel 2011, doi:10.1186/gb-2011-12-4-r41) and at least half of it is covered. A gene is
amplified from four copies more than the ploidy, and homozygously deleted below half a copy, where the purity is
known; else from log2 ratios of 1 and -1, which in an impure tumor miss some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from data.copy_number import Arm, ArmCall, CopyNumber, GeneCall, GeneCopies, Segment
from data.genome import CHROMOSOMES, LENGTHS
from data.genomics import Build

BEYOND, WHOLE, COVERED = 0.1, 0.8, 0.5
HIGH, DEEP, PART_OF_GENE = 1.0, -1.0, 0.1
MORE_COPIES, NO_COPY = 4.0, 0.5
DIPLOID = 2.0
AUTOSOMES = CHROMOSOMES[:22]
"""The sex is not told, so nothing is called on X and Y."""
ACROCENTRIC = ("13", "14", "15", "21", "22")
"""Whose short arms no assay covers."""
CENTROMERES_MB: Mapping[Build, tuple[float, ...]] = {
    "GRCh37": (
        125.0, 93.3, 91.0, 50.4, 48.4, 61.0, 59.9, 45.6, 49.0, 40.2, 53.7, 35.8,
        17.9, 17.6, 19.0, 36.6, 24.0, 17.2, 26.5, 27.5, 13.2, 14.7, 60.6, 12.5,
    ),
    "GRCh38": (
        123.4, 93.9, 90.9, 50.0, 48.8, 59.8, 60.1, 45.2, 43.0, 39.8, 53.4, 35.5,
        17.7, 17.2, 19.0, 36.8, 25.1, 18.5, 26.2, 28.1, 12.0, 15.0, 61.0, 10.4,
    ),
}  # fmt: skip
"""By :data:`~data.genome.CHROMOSOMES`, to 0.1 Mb; UCSC's bands."""
GENES: Mapping[Build, Mapping[str, tuple[str, int, int]]] = {
    "GRCh37": {
        "PDGFRA": ("4", 55095264, 55164414), "EGFR": ("7", 55086714, 55324313),
        "MET": ("7", 116312444, 116438440), "FGFR1": ("8", 38268656, 38326352),
        "MYC": ("8", 128747680, 128753674), "CDKN2A": ("9", 21967751, 21995300),
        "PTEN": ("10", 89622870, 89731687), "CCND1": ("11", 69455855, 69469242),
        "CDK4": ("12", 58141510, 58149796), "MDM2": ("12", 69201956, 69239214),
        "RB1": ("13", 48877887, 49056122), "ERBB2": ("17", 37844347, 37884911),
    },
    "GRCh38": {
        "PDGFRA": ("4", 54229097, 54298247), "EGFR": ("7", 55019017, 55211628),
        "MET": ("7", 116672196, 116798386), "FGFR1": ("8", 38411138, 38468834),
        "MYC": ("8", 127735434, 127742951), "CDKN2A": ("9", 21967752, 21995324),
        "PTEN": ("10", 87863113, 87971930), "CCND1": ("11", 69641156, 69654474),
        "CDK4": ("12", 57747727, 57756013), "MDM2": ("12", 68808176, 68850686),
        "RB1": ("13", 48303744, 48481890), "ERBB2": ("17", 39688094, 39728658),
    },
}  # fmt: skip
"""Genes whose copies are told, by chromosome, start and end; Ensembl 75 and 110."""


def copies_of(log2: float, purity: float, ploidy: float = DIPLOID) -> float:
    """Copies in the tumor's cells of a segment, given that normal cells have two (Van Loo 2010).

    Args:
        log2: of the ratio to the sample's mean copy number.
        purity: share of tumor cells, above 0 to 1.
        ploidy: mean copies of the tumor's cells.
    """
    mean = purity * ploidy + DIPLOID * (1 - purity)
    return float(max(0.0, (2**log2 * mean - DIPLOID * (1 - purity)) / purity))


def copy_number(
    segments: Sequence[Segment],
    build: Build,
    sample: str,
    *,
    purity: float | None = None,
    ploidy: float = DIPLOID,
) -> CopyNumber:
    """Arms, genes and the share of the genome that is altered."""
    return CopyNumber(
        build=build, sample=sample, purity=purity, ploidy=ploidy, segments=tuple(segments),
        arms=tuple(_arms(segments, build)),
        genes=tuple(
            _gene(name, log2, purity, ploidy)
            for name, place in GENES[build].items()
            if (log2 := _at(segments, *place)) is not None
        ),
        altered=_altered(segments),
    )  # fmt: skip


def _arms(segments: Sequence[Segment], build: Build) -> list[Arm]:
    arms = []
    for number, chromosome in enumerate(AUTOSOMES):
        middle = round(CENTROMERES_MB[build][number] * 1e6)
        own = [s for s in segments if s.chromosome == chromosome]
        for arm, low, high in (("p", 1, middle), ("q", middle + 1, LENGTHS[build][number])):
            if arm == "q" or chromosome not in ACROCENTRIC:
                arms.append(_arm(f"{chromosome}{arm}", own, low, high))
    return arms


def _arm(name: str, own: Sequence[Segment], low: int, high: int) -> Arm:
    lengths = np.array([max(0, min(s.end, high) - max(s.start, low) + 1) for s in own], float)
    log2 = np.array([s.log2 for s in own], float)
    covered = min(1.0, lengths.sum() / (high - low + 1))
    total = lengths.sum() or 1.0
    gained, lost = lengths[log2 >= BEYOND].sum() / total, lengths[log2 <= -BEYOND].sum() / total
    call: ArmCall = "neutral"
    if covered < COVERED:
        call = "not covered"
    elif gained >= WHOLE:
        call = "gain"
    elif lost >= WHOLE:
        call = "loss"
    elif gained + lost > 1 - WHOLE:
        call = "partial"
    return Arm(
        name=name, covered=round(covered, 4), gained=round(min(1.0, gained), 4),
        lost=round(min(1.0, lost), 4), call=call,
    )  # fmt: skip


def _at(segments: Sequence[Segment], chromosome: str, start: int, end: int) -> float | None:
    """The log2 ratio farthest from 0 of the segments that cover a tenth of a gene or more; None without one."""
    over = [
        s.log2
        for s in segments
        if s.chromosome == chromosome
        and min(s.end, end) - max(s.start, start) + 1 >= PART_OF_GENE * (end - start + 1)
    ]
    return max(over, key=abs, default=None)


def _gene(name: str, log2: float, purity: float | None, ploidy: float) -> GeneCopies:
    copies = None if purity is None else copies_of(log2, purity, ploidy)
    high = log2 >= HIGH if copies is None else copies >= ploidy + MORE_COPIES
    deep = log2 <= DEEP if copies is None else copies < NO_COPY
    call: GeneCall = "neutral"
    if high:
        call = "amplification"
    elif deep:
        call = "homozygous deletion"
    elif abs(log2) >= BEYOND:
        call = "gain" if log2 > 0 else "loss"
    return GeneCopies(
        gene=name, log2=log2, copies=None if copies is None else round(copies, 2), call=call
    )


def _altered(segments: Sequence[Segment]) -> float:
    segments = [s for s in segments if s.chromosome in AUTOSOMES]
    lengths = np.array([s.end - s.start + 1 for s in segments], float)
    beyond = np.array([abs(s.log2) >= BEYOND for s in segments])
    return round(float(lengths[beyond].sum() / lengths.sum()), 4) if len(segments) else 0.0
