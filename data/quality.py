"""What is doubtful about a scan or its mask, in words that say where to look."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FlagCode = Literal[
    "missing-sequence",
    "sequences-swapped",
    "orientation",
    "intensity",
    "field-of-view",
    "no-tumor",
    "implausible-volume",
    "at-the-edge",
    "low-agreement",
    "not-checked",
]


class Flag(BaseModel):
    """One finding of the quality gate.

    A ``stop`` means that the mask cannot be right; a ``look`` that it may not be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: FlagCode
    severity: Literal["stop", "look"]
    finding: str = Field(min_length=1)
    look_at: str = Field(min_length=1, description="what a person should check, and where")
