"""Fusion calls of four callers, each hand-checked, and tables that are none."""

from __future__ import annotations

import gzip

import pytest

from data.clinical import ClinicalRecord, ReportedAlteration
from data.errors import VariantError
from data.fusions import Fusion
from data.io.fusions import read_fusions
from pipelines.interpret import alterations_of, fusion_doubt
from pipelines.knowledge import knowledge_of


def table(*rows):
    """Words of each row, with tabs between."""
    return "".join("\t".join(row.split()) + "\n" for row in rows)


STAR = table(
    "#FusionName JunctionReadCount SpanningFragCount LeftGene LeftBreakpoint RightGene RightBreakpoint "
    "PROT_FUSION_TYPE",
    "EML4--ALK 34 12 EML4^ENSG00000143924.14 chr2:42295516:+ ALK^ENSG00000171094.11 chr2:29223528:- INFRAME",
    "FGFR3--TACC3 80 40 FGFR3^ENSG1 chr4:1806934:+ TACC3^ENSG2 chr4:1739702:+ FRAMESHIFT",
)
ARRIBA = table(
    "#gene1 gene2 breakpoint1 breakpoint2 split_reads1 split_reads2 discordant_mates confidence reading_frame",
    "KIF5B RET 10:32017143 10:43114480 5 7 3 high in-frame",
    "ETV6 NTRK3 12:11869969 15:87940753 2 0 1 low in-frame",
    "CD74 RP11-1(9535),LINC2(23412) 5:150404680 6:1 1 1 0 medium .",
)
CATCHER = table(
    "Gene_1_symbol(5end_fusion_partner) Gene_2_symbol(3end_fusion_partner) Spanning_pairs "
    "Spanning_unique_reads Predicted_effect",
    "CD74 ROS1 11 6 in-frame",
)
PORTAL = table(
    "Sample_Id Site1_Hugo_Symbol Site2_Hugo_Symbol Site2_Effect_On_Frame Tumor_Split_Read_Count "
    "Tumor_Paired_End_Read_Count",
    "S1 CD74 NRG1 In_frame 9 4",
    "S2 BCR ABL1 Frameshift NA 4",
)


def written(tmp_path, text):
    path = tmp_path / "fusions.tsv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "sample", "wanted"),
    [
        (STAR, None, [
            ("EML4::ALK", "in frame", 34, 12, None),
            ("FGFR3::TACC3", "out of frame", 80, 40, "out of frame"),
        ]),
        (ARRIBA, None, [
            ("KIF5B::RET", "in frame", 12, 3, None),
            ("ETV6::NTRK3", "in frame", 2, 1, "of low confidence by the caller"),
            ("CD74::?", "not told", 2, 0, "a breakpoint lies in no gene"),
        ]),
        (CATCHER, None, [("CD74::ROS1", "in frame", 6, 11, None)]),
        (PORTAL, "S1", [("CD74::NRG1", "in frame", 9, 4, None)]),
        (PORTAL, "S2", [("BCR::ABL1", "out of frame", None, 4, "out of frame")]),
    ],
)  # fmt: skip
def test_each_caller_s_table_is_read(tmp_path, text, sample, wanted):
    found = read_fusions(written(tmp_path, text), sample)
    told = [(f.name, f.frame, f.junction_reads, f.spanning_reads, f.doubt) for f in found]
    assert told == wanted


def test_a_gzipped_table_with_no_fusion_is_an_empty_list(tmp_path):
    path = tmp_path / "fusions.tsv.gz"
    path.write_bytes(gzip.compress(STAR.splitlines(keepends=True)[0].encode()))
    assert read_fusions(path) == ()


