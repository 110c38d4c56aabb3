"""The genomics page of real patients in a browser: what it is, what follows, and that nothing is hidden."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from avatars import put_avatar
from browser import banner, keys_of_fields, serve, settled, shot, switch
from playwright.sync_api import expect

from data.clinical import ClinicalRecord
from data.fusions import Fusion
from data.io.variants import read_variants
from data.store import AvatarStore
from models.genomics.spectrum import CHANNELS
from pipelines.genomics import genomics_of
from pipelines.knowledge import import_civic
from pipelines.shared_studies import write_shared_study
from pipelines.signatures import import_signatures

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("genomics-browser")]
TCGA_MB = 35.0


def put_genomics(store, patient, record, calls, fusions=None):
    """An avatar with genomics and no scan."""
    found = genomics_of(
        store, record, calls, None, (), capture_mb=TCGA_MB, site="glioma", fusions=fusions
    )
    put_avatar(
        store, patient, record=found.record, diagnosis=found.diagnosis, variants=found.variants,
        calls=found.calls, burden=found.burden, interpretations=found.interpretations,
        fusions=found.fusions, knowledge=found.knowledge, timeline=found.record.timeline,
        provenance=(found.provenance,),
    )  # fmt: skip


BARE = """##fileformat=VCFv4.2
##contig=<ID=chr2,length=242193529>
##contig=<ID=chr5,length=181538259>
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Depths">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tTUMOR
chr2\t208248388\t.\tC\tT\t.\tPASS\t.\tAD\t60,40
chr5\t1295113\t.\tG\tA\t.\tPASS\t.\tAD\t70,30
chr5\t9000000\t.\tA\tG\t.\tPASS\t.\tAD\t50,50
"""
"""One sample, no annotations."""
RECORD = {
    "patient_id": "BARE", "diagnosis": "glioma", "markers": {"mgmt_methylation": "present"},
    "timeline": {"events": [
        {"day": 0, "kind": "diagnosis", "text": "diagnosis"},
        {"day": 20, "kind": "drug", "text": "TMZ with radiotherapy", "end_day": 62},
    ]},
}  # fmt: skip
FUSIONS = (
    Fusion(
        five_prime="FGFR3",
        three_prime="TACC3",
        frame="in frame",
        junction_reads=40,
        caller="Arriba",
    ),
    Fusion(five_prime="ETV6", three_prime="NTRK3", frame="out of frame", caller="Arriba"),
)


def put_bare(store, folder):
    """A tumor without a normal sample, not annotated, with fusions and a drug; and one of a MAF."""
    path = folder / "bare.vcf"
    path.write_text(BARE)
    put_genomics(store, "BARE", ClinicalRecord.model_validate(RECORD), read_variants(path), FUSIONS)


def write_signatures(path):
    """Two made-up signatures."""
    drawn = np.random.default_rng(0).dirichlet(np.full(96, 0.3), size=2).T
    rows = [f"{name}\t{a:.9f}\t{b:.9f}" for name, (a, b) in zip(CHANNELS, drawn, strict=True)]
    path.write_text("\n".join(["Type\tMADE-UP-A\tMADE-UP-B", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def board(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("genomics")
    with AvatarStore(folder / "store") as store:
        import_signatures(write_signatures(folder / "made-up.txt"), store)
        import_civic(shared / "knowledge/civic_ClinicalEvidenceSummaries_2021-02.tsv.gz", store)
        put_bare(store, folder)
        for patient in ("TCGA-DU-7294", "TCGA-FG-6692"):
            study = write_shared_study(patient, folder / patient)
            record = yaml.safe_load((study / "record.yaml").read_text())
            path = shared / "glioma" / patient / f"{patient}.vcf.gz"
            calls = read_variants(path)
            put_genomics(store, patient, ClinicalRecord.model_validate(record), calls)
        hypermutator = "TCGA-06-5416"
        path = shared / "variants/vcf/tcga_glioma_grch38" / f"{hypermutator}.vcf.gz"
        record = ClinicalRecord(patient_id=hypermutator)
        put_genomics(store, hypermutator, record, read_variants(path))
        maf = shared / "variants/maf/tcga_glioma_gdc_grch38.maf.tsv.gz"
        repaired = "TCGA-HT-8564"
        record = ClinicalRecord(patient_id=repaired)
        put_genomics(store, repaired, record, read_variants(maf, tumor_sample=repaired))
    process, address = serve(folder / "store")
    yield address
    process.terminate()
    process.wait(20)


def opened(page, board, patient):
    page.goto(f"{board}/genomics?patient={patient}")
    page.locator(".keys").get_by_text("Gene", exact=False).first.wait_for()  # the last of the page
    banner(page)
    settled(page)


def card(page, name):
    """The card of an alteration."""
    return (
        page.locator('[data-testid="stVerticalBlock"]')
        .filter(has=page.locator("strong", has_text=name))
        .last
    )


def test_the_oligodendroglioma_has_its_diagnosis_trace_and_drug(board, page):
    opened(page, board, "TCGA-DU-7294")
    title = "TCGA-DU-7294: Oligodendroglioma, IDH-mutant and 1p/19q-codeleted, CNS WHO grade 2"
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    idh = card(page, "IDH1 R132H")
    expect(
        idh.get_by_text("Vorasidenib: approved (FDA 2024-08-06, EMA 2025-09-17)")
    ).to_be_visible()
    expect(idh.get_by_text("I-A", exact=True)).to_be_visible()
    expect(page.get_by_text("civic as of 2021-02")).to_be_visible()
    page.get_by_text("How this diagnosis was reached").click()
    page.get_by_text("Louis 2021").wait_for()
    shot(page, "genomics-oligodendroglioma")
    assert keys_of_fields(page) == {
        "Patient": "F", "All patients of this store": "A", "Search": "S", "Filters": "I",
        "Show what was removed": "R", "Gene": "G",
    }  # fmt: skip


def test_the_molecular_glioblastoma_shows_its_egfr_variant(board, page):
    opened(page, board, "TCGA-FG-6692")
    title = "TCGA-FG-6692: Glioblastoma, IDH-wildtype, CNS WHO grade 4"
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(card(page, "EGFR A289V").get_by_text("II-D", exact=True)).to_be_visible()
    expect(page.get_by_text("nonsynonymous mutations per Mb")).to_be_visible()
    page.get_by_text("56 of 85 calls; build GRCh38").wait_for()
    switch(page, "Show what was removed")
    page.get_by_text("29 of 85 calls; build GRCh38").wait_for()
    page.get_by_text("Every call").scroll_into_view_if_needed()
    shot(page, "genomics-calls")
    switch(page, "Show what was removed")
    search = page.get_by_role("textbox", name="Search")
    search.fill("pten")
    search.press("Enter")
    page.get_by_text("1 of 85 calls; build GRCh38").wait_for()


def test_a_tumor_without_a_normal_sample_says_so_and_its_bare_variants_are_named(board, page):
    opened(page, board, "BARE")
    expect(
        page.get_by_text("Whether a variant was inherited is told by heuristics")
    ).to_be_visible()
    expect(card(page, "IDH1 R132H").get_by_text("I-B", exact=True)).to_be_visible()
    expect(card(page, "TERT c.-124C>T")).to_be_visible()
    expect(page.get_by_text("since nobody says what 1 call(s) do")).to_be_visible()
    expect(page.get_by_text("no normal sample; likely somatic (a hotspot)").first).to_be_visible()
    fusions = page.get_by_text("Fusions", exact=True)
    fusions.scroll_into_view_if_needed()
    expect(fusions).to_be_visible()
    expect(card(page, "FGFR3-TACC3 fusion")).to_be_visible()
    shot(page, "genomics-fusions")
    page.get_by_text("Every call").scroll_into_view_if_needed()
    shot(page, "genomics-tumor-only")


def test_a_drug_that_was_given_is_linked_to_what_is_known_of_it(board, page):
    page.goto(f"{board}/avatar?patient=BARE")
    given = page.get_by_text("Drugs that were given, and what the tumor's alterations say of them")
    given.wait_for()
    banner(page)
    given.scroll_into_view_if_needed()
    expect(page.get_by_text("Tier I and II:")).to_be_visible()
    expect(page.locator(".js-plotly-plot", has_text="TMZ with radiotherapy")).to_be_visible()
    page.locator('[data-testid="stDataFrame"] canvas').first.wait_for()
    shot(page, "avatar-treatment-links")


def test_signatures_of_the_user_s_table_are_drawn(board, page):
    opened(page, board, "TCGA-HT-8564")
    told = page.get_by_text("made-up.txt fitted to")
    told.scroll_into_view_if_needed()
    expect(told).to_be_visible()
    expect(page.locator(".js-plotly-plot", has_text="MADE-UP-A").first).to_be_visible()
    shot(page, "genomics-signatures")


def test_all_patients_are_seen_together(board, page):
    opened(page, board, "TCGA-DU-7294")
    switch(page, "All patients of this store")
    page.get_by_text("5 sequenced patients").wait_for()
    print_ = page.locator(".js-plotly-plot", has_text="IDH1 40%")
    expect(print_).to_be_visible()
    print_.scroll_into_view_if_needed()
    shot(page, "genomics-oncoprint")


def test_a_hypermutator_says_what_it_looks_like_and_stays_quick_to_read(board, page):
    opened(page, board, "TCGA-06-5416")
    expect(page.get_by_text("POLE V411L in the exonuclease domain")).to_be_visible()
    expect(page.get_by_text("Not tested, and would tell more")).to_be_visible()
    page.get_by_text("of 15218 calls, the first 500 shown").wait_for()
    for name in ("no change of protein", "common"):
        page.get_by_role("button", name=name).click()
        page.get_by_text("11187 of 15218 calls, the first").wait_for(state="detached")
    page.get_by_text("15218 of 15218 calls, the first").wait_for()
    shot(page, "genomics-hypermutator")
