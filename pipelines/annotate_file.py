"""A VCF written again with what this project says of each allele."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from data.errors import VariantError
from data.genomics import Build
from data.io.vcf import read_vcf
from data.io.vcf.write import Note, annotate_vcf
from data.store import AvatarStore
from models.genomics.hotspots import BUILDS
from pipelines.annotate import Annotated, annotate
from pipelines.panel import panel_of

COLUMNS = {
    "GENE": ("gene", "Symbol of the gene"),
    "TRANSCRIPT": ("transcript", "Transcript that the names are of"),
    "CONSEQUENCE": ("consequence", "Terms of the Sequence Ontology with & between"),
    "HGVSC": ("hgvs_coding", "Coding change by HGVS"),
    "HGVSP": ("hgvs_protein", "Protein change by HGVS"),
    "VAF": ("vaf", "Reads of the allele in the tumor sample, of those that support one"),
    "BY": ("annotated_by", "Who names it: an annotator, panel, hotspot index"),
}
"""Our fields, the column of the calls that each is, and what it says."""


def build_named(text: str | None) -> Build | None:
    """One of the two builds, by its name.

    Raises:
        VariantError: it is neither.
    """
    if text is None:
        return None
    found = next((build for build in BUILDS if build.lower() == text.lower()), None)
    if found is None:
        raise VariantError(f"{text!r} is no build that is known here; give {' or '.join(BUILDS)}")
    return found


def annotate_file(
    source: Path,
    target: Path,
    store: AvatarStore,
    *,
    tumor_sample: str | None = None,
    normal_sample: str | None = None,
    build: Build | None = None,
) -> Annotated:
    """Names from the file itself, the store's panel or the index of hotspots, into INFO.

    Raises:
        VariantError: the source cannot be read, or the target is the source.
    """
    if source.suffix == ".bcf":
        raise VariantError(
            f"{source}: is a BCF; convert it with 'bcftools view -Oz' and annotate that"
        )
    calls = read_vcf(source, tumor_sample=tumor_sample, normal_sample=normal_sample, build=build)
    done = annotate(calls, panel_of(store, calls.build))
    columns = [column for column, _ in COLUMNS.values()]
    values: dict[int, list[list[str | None]]] = defaultdict(list)
    told = done.calls.table.select(["record", "allele", *columns]).to_pylist()
    for row in told:
        alleles = values[row["record"]]
        while len(alleles) < row["allele"] - 1:  # * and other alternatives that are no allele
            alleles.append([None] * len(columns))
        alleles.append([_written(row[column]) for column in columns])
    notes = [Note(name, said) for name, (_, said) in COLUMNS.items()]
    annotate_vcf(source, target, notes, values)
    return done


def _written(value: object) -> str | None:
    return None if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
