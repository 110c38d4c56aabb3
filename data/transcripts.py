"""Transcripts of a reference build: exons, coding part, and the reference's bases around them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data.genome import plain
from data.genomics import Build
from data.provenance import digest_of

FLANK = 60
"""Bases kept on both sides of an exon: an indel is moved within them to where HGVS wants it."""
UPSTREAM = 400
"""Bases kept ahead of the first exon, where promoter mutations lie."""
STOPS = ("TAA", "TAG", "TGA")
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def reverse_complement(bases: str) -> str:
    """The other strand, read in its own direction."""
    return bases.translate(_COMPLEMENT)[::-1]


@dataclass(frozen=True)
class Transcript:
    """One coding transcript. Positions are one-based on the forward strand, both ends included.

    Args:
        gene: its symbol.
        name: accession with version, where the annotation gives one.
        chosen_as: why it speaks for its gene: ``MANE Select``, ``Ensembl canonical``, ``longest coding``.
        chromosome: without ``chr``.
        strand: 1 or -1.
        exons: (first, last), ascending.
        coding: from the first base to the last of start codon to stop codon.
        starts: first position of each stretch of ``bases``, ascending.
        bases: the reference, on the forward strand.

    Raises:
        ValueError: exons out of order, or a coding part that no protein can be read from.
    """

    gene: str
    name: str
    chosen_as: str
    chromosome: str
    strand: int
    exons: tuple[tuple[int, int], ...]
    coding: tuple[int, int]
    starts: tuple[int, ...]
    bases: tuple[str, ...]

    def __post_init__(self) -> None:
        """Hold to what can be translated."""
        edges = [edge for exon in self.exons for edge in exon]
        if not edges or edges != sorted(edges):
            raise ValueError("its exons overlap or are out of order")
        sequence = self.coding_sequence
        if "N" in sequence:
            raise ValueError("its coding sequence has unknown bases")
        if len(sequence) % 3 or len(sequence) < 6:
            raise ValueError("its coding sequence is no multiple of three")
        if sequence[:3] != "ATG":
            raise ValueError("its coding sequence does not begin with ATG")
        if sequence[-3:] not in STOPS:
            raise ValueError("its coding sequence does not end with a stop codon")
        if any(sequence[n : n + 3] in STOPS for n in range(0, len(sequence) - 3, 3)):
            raise ValueError(
                "its coding sequence has a stop codon inside: a selenoprotein, or another reference"
            )

    @property
    def is_mane(self) -> bool:
        """Whether it is MANE Select."""
        return self.chosen_as == "MANE Select"

    @property
    def span(self) -> tuple[int, int]:
        """First and last position at which a variant is told by this transcript."""
        first, last = self.exons[0][0], self.exons[-1][1]
        return (first - UPSTREAM, last) if self.strand > 0 else (first, last + UPSTREAM)

    def reference(self, first: int, last: int) -> str | None:
        """The reference's bases on the forward strand; None where they are not kept."""
        for start, bases in zip(self.starts, self.bases, strict=True):
            if start <= first and last < start + len(bases):
                return bases[first - start : last - start + 1]
        return None

    @cached_property
    def spliced(self) -> str:
        """From the first base of the transcript to its last, in its direction."""
        forward = "".join(self.reference(*exon) or "N" * _length(exon) for exon in self.exons)
        return forward if self.strand > 0 else reverse_complement(forward)

    @cached_property
    def coding_sequence(self) -> str:
        """From start codon to stop codon."""
        first, last = self.coding if self.strand > 0 else self.coding[::-1]
        begin, end = self.index(first), self.index(last)
        return "" if begin is None or end is None else self.spliced[begin : end + 1]

    @cached_property
    def coding_start(self) -> int:
        """Index in :attr:`spliced` of the start codon's first base."""
        return self.index(self.coding[0] if self.strand > 0 else self.coding[1]) or 0

    def index(self, position: int) -> int | None:
        """Index in :attr:`spliced` of an exonic position; None for another."""
        passed = 0
        for exon in self.exons if self.strand > 0 else self.exons[::-1]:
            if exon[0] <= position <= exon[1]:
                return passed + (position - exon[0] if self.strand > 0 else exon[1] - position)
            passed += _length(exon)
        return None


def _length(exon: tuple[int, int]) -> int:
    return exon[1] - exon[0] + 1


@dataclass(frozen=True)
class Panel:
    """Transcripts of one build, and what they were made from.

    Args:
        annotation: name of the GTF.
        as_of: date or release that the GTF states, else when it was read.
    """

    build: Build
    annotation: str
    as_of: str
    transcripts: tuple[Transcript, ...]
    _spans: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Sort by chromosome."""
        found = defaultdict(list)
        for number, transcript in enumerate(self.transcripts):
            found[transcript.chromosome].append((number, *transcript.span))
        spans = {name: np.array(rows, np.int64) for name, rows in found.items()}
        object.__setattr__(
            self, "_spans", {name: (rows[:, 0], rows[:, 1:]) for name, rows in spans.items()}
        )

    @cached_property
    def digest(self) -> str:
        """Of all transcripts, so that two panels can be told apart."""
        return digest_of([[t.name, t.exons, t.coding, t.bases] for t in self.transcripts])

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        size = f"{len(self.transcripts)} genes, {self.digest[:8]}"
        return f"{self.annotation} ({self.as_of}), {self.build}, {size}"

    @property
    def genes(self) -> tuple[str, ...]:
        """Symbols."""
        return tuple(t.gene for t in self.transcripts)

    def over(self, chromosome: str, first: int, last: int) -> tuple[Transcript, ...]:
        """Transcripts that reach into a stretch."""
        known = self._spans.get(plain(chromosome))
        if known is None:
            return ()
        numbers, spans = known
        reached = (spans[:, 0] <= last) & (first <= spans[:, 1])
        return tuple(self.transcripts[n] for n in numbers[reached])
