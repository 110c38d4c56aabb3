"""How much and how a tumor is mutated: rates, the spectrum of substitutions, and what they hint at."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Pattern = Literal["POLE-like", "temozolomide-like", "mismatch-repair-like", "hypermutated"]


NOTABLE = 0.02
"""Share of a spectrum below which a signature is not named."""
POOR = 0.85
"""Cosine to the spectrum below which a fit explains too little."""
FEW = 100
"""Substitutions below which a fit is little worth."""


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


class Exposure(_Part):
    """Share of one signature in what all of the table's explain together, with 95 % of bootstrap draws."""

    signature: str
    share: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


class SignatureFit(_Part):
    """Signatures of a user's table fitted to a spectrum, the largest share first."""

    exposures: tuple[Exposure, ...]
    cosine: float = Field(description="likeness of their sum to the spectrum, 0 to 1")
    substitutions: int = Field(gt=0)
    table: str = Field(default="", description="name of the table")
    sha256: str = Field(default="", description="of the table")

    @property
    def notable(self) -> tuple[Exposure, ...]:
        """Those that explain at least :data:`NOTABLE`."""
        return tuple(e for e in self.exposures if e.share >= NOTABLE)

    @property
    def title(self) -> str:
        """What was fitted to what, and how well."""
        few = ", so few that shares are uncertain" if self.substitutions < FEW else ""
        poor = ", so these signatures do not explain it" if self.cosine < POOR else ""
        return (
            f"{self.table} fitted to {self.substitutions} substitutions{few}: cosine "
            f"{self.cosine:.2f}{poor}"
        )


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
        default=None,
        description="nonsynonymous ones; None where the capture is not declared or too few are annotated",
    )
    unannotated: int = Field(default=0, ge=0, description="calls whose effect nobody names")
    without_normal: bool = Field(
        default=False,
        description="no normal sample, so that rare inherited variants are counted too",
    )
    hints: tuple[Hint, ...] = ()
    signatures: SignatureFit | None = Field(
        default=None, description="None without a table in the store, or without a spectrum"
    )

    @property
    def is_hypermutated(self) -> bool:
        """Whether any pattern was found: each needs a high rate."""
        return bool(self.hints)
