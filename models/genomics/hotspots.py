"""Alleles that were seen again and again, by their place in the genome: names for variants nobody annotated.

It knows hotspots, no genome: what it does not have may be anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from data.genome import plain
from data.genomics import Build
from data.transcripts import reverse_complement
from models.genomics.effect import IMPACTS, Change
from models.genomics.hgvs import residues
from models.genomics.translation import CODE

BUILDS: tuple[Build, ...] = ("GRCh37", "GRCh38")


@dataclass(frozen=True)
class Hotspot:
    """One allele on the forward strand, trimmed of what both share.

    Args:
        positions: by build; of the first base of ``reference``, or the one behind an insertion.
        protein: in one-letter code.
        codon: in the direction of the gene, the exchanged base in upper case (``cGt``); empty where it is not
            known, or the allele is no exchange of one base.
        patients: with this protein change.
    """

    gene: str
    transcript: str
    chromosome: str
    positions: Mapping[Build, int]
    reference: str
    alternate: str
    consequence: str
    coding: str
    protein: str
    codon: str
    patients: int

    @property
    def place_in_codon(self) -> int:
        """0 to 2."""
        return next(n for n, base in enumerate(self.codon) if base.isupper())

    @property
    def strand(self) -> int:
        """Of the gene, by its codon."""
        return 1 if self.codon[self.place_in_codon] == self.reference else -1


@dataclass(frozen=True)
class Named:
    """What the index says of an allele: the columns that an annotator fills."""

    gene: str
    transcript: str | None
    consequence: str
    hgvs_coding: str | None
    hgvs_protein: str
    seen_as: Literal["allele", "codon"]

    @property
    def impact(self) -> str:
        """Of its gravest term."""
        ranked = [IMPACTS[term] for term in self.consequence.split("&") if term in IMPACTS]
        order = ("HIGH", "MODERATE", "LOW", "MODIFIER")
        return min(ranked, key=order.index, default="MODIFIER")


@dataclass(frozen=True)
class HotspotIndex:
    """Hotspots by place.

    Args:
        source: the cohorts in which they were counted.
    """

    hotspots: tuple[Hotspot, ...]
    source: str
    _alleles: Mapping[tuple[Build, str, Change], Hotspot] = field(init=False, repr=False)
    _codons: Mapping[tuple[Build, str, int], tuple[Hotspot, int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Sort by place."""
        alleles: dict[tuple[Build, str, Change], Hotspot] = {}
        codons: dict[tuple[Build, str, int], tuple[Hotspot, int]] = {}
        for spot in self.hotspots:
            for build, position in spot.positions.items():
                change = Change(position, spot.reference, spot.alternate)
                alleles[build, spot.chromosome, change] = spot
                for place in range(3) if spot.codon else ():
                    at = position + spot.strand * (place - spot.place_in_codon)
                    codons.setdefault((build, spot.chromosome, at), (spot, place))
        object.__setattr__(self, "_alleles", alleles)
        object.__setattr__(self, "_codons", codons)

    def places(self, build: Build) -> Mapping[str, list[int]]:
        """Positions that are known, by chromosome."""
        found = defaultdict(list)
        for own, chromosome, at in self._codons:
            if own == build:
                found[chromosome].append(at)
        for own, chromosome, change in self._alleles:
            if own == build:
                found[chromosome].append(change.first)
        return found

    def find(self, build: Build, chromosome: str, change: Change) -> Named | None:
        """What an allele is: seen itself, or another exchange of one base in a codon that is known."""
        name = plain(chromosome)
        spot = self._alleles.get((build, name, change))
        if spot is not None:
            return Named(
                spot.gene, spot.transcript or None, spot.consequence, spot.coding or None,
                f"p.{spot.protein}", "allele",
            )  # fmt: skip
        if len(change.reference) != 1 or len(change.alternate) != 1:
            return None
        known = self._codons.get((build, name, change.first))
        return None if known is None else _exchanged(*known, change)


def _exchanged(spot: Hotspot, place: int, change: Change) -> Named | None:
    codon = spot.codon.upper()
    reference, alternate = change.reference, change.alternate
    if spot.strand < 0:
        reference, alternate = reverse_complement(reference), reverse_complement(alternate)
    if codon[place] != reference:
        return None  # of another build than it says
    before, after = CODE[codon], CODE[codon[:place] + alternate + codon[place + 1 :]]
    residue = "".join(c for c in spot.protein[1:].split("_")[0] if c.isdigit())
    coding = spot.coding.removeprefix("c.")
    number = "".join(c for c in coding if c.isdigit())
    coding = (
        f"c.{int(number) + place - spot.place_in_codon}{reference}>{alternate}" if number else ""
    )
    if before == after:
        return None  # silent, unless the codon ends an exon, which the index does not know
    term = "stop_lost" if before == "*" else "stop_gained" if after == "*" else "missense_variant"
    protein = f"p.{residues(before)}{residue}{residues(after)}"
    return Named(spot.gene, spot.transcript or None, term, coding or None, protein, "codon")
