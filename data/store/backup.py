"""A store copied whole: the copy is a store itself, and a second backup copies only what is new."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from sqlalchemy import delete
from sqlalchemy.orm import Session

from data.errors import StoreError
from data.files import TEMPORARY, replace_atomically, sha256_file
from data.store.check import DAMAGED
from data.store.database import Database
from data.store.inventory import RowKey, files_of, inventory, rows_of
from data.store.schema import AvatarRow, ReviewRow, StepRow
from data.store.store import DATABASE, SETTINGS, AvatarStore, require_no_password

MANIFEST, COMING, STORE_ID = "backup.json", "backup.next.json", "store.id"
Step = Callable[[int, int], None]
Manifest = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Copied:
    """What a backup has, and what of it was new.

    Args:
        lost: rows and files of the store that are damaged, and so are not copied, and avatars and reviews that
            only the earlier backup has; what an earlier backup had of all these stays.
    """

    rows: int
    files: int
    new_files: int
    lost: tuple[str, ...]


def back_up(
    store: AvatarStore, target: Path, *, on_step: Step = lambda done, total: None
) -> Copied:
    """Copy a store, while others may write to it: its avatars, reviews and results are of one moment.

    One that is cut off is gone on with by the next; until then an earlier backup in the folder stays one.

    Args:
        store: to be copied.
        target: a new folder, or an earlier backup of the same store.
        on_step: told how many of the files are copied.

    Raises:
        StoreError: the target is something else, or cannot be written.
    """
    if target.resolve().is_relative_to(store.folder.resolve()):
        raise StoreError(f"{target}: lies in the store itself; give a folder beside it")
    try:
        _require_a_backup_of(store, target)
        if not (target / COMING).is_file():
            replace_atomically(target / COMING, b"{}")
        with AvatarStore(target) as copy:
            _settle(copy)
            copied = _copy(
                store, copy, on_step, before_rows=lambda rows: _tell(target / COMING, rows)
            )
            _tell(target / MANIFEST, _manifest(copy))
            (target / COMING).unlink()
    except OSError as error:
        raise StoreError(
            f"{error.filename or target}: the backup was cut off ({error.strerror}); mend that and run the "
            "same command again"
        ) from error
    return copied


def _settle(copy: AvatarStore) -> None:
    """What a backup had written that was cut off is the earlier one from now on."""
    coming = _read(copy.folder / COMING)
    with copy.database.reading() as session:
        is_written = coming is not None and _rows(session) == coming["rows"]
    if is_written:
        _tell(copy.folder / MANIFEST, _manifest(copy))
    replace_atomically(copy.folder / COMING, b"{}")


def _require_a_backup_of(store: AvatarStore, target: Path) -> None:
    """A store made anew after a loss must not take the place of what was lost."""
    if not target.exists() or not any(target.iterdir()):
        own = store.folder / STORE_ID
        if not own.is_file():
            replace_atomically(own, uuid4().hex.encode())
        return
    if not any((target / name).is_file() for name in (MANIFEST, COMING)):
        raise StoreError(f"{target}: is no earlier backup; give a new folder")
    ids = [
        path.read_text() if path.is_file() else ""
        for path in (store.folder / STORE_ID, target / STORE_ID)
    ]
    if ids[0] != ids[1] and (target / MANIFEST).is_file():
        raise StoreError(
            f"{target}: is a backup of another store than {store.folder}; give a new folder"
        )


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
        url: an empty PostgreSQL database for the new store.
        on_step: told how many of the files are copied.

    Raises:
        StoreError: the backup is damaged, or the folder or database is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StoreError(f"{folder}: is not empty; restore into a new folder, then use that one")
    if not any((backup / name).is_file() for name in (MANIFEST, COMING)):
        raise StoreError(f"{backup}: is no backup by 'avatar store backup'")
    with AvatarStore(backup, must_exist=True) as source:
        _require_as_written(source)
        if url is not None:
            _require_empty(url)
        with AvatarStore(folder, url=url) as copy:
            return _copy(source, copy, on_step)


def _require_as_written(source: AvatarStore) -> None:
    """Rows are those of the last backup, or of one that was cut off after it had written them."""
    found, told = _manifest(source), _read(source.folder / MANIFEST)
    coming = _read(source.folder / COMING)
    if coming is not None and found["rows"] == coming.get("rows"):
        told = coming
    if told is None:
        raise StoreError(
            f"{source.folder}: the backup was cut off before it was whole; run it again, or use another"
        )
    for part in ("files", "rows"):
        for name, digest in told[part].items():
            if (
                part == "files"
                and coming is not None
                and not name.startswith(("volumes", "tables"))
            ):
                continue  # some are the earlier backup's and some the later one's, each whole
            if found[part].get(name) != digest:
                raise StoreError(
                    f"{source.folder}: {name} is {'damaged' if name in found[part] else 'missing'}, the backup "
                    "is not what was written; use an earlier one"
                )


def _require_empty(url: str) -> None:
    require_no_password(url)
    database = Database(url)
    try:
        database.migrate()
        with database.reading() as session:
            if next(rows_of(session), None) is not None:
                raise StoreError(
                    f"{database.where}: has a store in it already; restore into an empty database"
                )
    finally:
        database.close()


def _copy(
    source: AvatarStore,
    target: AvatarStore,
    on_step: Step,
    *,
    before_rows: Callable[[Manifest], None] = lambda rows: None,
) -> Copied:
    """Files first, then the rows that need them in one transaction; what is damaged is left as it is there."""
    others = [*_others(source.folder)]
    copied, new, lost = 0, 0, list[str]()
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
            copied += blobs.path(file.sha256).exists()
            on_step(number + 1, total)
        with target.database.writing() as writing:
            writing.execute(delete(StepRow))
            lost += _write_rows(session, target, writing)
            writing.flush()
            before_rows(_coming(target, writing))
    for number, path in enumerate(others):
        place = target.folder / path.relative_to(source.folder)
        with suppress(FileNotFoundError):  # of a run in progress
            content = path.read_bytes()
            if not place.is_file() or place.read_bytes() != content:
                replace_atomically(place, content)
                new += 1
            copied += 1
        on_step(len(held.wanted) + number + 1, total)
    return Copied(len(held.keys) - len(held.edited), copied, new, tuple(lost))


def _write_rows(session: Session, target: AvatarStore, writing: Session) -> Iterator[str]:
    """All that are whole, in place of what the target has of them; names of what cannot be written, and of
    avatars and reviews that only the target has.
    """
    kept = {
        RowKey(type(row), row.key, row.name) for row in rows_of(writing) if type(row) is not StepRow
    }
    there = {key.key[0] for key in kept if key.table is AvatarRow}
    for row in rows_of(session):
        kept.discard(RowKey(type(row), row.key, row.name))
        if isinstance(row, AvatarRow) and row.is_whole:
            there.add(row.patient_id)
        if row.is_whole and (not isinstance(row, ReviewRow) or row.patient_id in there):
            target.database.keep(writing, row)
        else:
            yield row.name
    yield from (f"{key.name}, which only the earlier backup has" for key in kept)


def _others(folder: Path) -> Iterator[Path]:
    """All files of a store beside its database and blobs: models, cohorts, knowledge, runs."""
    own = {"volumes", "tables", DAMAGED, SETTINGS, MANIFEST, COMING}
    for path in sorted(folder.rglob("*")):
        first = path.relative_to(folder).parts[0]
        if first in own or first.startswith(DATABASE) or path.name.startswith(TEMPORARY):
            continue
        if path.is_file() and not path.is_symlink():
            yield path


def _manifest(store: AvatarStore) -> Manifest:
    """Digests of all files and rows, as they are now."""
    blobs = (file.blobs.path(file.sha256) for file in files_of(store))
    paths = [*blobs, *_others(store.folder)]
    files = {str(path.relative_to(store.folder)): sha256_file(path) for path in paths}
    with store.database.reading() as session:
        return {"files": files, "rows": _rows(session)}


def _coming(store: AvatarStore, session: Session) -> Manifest:
    """What is going to be there: rows as the session has them, volumes and tables by their names."""
    files = {
        str(file.blobs.path(file.sha256).relative_to(store.folder)): file.sha256
        for file in files_of(store)
    }
    return {"files": files, "rows": _rows(session)}


def _rows(session: Session) -> dict[str, str]:
    return {row.name: row.digest for row in rows_of(session)}


def _tell(path: Path, manifest: Manifest) -> None:
    replace_atomically(path, json.dumps(manifest, indent=1, sort_keys=True).encode())


def _read(path: Path) -> Manifest | None:
    """None where there is none, or it was cut off."""
    try:
        told: Manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); use an earlier backup") from error
    return told or None
