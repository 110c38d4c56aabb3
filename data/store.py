"""AvatarStore: documents and step results in SQL, volumes as files named by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError
from sqlalchemy import String, Text, create_engine, event, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from data.avatar import Avatar, TableRef, VolumeRef
from data.errors import ConflictError, StoreError
from data.files import replace_atomically, sha256_file
from data.imaging import Volume
from data.io.nifti import decode_nifti, encode_nifti
from data.review import Review, ReviewEntry

DATABASE = "avatars.sqlite"
_CHANGED = "somebody else has written to this review since; load it again and look at what they did"


class _Base(DeclarativeBase):
    pass


class _AvatarRow(_Base):
    __tablename__ = "avatars"
    patient_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    document: Mapped[str] = mapped_column(Text)


class _StepRow(_Base):
    __tablename__ = "steps"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    step: Mapped[str] = mapped_column(String(64))
    result: Mapped[str] = mapped_column(Text)


class _ReviewRow(_Base):
    __tablename__ = "reviews"
    patient_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    entry: Mapped[str] = mapped_column(Text)


class AvatarStore:
    """One folder: ``avatars.sqlite``, ``volumes/`` and ``tables/``.

    Args:
        folder: made if it is not there, unless ``must_exist``.
        url: another database (PostgreSQL) for several machines; volumes stay in ``folder``.

    Raises:
        StoreError: the folder or database cannot be used.
    """

    def __init__(self, folder: Path, *, url: str | None = None, must_exist: bool = False) -> None:
        self.folder = folder
        if must_exist and not (folder / DATABASE).exists() and url is None:
            raise StoreError(f"{folder}: there is no avatar store here; 'avatar run' makes one")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._engine = create_engine(url or f"sqlite:///{folder / DATABASE}")
            if self._engine.dialect.name == "sqlite":
                event.listen(self._engine, "connect", _use_wal)
            _Base.metadata.create_all(self._engine)
        except (OSError, SQLAlchemyError) as error:
            raise StoreError(
                f"{folder}: cannot be used as a store ({getattr(error, 'orig', error)}); choose another folder"
            ) from error
        for kind in ("volumes", "tables"):
            for leftover in (folder / kind).glob("*/.tmp-*"):
                leftover.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """One transaction; the database's own errors become a sentence."""
        try:
            with Session(self._engine) as session, session.begin():
                yield session
        except SQLAlchemyError as error:
            reason = getattr(error, "orig", None) or type(error).__name__
            raise StoreError(
                f"{self.folder}: the store's database cannot be used ({reason}); if it is damaged or "
                "of another version, move the folder away and run the studies again"
            ) from error

    def put_table(self, table: pa.Table) -> TableRef:
        """Keep a table; the same table twice is one file."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        content = sink.getvalue().to_pybytes()
        digest = hashlib.sha256(content).hexdigest()
        self._put_file(self.table_path(digest), content, digest)
        return TableRef(sha256=digest, rows=table.num_rows)

    def table_path(self, sha256: str) -> Path:
        """Where the table of this digest is, or would be."""
        return self.folder / "tables" / sha256[:2] / f"{sha256}.parquet"

    def table(self, ref: TableRef) -> pa.Table:
        """Read a table back.

        Raises:
            StoreError: the file is gone or no longer what its name says.
        """
        content = self._file(self.table_path(ref.sha256), ref.sha256, "table")
        return pq.read_table(pa.BufferReader(content))

    def _put_file(self, path: Path, content: bytes, digest: str) -> None:
        if path.exists() and sha256_file(path) == digest:
            return
        try:
            replace_atomically(path, content)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written ({error.strerror})") from error

    def _file(self, path: Path, digest: str, kind: str) -> bytes:
        if not path.exists():
            raise StoreError(f"{path}: the {kind} is missing from the store; run the study again")
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise StoreError(
                f"{path}: the file was changed after it was stored; run the study again"
            )
        return content

    def put_volume(self, volume: Volume) -> VolumeRef:
        """Keep a volume; the same volume twice is one file."""
        content = encode_nifti(volume)
        digest = hashlib.sha256(content).hexdigest()
        self._put_file(self.volume_path(digest), content, digest)
        i, j, k = volume.shape
        x, y, z = (round(v, 6) for v in volume.spacing_mm)
        return VolumeRef(
            sha256=digest,
            shape=(i, j, k),
            spacing_mm=(x, y, z),
            frame_of_reference_uid=volume.frame_of_reference_uid,
        )

    def volume_path(self, sha256: str) -> Path:
        """Where the file of this digest is, or would be."""
        return self.folder / "volumes" / sha256[:2] / f"{sha256}.nii.gz"

    def volume(self, ref: VolumeRef) -> Volume:
        """Read a volume back.

        Raises:
            StoreError: the file is gone or no longer what its name says.
        """
        content = self._file(self.volume_path(ref.sha256), ref.sha256, "volume")
        stored = decode_nifti(content)
        return Volume(stored.array, stored.affine, ref.frame_of_reference_uid)

    def volume_since(self, ref: VolumeRef) -> datetime | None:
        """When the file of a volume was written; None where it is missing."""
        try:
            return datetime.fromtimestamp(self.volume_path(ref.sha256).stat().st_mtime, UTC)
        except OSError:
            return None

    def has_volume(self, ref: VolumeRef) -> bool:
        """Whether the file is there and is what its name says."""
        path = self.volume_path(ref.sha256)
        return path.exists() and sha256_file(path) == ref.sha256

    def put(self, avatar: Avatar) -> None:
        """Keep an avatar in place of an earlier one of the same patient, in one transaction."""
        with self._session() as session:
            session.merge(_AvatarRow(patient_id=avatar.patient_id, document=avatar.to_json()))

    def get(self, patient_id: str) -> Avatar:
        """The avatar of a patient.

        Raises:
            StoreError: there is none, or another version wrote it.
        """
        with self._session() as session:
            row = session.get(_AvatarRow, patient_id)
            if row is None:
                known = ", ".join(self.patients()) or "no patients yet"
                raise StoreError(f"no avatar of {patient_id!r} in {self.folder}; it holds {known}")
            try:
                return Avatar.from_json(row.document)
            except ValidationError as error:
                raise StoreError(
                    f"{patient_id}: its avatar in {self.folder} was written by another version; run "
                    "the study again"
                ) from error

    def patients(self) -> tuple[str, ...]:
        """Patient ids in alphabetical order."""
        with self._session() as session:
            ids = session.scalars(select(_AvatarRow.patient_id).order_by(_AvatarRow.patient_id))
            return tuple(ids)

    def review(self, patient_id: str, day: float) -> Review:
        """What readers did to the mask of one scan; an empty log where nobody has yet."""
        with self._session() as session:
            rows = session.scalars(
                select(_ReviewRow)
                .where(_ReviewRow.patient_id == patient_id, _ReviewRow.day == repr(float(day)))
                .order_by(_ReviewRow.number)
            )
            try:
                entries = tuple(ReviewEntry.model_validate_json(row.entry) for row in rows)
                return Review(patient_id=patient_id, day=day, entries=entries)
            except ValidationError as error:
                raise StoreError(
                    f"{patient_id}, scan of day {day:g}: its review in {self.folder} was written by "
                    "another version; use that version to export it"
                ) from error

    def append_review(self, patient_id: str, day: float, entry: ReviewEntry) -> Review:
        """Write the next entry of a log; of two that are written at once only one is.

        Raises:
            ConflictError: the log has an entry at this place already.
            StoreError: the entry does not follow from the log.
        """
        try:
            review = self.review(patient_id, day).with_entry(entry)
        except ValidationError as error:
            raise ConflictError(f"{patient_id}, scan of day {day:g}: {_CHANGED}") from error
        row = _ReviewRow(
            patient_id=patient_id,
            day=repr(float(day)),
            number=entry.number,
            entry=entry.model_dump_json(),
        )
        try:
            with self._session() as session:
                session.add(row)
        except StoreError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise ConflictError(f"{patient_id}, scan of day {day:g}: {_CHANGED}") from error
            raise
        return review

    def step(self, key: str) -> str | None:
        """The result of a step that was done before on the same inputs."""
        with self._session() as session:
            row = session.get(_StepRow, key)
            return None if row is None else row.result

    def put_step(self, key: str, step: str, result: str) -> None:
        """Remember a step's result."""
        with self._session() as session:
            session.merge(_StepRow(key=key, step=step, result=result))


def _use_wal(connection: object, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[attr-defined]  # a sqlite3 one
