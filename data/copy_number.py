"""Copy number of arms and genes, as segments show it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from data.genomics import Build

ArmCall = Literal["gain", "loss", "neutral", "partial", "not covered"]
GeneCall = Literal["amplification", "homozygous deletion", "gain", "loss", "neutral"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Segment(_Part):
    """A stretch of equal copy number. One-based, both ends included."""

    chromosome: str
    start: int = Field(gt=0)
    end: int = Field(gt=0)
    log2: float = Field(
        allow_inf_nan=False, description="of the ratio of copies to the sample's mean"
    )


class Arm(_Part):
    """One arm: the share of what is covered that is gained and lost, and what follows."""

    name: str
    covered: float = Field(ge=0, le=1)
    gained: float = Field(ge=0, le=1)
    lost: float = Field(ge=0, le=1)
    call: ArmCall


class GeneCopies(_Part):
    """One gene's copy number; copies only where purity is known."""

    gene: str
    log2: float
    copies: float | None = None
    call: GeneCall


class CopyNumber(_Part):
    """What segments tell of a tumor."""

    build: Build
    sample: str
    purity: float | None
    ploidy: float
    segments: tuple[Segment, ...]
    arms: tuple[Arm, ...]
    genes: tuple[GeneCopies, ...]
    altered: float = Field(ge=0, le=1, description="share of the covered genome gained or lost")

    def arm(self, name: str) -> Arm:
        """By its name, 1p."""
        return next(arm for arm in self.arms if arm.name == name)
