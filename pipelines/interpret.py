"""From variants and record to a patient's alterations, each with its tier and what that rests on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from data.clinical import ClinicalRecord
from data.copy_number import CopyNumber
from data.diagnosis import Diagnosis
from data.evidence import Alteration, Interpretation, Kind
from data.fusions import Fusion
from data.genomics import Variant, VariantSet, short_protein_change
from models.genomics.diseases import DiseaseGraph
from models.genomics.genes import GeneTable
from models.genomics.numbering import as_usual
from models.genomics.origin import Origin
from models.genomics.tiers import TIERS
from pipelines.knowledge import Knowledge, gene_table

FROM_MARKERS: dict[str, tuple[str, Kind]] = {
    "egfr_amplification": ("EGFR", "amplification"),
    "cdkn2a_homozygous_deletion": ("CDKN2A", "deletion"),
    "mgmt_methylation": ("MGMT", "promoter methylation"),
}
"""Markers that knowledge speaks of and that no list of small variants holds."""
COPIES: dict[str, Kind] = {"amplification": "amplification", "homozygous deletion": "deletion"}
"""Calls of segments that are alterations."""
GERMLINE = "germline"


def is_hotspot(gene: str, change: str) -> bool:
    """Whether a protein change is one of its gene's hotspots, which are not inherited as a rule."""
    known = gene_table().find(gene)
    written = short_protein_change(change)
    return known is not None and known.renamed.get(written, written) in known.hotspots


def disease_of(
    record: ClinicalRecord, diagnosis: Diagnosis | None, site: str, graph: DiseaseGraph
) -> str | None:
    """The patient's disease in the graph: the integrated diagnosis with its grade, else the record's words,
    else the site.
    """
    said = []
    if diagnosis is not None:
        said = [f"{diagnosis.name}, grade {diagnosis.grade}", diagnosis.name]
    found = (graph.find(name) for name in [*said, record.diagnosis or "", site])
    return next((disease.name for disease in found if disease is not None), None)


def alterations_of(
    record: ClinicalRecord,
    variants: VariantSet | None,
    copy_number: CopyNumber | None,
    knowledge: Knowledge,
    origins: Sequence[Origin] = (),
    fusions: Sequence[Fusion] = (),
) -> tuple[Alteration, ...]:
    """What the tumor shows that knowledge may speak of; ``variants`` are those in genes that are known.

    ``origins`` are those of the variants where no normal sample was there to tell. A fusion that is doubted is
    no alteration.

    Variants that failed a filter are among them: a filter may mark what matters, it does not remove it.
    """
    found = [
        of_variant(variant, knowledge, origin)
        for variant, origin in zip_longest(variants.variants if variants else (), origins)
        if variant.gene
    ]
    for name, (gene, kind) in FROM_MARKERS.items():
        if getattr(record.markers, name) == "present":
            found.append(Alteration(gene=gene, kind=kind, source="record"))
    for assay in record.reported:
        if assay.result == "present":
            gene, partner = _driver_first(assay.gene, assay.partner, knowledge)
            source = assay.method or "record"
            found.append(Alteration(gene=gene, kind=assay.kind, partner=partner, source=source))
    found += _fused(fusions, {(a.gene, a.partner) for a in found if a.kind == "fusion"}, knowledge)
    known = {(a.gene, a.kind) for a in found}
    for told in copy_number.genes if copy_number else ():
        way = COPIES.get(told.call)
        if way is not None and (told.gene, way) not in known:
            found.append(Alteration(gene=told.gene, kind=way, source="segments"))
    return tuple(found)


def _fused(
    fusions: Iterable[Fusion], told: set[tuple[str, str | None]], knowledge: Knowledge
) -> Iterable[Alteration]:
    """Each known gene of each fusion that is not doubted, the best supported first, once."""
    genes = knowledge.interpreter.genes
    for fusion in sorted(fusions, key=_support):
        for gene in active_in(fusion, genes):
            other = fusion.three_prime if gene == fusion.five_prime else fusion.five_prime
            if knowledge.interpreter.knows(gene) and not {(gene, other), (gene, None)} & told:
                told.add((gene, other))
                yield Alteration(
                    gene=gene, kind="fusion", partner=other, source=fusion.told,
                    is_five_prime=gene == fusion.five_prime,
                )  # fmt: skip


def _support(fusion: Fusion) -> tuple[bool, int]:
    return fusion.frame != "in frame", -(fusion.junction_reads or 0)


def active_in(fusion: Fusion, genes: GeneTable) -> tuple[str, ...]:
    """Genes of a fusion of which it keeps what is active; none where it is doubted."""
    if fusion.doubt is not None:
        return ()
    ends = (("five prime", fusion.five_prime), ("three prime", fusion.three_prime))
    named = [(end, gene, genes.find(gene)) for end, gene in ends if gene is not None]
    return tuple(gene for end, gene, known in named if known is None or end in known.fuses_as)


def fusion_doubt(fusion: Fusion) -> str | None:
    """Why knowledge is not held against a fusion; None where it is."""
    if fusion.doubt is not None:
        return fusion.doubt
    kept = active_in(fusion, gene_table())
    return (
        None
        if any(gene_table().find(gene) for gene in kept)
        else "no known gene, or not its active end"
    )


def _driver_first(gene: str, partner: str | None, knowledge: Knowledge) -> tuple[str, str | None]:
    """Two fused genes with that first of which something is known."""
    knows = knowledge.interpreter.knows
    if partner and knows(partner) and not knows(gene):
        return partner, gene
    return gene, partner


def of_variant(variant: Variant, knowledge: Knowledge, origin: Origin | None = None) -> Alteration:
    """A small variant as an alteration, numbered and named as knowledge does."""
    genes = knowledge.interpreter.genes
    usual = as_usual(variant, genes)
    source = "variants"
    if usual is not variant:
        told = variant.protein_change or variant.hgvs_coding
        source += f" ({told} on {variant.transcript or 'its transcript'})"
    is_germline = None if variant.status is None else variant.status.lower() == GERMLINE
    return Alteration(
        gene=variant.gene or "", kind="small variant", variant=usual, is_germline=is_germline, source=source,
        origin=None if origin is None else f"{origin.label} ({origin.reason})",
    )  # fmt: skip


def interpret(
    alterations: Iterable[Alteration],
    disease: str | None,
    knowledge: Knowledge,
    *,
    hypermutated: bool = False,
) -> tuple[Interpretation, ...]:
    """Each alteration with its tier, the strongest first, and within a tier the more oncogenic."""
    interpreter = knowledge.interpreter
    found = [interpreter.interpret(a, disease, hypermutated=hypermutated) for a in alterations]
    return tuple(sorted(found, key=_order))


def _order(found: Interpretation) -> tuple[int, int, str]:
    points = 0 if found.oncogenicity is None else found.oncogenicity.total
    return TIERS.index(found.tier), -points, found.alteration.name
