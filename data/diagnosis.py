"""An integrated diagnosis: what it is, by which table, and how each rule of it came out."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Grade = Literal[1, 2, 3, 4]
Truth = Literal["yes", "no", "unknown"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Part):
    """One rule on the way to a diagnosis."""

    diagnosis: str
    truth: Truth
    evidence: tuple[str, ...] = Field(description="findings with their state and source")
    missing: tuple[str, ...] = Field(description="tests that could still decide it")


class Diagnosis(_Part):
    """The answer of a table, with how it came about."""

    name: str
    grade: Grade | None
    suffix: Literal["NOS", "NEC"] | None
    prior: str
    provisional: tuple[str, ...] = Field(
        description="what was taken for granted or may change the grade"
    )
    missing: tuple[str, ...] = Field(description="tests that would tell more")
    trace: tuple[Step, ...]
    table: str
    as_of: str
    source: str

    @property
    def title(self) -> str:
        """As a report says it: entity, suffix, grade."""
        suffix = "" if self.suffix is None else f", {self.suffix}"
        grade = "" if self.grade is None else f", CNS WHO grade {self.grade}"
        return f"{self.name}{suffix}{grade}"
