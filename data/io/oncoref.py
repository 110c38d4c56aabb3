"""Driver mutations out of oncoref (PyPI, Apache-2.0): Bailey 2018, Table S4, as its tables hold it."""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from datetime import date, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from data.errors import KnowledgeError
from data.genomics import short_protein_change

IN_WHEEL = "oncoref/data/driver-variant-evidence.csv"
COLUMNS = ("gene_symbol", "protein_change", "source_locator", "doi")
MAX_BYTES = 50_000_000
_VERSION = re.compile(r"oncoref-([\d.]+)-")


class DriverList(BaseModel):
    """Protein changes that a study names drivers, by gene, in one-letter code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="of the source, with its version where it is told")
    as_of: str
    cited: str = Field(description="the study")
    changes: tuple[tuple[str, str], ...] = Field(min_length=1)


def read_oncoref(path: Path, as_of: str | None = None) -> DriverList:
    """Its wheel, or ``driver-variant-evidence.csv`` out of it.

    Args:
        path: either.
        as_of: date of the table (YYYY-MM-DD), which a wheel tells itself.

    Raises:
        KnowledgeError: neither, a damaged one, or a date that is not told.
    """
    if not path.is_file():
        raise KnowledgeError(f"{path}: there is no such file")
    named = _VERSION.match(path.name)
    name = f"oncoref {named[1]}" if named else "oncoref"
    try:
        if zipfile.is_zipfile(path):
            text, dated = _in_wheel(path)
        else:
            text, dated = _plain(path), ""
        rows = list(csv.DictReader(io.StringIO(text)))
    except (
        OSError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error, csv.Error
    ) as error:  # fmt: skip
        raise KnowledgeError(
            f"{path}: cannot be read ({error}); give oncoref's wheel, or its driver-variant-evidence.csv"
        ) from error
    missing = [column for column in COLUMNS if not rows or rows[0].get(column) is None]
    if missing:
        raise KnowledgeError(
            f"{path}: has no column {', '.join(missing)}; give oncoref's wheel, or its "
            "driver-variant-evidence.csv"
        )
    short = next((n for n, row in enumerate(rows, 2) if None in row.values()), None)
    if short is not None:
        raise KnowledgeError(f"{path}: line {short} ends too early; download it again")
    rows = [row for row in rows if row["gene_symbol"] and row["protein_change"]]
    if not rows:
        raise KnowledgeError(f"{path}: names no protein change; is it the whole file?")
    changes = {(row["gene_symbol"], short_protein_change(row["protein_change"])) for row in rows}
    studies = sorted(
        {f"{row['doi'].removeprefix('DOI:')}, {row['source_locator']}" for row in rows}
    )
    return DriverList(
        name=name, as_of=_day(path, as_of or dated), cited="; ".join(studies), changes=tuple(sorted(changes))
    )  # fmt: skip


def _in_wheel(path: Path) -> tuple[str, str]:
    with zipfile.ZipFile(path) as wheel:
        told = wheel.getinfo(IN_WHEEL)
        if told.file_size > MAX_BYTES:
            raise KnowledgeError(f"{path}: its table is larger than {MAX_BYTES:,} bytes")
        return wheel.read(told).decode(), datetime(*told.date_time).date().isoformat()


def _plain(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise KnowledgeError(f"{path}: is larger than {MAX_BYTES:,} bytes")
    return path.read_text(encoding="utf-8-sig")


def _day(path: Path, told: str) -> str:
    try:
        return date.fromisoformat(told).isoformat()
    except ValueError as error:
        said = f"{told!r} is no date" if told else "it does not tell its date"
        raise KnowledgeError(f"{path}: {said}; say it with --as-of YYYY-MM-DD") from error
