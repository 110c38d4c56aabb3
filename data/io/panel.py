"""A panel of transcripts as a Parquet file: one row a transcript, what it was made from in its metadata."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import KnowledgeError
from data.files import replace_atomically
from data.genomics import Build
from data.transcripts import Panel, Transcript

_PAIR = pa.list_(pa.int32())
_SCHEMA = pa.schema(
    {
        "gene": pa.string(), "name": pa.string(), "chosen_as": pa.string(), "chromosome": pa.string(),
        "strand": pa.int8(), "exons": pa.list_(_PAIR), "coding": _PAIR, "starts": _PAIR,
        "bases": pa.list_(pa.string()),
    }
)  # fmt: skip
_TOLD = ("build", "annotation", "as_of")


def write_panel(path: Path, panel: Panel) -> None:
    """Keep a panel.

    Raises:
        KnowledgeError: the file cannot be written.
    """
    rows = [{name: getattr(t, name) for name in _SCHEMA.names} for t in panel.transcripts]
    told = {name: getattr(panel, name) for name in _TOLD}
    table = pa.Table.from_pylist(rows, _SCHEMA.with_metadata(told))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    try:
        replace_atomically(path, sink.getvalue().to_pybytes())
    except OSError as error:
        raise KnowledgeError(f"{path}: cannot be written ({error.strerror})") from error


def read_panel(path: Path) -> Panel:
    """What :func:`write_panel` kept.

    Raises:
        KnowledgeError: the file is damaged or none of a panel.
    """
    try:
        table = pq.read_table(path)
        kept = table.schema.metadata or {}
        told = {key.decode(): value.decode() for key, value in kept.items()}
        transcripts = tuple(_transcript(row) for row in table.to_pylist())
        return Panel(cast(Build, told["build"]), told["annotation"], told["as_of"], transcripts)
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise KnowledgeError(
            f"{path}: is damaged; make it again with 'avatar genomics build-panel'"
        ) from error


def _transcript(row: dict[str, object]) -> Transcript:
    exons = tuple(tuple(exon) for exon in cast(list[list[int]], row["exons"]))
    lists = {name: tuple(cast(list[object], row[name])) for name in ("coding", "starts", "bases")}
    return Transcript(**(row | lists | {"exons": exons}))  # type: ignore[arg-type]  # as the schema has them
