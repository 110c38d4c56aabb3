"""The shipped index of hotspots, made from cohorts on both builds: alleles that two patients or more have."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.errors import VariantError
from data.genome import plain
from data.genomics import Build
from data.io.maf import read_maf_cohort
from data.transcripts import reverse_complement
from models.genomics.effect import Change, trimmed
from models.genomics.genes import GeneTable
from models.genomics.hotspots import BUILDS, Hotspot, HotspotIndex
from models.genomics.numbering import as_usual
from models.genomics.protein import protein_change
from models.genomics.translation import CODE
from pipelines.recurrence import LEAST, PARTICIPANT

CENTER = 5
"""Place of the exchanged base in a MAF's CONTEXT."""
COLUMNS = (
    "gene", "transcript", "chromosome", *BUILDS, "reference", "alternate", "consequence", "coding", "protein",
    "codon", "patients",
)  # fmt: skip


@dataclass
class _Seen:
    """One allele of one build, while it is counted."""

    gene: str
    protein: str
    transcript: str = ""
    coding: str = ""
    consequence: str = ""
    context: str = ""
    patients: set[str] = field(default_factory=set)


Place = tuple[str, Change]
"""Chromosome and allele."""
_Key = tuple[str, str, str, str]
"""Gene, protein change and both alleles."""


def find_hotspots(
    cohorts: Mapping[Build, Sequence[Path]],
    genes: GeneTable,
    *,
    leave_out: Container[str] = (),
) -> tuple[Hotspot, ...]:
    """Alleles of the panel's genes that alter the protein and whose protein change at least two patients have.

    Args:
        cohorts: MAFs by their build.
        genes: the panel.
        leave_out: patients that do not count, to measure on them what the index is worth.

    Raises:
        VariantError: of a MAF that cannot be read.
    """
    seen = {build: _seen(paths, build, genes, leave_out) for build, paths in cohorts.items()}
    lift = _lift(seen)
    patients: dict[tuple[str, str], set[str]] = defaultdict(set)
    codons: dict[tuple[str, int], str] = {}
    for own in seen.values():
        for (_, change), one in own.items():
            patients[one.gene, one.protein] |= one.patients
            codon = _codon(change, one)
            if codon:
                codons.setdefault(_residue(one), codon.upper())
    found: dict[tuple[str, str, str, int], Hotspot] = {}
    for build in reversed(BUILDS):  # GRCh38 first: its names are those of today
        for (chromosome, change), one in seen.get(build, {}).items():
            who = patients[one.gene, one.protein]
            if len(who) < LEAST:
                continue
            positions = lift.positions(build, change, one)
            key = (
                chromosome,
                change.reference,
                change.alternate,
                positions.get("GRCh38", -change.first),
            )
            if key in found:
                continue
            found[key] = Hotspot(
                one.gene, one.transcript, chromosome, positions, change.reference, change.alternate,
                one.consequence, one.coding, one.protein,
                _codon_of(change, one, codons.get(_residue(one), "")), len(who),
            )  # fmt: skip
    return tuple(
        sorted(found.values(), key=lambda h: (h.gene, h.protein, h.reference, h.alternate))
    )


def _seen(
    paths: Iterable[Path], build: Build, genes: GeneTable, leave_out: Container[str]
) -> dict[Place, _Seen]:
    found: dict[Place, _Seen] = {}
    for path in paths:
        for barcode, calls in read_maf_cohort(path, build=build).items():
            patient = barcode[:PARTICIPANT] if barcode.startswith("TCGA-") else barcode
            if patient in leave_out:
                continue
            known = calls.in_genes(lambda symbol: genes.find(symbol) is not None)
            contexts = known.texts("context")
            for variant, context in zip(known.variants(), contexts, strict=True):
                change = trimmed(variant.position, variant.reference, variant.alternate)
                usual = as_usual(variant, genes)
                protein = usual.protein_change
                if (
                    change is None
                    or not protein
                    or not variant.alters_protein
                    or "splice" in protein
                ):
                    continue
                place = plain(variant.chromosome), change
                told = protein_change(protein)
                if told is not None and told.kind == "synonymous":
                    protein = f"{told.reference}{told.start}="  # on a splice site
                gene = genes.current(variant.gene or "")
                one = found.setdefault(place, _Seen(gene, protein))
                one.patients.add(patient)
                one.transcript = one.transcript or variant.transcript or ""
                one.coding = one.coding or usual.hgvs_coding or ""
                one.consequence = one.consequence or variant.consequence or ""
                one.context = one.context or context or ""
    return found


