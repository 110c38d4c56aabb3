"""What a file says of each allele's effect: VEP's CSQ, SnpEff's ANN, Funcotator's FUNCOTATION.

Of several transcripts one is taken: of those that are MANE Select, picked by the annotator or canonical, the
one with the gravest impact (so that a neighboring gene does not hide the one that is hit); among equals MANE
Select before the annotator's pick before the canonical one before the first; of the others where none is such.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.io.consequences import consequence_of
from data.io.vcf.batch import Annotated, Batch
from data.io.vcf.header import Header
from data.io.vcf.text import Places, entries, numbers_of_words, taken

IMPACTS = ("MODIFIER", "LOW", "MODERATE", "HIGH")
FREQUENCIES = ("MAX_AF", "gnomAD_AF", "gnomADe_AF", "gnomADg_AF", "ExAC_AF", "EUR_AF", "AF")
"""VEP's fields for the frequency of an allele in a population; the highest counts."""
STRUCTURAL = {
    "<DEL>": "deletion",
    "<DUP>": "duplication",
    "<INS>": "insertion",
    "<INV>": "inversion",
}
"""VEP's words for alternatives that are not spelled out."""
TEXTS = ("gene", "transcript", "consequence", "impact", "hgvs_coding", "hgvs_protein")


@dataclass(frozen=True)
class Annotator:
    """Whose annotations a file has and which of their fields says what, by its number."""

    name: str
    key: str
    fields: Mapping[str, int]
    frequencies: tuple[int, ...] = ()

    @property
    def wanted(self) -> list[int]:
        """Numbers of the fields that are read: :data:`TEXTS`, the flags, the frequencies."""
        named = [self.fields.get(name, -1) for name in (*TEXTS, *FLAGS, "allele", "number")]
        return [*named, *self.frequencies]


FLAGS = ("mane", "pick", "canonical")
VEP = {
    "allele": ("Allele",),
    "number": ("ALLELE_NUM",),
    "gene": ("SYMBOL",),
    "transcript": ("Feature",),
    "consequence": ("Consequence",),
    "impact": ("IMPACT",),
    "hgvs_coding": ("HGVSc",),
    "hgvs_protein": ("HGVSp",),
    "mane": ("MANE_SELECT", "MANE"),
    "pick": ("PICK",),
    "canonical": ("CANONICAL",),
}
SNPEFF = {
    "allele": ("Allele",),
    "gene": ("Gene_Name",),
    "transcript": ("Feature_ID",),
    "consequence": ("Annotation",),
    "impact": ("Annotation_Impact",),
    "hgvs_coding": ("HGVS.c",),
    "hgvs_protein": ("HGVS.p",),
}
FUNCOTATOR = {
    "allele": ("tumorSeqAllele2",),
    "gene": ("hugoSymbol",),
    "transcript": ("annotationTranscript",),
    "impact": ("variantClassification",),
    "hgvs_coding": ("cDnaChange",),
    "hgvs_protein": ("proteinChange",),
}


def annotator_of(header: Header) -> Annotator | None:
    """Whose annotations a file has, by the field that its header declares; VEP's where there are several."""
    if (said := header.description("CSQ")) is not None:
        names = said.split("Format:")[-1].strip(" '\"").split("|")
        frequencies = tuple(names.index(f) for f in FREQUENCIES if f in names)
        return Annotator("VEP", "CSQ", _numbers(VEP, names), frequencies)
    if (said := header.description("ANN")) is not None:
        names = [name.strip(" '\"") for name in said.split(":", 1)[-1].split("|")]
        return Annotator("SnpEff", "ANN", _numbers(SNPEFF, names))
    if (said := header.description("FUNCOTATION")) is not None:
        names = [re.sub(r"^Gencode_\d+_", "", n.strip()) for n in said.split(":", 1)[-1].split("|")]
        return Annotator("Funcotator", "FUNCOTATION", _numbers(FUNCOTATOR, names))
    return None


def _numbers(said: Mapping[str, Sequence[str]], names: list[str]) -> dict[str, int]:
    found = {what: next((n for n in of if n in names), None) for what, of in said.items()}
    return {what: names.index(name) for what, name in found.items() if name is not None}


def effects(batch: Batch, annotator: Annotator | None) -> dict[str, pa.Array]:
    """The columns that an annotator fills, one row for each alternative of each record."""
    rows = int(batch.counted.sum())
    if annotator is None:
        empty = dict.fromkeys(TEXTS, pa.nulls(rows, pa.string()))
        return empty | {
            "is_mane": pa.nulls(rows, pa.bool_()),
            "annotated_by": pa.nulls(rows, pa.string()),
            "population_frequency": pa.nulls(rows, pa.float32()),
        }
    held: Annotated = batch.annotations
    row, first, last = entries(held.data, held.starts, held.ends, annotator.wanted)
    place = {name: n for n, name in enumerate((*TEXTS, *FLAGS, "allele", "number"))}

    def text(name: str, chosen: Places) -> pa.Array:
        return _texts(held, first[place[name]], last[place[name]], chosen)

    impact = _impacts(held, first[place["impact"]], last[place["impact"]])
    flags = {name: last[place[name]] > first[place[name]] for name in FLAGS}
    preferred = flags["mane"] | flags["pick"] | flags["canonical"]
    score = (
        1000 * preferred
        + 100 * impact
        + 10 * flags["mane"]
        + 4 * flags["pick"]
        + 2 * flags["canonical"]
    )
    chosen = _chosen(
        batch, row, score, lambda own: [text(n, own).to_pylist() for n in ("allele", "number")]
    )
    columns = {name: text(name, chosen) for name in TEXTS}
    if annotator.name == "Funcotator":
        columns |= _funcotated(columns)
    missing = pa.array(chosen < 0)
    columns["annotated_by"] = pc.if_else(missing, None, annotator.name)
    mane = pa.array(_at(flags["mane"], chosen)) if "mane" in annotator.fields else None
    columns["is_mane"] = (
        pa.nulls(rows, pa.bool_()) if mane is None else pc.if_else(missing, None, mane)
    )
    frequencies = [
        _frequencies(_texts(held, first[n], last[n], chosen)) for n in range(len(place), len(first))
    ]
    highest = np.fmax.reduce([*frequencies, np.full(rows, np.nan)])
    columns["population_frequency"] = pa.array(highest, pa.float32(), from_pandas=True)
    return columns


