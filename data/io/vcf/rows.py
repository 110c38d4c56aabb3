"""Records, as they were parsed, to rows of :data:`data.calls.SCHEMA`: one for each alternative allele."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.calls import SCHEMA
from data.errors import VariantError
from data.genome import length_of
from data.genomics import Build
from data.io.vcf.annotations import Annotator, effects
from data.io.vcf.batch import Batch
from data.io.vcf.depths import support
from data.io.vcf.header import Header
from data.io.vcf.text import MOST_VALUES

NO_ALLELE = pa.array(["*", ".", "<NON_REF>", "<*>", "<X>"])
"""Placeholders that callers write in place of an allele."""
SINGLE = pa.array(list("ACGT"))
BASES = "^[ACGTN]+$"
ALTERNATES = (
    r"^(?:[ACGTNacgtn]+|\*|\.|<[^<>\s]+>|[^\s,]*[\[\]][^\s,]*|\.[ACGTNacgtn]+|[ACGTNacgtn]+\.)"
    r"(?:,(?:[ACGTNacgtn]+|\*|\.|<[^<>\s]+>|[^\s,]*[\[\]][^\s,]*|\.[ACGTNacgtn]+|[ACGTNacgtn]+\.))*$"
)
"""VCF 4.3, section 1.6.1: bases, a placeholder, a symbol, a breakend; with commas between."""
STATUS = {"0": "wild type", "1": "germline", "2": "somatic", "3": "LOH", "5": "unknown"}
"""SS, as VarScan, MuSE and Mutect write it."""
VARDICT = {
    "StrongSomatic": "somatic",
    "LikelySomatic": "somatic",
    "SampleSpecific": "somatic",
    "Germline": "germline",
    "AFDiff": "unknown",
    "Deletion": "unknown",
    "StrongLOH": "LOH",
    "LikelyLOH": "LOH",
}
KEYS = ("SOMATIC", "SS", "STATUS")
"""INFO's keys that tell a call's status."""


def rows(
    header: Header, batch: Batch, build: Build | None, annotator: Annotator | None
) -> pa.Table:
    """The alleles of a batch, without placeholders.

    Raises:
        VariantError: a record that breaks a rule of the format, or lies beyond its chromosome's end.
    """
    check(header, batch, build)
    row = np.repeat(np.arange(len(batch)), batch.counted)
    allele = np.arange(len(row)) - np.repeat(
        np.cumsum(batch.counted) - batch.counted, batch.counted
    )
    held = pa.array(row)
    tumor = support(batch.tumor, batch)
    normal = None if batch.normal is None else support(batch.normal, batch)
    single = batch.width == 1
    alternate = batch.alternates if single else pa.array(batch.alleles[row, allele], pa.string())
    columns = {
        "record": pa.array(batch.record[row]),
        "allele": pa.array((allele + 1).astype(np.int16)),
        "chromosome": batch.chromosome.take(held),
        "position": pa.array(batch.position[row].astype(np.int32)),
        "id": _said(batch.id).take(held),
        "reference": batch.reference.take(held),
        "alternate": alternate,
        "filters": _said(batch.filters).take(held),
        "status": _status(batch).take(held),
        "in_tumor": pa.array(tumor.shows[row, allele]),
        "tumor_depth": _column(tumor.depth[row], pa.int32()),
        "tumor_alt_depth": _column(tumor.alternates[row, allele], pa.int32()),
        "vaf": _column(tumor.fraction[row, allele], pa.float32()),
        "normal_depth": _column(
            None if normal is None else normal.depth[row], pa.int32(), len(row)
        ),
        "normal_alt_depth": _column(
            None if normal is None else normal.alternates[row, allele], pa.int32(), len(row)
        ),
        "context": pa.nulls(len(row), pa.string()),
        **effects(batch, annotator),
    }
    table = pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)
    return table.filter(pc.invert(pc.is_in(table["alternate"], value_set=NO_ALLELE)))


def check(header: Header, batch: Batch, build: Build | None) -> None:
    """Hold records to the format.

    Raises:
        VariantError: which record breaks which rule.
    """
    _refuse(
        header, batch, batch.counted > MOST_VALUES, None, f"more than {MOST_VALUES} alternatives"
    )
    wrong = _not_matching(batch.reference, BASES)
    _refuse(header, batch, wrong, batch.reference, "REF has letters other than A, C, G, T, N")
    wrong = _not_matching(batch.alternates, ALTERNATES)
    _refuse(header, batch, wrong, batch.alternates, "ALT is no allele")
    _refuse(header, batch, batch.position < 1, None, "POS is not positive")
    coded = batch.chromosome.dictionary_encode()
    ends = [_end(header, name, build) for name in coded.dictionary.to_pylist()]
    beyond = batch.position > np.array(ends)[np.asarray(coded.indices)]
    what = f"POS is beyond the chromosome's end in {build or 'the header'}, so the file is of another build"
    _refuse(header, batch, beyond, None, what)


def _not_matching(texts: pa.StringArray, pattern: str) -> NDArray[np.bool_]:
    """Single bases are most of a file, and need no pattern."""
    wrong = ~np.asarray(pc.is_in(texts, value_set=SINGLE))
    wrong[wrong] = ~np.asarray(pc.match_substring_regex(texts.filter(pa.array(wrong)), pattern))
    return wrong


def _refuse(
    header: Header, batch: Batch, bad: NDArray[np.bool_], values: pa.StringArray | None, rule: str
) -> None:
    if not bad.any():
        return
    n = int(np.flatnonzero(bad)[0])
    given = "" if values is None else f", which is {values[n].as_py()[:40]!r}"
    raise VariantError(
        f"{header.path}: the record at {batch.chromosome[n]}:{batch.position[n]} is not valid ({rule}{given}); "
        "correct or remove it"
    )


def _end(header: Header, chromosome: str, build: Build | None) -> float:
    """One beyond the last base, as VCF allows for the telomere."""
    length = header.contigs.get(chromosome) or (build and length_of(chromosome, build))
    return length + 1 if length else np.inf


def _said(texts: pa.StringArray) -> pa.StringArray:
    return pc.if_else(pc.equal(texts, "."), pa.scalar(None, pa.string()), texts)


def _column(values: NDArray[np.float64] | None, kind: pa.DataType, count: int = 0) -> pa.Array:
    if values is None:
        return pa.nulls(count, kind)
    known = ~np.isnan(values)
    return pa.array(np.where(known, values, 0), mask=~known).cast(kind, safe=False)


def _status(batch: Batch) -> pa.Array:
    """By SS or STATUS, else somatic where the flag is set; null where nothing says."""
    by_code = _mapped(batch.info["SS"], STATUS)
    texts = batch.tumor.texts("SS")
    if texts is not None:
        by_code = pc.coalesce(by_code, _mapped(pa.array(texts, pa.string()), STATUS))
    flagged = pc.if_else(
        pc.is_valid(batch.info["SOMATIC"]), "somatic", pa.scalar(None, pa.string())
    )
    return pc.coalesce(by_code, _mapped(batch.info["STATUS"], VARDICT), flagged)


def _mapped(texts: pa.Array, words: dict[str, str]) -> pa.Array:
    places = pc.index_in(texts, value_set=pa.array(list(words)))
    return pa.array(list(words.values())).take(places)
