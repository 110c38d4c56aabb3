"""A VCF's body in columns: inflated with isal in a thread of its own, parsed in pieces by pyarrow.

For files and gzip or bgzip streams of any length; what is in memory at once is some pieces, not the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from isal import igzip_threaded
from numpy.typing import NDArray
from typing_extensions import override

from data.errors import VariantError
from data.files import is_gzipped
from data.io.vcf.batch import Annotated, Batch, Floats, Sample, parted
from data.io.vcf.header import FIXED, Header
from data.io.vcf.text import (
    MOST_VALUES,
    Info,
    bytes_and_offsets,
    fields,
    taken,
    whole_numbers,
)

PIECE = 16 * 2**20
LONGEST_LINE = 64 * 2**20
"""Bytes; a record with a thousand samples and all of VEP's fields has about one million."""
LONGEST_HEADER = 64 * 2**20
MISSING = pa.array(["", "."])


def opened(path: Path) -> IO[bytes]:
    """A plain or gzipped file's bytes.

    Raises:
        OSError: it cannot be opened.
    """
    if not is_gzipped(path):
        return path.open("rb")
    inflated: IO[bytes] = igzip_threaded.open(path, "rb", threads=1)  # type: ignore[no-untyped-call]
    return inflated


def read_header(path: Path, file: IO[bytes]) -> Header:
    """The lines up to the one that names the columns; the file is left at the first record."""
    lines, size = [], 0
    while line := file.readline(LONGEST_HEADER):
        size += len(line)
        if size >= LONGEST_HEADER:
            raise VariantError(
                f"{path}: a header of more than {LONGEST_HEADER >> 20} MiB; it is no variant file's"
            )
        if not line.startswith(b"#"):
            break
        lines.append(line.rstrip(b"\r\n").decode("utf-8", "replace"))
        if line.startswith(b"#CHROM"):
            break
    return Header(path, tuple(lines))


def pieces(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    """The rest of the file in pieces of whole lines.

    Raises:
        VariantError: a line that is longer than any record.
    """
    while piece := file.read(PIECE):
        piece += file.readline(LONGEST_LINE)
        if len(piece) >= PIECE + LONGEST_LINE:
            raise VariantError(
                f"{path}: a record of more than {LONGEST_LINE >> 20} MiB; it looks made to fill the memory, "
                "and is not read"
            )
        yield piece


class TextSample(Sample):
    """A sample's column in records of one FORMAT, taken apart at its colons."""

    def __init__(self, column: pa.StringArray, keys: Sequence[str]) -> None:
        self._data, offsets = bytes_and_offsets(column)
        self._starts, self._ends = fields(self._data, offsets, len(keys))
        self._numbers = {key: n for n, key in enumerate(keys)}

    def _field(self, key: str) -> pa.StringArray:
        n = self._numbers[key]
        texts = taken(self._data, self._starts[n], self._ends[n])
        missing = pc.is_in(texts, value_set=MISSING)
        return pc.if_else(missing, pa.scalar(None, pa.string()), texts)

    @override
    def texts(self, key: str) -> NDArray[np.object_] | None:
        if key not in self._numbers:
            return None
        return np.asarray(self._field(key).to_pandas(), object)

    @override
    def numbers(self, key: str) -> Floats | None:
        if key not in self._numbers:
            return None
        n = self._numbers[key]
        whole = whole_numbers(self._data, self._starts[n], self._ends[n])
        return numbers(self._field(key)) if whole is None else whole


def numbers(texts: pa.StringArray) -> Floats:
    """(n, most values) of texts like ``12,3``, ``.`` or ``38.46%``; NaN where one is missing.

    Raises:
        pa.ArrowInvalid: a text that is no number.
    """
    if pc.any(pc.match_substring(texts, "%")).as_py():
        texts = pc.replace_substring(pc.replace_substring(texts, "%2C", ","), "%25", "%")
    lists = pc.split_pattern(texts, ",")
    values = lists.flatten()
    counts = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
    scale = np.where(np.asarray(pc.ends_with(values, "%")), 0.01, 1.0)
    values = pc.if_else(pc.is_in(values, value_set=MISSING), "nan", pc.utf8_rtrim(values, "%"))
    flat = np.asarray(pc.cast(values, pa.float64())) * scale
    width = int(counts.max(initial=1))
    if width > MOST_VALUES:
        raise ValueError(
            f"a sample's field has {width} values, and there is room for {MOST_VALUES}"
        )
    if len(flat) == len(texts) and width == 1:
        return flat.reshape(-1, 1)
    out = np.full((len(texts), width), np.nan)
    row = np.repeat(np.arange(len(texts)), counts)
    out[row, np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)] = flat
    return out


def batches(
    header: Header, piece: bytes, tumor: str, normal: str | None, keys: Sequence[str], key: str
) -> Iterator[Batch]:
    """The records of a piece, one batch for each FORMAT in it; numbered from the piece's start.

    Args:
        keys: of the INFO values that are read.
        key: of the annotations.
    """
    used = {*FIXED, "FORMAT", tumor, *([normal] if normal else [])} - {"QUAL"}
    table = _parsed(header, piece, [c for c in header.columns if c in used])
    record = np.arange(table.num_rows)
    coded = table["FORMAT"].combine_chunks().dictionary_encode()
    codes = np.asarray(coded.indices)
    for code, format_ in enumerate(coded.dictionary.to_pylist()):
        own = codes == code
        part = table if own.all() else table.filter(pa.array(own))
        columns = {name: part[name].combine_chunks() for name in part.column_names}
        info = Info(columns["INFO"], [*keys, key])
        yield Batch(
            record=record[own],
            chromosome=columns["CHROM"],
            position=np.asarray(columns["POS"]).astype(np.int64),
            id=columns["ID"],
            reference=pc.utf8_upper(columns["REF"]),
            alternates=parted(columns["ALT"]),
            filters=columns["FILTER"],
            info={k: pc.if_else(pa.array(info.has(k)), info.texts(k), None) for k in keys},
            annotations=Annotated(info.data, *info.places(key)),
            tumor=TextSample(columns[tumor], format_.split(":")),
            normal=TextSample(columns[normal], format_.split(":")) if normal else None,
        )


def _parsed(header: Header, piece: bytes, names: list[str]) -> pa.Table:
    types = {name: pa.int64() if name == "POS" else pa.string() for name in names}
    return pyarrow.csv.read_csv(
        pa.BufferReader(piece),
        read_options=pyarrow.csv.ReadOptions(
            column_names=header.columns, use_threads=False, block_size=len(piece) + 1
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter="\t", quote_char=False, double_quote=False, escape_char=False
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=types, include_columns=names, strings_can_be_null=False, null_values=[]
        ),
    )
