"""The two reference builds, told from each other by the lengths of their chromosomes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from data.genomics import Build

CHROMOSOMES = (*(str(n) for n in range(1, 23)), "X", "Y")

LENGTHS: Mapping[Build, tuple[int, ...]] = {
    "GRCh37": (
        249250621, 243199373, 198022430, 191154276, 180915260, 171115067, 159138663, 146364022,
        141213431, 135534747, 135006516, 133851895, 115169878, 107349540, 102531392, 90354753,
        81195210, 78077248, 59128983, 63025520, 48129895, 51304566, 155270560, 59373566,
    ),
    "GRCh38": (
        248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636,
        138394717, 133797422, 135086622, 133275309, 114364328, 107043718, 101991189, 90338345,
        83257441, 80373285, 58617616, 64444167, 46709983, 50818468, 156040895, 57227415,
    ),
}  # fmt: skip
"""In bases, by :data:`CHROMOSOMES`; GRCh37.p13 and GRCh38.p14, Genome Reference Consortium."""


OTHER_NAMES = {"MT": "M", "23": "X", "24": "Y"}


def plain(chromosome: str) -> str:
    """Without ``chr``: 1 to 22, X, Y, M, or the contig's own name."""
    name = chromosome.removeprefix("chr")
    refseq = refseq_chromosome(name) if name.startswith("NC_") else None
    return refseq[0] if refseq else OTHER_NAMES.get(name, name)


_REFSEQ = re.compile(r"NC_0000(\d\d)\.(\d+)")
_REFSEQ_VERSIONS = (
    11,
    12,
    12,
    12,
    10,
    12,
    14,
    11,
    12,
    11,
    10,
    12,
    11,
    9,
    10,
    10,
    11,
    10,
    10,
    11,
    9,
    11,
    11,
    10,
)
"""Of the accessions of GRCh38's chromosomes, NCBI Assembly GCF_000001405.40; those of GRCh37 are one less."""


def refseq_chromosome(contig: str) -> tuple[str, Build | None] | None:
    """Chromosome and build of RefSeq's name of a chromosome, ``NC_000007.14``; None for another name."""
    found = _REFSEQ.fullmatch(contig)
    number = int(found[1]) if found else 0
    if found is None or not 1 <= number <= len(CHROMOSOMES):
        return None
    older = _REFSEQ_VERSIONS[number - 1] - int(found[2])
    builds: dict[int, Build] = {0: "GRCh38", 1: "GRCh37"}
    return CHROMOSOMES[number - 1], builds.get(older)


def length_of(chromosome: str, build: Build) -> int | None:
    """In bases; None for a contig that is not a chromosome."""
    name = plain(chromosome)
    return LENGTHS[build][CHROMOSOMES.index(name)] if name in CHROMOSOMES else None


def build_of_lengths(contigs: Mapping[str, int]) -> set[Build]:
    """The builds whose chromosomes are among contigs of these lengths (none where no length is known)."""
    return {
        build
        for build in LENGTHS
        for contig, length in contigs.items()
        if length_of(contig, build) == length
    }
