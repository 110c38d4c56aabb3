"""AvatarStore: documents and step results in SQL, volumes as files named by their content."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import URL, make_url, select
from sqlalchemy.exc import ArgumentError, IntegrityError

from data.avatar import Avatar, TableRef, VolumeRef
from data.errors import ConflictError, StoreError
from data.files import replace_atomically
from data.imaging import Volume
from data.io.nifti import decode_nifti, encode_nifti
from data.review import Review, ReviewEntry
from data.store.blobs import Blobs
from data.store.database import Database
from data.store.schema import AvatarRow, ReviewRow, Row, StepRow

DATABASE = "avatars.sqlite"
SETTINGS = "store.yaml"
_CHANGED = "somebody else has written to this review since; load it again and look at what they did"


class StoreSettings(BaseModel):
    """``store.yaml`` of a store whose database is elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: str


class AvatarStore:
    """One folder: ``avatars.sqlite``, ``volumes/`` and ``tables/``.

    With a ``store.yaml`` that names a PostgreSQL database, documents are there, and the folder is one that all
    machines share.

    Args:
        folder: made if it is not there, unless ``must_exist``.
        url: a PostgreSQL database, written to the ``store.yaml`` of a new store.

    Raises:
        StoreError: the folder or database cannot be used.
    """

    def __init__(self, folder: Path, *, url: str | None = None, must_exist: bool = False) -> None:
        self.folder = folder
        told = _settings(folder)
        if must_exist and told is None and not (folder / DATABASE).exists():
            raise StoreError(f"{folder}: there is no avatar store here; 'avatar run' makes one")
        if told is not None and url not in (None, told.database):
            raise StoreError(
                f"{folder}: its database is another one already, see {folder / SETTINGS}"
            )
        if told is None and url is not None and (folder / DATABASE).exists():
            raise StoreError(
                f"{folder}: has a database of its own; move it with 'avatar store backup {folder} COPY' and "
                "'avatar store restore COPY NEW_FOLDER --database URL'"
            )
        if url is not None:
            require_no_password(url)
        used = url or (told and told.database)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{folder}: cannot be used as a store ({error.strerror}); choose another folder"
            ) from error
        self.database = Database(used or URL.create("sqlite", database=str(folder / DATABASE)))
        self.volumes = Blobs(folder / "volumes", ".nii.gz", "volume")
        self.tables = Blobs(folder / "tables", ".parquet", "table")
        self.database.migrate()
        if used is not None and told is None:
            settings = StoreSettings(database=used).model_dump()
            replace_atomically(folder / SETTINGS, yaml.safe_dump(settings).encode())
        for blobs in (self.volumes, self.tables):
            for leftover in blobs.leftovers():
                leftover.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the database."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put_table(self, table: pa.Table) -> TableRef:
        """Keep a table; the same table twice is one file."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        content = sink.getvalue().to_pybytes()
        return TableRef(sha256=self.tables.put(content), rows=table.num_rows)

    def table(self, ref: TableRef) -> pa.Table:
        """Read a table back.

        Raises:
            StoreError: the file is gone or no longer what its name says.
        """
        return pq.read_table(pa.BufferReader(self.tables.read(ref.sha256)))

    def put_volume(self, volume: Volume) -> VolumeRef:
        """Keep a volume; the same volume twice is one file."""
        i, j, k = volume.shape
        x, y, z = (round(v, 6) for v in volume.spacing_mm)
        return VolumeRef(
            sha256=self.volumes.put(encode_nifti(volume)),
            shape=(i, j, k),
            spacing_mm=(x, y, z),
            frame_of_reference_uid=volume.frame_of_reference_uid,
        )

    def volume(self, ref: VolumeRef) -> Volume:
        """Read a volume back.

        Raises:
            StoreError: the file is gone or no longer what its name says.
        """
        stored = decode_nifti(self.volumes.read(ref.sha256))
        return Volume(stored.array, stored.affine, ref.frame_of_reference_uid)

    def volume_path(self, sha256: str) -> Path:
        """Where the file of this digest is, or would be."""
        return self.volumes.path(sha256)

    def volume_since(self, ref: VolumeRef) -> datetime | None:
        """When the file of a volume was written; None where it is missing."""
        try:
            return datetime.fromtimestamp(self.volume_path(ref.sha256).stat().st_mtime, UTC)
        except OSError:
            return None

    def has_volume(self, ref: VolumeRef) -> bool:
        """Whether the file is there and is what its name says."""
        return self.volumes.holds(ref.sha256)

    def put(self, avatar: Avatar) -> str:
        """Keep an avatar in place of an earlier one of the same patient, in one transaction; its digest."""
        row = AvatarRow(patient_id=avatar.patient_id, text=avatar.to_json()).sealed()
        made = row.sha256
        with self.database.writing() as session:
            self.database.keep(session, row)
        return made

    def get(self, patient_id: str) -> Avatar:
        """The avatar of a patient.

        Raises:
            StoreError: there is none, it was edited, or another version wrote it.
        """
        with self.database.reading() as session:
            row = session.get(AvatarRow, patient_id)
            if row is not None:
                session.expunge(row)
        if row is None:
            known = ", ".join(self.patients()) or "no patients yet"
            raise StoreError(f"no avatar of {patient_id!r} in {self.folder}; it holds {known}")
        try:
            self.require_unchanged(row)
            return Avatar.from_json(row.text)
        except ValidationError as error:
            raise StoreError(
                f"{patient_id}: its avatar in {self.folder} was written by another version; run "
                "the study again"
            ) from error

    def require_unchanged(self, row: Row) -> None:
        """Refuse a row that is not what was written.

        Raises:
            StoreError: which row it is.
        """
        if not row.is_whole:
            raise StoreError(
                f"{self.folder}: the {row.name} was changed in the database after it was stored; run the study "
                "again, or restore a backup"
            )

    def digests(self) -> dict[str, str]:
        """Of all avatars, by patient."""
        with self.database.reading() as session:
            rows = session.execute(select(AvatarRow.patient_id, AvatarRow.sha256))
            return {patient: sha256 for patient, sha256 in rows}

    def patients(self) -> tuple[str, ...]:
        """Patient ids in alphabetical order."""
        with self.database.reading() as session:
            return tuple(sorted(session.scalars(select(AvatarRow.patient_id))))

    def review(self, patient_id: str, day: float) -> Review:
        """What readers did to the mask of one scan; an empty log where nobody has yet."""
        with self.database.reading() as session:
            rows = session.scalars(
                select(ReviewRow)
                .where(ReviewRow.patient_id == patient_id, ReviewRow.day == repr(float(day)))
                .order_by(ReviewRow.number)
            ).all()
            for row in rows:
                self.require_unchanged(row)
            try:
                entries = tuple(ReviewEntry.model_validate_json(row.text) for row in rows)
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
        row = ReviewRow(
            patient_id=patient_id,
            day=repr(float(day)),
            number=entry.number,
            text=entry.model_dump_json(),
        )
        try:
            with self.database.writing() as session:
                session.add(row.sealed())
        except StoreError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise ConflictError(f"{patient_id}, scan of day {day:g}: {_CHANGED}") from error
            raise
        return review

    def step(self, key: str) -> str | None:
        """The result of a step that was done before on the same inputs; None too where it was edited."""
        with self.database.reading() as session:
            row = session.get(StepRow, key)
            return None if row is None or not row.is_whole else row.text

    def put_step(self, key: str, step: str, result: str) -> None:
        """Remember a step's result."""
        with self.database.writing() as session:
            row = StepRow(input=key, step=step, text=result).sealed()
            self.database.keep(session, row)


def require_no_password(url: str) -> None:
    """Refuse a database's URL that would bring a password into a file.

    Raises:
        StoreError: there is one in it, or it is no URL.
    """
    try:
        told = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StoreError(
            "--database is no URL of a database; give postgresql+psycopg://USER@HOST/NAME"
        ) from error
    if told.password is not None or "password" in told.query:
        raise StoreError(
            "--database has a password in it, which would be written to a file; leave it out and give it by "
            "PGPASSWORD or ~/.pgpass"
        )


def _settings(folder: Path) -> StoreSettings | None:
    path = folder / SETTINGS
    if not path.exists():
        return None
    try:
        return StoreSettings.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise StoreError(
            f"{path}: cannot be read ({error}); it names the database as 'database: URL'"
        ) from error
