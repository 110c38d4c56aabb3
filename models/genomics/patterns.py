"""How knowledge bases name alterations, and whether a patient's alteration is what they name.

A pattern that is not understood (a phosphorylation, a serum level, two changes at once) is None: what cannot be
read matches nothing, and is counted by whoever reads the source.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

from typing_extensions import override

from data.evidence import Alteration, Precision
from data.genomics import Variant, short_protein_change
from models.genomics.genes import Gene, GeneTable, Promoter
from models.genomics.protein import ProteinChange, protein_change

BEYOND_BORDER = 5
"""Codons by which a change of an exon may reach into the next one."""
SPLICE_SITE, SPLICE_REACH = 2, 20
"""Intronic bases beside an exon whose exchange, and whose loss, may skip it."""
NULL_TERMS = frozenset(
    {
        "splice_acceptor_variant",
        "splice_donor_variant",
        "splice_site_variant",
        "stop_gained",
        "frameshift_variant",
        "start_lost",
    }
)
"""Of the Sequence Ontology; a MAF says splice_site_variant of a canonical site."""
_CODING = re.compile(r"(?:.*:)?c\.(-?\d+)([+-]\d+)?(?:_(-?\d+)([+-]\d+)?)?(.*)")


class Pattern(ABC):
    """What a statement is about."""

    precision: ClassVar[Precision]

    @abstractmethod
    def fits(self, alteration: Alteration, *, oncogenic: bool) -> bool:
        """Whether the alteration is of the kind that is named; ``oncogenic`` by the points."""


def change_of(alteration: Alteration) -> ProteinChange | None:
    """The protein change of a small variant, taken apart."""
    variant = alteration.variant
    if variant is None or not variant.hgvs_protein:
        return None
    return protein_change(variant.hgvs_protein)


def is_null(alteration: Alteration) -> bool:
    """Whether a small variant leaves no protein that works: truncating, or on a canonical splice site."""
    change, variant = change_of(alteration), alteration.variant
    if change is not None and change.truncates:
        return True
    terms = (variant.consequence or "") if variant else ""
    return not NULL_TERMS.isdisjoint(re.split("[&,]", terms))


@final
@dataclass(frozen=True)
class ExactChange(Pattern):
    """One protein change."""

    precision = "protein change"
    written: str

    @override
    def fits(self, alteration: Alteration, *, oncogenic: bool) -> bool:
        variant = alteration.variant
        if variant is None or not variant.protein_change:
            return False
        return _plain(variant.protein_change) == _plain(self.written)


@final
@dataclass(frozen=True)
class Codon(Pattern):
    """Any other residue at one place."""

    precision = "codon"
    reference: str
    position: int

    @override
    def fits(self, alteration: Alteration, *, oncogenic: bool) -> bool:
        change = change_of(alteration)
        return (
            change is not None
            and change.kind == "substitution"
            and (change.reference, change.start) == (self.reference, self.position)
        )


@final
@dataclass(frozen=True)
class InCodons(Pattern):
    """Changes of some kinds in a stretch of codons: an exon or a domain."""

    precision = "exon or class"
    first: int
    last: int
    kind: str

    @override
    def fits(self, alteration: Alteration, *, oncogenic: bool) -> bool:
        change = change_of(alteration)
        if change is None or change.start > self.last or change.end < self.first:
            return False
        if min(change.start - self.first, self.last - change.end) < -BEYOND_BORDER:
            return False  # much more than the exon
        net = change.net_length
        match self.kind:
            case "deletion":
                return net is not None and net < 0
            case "insertion":
                grown = net is not None and net > 0
                return grown or (change.kind == "insertion" and net is None)
            case _:
                return change.kind != "synonymous" and oncogenic


@final
@dataclass(frozen=True)
class Skipping(Pattern):
    """An exon left out: an exchange on its splice sites or of its last base, or a deletion over a border.

    The coding change decides where it is told; else a MAF's ``X1010_splice``, or a change of the last base by
    its protein.
    """

    precision = "exon or class"
    codons: tuple[int, int]
    coding: tuple[int, int]
    by_last_base: tuple[str, ...] = ()

    @override
    def fits(self, alteration: Alteration, *, oncogenic: bool) -> bool:
        variant = alteration.variant
        if variant is None:
            return False
        coding = _CODING.fullmatch(variant.hgvs_coding or "")
        if coding is not None:
            return self._is_skipped(coding)
        protein = variant.protein_change or ""
        splice = re.match(r"[A-Z](\d+)_splice", protein)
        ends = self.codons[0] - 1, self.codons[1] + 1
        near = splice is not None and any(abs(int(splice[1]) - end) <= 1 for end in ends)
        return near or protein in self.by_last_base

    def _is_skipped(self, coding: re.Match[str]) -> bool:
        start, start_off, end, end_off, what = coding.groups()
        first = int(start), int(start_off or 0)
        last = (int(end), int(end_off or 0)) if end else first
        deleted = what.startswith("del")
        if not deleted and ">" not in what:
            return False  # what is inserted or doubled leaves both sites
        reach = SPLICE_REACH if deleted else SPLICE_SITE
        (low, high) = self.coding
        borders = ((low, -reach), (low, -1)), ((high, 0), (high, reach))
        return any(first <= right and last >= left for left, right in borders)


@final
@dataclass(frozen=True)
class Null(Pattern):
    """Any change that leaves no working protein; of a suppressor."""

    precision = "exon or class"

    @override
    def fits(self, alteration: Alteration, *, oncogenic: bool) -> bool:
        return alteration.kind == "deletion" or (oncogenic and is_null(alteration))


@final
@dataclass(frozen=True)
class State(Pattern):
    """Amplified, homozygously deleted, or with its promoter methylated."""

    precision = "exon or class"
    kind: str

    @override
    def fits(self, alteration: Alteration, *, oncogenic: bool) -> bool:
        return alteration.kind == self.kind


@final
@dataclass(frozen=True)
class Fused(Pattern):
    """Fused with anything, or with one partner."""

    precision = "exon or class"
    partner: str | None = None

    @override
    def fits(self, alteration: Alteration, *, oncogenic: bool) -> bool:
        wanted = self.partner is None or alteration.partner == self.partner
        return alteration.kind == "fusion" and wanted


@final
@dataclass(frozen=True)
class InPromoter(Pattern):
    """One of the known places upstream of the coding sequence (TERT's C228T is c.-124C>T)."""

    precision = "exon or class"
    offsets: tuple[int, ...]
    positions: tuple[int, ...]

    @override
    def fits(self, alteration: Alteration, *, oncogenic: bool) -> bool:
        return alteration.variant is not None and self.holds(alteration.variant)

    def holds(self, variant: Variant) -> bool:
        """Whether a variant is at one of the places; by its position where no coding change is told."""
        coding = _CODING.fullmatch(variant.hgvs_coding or "")
        if coding is not None:
            return int(coding[1]) in self.offsets and ">" in coding[5]
        return variant.position in self.positions


@final
@dataclass(frozen=True)
class Mutated(Pattern):
    """The gene as a whole: any small variant that is at least likely oncogenic, and no other."""

    precision = "gene"

    @override
    def fits(self, alteration: Alteration, *, oncogenic: bool) -> bool:
        return alteration.kind == "small variant" and oncogenic


@final
@dataclass(frozen=True)
class Lost(Pattern):
    """The gene as a whole, out of work."""

    precision = "gene"

    @override
    def fits(self, alteration: Alteration, *, oncogenic: bool) -> bool:
        lost = alteration.kind == "small variant" and oncogenic
        return alteration.kind == "deletion" or lost


@final
@dataclass(frozen=True)
class Signature(Pattern):
    """A property of the whole tumor."""

    precision = "protein change"

    @override
    def fits(self, alteration: Alteration, *, oncogenic: bool) -> bool:
        return alteration.kind == "signature"


def _promoter(known: Promoter) -> InPromoter:
    return InPromoter(tuple(known.places), known.positions)


def in_promoter(variant: Variant, genes: GeneTable) -> bool:
    """Whether a variant is one of its gene's known promoter mutations."""
    gene = genes.find(variant.gene or "")
    return (
        gene is not None and gene.promoter is not None and _promoter(gene.promoter).holds(variant)
    )


WHOLE: dict[str, Callable[[], Pattern]] = {
    "mutation": Mutated, "mutations": Mutated, "oncogenic mutation": Mutated, "activating mutation": Mutated,
    "loss": Lost, "loss-of-function": Null, "deleterious mutation": Null, "truncating mutation": Null,
    "frameshift truncation": Null, "inactivating mutation": Null,
    "deletion": lambda: State("deletion"), "homozygous deletion": lambda: State("deletion"),
    "promoter methylation": lambda: State("promoter methylation"),
    "amplification": lambda: State("amplification"),
    "fusion": Fused, "fusions": Fused, "rearrangement": Fused,
    "signature": Signature,
}  # fmt: skip
"""Names that stand for a whole class."""
_EXON = re.compile(r"exon (\d+) (deletion|insertion|mutation|skipping)(?: mutation)?s?")
_CODON = re.compile(r"([A-Z])(\d+)X?")
_FUSION = re.compile(r"([A-Z][A-Z0-9]*)(?:-|::)([A-Z][A-Z0-9]*)")


def pattern(written: str, symbol: str, gene: Gene | None) -> Pattern | None:
    """What a source's name of an alteration of a gene stands for; None where it is not understood.

    Args:
        written: ``V600E``, ``R132``, ``EXON 19 DELETION``, ``Amplification``, ``EML4-ALK``, ``ALK FUSIONS`` ...
        symbol: of the gene.
        gene: its exons, where they are known.
    """
    text = re.sub(r"\s*\(c\.[^)]*\)$", "", written.strip())  # CIViC gives both changes
    lowered = text.lower().removeprefix(f"{symbol.lower()} ")
    if lowered in WHOLE:
        return WHOLE[lowered]()
    if lowered == "promoter mutation":
        promoter = None if gene is None else gene.promoter
        return None if promoter is None else _promoter(promoter)
    exon = _EXON.fullmatch(lowered)
    if exon is not None:
        known = None if gene is None else gene.exons.get(int(exon[1]))
        if known is None:
            return None
        if exon[2] == "skipping":
            if known.coding is None:
                return None
            return Skipping(known.codons, known.coding, known.by_last_base)
        return InCodons(*known.codons, exon[2])
    domain = re.fullmatch(r"(.+ domain) mutation", lowered)
    if domain is not None:
        place = None if gene is None else gene.domains.get(domain[1])
        return None if place is None else InCodons(*place, "mutation")
    codon = _CODON.fullmatch(text.upper())
    if codon is not None:
        return Codon(codon[1], int(codon[2]))
    fused = _FUSION.fullmatch(text.upper())
    if fused is not None and symbol in fused.groups():
        five, three = fused.groups()
        return Fused(five if three == symbol else three)
    return None if protein_change(_cased(text)) is None else ExactChange(text)


def _plain(change: str) -> str:
    """Two spellings of one change alike: a frameshift by where it begins, deleted letters left out."""
    short = short_protein_change(change).upper()
    short = re.sub(r"^([A-Z]\d+)[A-Z]?FS.*", r"\1FS", short)
    return re.sub(r"(?<!^)DEL(?!INS)[A-Z]+$", "DEL", re.sub(r"DUP[A-Z]+$", "DUP", short))


def _cased(text: str) -> str:
    """CIViC writes capitals throughout: DEL, INS, DUP and FS are no residues."""
    return re.sub("DELINS|DEL|INS|DUP|FS", lambda found: found[0].lower(), text)
