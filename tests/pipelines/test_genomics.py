"""From files to diagnosis, tiers and burden on real patients; filters that hide nothing; two runs explained."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import yaml
from avatars import put_avatar
from hypothesis import given
from hypothesis import strategies as st

from data.calls import SCHEMA, Calls
from data.clinical import ClinicalRecord
from data.errors import KnowledgeError, StoreError, VariantError
from data.evidence import STRONG
from data.io.variants import read_variants
from data.store import AvatarStore
from models.genomics.fraction import interval
from models.genomics.ledger import FILTERS, filter_calls
from pipelines.config import twin_prior
from pipelines.genomics import genomics_of
from pipelines.genomics_diff import differences
from pipelines.knowledge import import_civic, knowledge_of
from pipelines.marker_effects import marker_effects
from pipelines.shared_studies import write_shared_study

TCGA_MB = 35.0


@pytest.fixture
def store(tmp_path):
    with AvatarStore(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def civic(shared):
    return shared / "knowledge/civic_ClinicalEvidenceSummaries_2021-02.tsv.gz"


def of_patient(store, shared, tmp_path, patient):
    """A flagship patient's genomics."""
    folder = write_shared_study(patient, tmp_path / patient)
    record = ClinicalRecord.model_validate(yaml.safe_load((folder / "record.yaml").read_text()))
    calls = read_variants(shared / "glioma" / patient / f"{patient}.vcf.gz")
    return genomics_of(store, record, calls, None, (), capture_mb=TCGA_MB, site="glioma")


def put(store, patient, found):
    """An avatar with genomics alone."""
    return put_avatar(
        store, patient, record=found.record, diagnosis=found.diagnosis, variants=found.variants,
        calls=found.calls, burden=found.burden, interpretations=found.interpretations,
        knowledge=found.knowledge, provenance=(found.provenance,),
    )  # fmt: skip


def tiered(found):
    return {one.alteration.name: one for one in found.interpretations}


def test_vorasidenib_is_i_a_for_the_oligodendroglioma_of_grade_2(store, shared, tmp_path):
    found = of_patient(store, shared, tmp_path, "TCGA-DU-7294")
    assert (
        found.diagnosis.title
        == "Oligodendroglioma, IDH-mutant and 1p/19q-codeleted, CNS WHO grade 2"
    )
    idh = tiered(found)["IDH1 R132H"]
    assert idh.tier == "I-A"
    assert idh.support[0].statement.therapies == ("vorasidenib",)
    assert idh.support[0].kinship == "same"
    assert found.burden.hints == ()
    assert found.calls.rows == 28


def test_the_other_one_is_a_molecular_glioblastoma_with_its_egfr_variant(
    store, shared, tmp_path, civic
):
    import_civic(civic, store)
    found = of_patient(store, shared, tmp_path, "TCGA-FG-6692")
    assert found.diagnosis.name == "Glioblastoma, IDH-wildtype"
    assert found.diagnosis.grade == 4
    egfr = tiered(found)["EGFR A289V"]
    assert egfr.oncogenicity.is_oncogenic
    assert egfr.tier == "II-D"
    assert {s.name for s in found.knowledge} == {"approvals", "civic"}


def test_a_hypermutator_keeps_every_call_and_its_avatar_small(store, shared):
    calls = read_variants(shared / "variants/vcf/tcga_glioma_grch38/TCGA-06-5416.vcf.gz")
    record = ClinicalRecord(patient_id="TCGA-06-5416")
    found = genomics_of(store, record, calls, None, (), capture_mb=TCGA_MB, site="glioma")
    assert [h.pattern for h in found.burden.hints] == ["POLE-like"]
    avatar = put(store, "TCGA-06-5416", found)
    print(f"{avatar.calls.rows} calls, an avatar of {len(avatar.to_json())} bytes")
    assert len(avatar.to_json()) < 600_000
    assert store.table(avatar.calls).num_rows == avatar.calls.rows == 15218
    lost = [
        i
        for i in found.interpretations
        if i.oncogenicity and any(p.code == "OVS1" for p in i.oncogenicity.points)
    ]
    assert lost
    assert all(p.points == 4 for i in lost for p in i.oncogenicity.points if p.code == "OVS1")


def test_two_runs_that_differ_are_explained_by_the_knowledge_that_came_in(
    store, shared, tmp_path, civic
):
    before = put(store, "P", of_patient(store, shared, tmp_path, "TCGA-FG-6692"))
    assert differences(before, before).changes == ()
    assert differences(before, before).causes == ()
    import_civic(civic, store)
    after = put(store, "P", of_patient(store, shared, tmp_path, "TCGA-FG-6692"))
    found = differences(before, after)
    assert any("knowledge civic came in (2573 statements)" in cause for cause in found.causes)
    (egfr,) = (c for c in found.changes if c.what == "EGFR A289V")
    assert egfr.after == "II-D"
    assert any(reason.startswith("new: CIViC EID") for reason in egfr.why)


def test_another_capture_and_another_frequency_are_told_as_causes(store, shared, tmp_path):
    before = put(store, "P", of_patient(store, shared, tmp_path, "TCGA-DU-7294"))
    step = before.provenance[0]
    other = step.model_copy(update={"settings": step.settings | {"capture_mb": 1.0}})
    first, *rest = before.interpretations
    common = first.model_copy(update={"tier": "IV", "reason": "12% of the population have it"})
    after = before.model_copy(update={"provenance": (other,), "interpretations": (common, *rest)})
    found = differences(before, after)
    assert "capture_mb 35.0 became 1.0" in found.causes
    assert found.changes[0].why[0].endswith("became: 12% of the population have it")


