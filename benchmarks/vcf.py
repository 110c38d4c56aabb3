"""How fast a large somatic VCF is read: in columns, record by record, and beside inflating its bytes alone.

Usage: ``python benchmarks/vcf.py [FILE --records N --rounds R]``; without a file one of 200,000 in-silico
tumor/normal records with 1 to 5 VEP annotations each is made. In one run, in turn: htslib's and isal's inflate,
a bare loop over pysam's records that takes the same fields, and both parsers; seconds, the median of some
rounds. The tables of both parsers are compared field by field.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pysam
from isal import igzip
from rich.console import Console
from rich.table import Table

from data.genome import CHROMOSOMES, LENGTHS
from data.io.vcf import read_vcf

CHUNK = 2**24
FIELDS = (
    "Allele", "Consequence", "IMPACT", "SYMBOL", "Gene", "Feature_type", "Feature", "BIOTYPE", "EXON", "INTRON",
    "HGVSc", "HGVSp", "cDNA_position", "CDS_position", "Protein_position", "Amino_acids", "Codons",
    "Existing_variation", "DISTANCE", "STRAND", "FLAGS", "PICK", "VARIANT_CLASS", "SYMBOL_SOURCE", "HGNC_ID",
    "CANONICAL", "MANE_SELECT", "SIFT", "PolyPhen", "gnomADe_AF", "MAX_AF", "CLIN_SIG",
)  # fmt: skip
"""Of VEP, as its usual options write them."""
CONSEQUENCES = (
    ("missense_variant", "MODERATE"),
    ("synonymous_variant", "LOW"),
    ("intron_variant", "MODIFIER"),
    ("stop_gained", "HIGH"),
)
FORMATS = (("GT", 1), ("AD", "R"), ("AF", "A"), ("DP", 1), ("F1R2", "R"), ("F2R1", "R"), ("SB", 4))


def write_vcf(path: Path, records: int) -> None:
    """Records as Mutect2 and VEP write them, bgzipped; the same for the same number."""
    rng = np.random.default_rng(1)
    lengths = dict(zip(CHROMOSOMES, LENGTHS["GRCh38"], strict=True))
    fields = "|".join(FIELDS)
    head = ["##fileformat=VCFv4.2", "##tumor_sample=T", "##normal_sample=N"]
    head += ['##FILTER=<ID=weak_evidence,Description="x">']
    head += [f"##contig=<ID=chr{name},length={length}>" for name, length in lengths.items()]
    head += ['##INFO=<ID=DP,Number=1,Type=Integer,Description="x">']
    head += ['##INFO=<ID=SOMATIC,Number=0,Type=Flag,Description="x">']
    head += [f'##INFO=<ID=CSQ,Number=.,Type=String,Description="VEP. Format: {fields}">']
    head += [f'##FORMAT=<ID={k},Number={n},Type=String,Description="x">' for k, n in FORMATS]
    head += [
        "\t".join(
            ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", "N", "T")
        )
    ]
    names = list(lengths)
    with pysam.BGZFile(str(path), "wb", None) as out:
        out.write(("\n".join(head) + "\n").encode())
        for n in range(records):
            chromosome = names[n * len(names) // records]
            place = 10_001 + (n % (records // len(names) + 1)) * 300
            out.write(_record(rng, chromosome, place, n).encode())


def _record(rng: np.random.Generator, chromosome: str, place: int, n: int) -> str:
    numbers = rng.integers(0, 2**31, 24).tolist()
    reference = "ACGT"[numbers[0] % 4]
    alternate = "ACGT"[("ACGT".index(reference) + 1 + numbers[1] % 3) % 4]
    count = 1 + numbers[2] % 5
    picked = numbers[3] % count
    effects = []
    for t in range(count):
        term, impact = CONSEQUENCES[numbers[4 + t] % len(CONSEQUENCES)]
        gene, residue = numbers[9 + t] % 20_000, 1 + numbers[14 + t] % 900
        transcript = f"ENST{gene * 10 + t:011d}.{t + 1}"
        protein = f"ENSP{gene:011d}.1:p.Arg{residue}His" if term == "missense_variant" else ""
        said = {
            "Allele": alternate, "Consequence": term, "IMPACT": impact, "SYMBOL": f"GENE{gene}",
            "Gene": f"ENSG{gene:011d}", "Feature_type": "Transcript", "Feature": transcript,
            "BIOTYPE": "protein_coding", "EXON": "3/11",
            "HGVSc": f"{transcript}:c.{3 * residue}{reference}>{alternate}", "HGVSp": protein,
            "cDNA_position": 3 * residue + 100, "CDS_position": 3 * residue, "Protein_position": residue,
            "Amino_acids": "R/H", "Codons": "cGt/cAt", "STRAND": 1, "VARIANT_CLASS": "SNV",
            "SYMBOL_SOURCE": "HGNC", "HGNC_ID": f"HGNC:{gene}", "SIFT": "deleterious(0.01)",
            "PolyPhen": "benign(0.047)", "PICK": 1 if t == picked else "",
            "Existing_variation": f"rs{gene}" if gene % 3 == 0 else "",
            "CANONICAL": "YES" if t == 0 else "", "MANE_SELECT": f"NM_{gene:06d}.3" if t == 0 else "",
            "MAX_AF": "8.8e-06" if gene % 5 == 0 else "",
        }  # fmt: skip
        effects.append("|".join(str(said.get(field, "")) for field in FIELDS))
    depth, normal = 20 + numbers[19] % 180, 20 + numbers[20] % 180
    reads = 3 + numbers[21] % (depth - 3)
    tumor = f"0/1:{depth - reads},{reads}:{reads / depth:.3f}:{depth}:10,5:11,6:9,9,5,5"
    kept = "PASS" if n % 3 else "weak_evidence"
    return (
        f"chr{chromosome}\t{place}\t.\t{reference}\t{alternate}\t.\t{kept}\tDP={depth + normal};"
        f"CSQ={','.join(effects)};SOMATIC\tGT:AD:AF:DP:F1R2:F2R1:SB\t"
        f"0/0:{normal},0:0.012:{normal}:20,0:30,0:10,20,0,0\t{tumor}\n"
    )


def inflate_htslib(path: Path) -> int:
    """Bytes of the file, by the library that pysam reads with."""
    with pysam.BGZFile(str(path)) as file:
        return _count(file.read)


def inflate_isal(path: Path) -> int:
    """Bytes of the file."""
    with igzip.open(path) as file:
        return _count(file.read)


def _count(read: Callable[[int], bytes]) -> int:
    total = 0
    while chunk := read(CHUNK):
        total += len(chunk)
    return total


def loop_pysam(path: Path) -> int:
    """The usual loop: the fields of each record as Python values, annotations not taken apart."""
    rows = []
    pysam.set_verbosity(0)  # no word on the index that is not there
    with pysam.VariantFile(str(path)) as file:
        normal, *_, tumor = file.header.samples
        for record in file:
            one, other = record.samples[tumor], record.samples[normal]
            rows.append(
                (
                    record.chrom, record.pos, record.ref, record.alts, tuple(record.filter),
                    record.info.get("CSQ"), one.get("GT"), one.get("AD"), one.get("DP"), one.get("AF"),
                    other.get("AD"), other.get("DP"),
                )
            )  # fmt: skip
    return len(rows)


def main() -> int:
    """Print the table and, last, all figures as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.file
        if path is None:
            path = Path(folder) / "made.vcf.gz"
            write_vcf(path, given.records)
        columns, records = read_vcf(path), read_vcf(path, engine="pysam")
        differ = [
            name
            for name in columns.table.schema.names
            if not columns.table[name].equals(records.table[name])
        ]
        timed: dict[str, Callable[[], object]] = {
            "inflate, htslib": lambda: inflate_htslib(path),
            "inflate, isal": lambda: inflate_isal(path),
            "bare loop over pysam's records": lambda: loop_pysam(path),
            "read_vcf, columnar": lambda: read_vcf(path),
        }
        spent: dict[str, list[float]] = {name: [] for name in timed}
        for _ in range(given.rounds):
            for name, run in timed.items():
                begun = time.perf_counter()
                run()
                spent[name].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        read_vcf(path, engine="pysam")
        spent["read_vcf, pysam"] = [time.perf_counter() - begun]
        megabytes = inflate_isal(path) / 1e6
    seconds = {name: statistics.median(times) for name, times in spent.items()}
    ours, bare = seconds["read_vcf, columnar"], seconds["inflate, htslib"]
    table = Table(
        title=f"{len(columns):,} alleles, {megabytes:.0f} MB of text, {os.cpu_count()} cores"
    )
    table.add_column("")
    table.add_column("seconds", justify="right")
    table.add_column("to htslib's inflate", justify="right")
    table.add_column("fields that differ", justify="right")
    for name, value in seconds.items():
        checked = str(len(differ)) if name.startswith("read_vcf") else ""
        table.add_row(name, f"{value:.3f}", f"{value / bare:.2f}", checked)
    Console(width=100).print(table)
    told = {
        "alleles": len(columns),
        "megabytes": round(megabytes, 1),
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "columnar_to_inflate_htslib": round(ours / bare, 3),
        "columnar_to_inflate_isal": round(ours / seconds["inflate, isal"], 3),
        "bare_pysam_loop_to_columnar": round(seconds["bare loop over pysam's records"] / ours, 3),
        "pysam_to_columnar": round(seconds["read_vcf, pysam"] / ours, 3),
        "fields_that_differ": differ,
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
