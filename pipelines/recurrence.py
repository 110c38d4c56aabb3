"""How often each protein change of the panel is seen in public cohorts: the shipped table, made again."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from data.errors import VariantError
from data.genomics import Variant
from data.io.maf import read_maf_cohort
from models.genomics.genes import GeneTable
from models.genomics.numbering import as_usual
from models.genomics.oncogenicity import Recurrence

LEAST = 2
"""Patients: what only one has says nothing."""
PARTICIPANT = 12
"""Letters of a TCGA barcode that name the patient."""


def patients_by_change(paths: Iterable[Path], genes: GeneTable) -> dict[tuple[str, str], int]:
    """Patients by gene and protein change, of protein-altering calls; one patient counts once.

    Raises:
        VariantError: of a MAF that cannot be read.
    """
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in paths:
        for barcode, calls in read_maf_cohort(path).items():
            patient = barcode[:PARTICIPANT] if barcode.startswith("TCGA-") else barcode
            for variant in calls.variants():
                change = _counted(variant, genes)
                if change and variant.gene:
                    seen[genes.current(variant.gene), change].add(patient)
    return {key: len(who) for key, who in sorted(seen.items()) if len(who) >= LEAST}


def _counted(variant: Variant, genes: GeneTable) -> str | None:
    gene = genes.find(variant.gene or "")
    if gene is None or not variant.protein_change or not variant.alters_protein:
        return None
    return as_usual(variant, genes).protein_change


def write_recurrence(path: Path, found: dict[tuple[str, str], int], source: str) -> None:
    """Keep a table, with where it is from in its first line."""
    with path.open("w", newline="") as file:
        file.write(f"# {source}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("gene", "change", "patients"))
        writer.writerows((*key, patients) for key, patients in found.items())


def read_recurrence(path: Path) -> Recurrence:
    """What :func:`write_recurrence` kept.

    Raises:
        VariantError: no such table.
    """
    try:
        with path.open() as file:
            source = file.readline().removeprefix("# ").strip()
            rows = csv.DictReader(file)
            counted = {(row["gene"], row["change"]): int(row["patients"]) for row in rows}
    except (OSError, KeyError, ValueError) as error:
        raise VariantError(f"{path}: is no table of recurrence: {error}") from error
    return Recurrence(counted, source)