def test_a_damaged_import_is_named(store):
    assert [s.name for s in knowledge_of(store).sources] == ["approvals"]
    folder = store.folder / "knowledge"
    folder.mkdir()
    (folder / "civic.json").write_text("[{}]")
    with pytest.raises(KnowledgeError, match="is damaged; import the source again"):
        knowledge_of(store)


def test_a_table_comes_back_as_it_was_and_a_changed_one_is_refused(store):
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    ref = store.put_table(table)
    assert store.put_table(table) == ref
    assert store.table(ref) == table
    path = store.tables.path(ref.sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match="was changed after it was stored"):
        store.table(ref)
    path.unlink()
    with pytest.raises(StoreError, match="the table is missing"):
        store.table(ref)


rows = st.fixed_dictionaries(
    {
        "in_tumor": st.booleans(),
        "filters": st.sampled_from(["PASS", None, "weak_evidence", "."]),
        "status": st.sampled_from(["somatic", "germline", None]),
        "population_frequency": st.sampled_from([None, 0.0, 0.009, 0.2]),
        "tumor_depth": st.sampled_from([None, 3, 40, 500]),
        "tumor_alt_depth": st.sampled_from([None, 1, 20]),
        "vaf": st.sampled_from([None, 0.01, 0.4]),
        "impact": st.sampled_from([None, "LOW", "MODERATE", "HIGH", "MODIFIER"]),
    }
)


@given(
    st.lists(st.tuples(rows, st.booleans()), max_size=20), st.sets(st.sampled_from(list(FILTERS)))
)
def test_filters_hide_nothing_that_matters_and_their_counts_add_up(drawn, chosen):
    table = pa.Table.from_pylist([row for row, _ in drawn], schema=SCHEMA)
    calls = Calls(table, "GRCh38", "test", "T", None, "test")
    protected = np.array([safe for _, safe in drawn], bool)
    found = filter_calls(calls, protected, sorted(chosen))
    assert found.kept[protected].all()
    assert sum(e.removed for e in found.entries) == (~found.kept).sum()
    assert ((found.removed_by == "") == found.kept).all()
    assert [e.name for e in found.entries] == [name for name in FILTERS if name in chosen]
    alone = {name: filter_calls(calls, protected, [name]).kept for name in chosen}
    assert (found.kept == np.logical_and.reduce([np.ones(len(calls), bool), *alone.values()])).all()


def test_tier_i_stays_though_its_caller_filtered_it(store):
    record = ClinicalRecord(patient_id="P", diagnosis="NSCLC")
    row = {
        "record": 0, "allele": 1, "chromosome": "chr7", "position": 55191822, "reference": "T",
        "alternate": "G", "filters": "weak_evidence", "in_tumor": True, "gene": "EGFR",
        "hgvs_protein": "p.L858R", "consequence": "missense_variant", "impact": "MODERATE",
    }  # fmt: skip
    calls = Calls(pa.Table.from_pylist([row], schema=SCHEMA), "GRCh38", "test", "T", None, "test")
    found = genomics_of(store, record, calls, None, (), capture_mb=None, site="generic")
    (one,) = found.interpretations
    assert one.tier == "I-A"
    left = filter_calls(calls, np.array([one.tier in STRONG]), list(FILTERS))
    assert left.kept.all()
    assert left.entries[1].kept_despite == 1


def test_intervals_of_fractions_by_hand():
    low, high = interval([0, 10, 5, 1], [10, 10, 10, 0])  # Wilson 1927; Newcombe 1998, table I
    assert low[:3] == pytest.approx([0.0, 0.7225, 0.2366], abs=1e-3)
    assert high[:3] == pytest.approx([0.2775, 1.0, 0.7634], abs=1e-3)
    assert np.isnan(low[3])


def test_a_maf_is_told_from_a_vcf_by_its_content(tmp_path, shared):
    maf = tmp_path / "calls.txt"
    maf.write_text(
        "Hugo_Symbol\tChromosome\tStart_Position\tReference_Allele\tTumor_Seq_Allele2\tTumor_Sample_Barcode\t"
        "Variant_Classification\tHGVSp_Short\nIDH1\tchr2\t208248388\tC\tT\tT1\tMissense_Mutation\tp.R132H\n"
    )
    assert read_variants(maf, build="GRCh38").variants()[0].protein_change == "R132H"
    with pytest.raises(VariantError, match="leave normal_sample out"):
        read_variants(maf, normal_sample="N")
    assert len(read_variants(shared / "glioma/TCGA-DU-7294/TCGA-DU-7294.vcf.gz")) == 28


@pytest.mark.parametrize(
    ("methylated", "relative"), [("present", 1.0), ("absent", 0.039), ("untested", 1.0)]
)
def test_each_marker_changes_what_it_owns_and_says_from_where(store, methylated, relative):
    record = ClinicalRecord.model_validate(
        {"patient_id": "P", "markers": {"idh_mutation": "absent", "egfr_amplification": "present",
                                        "mgmt_methylation": methylated}}
    )  # fmt: skip
    found = genomics_of(store, record, None, None, (), capture_mb=None, site="glioma")
    avatar = put(store, "P", found).model_copy(update={"prior_class": "glioblastoma"})
    effects = {(e.marker, e.acts_on): e for e in marker_effects(avatar)}
    growth = effects["EGFR amplification", "growth"]
    assert (growth.state, growth.told_by, growth.unit) == ("present", "record", "d")
    assert growth.median == twin_prior("glioblastoma").doubling_days.median
    assert growth.low < growth.median < growth.high
    response = effects["MGMT methylation", "response"]
    usual = twin_prior("glioblastoma").drugs["temozolomide"].sensitivity.median
    assert response.median == pytest.approx(relative * usual)
    assert ("50% of the members" in response.changes) == (methylated == "untested")
    assert {owner for _, owner in effects} == {
        "growth",
        "response",
    }  # no survival curve, no third part
