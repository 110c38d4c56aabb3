"""What a small variant does to a transcript: terms of the Sequence Ontology, and its names by HGVS.

Terms are decided where the caller puts the variant, names where HGVS wants it, as Ensembl's VEP does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from data.transcripts import Transcript, reverse_complement
from models.genomics.hgvs import coding_change, protein_change
from models.genomics.translation import translate

SITE, INTO_INTRON, INTO_EXON = 2, 8, 3
"""Bases of an intron that are the splice site; of intron and exon that are its region (Ensembl)."""
IMPACTS = {
    "splice_acceptor_variant": "HIGH", "splice_donor_variant": "HIGH", "stop_gained": "HIGH",
    "frameshift_variant": "HIGH", "stop_lost": "HIGH", "start_lost": "HIGH",
    "inframe_insertion": "MODERATE", "inframe_deletion": "MODERATE", "missense_variant": "MODERATE",
    "protein_altering_variant": "MODERATE", "splice_region_variant": "LOW", "stop_retained_variant": "LOW",
    "synonymous_variant": "LOW", "coding_sequence_variant": "MODIFIER", "5_prime_UTR_variant": "MODIFIER",
    "3_prime_UTR_variant": "MODIFIER", "intron_variant": "MODIFIER", "upstream_gene_variant": "MODIFIER",
}  # fmt: skip
"""Ensembl's impact by term, the gravest first."""
SITES = {"splice_acceptor_variant", "splice_donor_variant"}
_RANKS = {term: rank for rank, term in enumerate(IMPACTS)}


@dataclass(frozen=True)
class Effect:
    """On one transcript.

    Args:
        consequence: terms, the gravest first, with & between.
        hgvs_protein: None where no protein can be told: outside the coding part, or over a splice site.
    """

    consequence: str
    hgvs_coding: str
    hgvs_protein: str | None

    @property
    def impact(self) -> str:
        """Of the gravest term."""
        return IMPACTS[self.consequence.split("&")[0]]

    @property
    def rank(self) -> int:
        """0 for the gravest term of all."""
        return _RANKS[self.consequence.split("&")[0]]


@dataclass(frozen=True)
class Change:
    """Alleles on the forward strand without what they share; ``first`` is behind an insertion."""

    first: int
    reference: str
    alternate: str

    @property
    def last(self) -> int:
        """One before ``first`` for an insertion."""
        return self.first + len(self.reference) - 1

    @property
    def touches(self) -> tuple[int, int]:
        """What is changed, or the two bases between which something is inserted."""
        return (self.first, self.last) if self.reference else (self.last, self.first)


def trimmed(position: int, reference: str, alternate: str) -> Change | None:
    """Alleles of a VCF or MAF without shared bases; None where they are equal.

    A MAF's ``-`` is no base, and its insertion lies behind its position.
    """
    if reference == "-":
        position, reference = position + 1, ""
    alternate = "" if alternate == "-" else alternate
    while reference and alternate and reference[0] == alternate[0]:
        position, reference, alternate = position + 1, reference[1:], alternate[1:]
    while reference and alternate and reference[-1] == alternate[-1]:
        reference, alternate = reference[:-1], alternate[:-1]
    return Change(position, reference, alternate) if reference or alternate else None


def contradicts(transcript: Transcript, position: int, reference: str) -> bool:
    """Whether a reference allele, as its file has it, is not what the transcript's build has there."""
    if reference == "-":
        return False  # of a MAF's insertion
    kept = transcript.reference(position, position + len(reference) - 1)
    return kept is not None and kept != reference


def effect_of(transcript: Transcript, change: Change) -> Effect | None:
    """What a change does; None where the transcript is not reached."""
    terms = _terms(transcript, change)
    if not terms:
        return None
    protein = None
    if "coding_sequence_variant" in terms and not terms & SITES:
        terms.discard("coding_sequence_variant")
        told, protein = _translated(transcript, change)
        terms.update(told.split("&"))
    ordered = sorted(terms, key=_RANKS.__getitem__)
    coding = coding_change(transcript, change.first, change.reference, change.alternate)
    return Effect("&".join(ordered), coding, protein)


