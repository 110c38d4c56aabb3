"""MAFs of four makers to the same columns as a VCF, and what cannot be one."""

from __future__ import annotations

import gzip

import pytest

from data.errors import VariantError
from data.io.maf import read_maf, read_maf_cohort
from data.io.vcf import read_vcf

MAF = """#version 2.4
Hugo_Symbol\tChromosome\tStart_Position\tReference_Allele\tTumor_Seq_Allele2\tTumor_Sample_Barcode\tVariant_Classification\tNCBI_Build\tt_ref_count\tt_alt_count\tHGVSp_Short
IDH1\tchr2\t208248388\tC\tT\tP1-T\tMissense_Mutation\tGRCh38\t30\t10\tp.R132H
TP53\tchr17\t7674220\tC\t-\tP1-T\tFrame_Shift_Del\tGRCh38\t\t\tp.R248Gfs*97
EGFR\tchr7\t55154129\tC\tT\tP2-T\tMissense_Mutation\tGRCh38\t0\t0\tp.A289V
"""


def written(tmp_path, text=MAF, name="x.maf"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["x.maf", "x.maf.gz"])
def test_a_cohort_is_read_tumor_by_tumor(tmp_path, name):
    found = read_maf_cohort(written(tmp_path, name=name))
    assert list(found) == ["P1-T", "P2-T"]
    first, second = found["P1-T"].variants()
    assert (first.gene, first.protein_change, first.consequence) == (
        "IDH1",
        "R132H",
        "missense_variant",
    )
    assert (first.tumor_depth, first.tumor_alt_depth, first.vaf) == (40, 10, 0.25)
    assert (second.impact, second.alternate, second.vaf) == ("HIGH", "-", None)
    (none,) = found["P2-T"].variants()
    assert (none.tumor_depth, none.vaf) == (0, None)
    assert found["P1-T"].build == "GRCh38"


def test_a_count_of_minus_one_is_not_known_and_a_percentage_is_no_fraction(tmp_path):
    text = MAF.replace("\t30\t10\t", "\t-1\t-1\t")
    first, _ = read_maf_cohort(written(tmp_path, text))["P1-T"].variants()
    assert (first.tumor_depth, first.tumor_alt_depth, first.vaf) == (None, None, None)
    lines = MAF.replace("t_ref_count", "t_vaf").replace("\t30\t10\t", "\t35.2\t10\t")
    with pytest.raises(VariantError, match=r"chr2:208248388 .*t_vaf is beyond 0 to 1"):
        read_maf_cohort(written(tmp_path, lines))


def test_one_tumor_is_named_where_there_are_several(tmp_path):
    path = written(tmp_path)
    assert len(read_maf(path, sample="P1")) == 2
    for sample, said in ((None, "none is named"), ("P", "fits 2"), ("P3", "fits 0")):
        with pytest.raises(VariantError, match=said):
            read_maf(path, sample=sample)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("GRCh38", "hg18"), "build hg18, which is not read"),
        (("\t30\t10", "\t-30\t10"), "t_ref_count is beyond 0 to 10,000,000"),
        (("\t30\t10", "\t30\tinf"), "t_alt_count is beyond 0 to 10,000,000"),
        (("GRCh38\\t0\\t0", "GRCh37\\t0\\t0"), "NCBI_Build is grch37, grch38"),
        (("GRCh38", "mm10"), "NCBI_Build is mm10"),
        (("Hugo_Symbol", "Gene"), "no column Hugo_Symbol"),
        (
            ("Missense_Mutation\\tGRCh38\\t30", "Missense_Mutation\\tGRCh38\\t30\\t1\\t1\\t1"),
            "not a readable MAF",
        ),
        (("208248388\\tC", "208248388\\tZZ"), "Reference_Allele is no bases"),
        (("208248388", "-1"), "no position"),
        (("208248388", "x"), "no position"),
        (("208248388", "308248388"), "beyond the chromosome's end in GRCh38"),
        (("\\tP1-T\\tMis", "\\t\\tMis"), "Tumor_Sample_Barcode is missing"),
    ],
)
def test_what_is_no_maf_is_refused_by_name(tmp_path, change, said):
    path = written(tmp_path, MAF.replace(*(text.replace("\\t", "\t") for text in change)))
    with pytest.raises(VariantError, match=rf"x\.maf: .*{said}"):
        read_maf_cohort(path)


def test_what_is_no_text_or_not_there_is_refused(tmp_path):
    (tmp_path / "x.maf").write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "cut.maf.gz").write_bytes(gzip.compress(MAF.encode())[:-9])
    for name in ("x.maf", "cut.maf.gz", "none.maf"):
        with pytest.raises(VariantError, match=name):
            read_maf_cohort(tmp_path / name)
    with pytest.raises(VariantError, match="is GRCh38 by NCBI_Build, but GRCh37 was said"):
        read_maf_cohort(written(tmp_path, name="y.maf"), build="GRCh37")


# File, build that is said, tumors, variants: counted by "cut | sort -u | wc -l".
SHARED = [
    ("tcga_glioma_gdc_grch38.maf.tsv.gz", "GRCh38", 987, 87957),
    ("mc3_lgg_panel_grch37.tsv.gz", "GRCh37", 511, 2254),
    ("tcga_brca_firehose_panel_grch37.tsv.gz", None, 836, 2241),
    ("tcga_luad_firehose_panel_grch37.tsv.gz", None, 514, 3160),
]


@pytest.mark.parametrize(("name", "build", "tumors", "variants"), SHARED)
def test_real_cohorts_of_each_maker_are_read_whole(shared, name, build, tumors, variants):
    found = read_maf_cohort(shared / "variants" / "maf" / name, build=build)
    assert (len(found), sum(map(len, found.values()))) == (tumors, variants)
    assert {calls.build for calls in found.values()} == {build or "GRCh37"}


def test_a_patient_reads_the_same_from_the_maf_and_the_vcf_that_was_made_of_it(shared):
    maf = read_maf(
        shared / "variants" / "maf" / "tcga_glioma_gdc_grch38.maf.tsv.gz",
        sample="TCGA-DU-7294", build="GRCh38",
    )  # fmt: skip
    vcf = read_vcf(shared / "glioma" / "TCGA-DU-7294" / "TCGA-DU-7294.vcf.gz")
    columns = [
        "chromosome",
        "position",
        "reference",
        "alternate",
        "gene",
        "tumor_depth",
        "tumor_alt_depth",
    ]
    keys = [("chromosome", "ascending"), ("position", "ascending")]
    single = [c.table.filter(c.table["reference"].to_numpy() != "-") for c in (maf, vcf)]
    one, other = (table.select(columns).sort_by(keys).to_pylist() for table in single)
    assert one == other
