"""What a store holds, row by row: which files its rows need, and which rows are not what was written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from data.store.blobs import Blobs
from data.store.schema import TABLES, Row
from data.store.store import AvatarStore

AT_ONCE = 50
"""Rows in memory."""
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


class RowKey(NamedTuple):
    """Where a row is."""

    table: type[Row]
    key: tuple[Any, ...]
    name: str


@dataclass(frozen=True)
class File:
    """A volume or a table."""

    blobs: Blobs
    sha256: str


@dataclass
class Inventory:
    """All rows.

    Args:
        keys: of all of them, in order.
        edited: that are not what was written.
        wanted: files that rows are worth nothing without, and which rows.
        mentioned: all digests that any row has in it, whatever they are of.
    """

    keys: dict[RowKey, None] = field(default_factory=dict)
    edited: list[RowKey] = field(default_factory=list)
    wanted: dict[File, list[RowKey]] = field(default_factory=dict)
    mentioned: set[str] = field(default_factory=set)


def rows_of(session: Session) -> Iterator[Row]:
    """All rows, in an order in which they can be written; each is let go after its turn."""
    for table in TABLES:
        for row in session.scalars(select(table).execution_options(yield_per=AT_ONCE)):
            yield row
            session.expunge(row)


def inventory(store: AvatarStore, session: Session) -> Inventory:
    """Of one moment: the session's."""
    found = Inventory()
    for row in rows_of(session):
        own = RowKey(type(row), row.key, row.name)
        found.keys[own] = None
        found.mentioned.update(_DIGEST.findall(row.text))
        if not row.is_whole:
            found.edited.append(own)
            continue
        for file in named_files(store, json.loads(row.text)):
            users = found.wanted.setdefault(file, [])
            if own not in users:
                users.append(own)
    return found


def files_of(store: AvatarStore) -> list[File]:
    """All volumes and tables that are there, by their names."""
    return [File(blobs, sha256) for blobs in (store.volumes, store.tables) for sha256 in blobs]


def named_files(store: AvatarStore, value: Any) -> Iterator[File]:
    """Volumes and tables that a document names."""
    if isinstance(value, dict):
        sha256 = value.get("sha256")
        if isinstance(sha256, str) and "spacing_mm" in value:
            yield File(store.volumes, sha256)
        elif isinstance(sha256, str) and "rows" in value:
            yield File(store.tables, sha256)
        for inner in value.values():
            yield from named_files(store, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named_files(store, inner)
