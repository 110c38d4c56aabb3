"""From a record and variants to an integrated diagnosis: findings of three states, decided by a table."""

from __future__ import annotations

import re
from functools import cache

from data.clinical import ClinicalRecord, Markers, Presence
from data.copy_number import CopyNumber
from data.diagnosis import Diagnosis
from data.genomics import Variant, VariantSet
from models.genomics.conditions import Finding, Findings
from models.genomics.diagnosis import DiagnosisTable, diagnose
from models.genomics.patterns import in_promoter
from pipelines.config import diagnosis_table
from pipelines.knowledge import gene_table

HISTONES = ("H3-3A", "H3F3A", "H3C2", "HIST1H3B", "H3C3", "HIST1H3C")
HOTSPOTS = {
    "idh_mutation": {"IDH1": r"^R132[A-Z]$", "IDH2": r"^R172[A-Z]$"},
    # Histones are numbered with or without the first methionine.
    "h3_k27_altered": dict.fromkeys(HISTONES, r"^K2[78][MI]$"),
    "h3_g34_mutation": dict.fromkeys(HISTONES[:2], r"^G3[45][RVW]$"),
}
"""Protein changes that are the finding, by gene."""
TRUNCATED = {"atrx_loss": "ATRX"}
"""Genes that are lost by a variant of high impact."""
FROM_RECORD = tuple(name for name in Markers.model_fields if name != "mgmt_methylation")


@cache
def cns5() -> DiagnosisTable:
    """The shipped table for adult-type diffuse gliomas."""
    return diagnosis_table("cns5")


def findings_of(
    record: ClinicalRecord, variants: VariantSet | None, copy_number: CopyNumber | None = None
) -> dict[str, Finding]:
    """What record, variants and segments say; one variant that is not called says nothing, since its place may
    be uncovered.

    Where two of them contradict each other, nothing is known but that.
    """
    found = {
        name: Finding(
            getattr(record.markers, name), _source(getattr(record.markers, name), "record")
        )
        for name in FROM_RECORD
    }
    for name, variant in _shown(variants):
        said = found[name].state
        words = _words(variant)
        if said == "absent":
            found[name] = Finding(
                "untested", f"the record says absent, the variants have {words}: check both"
            )
        else:
            found[name] = Finding(
                "present", words if said == "untested" else f"record, and {words}"
            )
    for name, shown in _of_segments(copy_number).items():
        known = found[name].state
        if known == "untested":
            found[name] = shown
        elif shown.state not in ("untested", known):
            found[name] = Finding(
                "untested", f"the record says {known}, {shown.source}: check both"
            )
    grade = record.grade
    found["grade_4_histology"] = _of(None if grade is None else grade == 4)
    midline = None if record.location is None else record.location == "midline"
    found["midline"] = _of(midline)
    found["hemispheric"] = _of(None if midline is None else not midline)
    return found


def integrated_diagnosis(
    record: ClinicalRecord, variants: VariantSet | None, copy_number: CopyNumber | None = None
) -> Diagnosis:
    """By WHO CNS5."""
    found = diagnose(cns5(), findings_of(record, variants, copy_number), record.grade)
    assert found is not None  # noqa: S101  # the last rule of the table is for what is untested
    return found


def markers_found(record: ClinicalRecord, findings: Findings) -> Markers:
    """The record's markers, with what the variants add."""
    told = {name: findings[name].state for name in FROM_RECORD}
    return record.markers.model_copy(update=told)


def _shown(variants: VariantSet | None) -> list[tuple[str, Variant]]:
    if variants is None:
        return []
    somatic = [v for v in variants.variants if v.passed and v.gene and v.status != "germline"]
    passed = [v for v in somatic if v.alters_protein]
    promoter = (v for v in somatic if v.gene == "TERT" and in_promoter(v, gene_table()))
    found: dict[str, Variant] = {}
    for variant in promoter:
        found.setdefault("tert_promoter_mutation", variant)
    for variant in passed:
        for name, genes in HOTSPOTS.items():
            pattern = genes.get(variant.gene or "")
            if pattern and re.match(pattern, variant.protein_change or ""):
                found.setdefault(name, variant)
        for name, gene in TRUNCATED.items():
            if variant.gene == gene and variant.impact == "HIGH":
                found.setdefault(name, variant)
    return list(found.items())


ARMS = {
    "codeletion_1p19q": {"1p": "loss", "19q": "loss"},
    "gain7_loss10": {"7p": "gain", "7q": "gain", "10p": "loss", "10q": "loss"},
}
"""Whole arms that are a finding together."""
GENE_CALLS = {
    "egfr_amplification": ("EGFR", "amplification", "gain"),
    "cdkn2a_homozygous_deletion": ("CDKN2A", "homozygous deletion", "loss"),
}
"""The gene, the call that is the finding, and the one that may hide it in an impure tumor."""


def _of_segments(copy_number: CopyNumber | None) -> dict[str, Finding]:
    if copy_number is None:
        return {}
    found = {name: _arms(copy_number, wanted) for name, wanted in ARMS.items()}
    calls = {gene.gene: gene for gene in copy_number.genes}
    for name, (symbol, call, doubtful) in GENE_CALLS.items():
        gene = calls.get(symbol)
        if gene is None or (gene.call == doubtful and copy_number.purity is None):
            found[name] = Finding("untested")
        else:
            state: Presence = "present" if gene.call == call else "absent"
            found[name] = Finding(state, f"segments, {symbol} {gene.call}, log2 {gene.log2:.2f}")
    return found


def _arms(copy_number: CopyNumber, wanted: dict[str, str]) -> Finding:
    calls = {name: copy_number.arm(name).call for name in wanted}
    told = "segments, " + ", ".join(f"{name} {call}" for name, call in calls.items())
    if calls == wanted:
        return Finding("present", told)
    other = any(
        call not in (wanted[name], "not covered", "partial") for name, call in calls.items()
    )
    return Finding("absent", told) if other else Finding("untested")


def _words(variant: Variant) -> str:
    share = "" if variant.vaf is None else f", VAF {100 * variant.vaf:.0f} %"
    return f"{variant.gene} {variant.protein_change or variant.hgvs_coding or variant.consequence}{share}"


def _of(known: bool | None) -> Finding:
    state: Presence = "untested" if known is None else "present" if known else "absent"
    return Finding(state, _source(state, "record"))


def _source(state: Presence, source: str) -> str:
    return "" if state == "untested" else source
