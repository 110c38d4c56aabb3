"""What has to be known of genes to read knowledge about them: their role, other names, exons."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from data.genome import plain
from data.genomics import Build

Role = Literal["oncogene", "tumor suppressor", "both"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Exon(_Part):
    """Codons of an exon on the MANE Select transcript, first and last included."""

    codons: tuple[int, int]
    coding: tuple[int, int] | None = Field(
        default=None, description="coding bases, for an exon that is known to be skipped"
    )
    by_last_base: tuple[str, ...] = Field(
        default=(), description="protein changes that an exchange of its last base makes"
    )


class Numbering(_Part):
    """How another transcript in use numbers the part that it shares with MANE Select."""

    ahead: int = Field(description="residues")
    beyond: int = Field(description="from this residue of it on")
    always: bool = Field(default=True, description="false where versions of it differ")


class Promoter(_Part):
    """Places upstream of a gene whose exchange is known to be active."""

    chromosome: str
    strand: Literal[1, -1]
    places: dict[int, dict[Build, int]] = Field(
        description="coding place (-124 is c.-124) and its positions, one-based, by build"
    )

    @property
    def positions(self) -> tuple[int, ...]:
        """On both builds."""
        return tuple(at for on in self.places.values() for at in on.values())

    def place(self, build: Build, chromosome: str, position: int) -> int | None:
        """The coding place of a position that is one of these."""
        if plain(chromosome) != self.chromosome:
            return None
        return next((n for n, on in self.places.items() if on.get(build) == position), None)


class Gene(_Part):
    """A gene of the panel."""

    role: Role
    aliases: tuple[str, ...] = ()
    exons: dict[int, Exon] = Field(default_factory=dict)
    domains: dict[str, tuple[int, int]] = Field(
        default_factory=dict, description="codons of domains that are critical and well established"
    )

    hotspots: tuple[str, ...] = Field(
        default=(), description="whose activity is well studied, a choice"
    )
    active: tuple[str, ...] = Field(default=(), description="classes of changes known to be active")
    numbered_apart: dict[str, Numbering] = Field(default_factory=dict)
    renamed: dict[str, str] = Field(
        default_factory=dict, description="changes by the name that is in use, as H3 K27M for K28M"
    )
    dispensable_from: int | None = Field(
        default=None, description="a stop from this residue on leaves a working protein"
    )
    promoter: Promoter | None = None
    fuses_as: tuple[Literal["five prime", "three prime"], ...] = Field(
        default=("five prime", "three prime"),
        description="the end of a fusion at which what is active of it is kept",
    )

    @property
    def can_be_lost(self) -> bool:
        """Whether losing it drives tumors."""
        return self.role != "oncogene"


class GeneTable(_Part):
    """Genes by symbol."""

    as_of: str
    source: str
    genes: dict[str, Gene]

    def find(self, symbol: str) -> Gene | None:
        """By symbol or an earlier one."""
        return self.genes.get(self.current(symbol))

    def current(self, symbol: str) -> str:
        """The symbol in use for what may be an earlier one."""
        if symbol in self.genes:
            return symbol
        named = (name for name, gene in self.genes.items() if symbol in gene.aliases)
        return next(named, symbol)
