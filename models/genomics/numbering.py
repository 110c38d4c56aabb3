"""A variant as knowledge numbers and names it: on MANE Select, and a histone without its first methionine."""

from __future__ import annotations

from data.genomics import Variant
from models.genomics.genes import GeneTable
from models.genomics.protein import recoded, renumbered

BASES_PER_RESIDUE = 3


def as_usual(variant: Variant, genes: GeneTable) -> Variant:
    """The same variant where nothing has to be changed."""
    gene = genes.find(variant.gene or "")
    if gene is None:
        return variant
    protein, coding = variant.protein_change, variant.hgvs_coding
    other = gene.numbered_apart.get((variant.transcript or "").partition(".")[0])
    if other is not None:
        moved = protein and renumbered(protein, -other.ahead, other.beyond)
        if other.always or moved in gene.hotspots:
            protein = moved
            bases = BASES_PER_RESIDUE * other.ahead
            coding = coding and recoded(coding, -bases, BASES_PER_RESIDUE * other.beyond)
    if protein is not None:
        protein = gene.renamed.get(protein, protein)
    if (protein, coding) == (variant.protein_change, variant.hgvs_coding):
        return variant
    return variant.model_copy(
        update={"hgvs_protein": protein and f"p.{protein}", "hgvs_coding": coding}
    )