@dataclass(frozen=True)
class _Lift:
    """Between both builds, by what was seen on both.

    Args:
        alleles: how far each lies further on GRCh38, where it is seen once on each build.
        genes: likewise of a whole gene, where all its alleles say the same.
    """

    alleles: Mapping[_Key, int]
    genes: Mapping[str, int]

    def positions(self, build: Build, change: Change, one: _Seen) -> dict[Build, int]:
        """On both builds, or only on its own where nothing tells the other."""
        moved = self.alleles.get(_key(change, one), self.genes.get(one.gene))
        if moved is None:
            return {build: change.first}
        older = change.first if build == "GRCh37" else change.first - moved
        return {"GRCh37": older, "GRCh38": older + moved}


def _key(change: Change, one: _Seen) -> _Key:
    return one.gene, one.protein, change.reference, change.alternate


def _lift(seen: Mapping[Build, Mapping[Place, _Seen]]) -> _Lift:
    places: dict[_Key, dict[Build, set[int]]] = defaultdict(lambda: defaultdict(set))
    for build, own in seen.items():
        for (_, change), one in own.items():
            places[_key(change, one)][build].add(change.first)
    alleles: dict[_Key, int] = {}
    genes: dict[str, Counter[int]] = defaultdict(Counter)
    for key, on in places.items():
        if len(on["GRCh37"]) == len(on["GRCh38"]) == 1:
            alleles[key] = min(on["GRCh38"]) - min(on["GRCh37"])
            genes[key[0]][alleles[key]] += 1
    alike = {gene: min(ways) for gene, ways in genes.items() if len(ways) == 1}
    return _Lift(alleles, alike)


def _residue(one: _Seen) -> tuple[str, int]:
    change = protein_change(one.protein)
    return one.gene, change.start if change else 0


def _codon(change: Change, one: _Seen) -> str:
    """Out of the neighbors that a MAF gives, where it says the protein change that was seen; else empty."""
    if len(change.reference) != 1 or len(change.alternate) != 1 or len(one.context) <= 2 * CENTER:
        return ""
    for strand in (1, -1):
        context = one.context if strand > 0 else reverse_complement(one.context)
        new = change.alternate if strand > 0 else reverse_complement(change.alternate)
        if not one.coding.endswith(f"{context[CENTER]}>{new}"):
            continue
        number = one.coding.removeprefix("c.")[: -len("G>A")]
        if not number.isdigit():
            return ""
        place = (int(number) - 1) % 3
        codon = context[CENTER - place : CENTER - place + 3]
        return _marked(codon, place) if _makes(codon, place, new, one.protein) else ""
    return ""


def _codon_of(change: Change, one: _Seen, codon: str) -> str:
    """A codon known from another allele, with this one's place in it, if that is certain."""
    if not codon or len(change.reference) != 1 or len(change.alternate) != 1:
        return ""
    places = set()
    for read in (str, reverse_complement):
        for place in range(3):
            fits = codon[place] == read(change.reference)
            if fits and _makes(codon, place, read(change.alternate), one.protein):
                places.add(place)
    return _marked(codon, places.pop()) if len(places) == 1 else ""


def _makes(codon: str, place: int, new: str, protein: str) -> bool:
    """Whether the exchange of a base of a codon is a protein change."""
    change = protein_change(protein)
    if change is None:
        return False
    after = CODE.get(codon[:place] + new + codon[place + 1 :])
    before = CODE.get(codon)
    if change.kind == "start lost":
        return before == "M" and after != "M"
    return (before, after) == (change.reference, change.alternate)


def _marked(codon: str, place: int) -> str:
    lower = codon.lower()
    return lower[:place] + codon[place].upper() + lower[place + 1 :]


def write_hotspots(path: Path, hotspots: Sequence[Hotspot], source: str) -> None:
    """Keep an index, with where it is from in its first line."""
    with path.open("w", newline="") as file:
        file.write(f"# {source}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for spot in hotspots:
            places = {build: spot.positions.get(build, "") for build in BUILDS}
            values = {name: getattr(spot, name, None) for name in COLUMNS} | places
            writer.writerow([values[name] for name in COLUMNS])


def read_hotspots(path: Path) -> HotspotIndex:
    """What :func:`write_hotspots` kept.

    Raises:
        VariantError: no such index.
    """
    try:
        with path.open() as file:
            source = file.readline().removeprefix("# ").strip()
            return HotspotIndex(tuple(_hotspot(row) for row in csv.DictReader(file)), source)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise VariantError(f"{path}: is no index of hotspots: {error}") from error


def _hotspot(row: Mapping[str, str]) -> Hotspot:
    positions: dict[Build, int] = {build: int(row[build]) for build in BUILDS if row[build]}
    return Hotspot(
        row["gene"], row["transcript"], row["chromosome"], positions, row["reference"], row["alternate"],
        row["consequence"], row["coding"], row["protein"], row["codon"], int(row["patients"]),
    )  # fmt: skip
