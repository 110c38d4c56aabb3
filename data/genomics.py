"""Somatic variants as called, with what their file says about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Build = Literal["GRCh37", "GRCh38"]


AMINO_ACIDS: Mapping[str, str] = {
    "Ala": "A", "Arg": "R", "Asn": "N", "Asp": "D", "Cys": "C", "Gln": "Q", "Glu": "E", "Gly": "G", "His": "H",
    "Ile": "I", "Leu": "L", "Lys": "K", "Met": "M", "Phe": "F", "Pro": "P", "Sec": "U", "Ser": "S", "Ter": "*",
    "Thr": "T", "Trp": "W", "Tyr": "Y", "Val": "V", "Xaa": "X",
}  # fmt: skip
"""IUPAC's codes, with HGVS's Ter."""
_LONG = re.compile("|".join(AMINO_ACIDS))


def short_protein_change(hgvs: str) -> str:
    """One-letter code without accession, ``p.`` and brackets: R132H for ``NP_005887.2:p.(Arg132His)``."""
    change = hgvs.rsplit(":", 1)[-1].removeprefix("p.").strip("()")
    return _LONG.sub(lambda found: AMINO_ACIDS[found[0]], change)


class Variant(BaseModel):
    """One alternative allele in the tumor. ``position`` is one-based, as in VCF."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chromosome: str
    position: int = Field(gt=0)
    reference: str = Field(pattern=r"^([ACGTN]+|-)$", description="- of a MAF's insertion")
    alternate: str = Field(min_length=1)
    id: str | None = None
    filters: tuple[str, ...] = ()
    status: str | None = Field(default=None, description="somatic or germline, by the caller")
    gene: str | None = None
    transcript: str | None = None
    is_mane: bool | None = Field(default=None, description="MANE Select, as the annotator says")
    consequence: str | None = None
    impact: str | None = None
    hgvs_coding: str | None = None
    hgvs_protein: str | None = None
    tumor_depth: int | None = Field(default=None, ge=0)
    tumor_alt_depth: int | None = Field(default=None, ge=0)
    vaf: float | None = Field(default=None, ge=0, le=1, description="variant allele fraction")
    normal_depth: int | None = Field(default=None, ge=0)
    normal_alt_depth: int | None = Field(default=None, ge=0)
    annotated_by: str | None = Field(default=None, description="who says its gene and names")
    population_frequency: float | None = Field(default=None, ge=0, le=1)

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
        """As :func:`short_protein_change` writes it."""
        return short_protein_change(self.hgvs_protein) if self.hgvs_protein else None


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
