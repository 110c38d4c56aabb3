"""Oncogenicity of small variants by points (ClinGen, CGC and VICC: Horak 2022, PMC9081216).

Of its criteria those are used that can be decided offline from a call, the gene's role, a table of recurrence
and an imported list of predicted drivers; functional studies are not, so that sums are rather too low than too
high. The published limits of recurrence are for 24,592 tumors; those here are for a table of some thousands,
and both counts are said with each point.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from data.evidence import Alteration, Oncogenicity, Point
from models.genomics.genes import Gene, GeneTable
from models.genomics.patterns import Pattern, change_of, is_null
from models.genomics.protein import ProteinChange, protein_change

COMMON, FREQUENT = 0.01, 0.05
"""Population frequencies that speak against (SBS1, SBVS1)."""
HOT_CODON, HOT_CHANGE = 20, 3
"""Patients of the table with a change at the codon, and with this change (OS3)."""
WARM_CHANGE, SEEN_CHANGE = 3, 2
"""Patients with this change at a codon that is less than hot (OM3), and few (OP3)."""


@dataclass(frozen=True)
class Recurrence:
    """In how many patients each protein change of a gene was seen.

    Args:
        changes: patients by gene and change in one-letter code.
        source: of the table.
    """

    changes: Mapping[tuple[str, str], int]
    source: str
    codons: Mapping[tuple[str, int], int] = field(init=False)

    def __post_init__(self) -> None:
        """Count substitutions by codon."""
        codons: dict[tuple[str, int], int] = {}
        for (gene, written), patients in self.changes.items():
            change = protein_change(written)
            if change is not None and change.kind == "substitution":
                codons[gene, change.start] = codons.get((gene, change.start), 0) + patients
        object.__setattr__(self, "codons", codons)


@dataclass(frozen=True)
class Judge:
    """Counts points.

    Args:
        genes: roles, domains, hotspots.
        recurrence: how often what was seen.
        established: what is known to be active, by gene.
        drivers: who names a protein change of a gene a driver by computation.
    """

    genes: GeneTable
    recurrence: Recurrence
    established: Mapping[str, Sequence[Pattern]]
    drivers: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def points(self, alteration: Alteration, *, hypermutated: bool = False) -> Oncogenicity:
        """The criteria that a small variant meets."""
        gene = self.genes.find(alteration.gene)
        change = change_of(alteration)
        met = [*self._population(alteration), *self._silent(alteration, change)]
        if gene is not None:
            met += self._null(alteration, gene, hypermutated)
            met += self._known(alteration, gene, change)
            met += self._recurrent(alteration, gene, change)
            met += self._predicted(alteration)
            met += self._place(gene, change, met)
        return Oncogenicity(points=tuple(met))

    def _population(self, alteration: Alteration) -> Iterable[Point]:
        frequency = None if alteration.variant is None else alteration.variant.population_frequency
        if frequency is None:
            return
        if frequency >= FREQUENT:
            yield Point(
                code="SBVS1", points=-8, reason=f"{frequency:.2%} of the population have it"
            )
        elif frequency >= COMMON:
            yield Point(code="SBS1", points=-4, reason=f"{frequency:.2%} of the population have it")

    def _silent(self, alteration: Alteration, change: ProteinChange | None) -> Iterable[Point]:
        if is_silent(alteration, change):
            yield Point(code="SBP2", points=-1, reason="synonymous, off the splice sites")

    def _null(self, alteration: Alteration, gene: Gene, hypermutated: bool) -> Iterable[Point]:
        if not gene.can_be_lost or not is_null(alteration):
            return
        change = change_of(alteration)
        if gene.dispensable_from and change and change.start >= gene.dispensable_from:
            return  # so late that the protein works
        reason = f"leaves no working protein of {alteration.gene}, a tumor suppressor"
        if hypermutated:
            yield Point(
                code="OVS1", points=4, reason=reason + "; half, since a hypermutated tumor hits many by chance"
            )  # fmt: skip
        else:
            yield Point(code="OVS1", points=8, reason=reason)

    def _known(
        self, alteration: Alteration, gene: Gene, change: ProteinChange | None
    ) -> Iterable[Point]:
        written = None if alteration.variant is None else alteration.variant.protein_change
        known = self.established.get(self.genes.current(alteration.gene), ())
        if written in gene.hotspots:
            yield Point(code="OS2", points=4, reason="its activity is well studied")
        elif any(pattern.fits(alteration, oncogenic=False) for pattern in known):
            yield Point(code="OS2", points=4, reason="of a class whose activity is established")
        elif change is not None and change.kind == "substitution":
            place = re.compile(rf"{change.reference}{change.start}[A-Z]")
            others = [other for other in gene.hotspots if place.fullmatch(other)]
            if others:
                yield Point(code="OM4", points=2, reason=f"the residue of {others[0]}, a hotspot")

    def _recurrent(
        self, alteration: Alteration, gene: Gene, change: ProteinChange | None
    ) -> Iterable[Point]:
        if change is None or change.kind == "synonymous" or alteration.variant is None:
            return
        symbol, written = (
            self.genes.current(alteration.gene),
            alteration.variant.protein_change or "",
        )
        same = self.recurrence.changes.get((symbol, written), 0)
        codon = self.recurrence.codons.get((symbol, change.start), 0)
        told = f"{same} patients with it, {codon} with a change of the codon ({self.recurrence.source})"
        if written in gene.hotspots:
            yield Point(code="OS3", points=4, reason=f"a hotspot; {told}" if same else "a hotspot")
        elif codon >= HOT_CODON and same >= HOT_CHANGE:
            yield Point(code="OS3", points=4, reason=told)
        elif same >= WARM_CHANGE:
            yield Point(code="OM3", points=2, reason=told)
        elif same >= SEEN_CHANGE:
            yield Point(code="OP3", points=1, reason=told)

    def _predicted(self, alteration: Alteration) -> Iterable[Point]:
        written = None if alteration.variant is None else alteration.variant.protein_change
        named = self.drivers.get((self.genes.current(alteration.gene), written or ""))
        if written and named is not None:
            yield Point(code="OP1", points=1, reason=f"a driver by several predictions ({named})")

    def _place(
        self, gene: Gene, change: ProteinChange | None, met: Iterable[Point]
    ) -> Iterable[Point]:
        codes = {point.code for point in met}
        if change is None or change.kind == "synonymous":
            return
        longer = change.kind == "extension" and gene.can_be_lost
        if (longer or change.net_length not in (None, 0)) and "OVS1" not in codes:
            yield Point(code="OM2", points=2, reason="changes the length of the protein")
        if codes & {"OS2", "OS3", "OVS1", "OM3", "OM4"}:
            return  # the rules count a domain only where nothing stronger does
        for name, (first, last) in gene.domains.items():
            if first <= change.start <= last:
                yield Point(code="OM1", points=2, reason=f"in the {name}")


def is_silent(alteration: Alteration, change: ProteinChange | None) -> bool:
    """Whether a small variant changes neither protein nor splice site."""
    variant = alteration.variant
    if variant is None or "splice" in (variant.consequence or ""):
        return False
    return _says_silent(variant.consequence) or (change is not None and change.kind == "synonymous")


def is_common_or_silent(consequence: str | None, frequency: float | None) -> bool:
    """Whether a call of any gene is of tier IV: common in the population, or silent off the splice sites."""
    return (frequency or 0.0) >= COMMON or _says_silent(consequence)


def _says_silent(consequence: str | None) -> bool:
    terms = consequence or ""
    return "synonymous" in terms and "splice" not in terms
