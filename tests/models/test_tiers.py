"""Tiers of variants in three diseases: a golden table, each row with the reason that it must give."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.clinical import ClinicalRecord
from data.evidence import Alteration, Statement
from data.genomics import Variant
from models.genomics.oncogenicity import is_common_or_silent
from models.genomics.patterns import pattern
from models.genomics.tiers import TIERS
from pipelines.interpret import interpret, of_variant
from pipelines.knowledge import (
    approval_table,
    disease_graph,
    gene_table,
    knowledge_from,
    recurrence,
)

NSCLC, LUAD = "non-small cell lung cancer", "lung adenocarcinoma"
HR, HER2, TNBC = (
    "HR-positive, HER2-negative breast cancer", "HER2-positive breast cancer", "triple-negative breast cancer",
)  # fmt: skip
OLIGO2, OLIGO3, ASTRO2, GBM = (
    "oligodendroglioma, grade 2", "oligodendroglioma, grade 3", "astrocytoma, IDH-mutant, grade 2",
    "glioblastoma",
)  # fmt: skip
DMG = "diffuse midline glioma, H3 K27-altered"


def said(gene, alteration, disease, effect, level, *therapies, germline=False):
    """A statement of a knowledge base, made for this test."""
    return Statement(
        gene=gene, alteration=alteration, disease=disease, effect=effect, level=level, therapies=therapies,
        needs_germline=germline, source="test", reference=f"{gene} {alteration} {level}", as_of="2026-01",
    )  # fmt: skip


BASE = (
    said("EGFR", "T790M", NSCLC, "resistance", "A", "gefitinib"),
    said("EGFR", "C797S", NSCLC, "resistance", "C", "osimertinib"),
    said("EGFR", "A289V", "high-grade glioma", "sensitivity", "D", "erlotinib"),
    said("EGFR", "MUTATION", NSCLC, "sensitivity", "B", "erlotinib"),
    said("KRAS", "G12D", NSCLC, "resistance", "B", "erlotinib"),
    said("KRAS", "MUTATION", "colorectal cancer", "resistance", "A", "cetuximab"),
    said("ESR1", "D538G", "ER-positive breast cancer", "resistance", "B", "anastrozole"),
    said("PIK3CA", "H1047R", "breast cancer", "sensitivity", "D", "buparlisib"),
    said("ERBB2", "L755S", "HER2-positive breast cancer", "resistance", "D", "lapatinib"),
    said("TP53", "MUTATION", "chronic lymphocytic leukemia", "worse outcome", "A"),
    said("TP53", "R175H", "breast cancer", "worse outcome", "E"),
    said("CDKN2A", "DELETION", "glioblastoma", "sensitivity", "D", "palbociclib"),
    said("FGFR3", "FUSION", "glioblastoma", "sensitivity", "C", "erdafitinib"),
    said("MET", "AMPLIFICATION", NSCLC, "sensitivity", "B", "crizotinib"),
    said("MGMT", "PROMOTER METHYLATION", "glioblastoma", "sensitivity", "A", "temozolomide"),
    said("ALK", "F1174L", "neuroblastoma", "sensitivity", "D", "lorlatinib"),
    said("BRCA1", "LOSS-OF-FUNCTION", "ovarian cancer", "sensitivity", "A", "olaparib"),
    said("STK11", "LOSS", NSCLC, "resistance", "B", "pembrolizumab"),
    said("IDH1", "R132", "acute myeloid leukemia", "sensitivity", "A", "ivosidenib"),
    said("TERT", "PROMOTER MUTATION", "glioblastoma", "worse outcome", "B"),
    said("NF1", "MUTATION", "cancer", "sensitivity", "B", "selumetinib"),
)
KNOWLEDGE = knowledge_from({"approvals": approval_table().statements, "test": BASE})


def small(
    gene, change=None, consequence="missense_variant", impact="MODERATE", coding=None, **known
):
    """A small variant."""
    is_germline = known.pop("germline", None)
    status = None if is_germline is None else "germline" if is_germline else "somatic"
    variant = Variant(
        chromosome="chr1", position=known.pop("position", 100), reference="A", alternate="T",
        filters=("PASS",), gene=gene,
        consequence=consequence, impact=impact, hgvs_coding=coding,
        hgvs_protein=None if change is None else f"p.{change}", status=status, **known,
    )  # fmt: skip
    return of_variant(variant, KNOWLEDGE)


def other(gene, kind, partner=None):
    """What an assay found."""
    return Alteration(gene=gene, kind=kind, partner=partner, source="test")


def stop(gene, change, **known):
    """A variant that ends the protein early."""
    term = "frameshift_variant" if "fs" in change else "stop_gained"
    return small(gene, change, consequence=term, impact="HIGH", **known)


def spliced(gene, coding, term="splice_donor_variant"):
    """A variant on a splice site."""
    return small(gene, None, consequence=term, impact="HIGH", coding=coding)


# alteration, the patient's disease, tier, and words that its reason must have
GOLDEN = {
    # Glioma
    "IDH1 R132H, of this type and grade": (small("IDH1", "R132H"), OLIGO2, "I-A", "vorasidenib: approved"),
    "IDH1 R132C, any change of the codon": (small("IDH1", "R132C"), ASTRO2, "I-A", "named by its codon"),
    "IDH2 R172K": (small("IDH2", "R172K"), OLIGO2, "I-A", "vorasidenib"),
    "IDH1 R132H, label of another grade": (small("IDH1", "R132H"), OLIGO3, "II-C", "a related tumor type"),
    "IDH1 V178I, not the codon": (small("IDH1", "V178I"), OLIGO2, "III", "no statement names it"),
    "BRAF V600E in a glioblastoma, any solid tumor": (
        small("BRAF", "V600E"), GBM, "I-A", "solid tumor, of which this tumor is a kind"),
    "BRAF V600E as another transcript numbers it": (
        small("BRAF", "V640E", transcript="ENST00000288602.11"), GBM, "I-A", "dabrafenib"),
    "BRAF V640E without that transcript": (small("BRAF", "V640E"), GBM, "III", "no statement names it"),
    "EGFR A289V, exact in glioma before the gene in lung": (small("EGFR", "A289V"), GBM, "II-D", "erlotinib"),
    "EGFR L62R, unknown in an actionable gene": (small("EGFR", "L62R"), GBM, "III", "does not hold for it"),
    "CDKN2A homozygously deleted": (other("CDKN2A", "deletion"), GBM, "II-D", "palbociclib"),
    "FGFR3 fused, a case study": (other("FGFR3", "fusion", "TACC3"), GBM, "II-C", "erdafitinib"),
    "NTRK2 fused, any solid tumor": (other("NTRK2", "fusion", "BCR"), GBM, "I-A", "approved"),
    "MGMT promoter methylated": (other("MGMT", "promoter methylation"), GBM, "I-A", "temozolomide"),
    "H3-3A K28M, numbered with the first methionine": (small("H3-3A", "K28M"), DMG, "I-A", "dordaviprone"),
    "H3F3A K27M by its earlier symbol": (small("H3F3A", "K27M"), DMG, "I-A", "dordaviprone"),
    "TERT promoter": (
        small("TERT", None, "upstream_gene_variant", "MODIFIER", coding="c.-124C>T"),
        GBM, "I-B", "worse outcome"),
    "NF1 lost, evidence on any cancer at all": (stop("NF1", "R1362*"), GBM, "II-C", "selumetinib"),
    "PTEN Y27D": (small("PTEN", "Y27D"), GBM, "III", "uncertain significance"),
    "TTN passenger": (small("TTN", "R100H"), GBM, "III", "no statement is about TTN"),
    # Lung
    "EGFR L858R": (small("EGFR", "L858R"), LUAD, "I-A", "approved"),
    "EGFR E746_A750del is an exon 19 deletion": (
        small("EGFR", "E746_A750del", "inframe_deletion"), LUAD, "I-A", "named by its exon or class"),
    "EGFR L747_P753delinsS is one too": (
        small("EGFR", "L747_P753delinsS", "inframe_deletion"), NSCLC, "I-A", "named by its exon or class"),
    "EGFR deletion as Oncotator writes it": (
        small("EGFR", "ELREA746del", "inframe_deletion"), NSCLC, "I-A", "named by its exon or class"),
    "EGFR exon 20 insertion": (
        small("EGFR", "H773_V774insNPH", "inframe_insertion"), NSCLC, "I-A", "amivantamab"),
    "EGFR exon 20 duplication": (
        small("EGFR", "S768_D770dup", "inframe_insertion"), NSCLC, "I-A", "amivantamab"),
    "EGFR G719A, any change of the codon": (small("EGFR", "G719A"), NSCLC, "I-A", "afatinib"),
    "EGFR C797S, resistance alone": (small("EGFR", "C797S"), NSCLC, "II-C", "resistance to osimertinib"),
    "KRAS G12C": (small("KRAS", "G12C"), NSCLC, "I-A", "approved"),
    "KRAS G12D, resistance alone": (small("KRAS", "G12D"), NSCLC, "I-B", "resistance to erlotinib"),
    "KRAS G12C in a glioblastoma": (small("KRAS", "G12C"), GBM, "II-C", "another tumor type"),
    "MET exon 14 donor": (spliced("MET", "c.3028+1G>A"), NSCLC, "I-A", "approved"),
    "MET exon 14 acceptor lost": (
        spliced("MET", "c.2888-18_2888-2del", "splice_acceptor_variant"), NSCLC, "I-A", "approved"),
    "MET D1010N, last base of exon 14": (small("MET", "D1010N", coding="c.3028G>A"), NSCLC, "I-A", "approved"),
    "MET splice elsewhere": (spliced("MET", "c.1200+1G>A"), NSCLC, "III", "no statement names it"),
    "MET X1010_splice of a MAF": (
        small("MET", "X1010_splice", "splice_site_variant", "HIGH"), NSCLC, "I-A", "approved"),
    "MET amplified": (other("MET", "amplification"), NSCLC, "I-B", "crizotinib"),
    "EML4-ALK": (other("ALK", "fusion", "EML4"), LUAD, "I-A", "approved"),
    "ALK F1174L without fusion": (small("ALK", "F1174L"), NSCLC, "II-D", "another tumor type"),
    "ERBB2 Y772_A775dup in the kinase domain": (
        small("ERBB2", "Y772_A775dup", "inframe_insertion"), NSCLC, "I-A", "approved"),
    "ERBB2 V777L, established": (small("ERBB2", "V777L"), NSCLC, "I-A", "zongertinib"),
    "STK11 truncated, resistance": (stop("STK11", "Q37*"), LUAD, "I-B", "resistance to pembrolizumab"),
    # Breast
    "PIK3CA H1047R": (small("PIK3CA", "H1047R"), HR, "I-A", "alpelisib"),
    "PIK3CA H1047R, the label is on another type": (
        small("PIK3CA", "H1047R"), TNBC, "II-C", "a related tumor type"),
    "PIK3CA I391M, unknown": (small("PIK3CA", "I391M"), HR, "III", "does not hold for it"),
    "ESR1 D538G": (small("ESR1", "D538G"), HR, "I-A", "elacestrant"),
    "ESR1 K303R, off the domain": (small("ESR1", "K303R"), HR, "III", "no statement names it"),
    "AKT1 E17K": (small("AKT1", "E17K"), HR, "I-A", "capivasertib"),
    "PTEN truncated": (stop("PTEN", "R130*"), HR, "I-A", "capivasertib"),
    "BRCA1 in the germ line": (stop("BRCA1", "Q1756Pfs*74", germline=True), TNBC, "I-A", "olaparib"),
    "BRCA1 in the tumor alone": (stop("BRCA1", "Q1756Pfs*74", germline=False), TNBC, "II-C", "ovarian cancer"),
    "ERBB2 amplified": (other("ERBB2", "amplification"), HER2, "I-A", "trastuzumab deruxtecan"),
    "TP53 R175H, inferential alone": (small("TP53", "R175H"), TNBC, "III", "only inferential"),
    "TMB-H": (other("TMB-H", "signature"), TNBC, "I-A", "pembrolizumab"),
    # Spellings, transcripts and borders that were got wrong before
    "MET exon 14 on the longer transcript": (
        small("MET", "X1028_splice", "splice_donor_variant", "HIGH", "c.3082+2T>A",
              transcript="ENST00000318493"),
        NSCLC, "I-A", "approved"),
    "MET D1010N without its coding change": (small("MET", "D1010N"), NSCLC, "I-A", "approved"),
    "MET acceptor of the next exon": (
        small("MET", "X1011_splice", "splice_acceptor_variant", "HIGH", "c.3029-1G>A"),
        NSCLC, "III", "no statement"),
    "MET insertion deep in the intron": (
        spliced("MET", "c.3028+15_3028+16insA", "intron_variant"), NSCLC, "III", "no statement"),
    "MET silent last base": (
        small("MET", "D1010=", "synonymous_variant", "LOW", "c.3028="), NSCLC, "IV", "synonymous"),
    "EGFR insertion without its letters": (small("EGFR", "770_771insGL"), NSCLC, "I-A", "amivantamab"),
    "EGFR deletion as COSMIC wrote it": (small("EGFR", "E746_T751>IP"), NSCLC, "I-A", "approved"),
    "EGFR deletion without letters": (small("EGFR", "746_750del"), NSCLC, "I-A", "approved"),
    "EGFR lost from the middle on": (small("EGFR", "E600_G1000del"), NSCLC, "III", "no statement"),
    "ERBB2 as COSMIC wrote it": (small("ERBB2", "G776>VC"), NSCLC, "I-A", "approved"),
    "KRAS two residues in a row": (small("KRAS", "GG12CC"), NSCLC, "III", "no statement"),
    "BRAF V640D on MANE Plus Clinical": (
        small("BRAF", "V640D", transcript="ENST00000644969.2"), "pediatric low-grade glioma",
        "I-A", "tovorafenib"),
    "BRCA1 beside a donor, not on it": (
        small("BRCA1", None, "splice_donor_region_variant&intron_variant", "LOW", "c.4185+4A>G", germline=True),
        TNBC, "III", "no statement"),
    "BRCA2 K3326*, so late that it works": (
        stop("BRCA2", "K3326*", germline=True, population_frequency=0.006), TNBC, "III", "no statement"),
    "TERT's other places": (
        small("TERT", None, "upstream_gene_variant", "MODIFIER", coding="c.-245T>C"),
        GBM, "III", "no statement"),
    "TERT by its position": (
        small("TERT", None, "upstream_gene_variant", "MODIFIER", position=1295113),
        GBM, "I-B", "worse outcome"),
    "POLE truncated, an oncogene here": (stop("POLE", "R114*"), NSCLC, "III", "no statement is about POLE"),
    "NTRK1 fused in a sarcoma": (
        other("NTRK1", "fusion", "TPM3"), "soft tissue sarcoma", "I-A", "of which this tumor is a kind"),
    # What is not for a tumor board
    "a common variant of an actionable gene": (
        small("EGFR", "R521K", population_frequency=0.27), NSCLC, "IV", "27.0% of the population"),
    "silent": (small("EGFR", "L858=", "synonymous_variant", "LOW"), NSCLC, "IV", "synonymous"),
    "silent beside a splice site": (
        small("EGFR", "Q787=", "splice_region_variant&synonymous_variant", "LOW"),
        NSCLC, "III", "no statement"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("alteration", "disease", "tier", "words"), GOLDEN.values(), ids=list(GOLDEN)
)
def test_each_alteration_has_its_tier_and_says_why(alteration, disease, tier, words):
    (found,) = interpret([alteration], disease, KNOWLEDGE)
    assert found.tier == tier, found.reason
    assert words in found.reason


def test_resistance_stands_apart_and_counts_in_the_same_tier():
    (found,) = interpret([small("EGFR", "T790M")], LUAD, KNOWLEDGE)
    assert found.tier == "I-A"
    assert next(s.statement.therapies for s in found.support) == ("osimertinib",)
    assert [s.statement.therapies for s in found.resistance] == [("gefitinib",)]


def test_a_lost_gene_in_a_hypermutated_tumor_is_held_to_be_a_passenger_until_more_is_known():
    lost = [stop("NF1", "R1362*")]
    (usual,) = interpret(lost, GBM, KNOWLEDGE)
    (among_many,) = interpret(lost, GBM, KNOWLEDGE, hypermutated=True)
    assert (usual.tier, among_many.tier) == ("II-C", "III")
    assert "hits many by chance" in among_many.oncogenicity.points[0].reason
    (driver,) = interpret([small("PIK3CA", "H1047R")], HR, KNOWLEDGE, hypermutated=True)
    assert driver.tier == "I-A"


def test_what_decided_the_tier_stands_first():
    (found,) = interpret([small("EGFR", "A289V")], GBM, KNOWLEDGE)
    assert found.support[0].statement.therapies == ("erlotinib",)
    assert found.support[0].tier == found.tier
    assert {s.precision for s in found.support[1:]} == {
        "gene"
    }  # in lung cancer, and seemingly stronger


def test_an_unknown_disease_has_nothing_of_its_own_type():
    (found,) = interpret([small("EGFR", "L858R")], None, KNOWLEDGE)
    assert found.tier == "II-C"
    assert {s.kinship for s in found.support} == {"unknown"}
    assert "disease is not known here" in found.reason


def test_the_strongest_come_first():
    found = interpret([a for a, *_ in GOLDEN.values()], GBM, KNOWLEDGE)
    order = [TIERS.index(f.tier) for f in found]
    assert order == sorted(order)


@given(
    st.sampled_from(list(GOLDEN.values())),
    st.sampled_from([d.name for d in disease_graph().diseases]),
)
def test_more_knowledge_never_weakens_a_tier_but_by_what_is_closer(row, disease):
    alteration = row[0]
    more = knowledge_from({"approvals": approval_table().statements, "test": BASE})
    less = knowledge_from({"approvals": approval_table().statements})
    (with_it,), (without,) = (interpret([alteration], disease, k) for k in (more, less))
    gene_alone = all(s.precision == "gene" for s in without.support)
    assert TIERS.index(with_it.tier) <= TIERS.index(without.tier) or gene_alone


def test_every_approval_is_understood_and_on_a_disease_that_is_known():
    assert not [s for s in KNOWLEDGE.interpreter.unread if s.source == "approvals"]
    graph = disease_graph()
    for statement in approval_table().statements:
        assert graph.find(statement.disease), statement.disease
        genes = gene_table()
        assert statement.alteration == "signature" or genes.find(statement.gene), statement.gene
        assert min(statement.approved.values()) > date(1998, 1, 1)
        assert f"{max(statement.approved.values()):%Y-%m}" <= statement.as_of


@pytest.mark.parametrize(
    "written",
    [
        "EXPRESSION",
        "p16 EXPRESSION",
        "EXON 12 MUTATION",
        "PHOSPHORYLATION",
        "WILD TYPE",
        "BCR-ABL T315I",
        "Ex19 del L858R",
    ],
)
def test_what_is_not_understood_is_no_pattern(written):
    assert pattern(written, "EGFR", gene_table().find("EGFR")) is None


def test_points_of_known_drivers_and_passengers():
    judge = KNOWLEDGE.interpreter.judge
    assert judge.points(small("IDH1", "R132H")).category == "likely oncogenic"
    assert judge.points(stop("TP53", "R213*")).is_oncogenic
    assert not judge.points(stop("KRAS", "Q61*")).is_oncogenic  # an oncogene is not lost
    assert judge.points(small("EGFR", "R521K", population_frequency=0.27)).category == "benign"
    assert judge.points(small("TTN", "R100H")).points == ()
    assert recurrence().changes["IDH1", "R132H"] > 300


def test_the_graph_tells_how_far_diseases_are():
    graph = disease_graph()
    assert graph.kinship(OLIGO2, "Oligodendroglioma, IDH-mutant and 1p/19q-codeleted") == (
        "broader",
        1,
    )
    assert graph.kinship("LUAD", "NSCLC") == ("broader", 1)
    assert graph.kinship("NSCLC", "LUAD") == ("narrower", 1)
    assert graph.kinship(OLIGO2, "glioblastoma") == ("related", 4)
    assert graph.kinship(OLIGO2, "melanoma") == ("another", None)
    assert graph.kinship(OLIGO2, "Gout") == ("another", None)


def test_record_has_reported_alterations():
    record = ClinicalRecord.model_validate(
        {
            "patient_id": "a",
            "reported": [{"gene": "ALK", "kind": "fusion", "partner": "EML4", "result": "present"}],
        }
    )
    assert record.reported[0].result == "present"


@pytest.mark.parametrize(
    ("consequence", "frequency", "expected"),
    [
        ("synonymous_variant", None, True), ("synonymous_variant&splice_region_variant", None, False),
        ("missense_variant", 0.02, True), ("missense_variant", 0.002, False), (None, None, False),
    ],
)  # fmt: skip
def test_calls_of_any_gene_are_of_tier_iv_by_the_same_rules(consequence, frequency, expected):
    assert is_common_or_silent(consequence, frequency) == expected
