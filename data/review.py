"""What readers did to the mask of a scan: an append-only log, and the state that it adds up to.

A case is one scan of one patient. Version 0 is the mask that came with the avatar; every save and every
restored version is the next one. Nothing is ever overwritten: a signed version stays what it is, and a
later save is a new version that supersedes it once it is signed in turn.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from data.avatar import VolumeRef
from data.reading import Reading

ReviewStatus = Literal["new", "in review", "changes requested", "signed"]
ReviewAct = Literal["assign", "save", "restore", "measure", "request changes", "sign"]
STATUSES: tuple[ReviewStatus, ...] = ("new", "in review", "changes requested", "signed")
READER = r"^\S(.{0,62}\S)?$"
"""A reader's name: no space at its ends, at most 64 characters."""


class ReviewEntry(BaseModel):
    """One thing that one reader did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(ge=1, description="place in the log of the case")
    at: AwareDatetime
    by: str = Field(pattern=READER)
    act: ReviewAct
    version: int = Field(ge=0, description="made by a save or restore; else the one it is about")
    base: int | None = Field(default=None, ge=0, description="the version it was made from")
    mask: VolumeRef | None = Field(default=None, description="of the version, where one was made")
    seconds_viewed: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    seconds_edited: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    voxels_changed: int = Field(default=0, ge=0, description="against the base")
    comment: str = Field(default="", max_length=2000)
    independent: bool = Field(
        default=False, description="drawn without sight of any mask of this scan; of a save"
    )
    reading: Reading | None = Field(default=None, description="in full, where one was measured")
    signed_mask: VolumeRef | None = Field(
        default=None, description="version 0 as it was when it was signed; of a signature of it"
    )

    @model_validator(mode="after")
    def _makes_a_mask_or_not(self) -> Self:
        makes = self.act in ("save", "restore")
        if makes != (self.mask is not None) or makes != (self.base is not None):
            raise ValueError("a save or restore has a mask and a base, and nothing else has")
        if self.independent and self.act != "save":
            raise ValueError("only what is drawn and saved is independent")
        if (self.act == "measure") != (self.reading is not None):
            raise ValueError("what is measured has a reading, and nothing else has")
        if self.signed_mask is not None and (self.act != "sign" or self.version != 0):
            raise ValueError("only a signature of version 0 has the mask that it is of")
        return self


class Review(BaseModel):
    """The log of one case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patient_id: str
    day: float = Field(allow_inf_nan=False, description="of the scan, since diagnosis")
    entries: tuple[ReviewEntry, ...] = ()

    @model_validator(mode="after")
    def _is_a_log(self) -> Self:
        made = 0
        for place, entry in enumerate(self.entries, start=1):
            if entry.number != place:
                raise ValueError(f"entry {entry.number} stands at place {place} of the log")
            if entry.mask is not None:
                made += 1
                if entry.version != made:
                    raise ValueError(f"version {entry.version} follows version {made - 1}")
            elif entry.version > made:
                raise ValueError(f"entry {place} is about version {entry.version} of {made}")
        return self

    @property
    def status(self) -> ReviewStatus:
        """What the last entry leaves it in; to take or to measure a signed case does not reopen it."""
        status: ReviewStatus = "new"
        for entry in self.entries:
            if entry.act == "sign":
                status = "signed"
            elif entry.act == "request changes":
                status = "changes requested"
            elif entry.act not in ("assign", "measure") or status == "new":
                status = "in review"
        return status

    @property
    def version(self) -> int:
        """The latest version; 0 where nothing was saved."""
        return sum(entry.mask is not None for entry in self.entries)

    @property
    def assigned_to(self) -> str | None:
        """Who took the case last."""
        takers = [entry.by for entry in self.entries if entry.act == "assign"]
        return takers[-1] if takers else None

    @property
    def signed(self) -> ReviewEntry | None:
        """The last signature."""
        return next((entry for entry in reversed(self.entries) if entry.act == "sign"), None)

    @property
    def signed_in_full(self) -> ReviewEntry | None:
        """The signature of a signed case, unless something was measured after it."""
        if self.status != "signed":
            return None
        last = next(entry for entry in reversed(self.entries) if entry.act in ("sign", "measure"))
        return last if last.act == "sign" else None

    @property
    def reading(self) -> Reading:
        """The last reading; nothing known where there is none."""
        found = (entry.reading for entry in reversed(self.entries) if entry.reading is not None)
        return next(found, Reading())

    @property
    def readings(self) -> int:
        """How many there were."""
        return sum(entry.reading is not None for entry in self.entries)

    @property
    def last_at(self) -> datetime | None:
        """When something was last done."""
        return self.entries[-1].at if self.entries else None

    def mask_of(self, version: int) -> VolumeRef | None:
        """The mask of a version that a reader made, and of version 0 as it was signed last.

        None for a version 0 that nobody signed: that is the mask which the avatar has, and another network may
        make another one.
        """
        if version == 0:
            return next((e.signed_mask for e in reversed(self.entries) if e.signed_mask), None)
        return next((e.mask for e in self.entries if e.mask and e.version == version), None)

    def lineage(self, version: int) -> tuple[int, ...]:
        """A version and those that it was made from, back to one that was drawn independently or to 0."""
        made = {entry.version: entry for entry in self.entries if entry.mask is not None}
        found = [version]
        while found[-1] in made and not made[found[-1]].independent:
            found.append(made[found[-1]].base or 0)
        return tuple(found)

    def with_entry(self, entry: ReviewEntry) -> Review:
        """This log and one entry more."""
        return Review(patient_id=self.patient_id, day=self.day, entries=(*self.entries, entry))
