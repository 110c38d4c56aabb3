"""What a reader says of a scan beside its mask: calipers by hand, and what only a person can decide."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from data.lesions import Caliper, Diameters

NonTarget = Literal["unknown", "none", "gone", "present", "progressed"]
"""Lesions that are not measured: there never were any, all are gone, some are left, or unequivocally worse."""
NewLesion = Literal["unknown", "no", "yes"]
Steroids = Literal["unknown", "none", "less", "same", "more"]
"""Corticosteroids against baseline; physiological replacement counts as none."""
Clinical = Literal["unknown", "stable or better", "worse"]


class Distance(BaseModel):
    """A line that a reader has measured and named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^\S(.{0,62}\S)?$")
    line: Caliper


class Reading(BaseModel):
    """One reader's reading of one scan; unknown until it is said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    diameters: dict[str, Diameters] = Field(
        default_factory=dict, description="by lesion, in place of those found in the mask"
    )
    distances: tuple[Distance, ...] = Field(default=(), max_length=50)
    targets: tuple[str, ...] | None = Field(
        default=None, description="lesions chosen as targets, at baseline; None: the usual ones"
    )
    nodes: tuple[str, ...] = Field(default=(), description="lesions that are lymph nodes")
    baseline: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="day of the scan that others are compared with; of the first scan's reading",
    )
    new_lesion: NewLesion = "unknown"
    non_target: NonTarget = "unknown"
    steroids: Steroids = "unknown"
    clinical: Clinical = "unknown"
