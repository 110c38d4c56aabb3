"""Consequences as MAF and Funcotator name them, in the terms of the Sequence Ontology, with VEP's impact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Consequence(NamedTuple):
    """A term of the Sequence Ontology and the impact that Ensembl gives it."""

    term: str
    impact: str


CLASSIFICATIONS: Mapping[str, Consequence] = {
    "MISSENSE": Consequence("missense_variant", "MODERATE"),
    "NONSENSE": Consequence("stop_gained", "HIGH"),
    "NONSTOP": Consequence("stop_lost", "HIGH"),
    "SILENT": Consequence("synonymous_variant", "LOW"),
    "FRAME_SHIFT_DEL": Consequence("frameshift_variant", "HIGH"),
    "FRAME_SHIFT_INS": Consequence("frameshift_variant", "HIGH"),
    "IN_FRAME_DEL": Consequence("inframe_deletion", "MODERATE"),
    "IN_FRAME_INS": Consequence("inframe_insertion", "MODERATE"),
    "SPLICE_SITE": Consequence("splice_site_variant", "HIGH"),
    "SPLICE_REGION": Consequence("splice_region_variant", "LOW"),
    "TRANSLATION_START_SITE": Consequence("start_lost", "HIGH"),
    "START_CODON_SNP": Consequence("start_lost", "HIGH"),
    "START_CODON_DEL": Consequence("start_lost", "HIGH"),
    "START_CODON_INS": Consequence("start_lost", "HIGH"),
    "THREE_PRIME_UTR": Consequence("3_prime_UTR_variant", "MODIFIER"),
    "3'UTR": Consequence("3_prime_UTR_variant", "MODIFIER"),
    "FIVE_PRIME_UTR": Consequence("5_prime_UTR_variant", "MODIFIER"),
    "5'UTR": Consequence("5_prime_UTR_variant", "MODIFIER"),
    "DE_NOVO_START_IN_FRAME": Consequence("5_prime_UTR_premature_start_codon_gain_variant", "LOW"),
    "DE_NOVO_START_OUT_FRAME": Consequence("5_prime_UTR_premature_start_codon_gain_variant", "LOW"),
    "3'FLANK": Consequence("downstream_gene_variant", "MODIFIER"),
    "THREE_PRIME_FLANK": Consequence("downstream_gene_variant", "MODIFIER"),
    "5'FLANK": Consequence("upstream_gene_variant", "MODIFIER"),
    "FIVE_PRIME_FLANK": Consequence("upstream_gene_variant", "MODIFIER"),
    "INTRON": Consequence("intron_variant", "MODIFIER"),
    "RNA": Consequence("non_coding_transcript_exon_variant", "MODIFIER"),
    "LINCRNA": Consequence("non_coding_transcript_variant", "MODIFIER"),
    "IGR": Consequence("intergenic_variant", "MODIFIER"),
}
"""GDC's MAF format v1.0.0 and GATK's Funcotator, neither of which parts splice donors from acceptors."""


def consequence_of(classification: str) -> Consequence | None:
    """Of a MAF's Variant_Classification or Funcotator's; None for one that says nothing of a transcript."""
    name = classification.strip().upper().removesuffix("_MUTATION")
    return CLASSIFICATIONS.get(name)
