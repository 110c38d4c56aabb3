"""From calls and record to what they mean: markers, diagnosis, tiers and burden, each with its provenance."""

from __future__ import annotations

from dataclasses import dataclass

from data.avatar import TableRef
from data.burden import MutationBurden
from data.calls import Calls
from data.clinical import ClinicalRecord
from data.copy_number import CopyNumber
from data.diagnosis import Diagnosis
from data.evidence import STRONG, Interpretation, KnowledgeSource
from data.fusions import Fusion
from data.genomics import VariantSet
from data.provenance import Provenance, Source, versions_of
from data.store import AvatarStore
from models.genomics.burden import burden
from models.genomics.origin import origins
from pipelines.annotate import Annotated, annotate
from pipelines.diagnose import findings_of, integrated_diagnosis, markers_found
from pipelines.interpret import alterations_of, disease_of, interpret, is_hotspot
from pipelines.knowledge import knowledge_of
from pipelines.panel import panel_of
from pipelines.signatures import with_signatures

GLIOMA = "glioma"


@dataclass(frozen=True)
class Genomics:
    """What a run keeps of a patient's genomics.

    Args:
        record: the given one, with markers that the variants add.
        variants: those in genes that something is known of.
        calls: all of them.
    """

    record: ClinicalRecord
    diagnosis: Diagnosis
    variants: VariantSet | None
    calls: TableRef | None
    burden: MutationBurden | None
    copy_number: CopyNumber | None
    fusions: tuple[Fusion, ...] | None
    interpretations: tuple[Interpretation, ...]
    knowledge: tuple[KnowledgeSource, ...]
    provenance: Provenance


def genomics_of(
    store: AvatarStore,
    record: ClinicalRecord,
    calls: Calls | None,
    copy_number: CopyNumber | None,
    sources: tuple[Source, ...],
    *,
    capture_mb: float | None,
    site: str,
    fusions: tuple[Fusion, ...] | None = None,
) -> Genomics:
    """Everything that follows from a patient's calls and record.

    Args:
        store: where the calls are kept, and whose imported knowledge counts.
        record: as given.
        calls: of the tumor; None where it was not sequenced.
        copy_number: of its segments; None where there are none.
        sources: the files of both.
        capture_mb: megabases that were sequenced; None where it is not declared.
        site: of the tumor; for a glioma the table of diagnoses applies.
        fusions: as called; None where nobody looked.
    """
    knowledge = knowledge_of(store)
    panel = None if calls is None else panel_of(store, calls.build)
    named = None if calls is None else annotate(calls, panel)
    calls = None if named is None else named.calls
    known = None if calls is None else calls.in_genes(knowledge.interpreter.knows).in_tumor
    variants = None if known is None else known.variant_set()
    told = origins(known, copy_number, is_hotspot) if known and known.is_tumor_only else []
    markers = markers_found(record, findings_of(record, variants, copy_number))
    diagnosis = integrated_diagnosis(record, variants, copy_number)
    found = record.model_copy(update={"markers": markers})
    disease = disease_of(
        found, diagnosis if site == GLIOMA else None, site, knowledge.interpreter.diseases
    )
    counted = None if calls is None else with_signatures(burden(calls, capture_mb), store)
    interpretations = interpret(
        alterations_of(found, variants, copy_number, knowledge, told, fusions or ()),
        disease,
        knowledge,
        hypermutated=counted is not None and counted.is_hypermutated,
    )
    annotators = ", ".join(named.by) if named else ""
    from_calls = markers.idh_mutation != record.markers.idh_mutation
    return Genomics(
        record=found,
        diagnosis=diagnosis,
        variants=variants,
        calls=None if calls is None else store.put_table(calls.table),
        burden=counted,
        copy_number=copy_number,
        fusions=fusions,
        interpretations=interpretations,
        knowledge=knowledge.sources if interpretations else (),
        provenance=Provenance(
            step="annotate",
            method=f"variants named by {annotators or 'nobody'}; WHO CNS5 by table; tiers by AMP/ASCO/CAP",
            sources=sources,
            settings={s.name: f"as of {s.as_of}" for s in knowledge.sources}
            | {
                "disease": disease,
                "capture_mb": capture_mb,
                "panel": panel.title if panel else None,
            },
            versions=versions_of("pysam", "pyarrow"),
            note=_note(named, variants, interpretations, from_calls),
        ),
    )


def _note(
    named: Annotated | None,
    variants: VariantSet | None,
    interpretations: tuple[Interpretation, ...],
    from_calls: bool,
) -> str:
    parts = []
    if named is not None and variants is not None:
        calls = named.calls
        parts.append(
            f"{len(calls)} calls, {len(variants.variants)} in genes that are known here; tumor sample "
            f"{calls.tumor_sample} (by {calls.roles_from})"
        )
        parts.append(named.note)
        if calls.is_tumor_only:
            parts.append("no normal sample: origins are heuristics")
    strong = sum(found.tier in STRONG for found in interpretations)
    if interpretations:
        parts.append(f"{strong} of tier I or II")
    if from_calls:
        parts.append("IDH status read from the variant calls")
    return "; ".join(parts) or "no variants"
