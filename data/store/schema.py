"""The tables of a store's database, the same on SQLite and PostgreSQL; ``migrations`` bring older ones here."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from typing_extensions import override

HEAD = "0002"
"""The migration that makes the tables what they are here."""


class Base(DeclarativeBase):
    """Of all tables."""


class Row(Base):
    """A JSON text with the digest of all that the row says."""

    __abstract__ = True
    sha256: Mapped[str] = mapped_column(String(64))

    @property
    def name(self) -> str:
        """For people."""
        raise NotImplementedError

    @property
    def text(self) -> str:
        """The JSON."""
        raise NotImplementedError

    @property
    def key(self) -> tuple[Any, ...]:
        """Primary key."""
        return tuple(getattr(self, column.name) for column in self.__table__.primary_key)

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
    patient_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    document: Mapped[str] = mapped_column(Text)

    @property
    @override
    def name(self) -> str:
        return f"avatar of {self.patient_id}"

    @property
    @override
    def text(self) -> str:
        return self.document

    @property
    @override
    def digest(self) -> str:
        return hashlib.sha256(self.document.encode()).hexdigest()

    @property
    @override
    def is_whole(self) -> bool:
        """Whether it is what was written, of this patient."""
        return super().is_whole and json.loads(self.document)["patient_id"] == self.patient_id


class StepRow(Row):
    """What a step made of its input, so that it is not done again."""

    __tablename__ = "steps"
    input: Mapped[str] = mapped_column("key", String(64), primary_key=True)
    step: Mapped[str] = mapped_column(String(64))
    result: Mapped[str] = mapped_column(Text)

    @property
    @override
    def name(self) -> str:
        return f"result of {self.step} {self.input[:12]}"

    @property
    @override
    def key(self) -> tuple[Any, ...]:
        return (self.input,)

    @property
    @override
    def text(self) -> str:
        return self.result


class ReviewRow(Row):
    """One entry of the log of a scan's mask; nobody has a review without an avatar."""

    __tablename__ = "reviews"
    patient_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("avatars.patient_id", name="reviews_of_avatars"), primary_key=True
    )
    day: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    entry: Mapped[str] = mapped_column(Text)

    @property
    @override
    def name(self) -> str:
        return f"entry {self.number} of the review of {self.patient_id}, day {float(self.day):g}"

    @property
    @override
    def text(self) -> str:
        return self.entry


TABLES: tuple[type[Row], ...] = (AvatarRow, StepRow, ReviewRow)
"""In an order in which their rows can be written."""
