"""Gene fusions as RNA (or structural variants of DNA) shows them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Frame = Literal["in frame", "out of frame", "not told"]


class Fusion(BaseModel):
    """One fusion of two genes; a gene is None where a breakpoint lies in none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    five_prime: str | None
    three_prime: str | None
    frame: Frame = "not told"
    confidence: str | None = Field(default=None, description="by the caller: high, medium, low")
    junction_reads: int | None = Field(default=None, ge=0, description="across the junction")
    spanning_reads: int | None = Field(default=None, ge=0, description="pairs on both sides of it")
    breakpoints: tuple[str, str] | None = None
    against: str | None = Field(default=None, description="what its table itself says against it")
    caller: str

    @property
    def name(self) -> str:
        """As HGNC writes fusions: EML4::ALK."""
        return f"{self.five_prime or '?'}::{self.three_prime or '?'}"

    @property
    def doubt(self) -> str | None:
        """Why knowledge about fusions is not held against it; None where it may be."""
        if self.five_prime is None or self.three_prime is None:
            return "a breakpoint lies in no gene"
        if self.five_prime == self.three_prime:
            return "both ends lie in one gene"
        if self.against is not None:
            return self.against
        if self.frame == "out of frame":
            return "out of frame"
        if (self.confidence or "").lower() == "low":
            return "of low confidence by the caller"
        return None

    @property
    def told(self) -> str:
        """Frame and reads in a few words."""
        parts = [self.caller, self.frame if self.frame != "not told" else "frame not told"]
        if self.junction_reads is not None:
            parts.append(f"{self.junction_reads} reads across the junction")
        if self.spanning_reads is not None:
            parts.append(f"{self.spanning_reads} spanning pairs")
        if self.confidence:
            parts.append(f"{self.confidence.lower()} confidence")
        return ", ".join(parts)
