"""A store copied whole: the copy is a store itself, and a second backup copies only what is new."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete

from data.errors import StoreError
from data.files import TEMPORARY, replace_atomically, sha256_file
from data.store.check import DAMAGED
from data.store.inventory import files_of, inventory, rows_of
from data.store.schema import TABLES
from data.store.store import DATABASE, SETTINGS, AvatarStore

MANIFEST = "backup.json"
Step = Callable[[int, int], None]


@dataclass(frozen=True)
class Copied:
    """What a backup has, and what of it was new.

    Args:
        lost: rows and files of the store that are damaged, and so are not copied; what an earlier backup had of
            them stays.
    """

    rows: int
    files: int
    new_files: int
    lost: tuple[str, ...]


def back_up(
    store: AvatarStore, target: Path, *, on_step: Step = lambda done, total: None
) -> Copied:
    """Copy a store, while others may write to it: the copy is of one moment.

    Args:
        store: to be copied.
        target: a new folder, or an earlier backup.
        on_step: told how many of the files are copied.

    Raises:
        StoreError: the target is something else, or cannot be written.
    """
    if target.exists() and any(target.iterdir()) and not (target / MANIFEST).is_file():
        raise StoreError(f"{target}: is no earlier backup; give a new folder")
    if target.resolve().is_relative_to(store.folder.resolve()):
        raise StoreError(f"{target}: lies in the store itself; give a folder beside it")
    with AvatarStore(target) as copy:
        copied = _copy(store, copy, on_step)
        content = json.dumps(_manifest(copy), indent=1, sort_keys=True)
        replace_atomically(target / MANIFEST, content.encode())
    return copied


def restore(
    backup: Path,
    folder: Path,
    *,
    url: str | None = None,
    on_step: Step = lambda done, total: None,
) -> Copied:
    """A new store from a backup, after all of it was found to be as it was written.

    Args:
        backup: by :func:`back_up`.
        folder: new, or empty.
        url: a PostgreSQL database for the new store.
        on_step: told how many of the files are copied.

    Raises:
        StoreError: the backup is damaged, or the folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StoreError(f"{folder}: is not empty; restore into a new folder, then use that one")
    try:
        told = json.loads((backup / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise StoreError(f"{backup}: is no backup by 'avatar store backup' ({error})") from error
    with AvatarStore(backup, must_exist=True) as source:
        found = _manifest(source)
        for part in ("files", "rows"):
            for name, digest in told[part].items():
                if found[part].get(name) != digest:
                    raise StoreError(
                        f"{backup}: {name} is {'damaged' if name in found[part] else 'missing'}, the backup is "
                        "not what was written; use an earlier one"
                    )
        with AvatarStore(folder, url=url) as copy:
            return _copy(source, copy, on_step)


def _copy(source: AvatarStore, target: AvatarStore, on_step: Step) -> Copied:
    """Files first, then the rows that need them in one transaction; what is damaged is left as it is there."""
    others = [*_others(source.folder)]
    new, lost = 0, list[str]()
    with source.database.reading() as session:
        held = inventory(source, session)
        total = len(held.wanted) + len(others)
        for number, file in enumerate(sorted(held.wanted, key=lambda file: file.sha256)):
            blobs = target.volumes if file.blobs is source.volumes else target.tables
            if not blobs.holds(file.sha256):
                if file.blobs.holds(file.sha256):
                    blobs.put(file.blobs.read(file.sha256))
                    new += 1
                else:
                    lost.append(str(file.blobs.path(file.sha256)))
            on_step(number + 1, total)
        with target.database.writing() as writing:
            if not held.edited:
                for table in reversed(TABLES):
                    writing.execute(delete(table))
            for row in rows_of(session):
                if row.is_whole:
                    target.database.keep(writing, row)
    for number, path in enumerate(others):
        place = target.folder / path.relative_to(source.folder)
        if not place.is_file() or sha256_file(place) != sha256_file(path):
            replace_atomically(place, path.read_bytes())
            new += 1
        on_step(len(held.wanted) + number + 1, total)
    return Copied(len(held.keys), total, new, (*lost, *(row.name for row in held.edited)))


def _others(folder: Path) -> Iterator[Path]:
    """All files of a store beside its database and blobs: models, cohorts, knowledge, runs."""
    own = {"volumes", "tables", DAMAGED, SETTINGS, MANIFEST}
    for path in sorted(folder.rglob("*")):
        first = path.relative_to(folder).parts[0]
        if first in own or first.startswith(DATABASE) or path.name.startswith(TEMPORARY):
            continue
        if path.is_file() and not path.is_symlink():
            yield path


def _manifest(store: AvatarStore) -> dict[str, dict[str, str]]:
    """Digests of all files and rows, as they are now."""
    blobs = (file.blobs.path(file.sha256) for file in files_of(store))
    paths = [*blobs, *_others(store.folder)]
    files = {str(path.relative_to(store.folder)): sha256_file(path) for path in paths}
    with store.database.reading() as session:
        rows = {row.name: row.digest for row in rows_of(session)}
    return {"files": files, "rows": rows}
