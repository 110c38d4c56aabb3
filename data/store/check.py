"""Whether a store is whole: every row is what was written, every file is there and what its name says."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import text

from data.errors import StoreError
from data.files import replace_atomically
from data.store.blobs import Blobs
from data.store.inventory import File, Inventory, RowKey, files_of, inventory
from data.store.schema import Row, StepRow
from data.store.store import AvatarStore

DAMAGED = "damaged"
"""Folder that damaged files are moved to."""
DAY_SECONDS = 24 * 3600.0
Kind = Literal[
    "damaged database",
    "edited row",
    "missing row",
    "missing file",
    "damaged file",
    "orphan",
    "leftover",
]
HARMLESS = ("orphan", "leftover")
FROM_BACKUP = "brought back from the backup"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Args:
        what: file or row, with whose it is.
        remedy: what to do.
        repaired: what was done; empty where nothing was.
    """

    kind: Kind
    what: str
    remedy: str
    repaired: str = ""


@dataclass(frozen=True)
class StoreCheck:
    """What was looked at, and what was found."""

    rows: int
    files: int
    findings: tuple[Finding, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is lost or changed; what nobody needs any more does no harm."""
        return all(found.kind in HARMLESS or found.repaired for found in self.findings)


@dataclass(frozen=True)
class _Repair:
    """How to mend: from a backup, or by forgetting what can be made again; not at all without ``wanted``."""

    store: AvatarStore
    wanted: bool
    backup: AvatarStore | None

    def of_row(self, row: RowKey) -> str:
        """What was done."""
        if not self.wanted:
            return ""
        kept = None
        if self.backup is not None:
            with self.backup.database.reading() as session:
                kept = session.get(row.table, row.key)
                session.expunge_all()
        if kept is not None and kept.is_whole:
            with self.store.database.writing() as session:
                there = session.get(row.table, row.key)
                is_older = there is not None and there.sha256 != kept.sha256
                if there is not None:
                    self._put_aside(there)
                self.store.database.keep(session, kept)
            return f"an older one {FROM_BACKUP}" if is_older else FROM_BACKUP
        return self._forget([row])

    def _put_aside(self, row: Row) -> None:
        """The text of a row that another one takes the place of."""
        name = hashlib.sha256(f"{row.name}{row.text}".encode()).hexdigest()[:16]
        place = self.store.folder / DAMAGED / f"{row.__tablename__}-{name}.txt"
        replace_atomically(place, f"{row.name}\n{row.text}\n".encode())

    def of_file(self, file: File, users: list[RowKey]) -> str:
        """What was done."""
        if not self.wanted:
            return ""
        path = file.blobs.path(file.sha256)
        if path.exists():
            aside = self.store.folder / DAMAGED / path.name
            aside.parent.mkdir(exist_ok=True)
            path.replace(aside)
        if self.backup is not None:
            folder = self.backup.folder / file.blobs.folder.name
            kept = Blobs(folder, file.blobs.suffix, file.blobs.noun)
            if kept.holds(file.sha256):
                file.blobs.put(kept.read(file.sha256))
                return FROM_BACKUP
        forgotten = self._forget(users)
        return "" if any(user.table is not StepRow for user in users) else forgotten

    def _forget(self, rows: list[RowKey]) -> str:
        """Results of steps, which the next run makes again; nothing else is."""
        steps = [row for row in rows if row.table is StepRow]
        with self.store.database.writing() as session:
            for row in steps:
                found = session.get(row.table, row.key)
                if found is not None:
                    session.delete(found)
        return "forgotten" if steps or not rows else ""


def check_store(
    store: AvatarStore,
    *,
    repair: bool = False,
    backup: AvatarStore | None = None,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> StoreCheck:
    """Read all rows and files.

    Args:
        store: that is looked at.
        repair: bring back from the backup what is there; else forget results of steps that are damaged or lack
            a file, so that the next run makes them again, and move damaged files aside.
        backup: a copy by 'avatar store backup', whose avatars and reviews should all be there.
        on_step: told how many of the files are read.
    """
    mend = _Repair(store, repair, backup)
    findings = [*_damage(store)]
    try:
        with store.database.reading() as session:
            held = inventory(store, session)
    except StoreError:
        if findings:  # of a database that cannot be read to its end
            return StoreCheck(0, 0, tuple(findings))
        raise
    for row in held.edited:
        remedy = "run the study again, or repair with a backup"
        if row.table is StepRow:
            remedy = "repair forgets it, and the next run makes it again"
        findings.append(Finding("edited row", row.name, remedy, mend.of_row(row)))
    findings += [*_missing(held, mend)]
    if repair:  # rows that were brought back need files of their own
        with store.database.reading() as session:
            held = inventory(store, session)
    present = files_of(store)
    for number, file in enumerate(present):
        if not _is_whole(file):
            findings.append(_lost(file, held.wanted.get(file, []), mend))
        elif file.sha256 not in held.mentioned:
            orphan = str(file.blobs.path(file.sha256))
            findings.append(Finding("orphan", orphan, "'avatar store gc' removes it"))
        on_step(number + 1, len(present))
    there = set(present)
    findings += [_lost(f, users, mend) for f, users in held.wanted.items() if f not in there]
    for path in leftovers(store):
        if repair:
            path.unlink(missing_ok=True)
        done = "removed" if repair else ""
        findings.append(Finding("leftover", str(path), "'avatar store gc' removes it", done))
    return StoreCheck(len(held.keys), len(present), tuple(findings))


def _missing(held: Inventory, mend: _Repair) -> Iterator[Finding]:
    """Avatars and reviews that only the backup has."""
    if mend.backup is None:
        return
    with mend.backup.database.reading() as session:
        kept = inventory(mend.backup, session)
    for row in kept.keys:
        if row not in held.keys and row.table is not StepRow:
            yield Finding("missing row", row.name, "repair brings it back", mend.of_row(row))


def _is_whole(file: File) -> bool:
    try:
        return file.blobs.holds(file.sha256)
    except OSError:  # of a bad sector, or of somebody else
        return False


def collect_garbage(
    store: AvatarStore, *, older_than: float = DAY_SECONDS, dry_run: bool = False
) -> list[tuple[Path, int]]:
    """Remove files that no row mentions, and what writers that were cut off left.

    Args:
        store: to be cleared.
        older_than: seconds; younger files may be of a run that has not written its rows yet.
        dry_run: only tell.

    Returns:
        files and their sizes in bytes.

    Raises:
        StoreError: a row was edited, so that it may have mentioned anything.
    """
    old = [file for file in files_of(store) if file.blobs.age(file.sha256) >= older_than]
    with store.database.reading() as session:  # after the ages: a file that is named by now is kept
        held = inventory(store, session)
    if held.edited:
        raise StoreError(
            f"{store.folder}: the {held.edited[0].name} was changed in the database; nothing is removed. Run "
            "'avatar store check --repair' first"
        )
    removed = [(path, path.stat().st_size) for path in leftovers(store)]
    for path, _ in removed:
        if not dry_run:
            path.unlink(missing_ok=True)
    for file in old:
        if file.sha256 in held.mentioned or file.blobs.age(file.sha256) < older_than:
            continue  # a writer has found it of use since
        path = file.blobs.path(file.sha256)
        removed.append((path, path.stat().st_size))
        if not dry_run:
            path.unlink(missing_ok=True)
    return removed


def leftovers(store: AvatarStore) -> list[Path]:
    """Temporary files whose writers are not coming back."""
    return [path for blobs in (store.volumes, store.tables) for path in blobs.leftovers()]


def _damage(store: AvatarStore) -> Iterator[Finding]:
    if not store.database.is_file:  # PostgreSQL looks after its own pages
        return
    remedy = "restore a backup into a new folder"
    try:
        with store.database.reading() as session:
            for words in ("integrity_check", "foreign_key_check"):
                for row in session.execute(text(f"PRAGMA {words}")):
                    if row[0] != "ok":
                        told = ", ".join(str(value) for value in row)
                        yield Finding("damaged database", told, remedy)
    except StoreError:  # so damaged that looking ends early
        yield Finding(
            "damaged database", f"{store.database.where} cannot be read to its end", remedy
        )


def _lost(file: File, users: list[RowKey], mend: _Repair) -> Finding:
    path = file.blobs.path(file.sha256)
    there = path.exists()
    how = _how_damaged(path) if there else "is not there"
    whose = ", ".join(user.name for user in users if user.table is not StepRow)
    remedy = "run the study again, or repair with a backup" if whose else "repair forgets it"
    return Finding(
        "damaged file" if there else "missing file",
        f"{path} {how}" + (f"; {whose}" if whose else ""), remedy, mend.of_file(file, users),
    )  # fmt: skip


def _how_damaged(path: Path) -> str:
    """In words, from a file whose digest is not its name's."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if path.suffix == ".gz":
        stream = zlib.decompressobj(wbits=31)
        try:
            stream.decompress(content)
        except zlib.error:
            return "was changed"
        ends = stream.eof
    else:
        ends = content.endswith(b"PAR1")
    return "was changed" if ends else f"ends early, at {len(content)} bytes"