def _at(values: NDArray[np.bool_], chosen: Places) -> NDArray[np.bool_]:
    return np.append(values, False)[chosen]


def _texts(held: Annotated, first: Places, last: Places, chosen: Places) -> pa.Array:
    """Of the chosen entries; null where the field is empty or no entry is chosen (-1)."""
    if not len(first):
        return pa.nulls(len(chosen), pa.string())
    starts, ends = first[chosen], np.where(chosen < 0, 0, last[chosen])
    texts: pa.Array = taken(held.data, starts, ends)
    texts = pc.if_else(pa.array(ends > starts), texts, pa.scalar(None, pa.string()))
    if held.is_encoded:
        texts = pc.replace_substring(pc.replace_substring(texts, "%3D", "="), "%2C", ",")
        texts = pc.replace_substring(pc.replace_substring(texts, "%3B", ";"), "%25", "%")
    return texts


def _impacts(held: Annotated, first: Places, last: Places) -> NDArray[np.int64]:
    """Rank of each; Funcotator's classification stands for the impact that it has."""
    ranks = numbers_of_words(held.data, first, last, IMPACTS)
    odd = np.flatnonzero((ranks < 0) & (last > first))
    ranks[ranks < 0] = 0
    if len(odd):
        ranks[odd] = _ranks(_texts(held, first, last, odd))
    return ranks


def _ranks(texts: pa.Array) -> NDArray[np.int64]:
    coded = texts.dictionary_encode()
    rank = [_rank(word) for word in coded.dictionary.to_pylist()]
    codes = np.asarray(coded.indices.fill_null(len(rank)))
    return np.asarray(np.array([*rank, 0], np.int64)[codes])


def _rank(word: str) -> int:
    said = consequence_of(word)
    impact = said.impact if said else word
    return IMPACTS.index(impact) if impact in IMPACTS else 0


def _chosen(
    batch: Batch,
    row: NDArray[np.int32],
    score: NDArray[np.int64],
    alleles: Callable[[Places], list[list[str | None]]],
) -> Places:
    """(alternatives,) the entry that is taken for each alternative of each record; -1 where none is its."""
    count = len(row)
    places = np.cumsum(batch.counted) - batch.counted
    chosen = np.full(int(batch.counted.sum()), -1, np.int64)
    if not count:
        return chosen
    key = score.astype(np.int64) * (count + 1) + count - np.arange(count)
    first = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
    best = count - np.maximum.reduceat(key, first) % (count + 1)
    chosen[places[row[first]]] = best  # right where there is one alternative
    symbolic = np.asarray(pc.match_substring(batch.alternates, "<"))
    for record in np.flatnonzero((batch.counted > 1) | symbolic):
        low, high = np.searchsorted(row, [record, record + 1])
        texts, numbers = alleles(np.arange(low, high))
        names = _names(
            batch.references[record], [a for a in batch.alleles[record] if a is not None]
        )
        for n, accepted in enumerate(names):
            own = [
                low + e
                for e, (text, number) in enumerate(zip(texts, numbers, strict=True))
                if (number == str(n + 1) if number else text in accepted)
            ]
            chosen[places[record] + n] = max(own, key=lambda e: key[e], default=-1)
    return chosen


def _names(reference: str, alternates: list[str]) -> list[set[str]]:
    """How annotators may call each alternative: as in VCF, or as VEP, which cuts off a shared first base."""
    lengths = {len(reference), *map(len, alternates)}
    shared = {reference[0], *(a[0] for a in alternates)}
    cut = len(lengths) > 1 and len(shared) == 1
    return [{a, (a[1:] or "-") if cut else a, STRUCTURAL.get(a, a)} for a in alternates]


def _funcotated(columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """Text without the brackets of the entry; consequence and impact for the classification."""
    bare = {name: pc.utf8_trim(texts, "[]") for name, texts in columns.items()}
    said = [consequence_of(word) if word else None for word in bare["impact"].to_pylist()]
    return bare | {
        "consequence": pa.array([c.term if c else None for c in said], pa.string()),
        "impact": pa.array([c.impact if c else None for c in said], pa.string()),
    }


def _frequencies(texts: pa.Array) -> NDArray[np.float64]:
    """Of the most frequent of several variants at a place, which are parted by &."""
    if pc.any(pc.match_substring(texts, "&")).as_py():
        parts = texts.to_pandas().str.split("&").explode()
        numbers = pd.to_numeric(parts, errors="coerce").groupby(level=0).max()
        return np.asarray(numbers, np.float64)
    try:
        return np.asarray(pc.cast(texts, pa.float64()).to_pandas(), np.float64)
    except pa.ArrowInvalid:  # a word among them
        return np.asarray(pd.to_numeric(texts.to_pandas(), errors="coerce"), np.float64)
