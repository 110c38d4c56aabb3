"""Gene annotation as GENCODE, Ensembl and RefSeq give it: GTF (GFF version 2.2), plain or gzipped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from data.errors import KnowledgeError
from data.files import UNREADABLE, open_text
from data.genome import CHROMOSOMES, plain, refseq_chromosome
from data.genomics import Build

_ATTRIBUTE = re.compile(r'(\w+) "([^"]*)"')
_BUILDS: tuple[tuple[Build, re.Pattern[str]], ...] = (
    ("GRCh37", re.compile(r"GRCh37|hg19", re.IGNORECASE)),
    ("GRCh38", re.compile(r"GRCh38|hg38", re.IGNORECASE)),
)
FIELDS = 9


@dataclass
class Model:
    """One transcript's lines, while they are gathered; positions as in GTF, one-based and inclusive."""

    gene: str
    name: str
    chromosome: str
    contig: str
    strand: int
    tags: set[str] = field(default_factory=set)
    exons: list[tuple[int, int]] = field(default_factory=list)
    coding: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Annotation:
    """Transcript models of the genes that were asked for, and what the file says of itself.

    Args:
        build: that its comments or its RefSeq contigs state; None where nothing does.
        as_of: date or release in its comments, empty where there is none.
    """

    models: tuple[Model, ...]
    build: Build | None
    as_of: str


def read_gtf(path: Path, wanted: Callable[[str], bool]) -> Annotation:
    """Transcripts on chromosomes 1 to 22, X and Y of the genes that are wanted, by symbol.

    Raises:
        KnowledgeError: no such file, a line that is none of a GTF, or one that ends too early.
    """
    if not path.is_file():
        raise KnowledgeError(f"{path}: there is no such file")
    found: dict[tuple[str, str], Model] = {}
    comments: list[str] = []
    versions: set[Build] = set()
    for number, line in _lines(path):
        if line.startswith("#"):
            comments.append(line)
            continue
        fields = line.rstrip("\r\n").split("\t")
        if len(fields) != FIELDS:
            raise KnowledgeError(
                f"{path}: line {number} has {len(fields)} columns where a GTF has {FIELDS}; give a GTF, whole "
                "and not GFF3"
            )
        if fields[2] not in ("exon", "CDS", "stop_codon"):
            continue
        told = _told(path, number, fields[8])
        gene = told.get("gene_name") or told.get("gene") or told["gene_id"]
        chromosome, build = _chromosome(fields[0])
        if chromosome is None or not wanted(gene):
            continue
        versions |= {build} if build else set()
        name = told["transcript_id"]
        if version := told.get("transcript_version"):
            name = f"{name}.{version}"
        model = found.setdefault(
            (name, fields[0]),
            Model(gene, name, chromosome, fields[0], -1 if fields[6] == "-" else 1),
        )
        model.tags |= {value for key, value in _ATTRIBUTE.findall(fields[8]) if key == "tag"}
        try:
            stretch = int(fields[3]), int(fields[4])
        except ValueError as error:
            raise KnowledgeError(
                f"{path}: line {number} has no numbers for start and end; download it again"
            ) from error
        (model.exons if fields[2] == "exon" else model.coding).append(stretch)
    return Annotation(tuple(found.values()), _build(comments, versions), _as_of(comments))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with open_text(path) as file:
            yield from ((n, line) for n, line in enumerate(file, 1) if line.strip())
    except UNREADABLE as error:
        raise KnowledgeError(f"{path}: cannot be read ({error}); download it again") from error


def _told(path: Path, number: int, attributes: str) -> dict[str, str]:
    told = dict(_ATTRIBUTE.findall(attributes))
    if "transcript_id" not in told or "gene_id" not in told:
        raise KnowledgeError(
            f'{path}: line {number} has no gene_id "..." or transcript_id "..."; give a GTF, not GFF3'
        )
    return told


def _chromosome(contig: str) -> tuple[str | None, Build | None]:
    """Without ``chr``, and the build where a RefSeq accession tells it."""
    refseq = refseq_chromosome(contig)
    if refseq is not None:
        return refseq
    name = plain(contig)
    return (name if name in CHROMOSOMES else None), None


def _build(comments: list[str], versions: set[Build]) -> Build | None:
    said: set[Build] = set(versions)
    for comment in comments:
        named = [build for build, pattern in _BUILDS if pattern.search(comment)]
        said |= set(named[:1])  # a lifted annotation names the build that it is on first
    return said.pop() if len(said) == 1 else None


def _as_of(comments: list[str]) -> str:
    for comment in comments:
        dated = re.search(r"\d{4}-\d{2}-\d{2}|(?:version|release) \d+", comment)
        if dated is not None:
            return dated[0]
    return ""
