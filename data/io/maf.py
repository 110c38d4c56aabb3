"""Mutation annotation format: the GDC's, MC3's, Firehose's and cBioPortal's, one tumor or a cohort.

Positions stay as MAF has them: an insertion has ``-`` as its reference and lies behind its position, a deletion
has ``-`` as its alternative; the base before it, which VCF wants, a MAF does not give.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.errors import ParserError, ParserWarning

from data.calls import FROM_MAF, SCHEMA, Calls
from data.errors import VariantError
from data.files import UNREADABLE, is_gzipped
from data.genome import length_of
from data.genomics import Build
from data.io.consequences import consequence_of

NEEDED = {
    "gene": ("Hugo_Symbol",),
    "chromosome": ("Chromosome",),
    "position": ("Start_Position", "Start_position"),
    "reference": ("Reference_Allele",),
    "alternate": ("Tumor_Seq_Allele2",),
    "sample": ("Tumor_Sample_Barcode",),
    "classification": ("Variant_Classification",),
}
"""What a MAF has in any dialect."""
OPTIONAL = {
    "build": ("NCBI_Build",),
    "normal": ("Matched_Norm_Sample_Barcode",),
    "filters": ("FILTER",),
    "id": ("dbSNP_RS",),
    "status": ("Mutation_Status",),
    "tumor_depth": ("t_depth",),
    "tumor_ref_depth": ("t_ref_count",),
    "tumor_alt_depth": ("t_alt_count",),
    "vaf": ("t_vaf",),
    "context": ("CONTEXT",),
    "normal_depth": ("n_depth",),
    "normal_ref_depth": ("n_ref_count",),
    "normal_alt_depth": ("n_alt_count",),
    "transcript": ("Transcript_ID",),
    "mane": ("MANE",),
    "consequence": ("Consequence",),
    "impact": ("IMPACT",),
    "hgvs_coding": ("HGVSc",),
    "hgvs_protein": ("HGVSp_Short", "Protein_Change", "HGVSp"),
    "population_frequency": ("MAX_AF", "gnomAD_AF", "ExAC_AF"),
}
DEPTHS = tuple(name for name in OPTIONAL if name.endswith("_depth"))
SHARES = ("vaf", "population_frequency")
MOST_READS = 10_000_000
BUILDS: Mapping[str, Build] = {
    "37": "GRCh37", "grch37": "GRCh37", "hg19": "GRCh37",
    "38": "GRCh38", "grch38": "GRCh38", "hg38": "GRCh38",
}  # fmt: skip
OLD = ("36", "hg18", "ncbi36", "36.1")
MISSING = ["", ".", "NA", "N/A", "nan", "Unknown", "__UNKNOWN__"]
BASES = r"^(?:[ACGTN]+|-)$"


def read_maf(path: Path, *, sample: str | None = None, build: Build | None = None) -> Calls:
    """One tumor's calls.

    Args:
        path: a MAF, plain or gzipped.
        sample: its barcode, or what it begins with, where the file has several.
        build: where the file has no NCBI_Build.

    Raises:
        VariantError: no MAF, of a build that is not read, or not of one tumor.
    """
    found = read_maf_cohort(path, build=build)
    named = [name for name in found if sample is None or name.startswith(sample)]
    if len(named) != 1:
        asked = "none is named" if sample is None else f"{sample!r} fits {len(named)}"
        raise VariantError(
            f"{path}: has {len(found)} tumor samples and {asked}; name one as tumor_sample (there is "
            f"{', '.join(list(found)[:3])}{' ...' if len(found) > 3 else ''})"
        )
    return found[named[0]]


def read_maf_cohort(path: Path, *, build: Build | None = None) -> dict[str, Calls]:
    """The calls of every tumor in a file, by its barcode.

    Raises:
        VariantError: no MAF, or of a build that is not read, or of another than ``build``.
    """
    frame = maf_frame(path)
    told, how = _build(path, frame, build)
    _check(path, frame, told)
    table = _table(frame)
    normal = _text(frame, "normal").to_numpy(object)
    found: dict[str, Calls] = {}
    for name, own in frame.groupby("sample", sort=False).indices.items():
        normals = pd.unique(normal[own][~pd.isna(normal[own])])
        found[str(name)] = Calls(
            table.take(pa.array(own)),
            build=told,
            build_from=how,
            tumor_sample=str(name),
            normal_sample=str(normals[0]) if len(normals) == 1 else None,
            roles_from=FROM_MAF,
            annotator="MAF",
        )
    return found


def maf_frame(path: Path) -> pd.DataFrame:
    """The columns of :data:`NEEDED` and those of :data:`OPTIONAL` that a file has, as text; None where unknown.

    Raises:
        VariantError: no such file, or no MAF.
    """
    if not path.is_file():
        raise VariantError(f"{path}: there is no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error", ParserWarning
            )  # of a line that is longer than the header
            frame = pd.read_csv(
                path, sep="\t", comment="#", dtype=str, keep_default_na=False, na_values=MISSING,
                quoting=csv.QUOTE_NONE, index_col=False,
                compression="gzip" if is_gzipped(path) else None,
            )  # fmt: skip
    except (*UNREADABLE, ParserError, ParserWarning, ValueError) as error:
        words = " ".join(str(error).split())[:200]
        raise VariantError(
            f"{path}: not a readable MAF ({words}); check that it is complete"
        ) from error
    names = {
        what: next((name for name in names if name in frame), None)
        for what, names in (NEEDED | OPTIONAL).items()
    }
    missing = [" or ".join(NEEDED[what]) for what in NEEDED if names[what] is None]
    if missing:
        raise VariantError(
            f"{path}: no MAF, or not a whole one: it has no column {', '.join(missing)}"
        )
    held = frame[[name for name in names.values() if name is not None]]
    return held.rename(columns={name: what for what, name in names.items() if name is not None})


def _build(path: Path, frame: pd.DataFrame, said: Build | None) -> tuple[Build | None, str]:
    if "build" not in frame:
        return said, "said in the study" if said else "nothing in the file tells it"
    words = frame["build"].dropna().str.lower().unique()
    if old := [word for word in words if word in OLD]:
        raise VariantError(
            f"{path}: is of build {old[0]}, which is not read; lift it over to GRCh37 or GRCh38"
        )
    unknown = [word for word in words if word not in BUILDS]
    named = {BUILDS[word] for word in words if word in BUILDS}
    if unknown or len(named) > 1:
        listed = ", ".join(sorted(words))
        raise VariantError(
            f"{path}: NCBI_Build is {listed}; a file is of one build, GRCh37 or GRCh38"
        )
    found = next(iter(named), None)
    if None not in (found, said) and found != said:
        raise VariantError(
            f"{path}: is {found} by NCBI_Build, but {said} was said; correct one of them"
        )
    return found or said, "NCBI_Build" if found else "said in the study"


def _check(path: Path, frame: pd.DataFrame, build: Build | None) -> None:
    position = pd.to_numeric(frame["position"], errors="coerce")
    ends = frame["chromosome"].map(lambda c: build and length_of(str(c), build)).astype(float)
    for wrong, rule in (
        (~frame["reference"].fillna("").str.match(BASES), "Reference_Allele is no bases"),
        (~frame["alternate"].fillna("").str.match(BASES), "Tumor_Seq_Allele2 is no bases"),
        (frame["sample"].isna(), "Tumor_Sample_Barcode is missing"),
        (~(position >= 1) | (position % 1 != 0), "Start_Position is no position"),
        (position > ends, f"Start_Position is beyond the chromosome's end in {build}"),
        *(
            (
                ~_number(frame, name).fillna(0).between(0, most),
                f"{_column(name)} is beyond 0 to {most:,}",
            )
            for names, most in ((SHARES, 1), (DEPTHS, MOST_READS))
            for name in names
        ),
    ):
        if wrong.any():
            n = int(np.flatnonzero(wrong)[0])
            place = f"{frame['chromosome'].iloc[n]}:{frame['position'].iloc[n]}"
            raise VariantError(
                f"{path}: the variant at {place} (line {n + 2}) is not valid ({rule}); correct or remove it"
            )


def _table(frame: pd.DataFrame) -> pa.Table:
    words = {str(word): consequence_of(str(word)) for word in frame["classification"].unique()}
    known = {word: said for word, said in words.items() if said is not None}
    terms = frame["classification"].map({word: said.term for word, said in known.items()})
    impacts = frame["classification"].map({word: said.impact for word, said in known.items()})
    alternate = _number(frame, "tumor_alt_depth")
    support = alternate + _number(frame, "tumor_ref_depth")
    depth, normal = _number(frame, "tumor_depth"), _number(frame, "normal_depth")
    fraction = _number(frame, "vaf").fillna(alternate / support.where(support > 0))
    columns: dict[str, Any] = {
        "record": pd.Series(np.arange(len(frame)), frame.index),
        "allele": pd.Series(1, frame.index),
        "chromosome": frame["chromosome"],
        "position": pd.to_numeric(frame["position"]).astype(np.int64),
        "reference": frame["reference"],
        "alternate": frame["alternate"],
        "status": _text(frame, "status").str.lower(),
        "in_tumor": pd.Series(True, frame.index),
        "tumor_depth": depth.fillna(support),
        "tumor_alt_depth": alternate,
        "vaf": fraction.clip(0, 1),
        "normal_depth": normal.fillna(
            _number(frame, "normal_ref_depth") + _number(frame, "normal_alt_depth")
        ),
        "normal_alt_depth": _number(frame, "normal_alt_depth"),
        "consequence": _text(frame, "consequence").str.replace(";", "&").fillna(terms),
        "impact": _text(frame, "impact").fillna(impacts),
        "is_mane": _text(frame, "mane").notna() if "mane" in frame else None,
        "annotated_by": pd.Series("MAF", frame.index).where(_is_named(frame, impacts)),
        "population_frequency": _number(frame, "population_frequency"),
    } | {
        name: _text(frame, name)
        for name in (
            "id",
            "filters",
            "gene",
            "transcript",
            "hgvs_coding",
            "hgvs_protein",
            "context",
        )
    }
    arrays = [
        pa.nulls(len(frame), field.type)
        if columns[field.name] is None
        else _array(columns[field.name], field.type)
        for field in SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _is_named(frame: pd.DataFrame, impacts: pd.Series) -> pd.Series:
    """Whether gene and change are told; a change of the protein without its name may be looked up elsewhere."""
    if _text(frame, "hgvs_protein").notna().any():
        return _text(frame, "gene").notna()
    return _text(frame, "gene").notna() & ~impacts.isin(["MODERATE", "HIGH"])


def _array(values: pd.Series, kind: pa.DataType) -> pa.Array:
    return pa.array(values, from_pandas=True).cast(kind, safe=False)


def _text(frame: pd.DataFrame, name: str) -> pd.Series:
    return frame[name] if name in frame else pd.Series(None, frame.index, dtype=object)


def _column(name: str) -> str:
    return " or ".join(OPTIONAL[name])


def _number(frame: pd.DataFrame, name: str) -> pd.Series:
    """NaN where it is not known, or no number; counts of -1 are not known."""
    numbers = pd.to_numeric(_text(frame, name), errors="coerce").astype(float)
    return numbers.where(numbers != -1) if name in DEPTHS else numbers
