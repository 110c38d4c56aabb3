"""The tables of a store's database, the same on SQLite and PostgreSQL; ``migrations`` bring older ones here."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Self

from sqlalchemy import ForeignKey, String, Text, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from typing_extensions import override

HEAD = "0002"
"""The migration that makes the tables what they are here."""


class Base(DeclarativeBase):
    """Of all tables."""


class Row(Base):
    """A JSON text with the digest of all that the row says."""

    __abstract__ = True
    NAMED: ClassVar[str]
    """A row of the table for people, with the columns' values."""
    text: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))

    @property
    def key(self) -> tuple[Any, ...]:
        """Primary key."""
        return tuple(inspect(type(self)).primary_key_from_instance(self))

    @property
    def name(self) -> str:
        """For people."""
        return self.NAMED.format(*self.key, row=self)

    @property
    def digest(self) -> str:
        """sha256 of what the row says now."""
        said = "\n".join([*map(str, self.key), self.text])
        return hashlib.sha256(said.encode()).hexdigest()

    def sealed(self) -> Self:
        """The row with its digest."""
        self.sha256 = self.digest
        return self

    @property
    def is_whole(self) -> bool:
        """Whether it is what was written."""
        return self.digest == self.sha256


class AvatarRow(Row):
    """A patient's avatar; its digest is that of the JSON alone."""

    __tablename__ = "avatars"
    NAMED = "avatar of {0}"
    patient_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    text: Mapped[str] = mapped_column("document", Text)

    @property
    @override
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    @override
    def is_whole(self) -> bool:
        """Whether it is what was written, of this patient."""
        return super().is_whole and json.loads(self.text)["patient_id"] == self.patient_id


class StepRow(Row):
    """What a step made of its input, so that it is not done again."""

    __tablename__ = "steps"
    NAMED = "result of {row.step} {0:.12}"
    input: Mapped[str] = mapped_column("key", String(64), primary_key=True)
    step: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column("result", Text)


class ReviewRow(Row):
    """One entry of the log of a scan's mask; nobody has a review without an avatar."""

    __tablename__ = "reviews"
    NAMED = "entry {2} of the review of {0}, day {1}"
    patient_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("avatars.patient_id", name="reviews_of_avatars"), primary_key=True
    )
    day: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column("entry", Text)


TABLES: tuple[type[Row], ...] = (AvatarRow, StepRow, ReviewRow)
"""In an order in which their rows can be written."""
