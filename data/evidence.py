"""What is known of alterations, and what it says of one patient's: statements, tiers, and their reasons."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from data.genomics import Variant

Level = Literal["approval", "A", "B", "C", "D", "E"]
"""An approved label, or CIViC's levels: validated, clinical, case study, preclinical, inferential."""
Effect = Literal["sensitivity", "resistance", "diagnostic", "better outcome", "worse outcome"]
Precision = Literal["protein change", "codon", "exon or class", "gene"]
"""How closely a statement names an alteration, the closest first."""
Tier = Literal["I-A", "I-B", "II-C", "II-D", "III", "IV"]
"""Of AMP/ASCO/CAP (Li 2017, doi:10.1016/j.jmoldx.2016.10.002); I-A is the strongest."""
STRONG: tuple[Tier, ...] = ("I-A", "I-B", "II-C", "II-D")
"""Tier I and II: what no filter may hide."""
Kind = Literal[
    "small variant", "amplification", "deletion", "fusion", "promoter methylation", "signature"
]
Kinship = Literal["same", "broader", "narrower", "related", "another", "unknown"]
"""The disease of a statement as seen from the patient's."""
HERE: tuple[Kinship, ...] = ("same", "broader")
"""Of a statement that speaks of this tumor."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Alteration(_Part):
    """Something a tumor shows that knowledge may speak of.

    ``gene`` of a signature is its name: TMB-H or MSI-H.
    """

    gene: str = Field(min_length=1)
    kind: Kind
    variant: Variant | None = Field(default=None, description="of a small variant")
    partner: str | None = Field(default=None, description="of a fusion")
    is_five_prime: bool = Field(default=False, description="whether the gene is a fusion's first")
    is_germline: bool | None = None
    source: str = Field(description="where it is from, for sentences")
    origin: str | None = Field(
        default=None, description="without a normal sample, whether it was inherited: a heuristic"
    )

    @property
    def name(self) -> str:
        """As a report heads it: EGFR A289V, MET amplification, KIF5B-RET fusion."""
        if self.kind == "signature":
            return self.gene
        if self.kind == "fusion":
            pair = [name for name in (self.partner, self.gene) if name]
            return f"{'-'.join(pair[::-1] if self.is_five_prime else pair)} fusion"
        if self.variant is None:
            what = "homozygous deletion" if self.kind == "deletion" else self.kind
            return f"{self.gene} {what}"
        seen = self.variant
        return f"{self.gene} {seen.protein_change or seen.hgvs_coding or seen.consequence or 'variant'}"


class KnowledgeSource(_Part):
    """A source of statements, as an interpretation used it."""

    name: str
    as_of: str
    statements: int
    not_understood: int = Field(
        description="whose alteration could not be read: they match nothing"
    )
    sha256: str


class Statement(_Part):
    """One sentence of a knowledge base: this alteration, in this disease, means that."""

    gene: str
    alteration: str = Field(description="as the source writes it, without the gene")
    disease: str
    effect: Effect
    therapies: tuple[str, ...] = ()
    level: Level
    needs_germline: bool = False
    setting: str = Field(default="", description="line of treatment, age, what else is required")
    approved: dict[str, date] = Field(default_factory=dict, description="first approval, by agency")
    source: str = Field(description="knowledge base or label")
    reference: str = Field(description="identifier or citation in it")
    as_of: str = Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")


class Support(_Part):
    """A statement that fits an alteration of a patient, and how well."""

    statement: Statement
    precision: Precision
    kinship: Kinship
    steps: int | None = Field(
        description="between the diseases in the tree; None where not related"
    )
    tier: Tier


class Point(_Part):
    """One criterion of oncogenicity that is met."""

    code: str
    points: int
    reason: str


class Oncogenicity(_Part):
    """By points of ClinGen, CGC and VICC (Horak 2022, PMC9081216)."""

    points: tuple[Point, ...]

    @property
    def total(self) -> int:
        """Sum of the points."""
        return sum(point.points for point in self.points)

    @property
    def category(self) -> str:
        """The category that the sum falls into."""
        limits = ((10, "oncogenic"), (6, "likely oncogenic"), (0, "uncertain significance"))
        for least, name in limits:
            if self.total >= least:
                return name
        return "likely benign" if self.total >= -6 else "benign"

    @property
    def is_oncogenic(self) -> bool:
        """Whether knowledge on the gene as a whole may speak of the variant."""
        return self.total >= 6


class Interpretation(_Part):
    """An alteration with its tier, what supports it, and what speaks of resistance."""

    alteration: Alteration
    tier: Tier
    reason: str
    oncogenicity: Oncogenicity | None = Field(description="None of what is no small variant")
    support: tuple[Support, ...] = ()
    resistance: tuple[Support, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What the label asks for that decided the tier, where it is on this tumor; else empty."""
        best = next(iter(self.support), None)
        return "" if best is None or best.kinship not in HERE else best.statement.setting

    @property
    def resisted(self) -> tuple[str, ...]:
        """Therapies that resistance is known to."""
        named = (drug for s in self.resistance for drug in s.statement.therapies)
        return tuple(dict.fromkeys(named))
