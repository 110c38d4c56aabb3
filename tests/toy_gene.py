"""A made-up gene of three exons, on either strand, and files of a reference and an annotation that hold it."""

from __future__ import annotations

from pathlib import Path

from data.transcripts import Transcript, reverse_complement

GENOME = (
    "CCACCCCATCGGACTGGCATTTTTATTACACTCAGAAACAGAACTCGGGTAATTTTGACAGGTCACGCAGAGGCGCGCCCTCCTGAAGTGCGTGGA"
    "CACTCGCTATGAATCTCTGATTTACCCACTCTGCCAAACTCCAGCGCGGTCAGTTCCATCACCCTAAGTAACCGAATAATGCGTTCGCTCTATTGA"
    "CTACGACGCGCTCATTCCCTTGTCGGAGAGTTATGGAACAAGGACGCTGTCTGAGACTAGAAGACAGATAGTGCACACGACCGGCGTCGGAGAAAC"
    "TCTATTTGCCGCCTGACAAGTCAATGCGATCCGTAGGGGCAGCGCAGTATGCCAAGACTATAGGCACTGTCGCATCACAAACGATTAACTGATAAA"
    "TGAGCCCTTTATGACACGGGCATATGACTGGTTTACGATAGTATGTCCAACGGCGAGCTTTACATTAGCACGAAACTTGTTGGCCCAGTGTATGCC"
    "ATTTAGCCGCGGCAATACATCGGAGACGCCTGGTAAGTTGCTGTGAGAGGTACAGGGATTAGTGAGAAGCCGTGCGTATCAATTCGTACCTTGTTT"
    "CAGCCAATTTCGAAGAAGAACTGCTGGAAATCAAGACCCGTCGGACAATTACCGATCGTAATTCGGCAACTTTTAGTAAGTGGGGTCGTTACCACT"
    "CTGTTCCCACGAGCGGCATTTCTGGATGGCCAGCTTTTGATTTCAGTGGGACAGCAGCAGCAGGGAGCCTTTAATGCAGCCCGCAATATGAAGGAT"
    "TGCAGACAGCGGAGCTAAGAATCGCTTAAGGGTTAAGTAAGTGTGATGCATACGCCTTTGATACTTGCTGTGTCATTTAATTTCACCCATAAACCA"
    "GCGTAAAGCTGCAAGTGGCTCCATGAACTTAGCTGCTAGTGTCAGACTCGCCTCGGATCCTTACTACACTAACTTGA"
)
EXONS = (451, 512), (580, 651), (719, 841)
UTR, CODING = 25, 177
"""Bases of the untranslated first part and of the coding part."""
CHROMOSOME = "21"
LENGTH = {"GRCh38": 46_709_983, "GRCh37": 48_129_895}
AHEAD = 30_000_000
"""Bases before the gene in the files."""


def genome(strand: int) -> str:
    """The gene with its surroundings, on the forward strand."""
    return GENOME if strand > 0 else reverse_complement(GENOME)


def toy(strand: int, ahead: int = 0) -> Transcript:
    """The gene's transcript; ``ahead`` bases lie before its surroundings."""
    coding = _spliced(UTR), _spliced(UTR + CODING - 1)
    exons = [_turned(*exon, strand) for exon in EXONS][::strand]
    return Transcript(
        "TOY", "ENST00000000001.2", "MANE Select", CHROMOSOME, strand,
        tuple((a + ahead, b + ahead) for a, b in exons),
        tuple(n + ahead for n in _turned(*coding, strand)), (ahead + 1,), (genome(strand),),
    )  # fmt: skip


def _turned(first: int, last: int, strand: int) -> tuple[int, int]:
    return (first, last) if strand > 0 else (len(GENOME) + 1 - last, len(GENOME) + 1 - first)


def _spliced(index: int) -> int:
    for first, last in EXONS:
        if index <= last - first:
            return first + index
        index -= last - first + 1
    raise ValueError("beyond the transcript")


def write_fasta(path: Path, strand: int, build: str = "GRCh38") -> Path:
    """A chromosome of the build's length, unknown but for the gene."""
    own = genome(strand)
    bases = "N" * AHEAD + own + "N" * (LENGTH[build] - AHEAD - len(own))
    width = 100_000
    lines = (bases[n : n + width] for n in range(0, len(bases), width))
    path.write_text(f">chr{CHROMOSOME}\n" + "\n".join(lines) + "\n")
    return path


def write_gtf(path: Path, transcripts: list[Transcript], comment: str = "##genome: GRCh38") -> Path:
    """GENCODE's way: the stop codon is no part of the CDS."""
    lines = [comment, "##date: 2026-05-01"]
    for t in transcripts:
        sign = "+" if t.strand > 0 else "-"
        tag = {"MANE Select": ' tag "MANE_Select";'}.get(t.chosen_as, "")
        told = f'gene_id "G"; transcript_id "{t.name}"; gene_name "{t.gene}";{tag}'
        stop = (t.coding[1] - 2, t.coding[1]) if t.strand > 0 else (t.coding[0], t.coding[0] + 2)
        begin, end = (t.coding[0], stop[0] - 1) if t.strand > 0 else (stop[1] + 1, t.coding[1])
        parts = [("exon", *exon) for exon in t.exons]
        parts += [
            ("CDS", max(a, begin), min(b, end)) for a, b in t.exons if max(a, begin) <= min(b, end)
        ]
        parts.append(("stop_codon", *stop))
        lines += [
            f"chr{t.chromosome}\tX\t{what}\t{a}\t{b}\t.\t{sign}\t.\t{told}" for what, a, b in parts
        ]
    path.write_text("\n".join(lines) + "\n")
    return path
