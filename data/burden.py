"""How much and how a tumor is mutated: rates, the spectrum of substitutions, and what they hint at."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Pattern = Literal["POLE-like", "temozolomide-like", "mismatch-repair-like", "hypermutated"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rate(_Part):
    """Events per megabase of what was sequenced, with the exact Poisson interval of 95 %."""

    count: int = Field(ge=0)
    megabases: float = Field(gt=0)
    per_mb: float
    low: float
    high: float


class Hint(_Part):
    """A pattern that the mutations suggest; not an assay."""

    pattern: Pattern
    reason: str


class MutationBurden(_Part):
    """The mutations of one tumor as a whole."""

    substitutions: dict[str, int] = Field(description="single bases, by the pyrimidine's exchange")
    spectrum: tuple[int, ...] = Field(
        description="96 counts in the order of SBS96; empty without sequence context"
    )
    without_context: int = Field(ge=0, description="substitutions that the spectrum cannot place")
    indels: int = Field(ge=0)
    in_repeats: Rate | None = Field(default=None, description="indels of single-base runs")
    mutations: Rate | None = Field(
        default=None, description="nonsynonymous ones; None where the capture is not declared"
    )
    without_normal: bool = Field(
        default=False,
        description="no normal sample, so that rare inherited variants are counted too",
    )
    hints: tuple[Hint, ...] = ()

    @property
    def is_hypermutated(self) -> bool:
        """Whether any pattern was found: each needs a high rate."""
        return bool(self.hints)
