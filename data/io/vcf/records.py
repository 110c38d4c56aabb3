"""A VCF's or BCF's records one by one through pysam: for regions, for BCF, and to check the other parser by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pysam
from numpy.typing import NDArray
from typing_extensions import override

from data.io.vcf.batch import Annotated, Batch, Floats, Sample, parted
from data.io.vcf.columns import numbers
from data.io.vcf.header import Header
from data.io.vcf.text import bytes_and_offsets

AT_ONCE = 20_000
"""Records that are held as objects."""


class ValueSample(Sample):
    """A sample's fields as pysam's values."""

    def __init__(self, samples: list[Any], keys: Sequence[str]) -> None:
        self._samples, self._keys = samples, set(keys)

    @override
    def texts(self, key: str) -> NDArray[np.object_] | None:
        if key not in self._keys:
            return None
        return np.array([_text(sample, key) for sample in self._samples], object)

    @override
    def numbers(self, key: str) -> Floats | None:
        texts = self.texts(key)
        return None if texts is None else numbers(pa.array(texts, pa.string()))


def _text(sample: Any, key: str) -> str | None:
    value = sample[key]
    if key == "GT":
        mark = "|" if sample.phased else "/"
        value = mark.join("." if allele is None else str(allele) for allele in value or ())
    elif isinstance(value, tuple):
        value = ",".join("." if v is None else str(v) for v in value)
    return None if value in (None, "", ".") else str(value)


def header_of(path: Path) -> Header:
    """Through pysam, which knows BCF too."""
    with pysam.VariantFile(str(path)) as file:
        return Header(path, tuple(str(file.header).splitlines()))


def batches(
    path: Path, region: str | None, tumor: str, normal: str | None, keys: Sequence[str], key: str
) -> Iterator[Batch]:
    """As :func:`data.io.vcf.columns.batches`, of a whole file or of a region (``chr7:55019000-55212000``)."""
    with pysam.VariantFile(str(path)) as file:
        held: dict[tuple[str, ...], list[tuple[int, Any]]] = defaultdict(list)
        records: Iterable[Any] = file.fetch(region=region) if region else file
        for number, record in enumerate(records):
            held[tuple(record.format)].append((number, record.copy()))
            if (number + 1) % AT_ONCE == 0:
                yield from _batches(held, tumor, normal, keys, key)
                held.clear()
        yield from _batches(held, tumor, normal, keys, key)


def _batches(
    held: dict[tuple[str, ...], list[tuple[int, Any]]],
    tumor: str,
    normal: str | None,
    keys: Sequence[str],
    key: str,
) -> Iterator[Batch]:
    for format_, numbered in held.items():
        records = [record for _, record in numbered]
        data, offsets = bytes_and_offsets(_text_array([_info(r, key) or "" for r in records]))
        yield Batch(
            record=np.array([number for number, _ in numbered], np.int64),
            chromosome=_text_array([r.chrom for r in records]),
            position=np.array([r.pos for r in records], np.int64),
            id=_text_array([r.id or "." for r in records]),
            reference=_text_array([r.ref.upper() for r in records]),
            alternates=parted(_text_array([",".join(r.alts or (".",)) for r in records])),
            filters=_text_array([";".join(r.filter.keys()) or "." for r in records]),
            info={k: _text_array([_info(r, k) for r in records]) for k in keys},
            annotations=Annotated(
                data, offsets[:-1].astype(np.int64), offsets[1:].astype(np.int64)
            ),
            tumor=ValueSample([r.samples[tumor] for r in records], format_),
            normal=ValueSample([r.samples[normal] for r in records], format_) if normal else None,
        )


def _text_array(texts: list[str | None]) -> pa.StringArray:
    return pa.array(texts, pa.string())


def _info(record: Any, key: str) -> str | None:
    if key not in record.info:
        return None
    value = record.info[key]
    if value is True:
        return ""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
