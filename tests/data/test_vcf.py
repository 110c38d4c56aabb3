from __future__ import annotations

import pytest
from conftest import VCF

from data.errors import VariantError
from data.io.vcf import read_vcf


def write(tmp_path, text):
    path = tmp_path / "calls.vcf"
    path.write_text(text)
    return path


def test_the_tumor_sample_is_told_by_name_and_its_fraction_computed_from_depths(tmp_path):
    calls = read_vcf(write(tmp_path, VCF))
    (variant,) = calls.variants()
    assert (calls.tumor_sample, calls.normal_sample) == ("TUMOR", "NORMAL")
    assert calls.build == "GRCh38"
    assert (variant.gene, variant.protein_change, variant.vaf) == ("IDH1", "R132H", 0.25)


def test_header_lines_decide_over_names(tmp_path):
    text = VCF.replace("##reference", "##tumor_sample=NORMAL\n##normal_sample=TUMOR\n##reference")
    calls = read_vcf(write(tmp_path, text))
    assert (calls.tumor_sample, calls.normal_sample) == ("NORMAL", "TUMOR")


def test_samples_that_cannot_be_told_apart_are_an_error_that_says_how_to_name_them(tmp_path):
    text = VCF.replace("NORMAL\tTUMOR", "A\tB")
    with pytest.raises(VariantError, match="samples: A, B"):
        read_vcf(write(tmp_path, text))
    assert read_vcf(write(tmp_path, text), tumor_sample="B").tumor_sample == "B"


def test_a_named_tumor_sample_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(VariantError, match="no tumor sample 'X'"):
        read_vcf(write(tmp_path, VCF), tumor_sample="X")


@pytest.mark.parametrize("text", ["", "not a vcf\n", VCF.replace("##fileformat=VCFv4.2\n", "")[3:]])
def test_a_broken_header_is_one_sentence(tmp_path, text):
    with pytest.raises(VariantError, match=r"calls\.vcf: not a readable VCF"):
        read_vcf(write(tmp_path, text))


@pytest.mark.parametrize(
    ("patient", "gene", "change"),
    [("TCGA-DU-7294", "IDH1", "R132H"), ("TCGA-FG-6692", "EGFR", "A289V")],
)
def test_the_flagship_patients_carry_their_published_variants(shared, patient, gene, change):
    calls = read_vcf(shared / "glioma" / patient / f"{patient}.vcf.gz").variant_set()
    assert change in [v.protein_change for v in calls.in_gene(gene)]


def test_every_dialect_is_read_or_refused_with_a_sentence(shared):
    read, refused = 0, []
    for path in sorted((shared / "variants" / "vcf").rglob("*.vcf*")):
        if path.suffix == ".tbi":
            continue
        try:
            read += bool(len(read_vcf(path)))
        except VariantError as error:
            refused.append((path.name, str(error)))
    assert read >= 17
    assert all(name in message for name, message in refused)
