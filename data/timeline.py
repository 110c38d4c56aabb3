"""What happened when, on one clock: days since diagnosis."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

EventKind = Literal[
    "diagnosis", "imaging", "surgery", "radiotherapy", "drug", "status", "molecular"
]


LONGEST_COURSE_DAYS = 49.0
"""Of radiotherapy whose end the record does not give: seven weeks, 35 fractions."""


class Event(BaseModel):
    """One entry; ``end_day`` for what lasts longer than a day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    day: float = Field(allow_inf_nan=False, description="days since diagnosis; negative before it")
    kind: EventKind
    text: str = Field(min_length=1)
    end_day: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Event:
        if self.end_day is not None and self.end_day < self.day:
            raise ValueError(f"{self.text!r} ends on day {self.end_day}, before it starts")
        return self

    @property
    def last_day(self) -> float:
        """When it had ended; of a drug without an end, the day it began."""
        if self.end_day is not None:
            return self.end_day
        return self.day + (LONGEST_COURSE_DAYS if self.kind == "radiotherapy" else 0.0)


class Timeline(BaseModel):
    """Events in order of their day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: tuple[Event, ...] = ()

    @model_validator(mode="after")
    def _sorted(self) -> Timeline:
        ordered = tuple(sorted(self.events, key=lambda e: (e.day, e.kind, e.text)))
        object.__setattr__(self, "events", ordered)
        return self

    def with_events(self, *events: Event) -> Timeline:
        """This timeline and some more, in order."""
        return Timeline(events=(*self.events, *events))
