"""Somatic variants as called, with what their file says about them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Build = Literal["GRCh37", "GRCh38"]


class Variant(BaseModel):
    """One alternative allele in the tumor. ``position`` is one-based, as in VCF."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chromosome: str
    position: int = Field(gt=0)
    reference: str = Field(pattern=r"^[ACGTN]+$")
    alternate: str = Field(min_length=1)
    filters: tuple[str, ...] = ()
    gene: str | None = None
    transcript: str | None = None
    consequence: str | None = None
    impact: str | None = None
    hgvs_coding: str | None = None
    hgvs_protein: str | None = None
    tumor_depth: int | None = Field(default=None, ge=0)
    tumor_alt_depth: int | None = Field(default=None, ge=0)
    vaf: float | None = Field(default=None, ge=0, le=1, description="variant allele fraction")

    @property
    def passed(self) -> bool:
        """Whether the caller's filters let it through (an empty list is no filter applied)."""
        return self.filters in ((), ("PASS",))

    @property
    def alters_protein(self) -> bool:
        """Whether the annotated impact is moderate or high."""
        return self.impact in ("MODERATE", "HIGH")

    @property
    def protein_change(self) -> str | None:
        """Short protein change without the prefix, e.g. ``R132H``."""
        return self.hgvs_protein.removeprefix("p.") if self.hgvs_protein else None


class VariantSet(BaseModel):
    """All variants of one tumor and how its sample was told from the normal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    build: Build | None
    tumor_sample: str
    normal_sample: str | None
    roles_from: str
    variants: tuple[Variant, ...]

    def in_gene(self, gene: str) -> tuple[Variant, ...]:
        """Protein-altering variants of one gene."""
        return tuple(v for v in self.variants if v.gene == gene and v.alters_protein)