@pytest.mark.parametrize(
    ("text", "sample", "match"),
    [
        ("a\tb\n1\t2\n", None, "has none of the columns of fusion calls"),
        (STAR.replace("\t34\t", "\tmany\t"), None, "line 2 has many as its reads"),
        (STAR.replace("\t34\t", "\t-1\t"), None, "line 2 has -1 as its reads"),
        (CATCHER + "CD74\n", None, "line 3 ends too early"),
        (PORTAL, None, "has 2 samples; set fusions.sample"),
        (PORTAL, "S9", "has no sample 'S9'"),
        ("\x00\xff", None, "none of the columns"),
    ],
)
def test_what_is_no_table_of_fusions_is_refused(tmp_path, text, sample, match):
    with pytest.raises(VariantError, match=match):
        read_fusions(written(tmp_path, text), sample)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(VariantError, match="there is no such file"):
        read_fusions(tmp_path / "none.tsv")


def fused(found):
    return [(a.name, a.source) for a in found if a.kind == "fusion"]


def test_a_fusion_in_frame_is_an_alteration_of_its_driver_and_a_doubted_one_is_none(tmp_path):
    fusions = read_fusions(written(tmp_path, STAR)) + read_fusions(written(tmp_path, ARRIBA))
    record = ClinicalRecord(patient_id="P")
    found = alterations_of(record, None, None, knowledge_of(None), fusions=fusions)
    assert fused(found) == [
        ("EML4-ALK fusion", "STAR-Fusion, in frame, 34 reads across the junction, 12 spanning pairs"),
        ("KIF5B-RET fusion",
         "Arriba, in frame, 12 reads across the junction, 3 spanning pairs, high confidence"),
    ]  # fmt: skip


def test_a_driver_at_either_end_is_found_and_what_the_record_says_is_not_told_twice():
    record = ClinicalRecord(
        patient_id="P",
        reported=(ReportedAlteration(gene="ALK", kind="fusion", partner="EML4", result="present"),),
    )
    fusions = [
        Fusion(five_prime="EML4", three_prime="ALK", frame="in frame", caller="test"),
        Fusion(five_prime="FGFR3", three_prime="TACC3", frame="in frame", caller="test"),
        Fusion(five_prime="ANY", three_prime="OTHER", caller="test"),
    ]
    found = alterations_of(record, None, None, knowledge_of(None), fusions=fusions)
    names = [name for name, _ in fused(found)]
    assert names == ["EML4-ALK fusion", "FGFR3-TACC3 fusion"]


def test_the_best_supported_call_stands_and_a_kinase_without_its_active_end_is_none():
    fusions = [
        Fusion(five_prime="ALK", three_prime="EML4", junction_reads=1, caller="test"),
        Fusion(
            five_prime="EML4", three_prime="ALK", frame="in frame", junction_reads=2, caller="test"
        ),
        Fusion(
            five_prime="EML4",
            three_prime="ALK",
            frame="in frame",
            junction_reads=200,
            caller="test",
        ),
        Fusion(five_prime="FGFR2", three_prime="MYC", frame="in frame", caller="test"),
    ]
    record = ClinicalRecord(patient_id="P")
    for order in (fusions, fusions[::-1]):
        found = dict(fused(alterations_of(record, None, None, knowledge_of(None), fusions=order)))
        assert "200 reads" in found["EML4-ALK fusion"]
        assert "FGFR2-MYC fusion" in found
        assert not any(name.startswith("ALK-") for name in found)
    assert fusion_doubt(fusions[0]) == "no known gene, or not its active end"
    assert fusion_doubt(fusions[1]) is None


def test_germline_and_structural_variants_without_a_frame_are_doubted(tmp_path):
    text = table(
        "Site1_Hugo_Symbol Site2_Hugo_Symbol Site2_Effect_On_Frame SV_Status Sample_Id",
        "NF1 SUZ12 In_frame GERMLINE S1",
        "CDKN2A MTAP NA SOMATIC S1",
        "EML4 ALK In_frame SOMATIC S1",
    )
    found = read_fusions(written(tmp_path, text))
    assert [f.doubt for f in found] == [
        "germline by its table", "a structural variant whose reading frame is not told", None,
    ]  # fmt: skip
    with pytest.raises(VariantError, match="line 5 ends too early"):
        read_fusions(written(tmp_path, text + "A\tB\n"), "S1")