def _terms(transcript: Transcript, change: Change) -> set[str]:
    """Of the places that are reached; ``coding_sequence_variant`` where the coding part is."""
    first, last = change.touches
    low, high = transcript.span
    if last < low or first > high:
        return set()
    found = _splicing(transcript, first, last, inserts=not change.reference)
    if found & SITES:
        found -= {"intron_variant", "splice_region_variant"}
    begin, end = transcript.coding
    for exon in transcript.exons:
        left, right = max(first, exon[0]), min(last, exon[1])
        if left > right or (not change.reference and left == right):
            continue
        if left <= end and right >= begin and not _between(change, begin, end):
            found.add("coding_sequence_variant")
        if left < begin:
            found.add("5_prime_UTR_variant" if transcript.strand > 0 else "3_prime_UTR_variant")
        if right > end:
            found.add("3_prime_UTR_variant" if transcript.strand > 0 else "5_prime_UTR_variant")
    edge = transcript.exons[0][0] if transcript.strand > 0 else transcript.exons[-1][1]
    if (last < edge) if transcript.strand > 0 else (first > edge):
        found.add("upstream_gene_variant")
    return found


def _between(change: Change, begin: int, end: int) -> bool:
    """Whether an insertion is just outside the coding part."""
    return not change.reference and (change.first == begin or change.last == end)


def _splicing(transcript: Transcript, first: int, last: int, *, inserts: bool) -> set[str]:
    """Terms of introns and of what is beside them."""
    found: set[str] = set()
    for (_, before), (after, _) in zip(transcript.exons, transcript.exons[1:], strict=False):
        start, stop = before + 1, after - 1  # of the intron
        if last < start - INTO_EXON or first > stop + INTO_EXON:
            continue
        names = ("splice_donor_variant", "splice_acceptor_variant")[:: transcript.strand]

        def reached(low: int, high: int) -> bool:
            if inserts:  # both neighbors belong to it
                return low <= first and last <= high
            return first <= high and last >= low

        if reached(start, start + SITE - 1):
            found.add(names[0])
        if reached(stop - SITE + 1, stop):
            found.add(names[1])
        edge = 1 if inserts else 0  # just behind an exon's last base is its region too
        regions = (
            (start - INTO_EXON, start - 1), (start + SITE - edge, start + INTO_INTRON - 1),
            (stop - INTO_INTRON + 1, stop - SITE + edge), (stop + 1, stop + INTO_EXON),
        )  # fmt: skip
        at_border = inserts and (last == start or first == stop)
        if any(reached(*region) for region in regions) or at_border:
            found.add("splice_region_variant")
        if reached(start, stop) or at_border:
            found.add("intron_variant")
    return found


def _translated(transcript: Transcript, change: Change) -> tuple[str, str | None]:
    """The terms and the name of a change that reaches the coding part, inside one exon."""
    bases, begin = transcript.spliced, transcript.coding_start
    # what lies ahead of the change, in the transcript's direction
    ahead = change.first - 1 if transcript.strand > 0 else change.last + 1
    neighbor = transcript.index(ahead)
    at = 0 if neighbor is None else neighbor + 1
    if neighbor is None:  # the exon begins with it
        at = transcript.index(ahead + transcript.strand) or 0
    new = change.alternate if transcript.strand > 0 else reverse_complement(change.alternate)
    altered = bases[:at] + new + bases[at + len(change.reference) :]
    gained = len(change.alternate) - len(change.reference)
    before = _protein(transcript.coding_sequence)
    if at < begin + 3 and begin + gained >= 0 and translate(altered[begin + gained :]) == before:
        return "5_prime_UTR_variant", None  # the start codon and all behind it are there still
    if at < begin:
        return "start_lost", "p.Met1?"
    after = translate(altered[begin:])
    codons = (at - begin) // 3, max(at - begin + len(change.reference) - 1, at - begin) // 3
    name = protein_change(before, after, gained=gained, codons=codons)
    return _term(before, after, name, change, reaches_stop=codons[1] >= len(before) - 1), name


@lru_cache(maxsize=512)
def _protein(coding_sequence: str) -> str:
    return translate(coding_sequence)


def _term(before: str, after: str, name: str, change: Change, *, reaches_stop: bool) -> str:
    gained = len(change.alternate) - len(change.reference)
    if before == after:
        return "stop_retained_variant" if reaches_stop else "synonymous_variant"
    if after[:1] != "M":
        return "start_lost"
    if gained % 3:
        if reaches_stop:
            return "frameshift_variant&stop_lost"
        return "stop_gained&frameshift_variant" if name.endswith("Ter") else "frameshift_variant"
    if reaches_stop and len(after) > len(before) + gained // 3:
        return "stop_lost"
    if name.endswith("Ter"):
        return "stop_gained"
    if gained == 0:
        return "missense_variant"
    if change.reference and change.alternate and "delins" in name:
        return "protein_altering_variant"
    return "inframe_insertion" if gained > 0 else "inframe_deletion"
