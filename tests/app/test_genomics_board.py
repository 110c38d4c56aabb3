"""The genomics page of real patients in a browser: what it is, what follows, and that nothing is hidden."""

from __future__ import annotations

import pytest
import yaml
from avatars import put_avatar
from browser import banner, keys_of_fields, serve, shot
from playwright.sync_api import expect

from data.clinical import ClinicalRecord
from data.io.variants import read_variants
from data.store import AvatarStore
from pipelines.genomics import genomics_of
from pipelines.knowledge import import_civic
from pipelines.shared_studies import write_shared_study

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("genomics-browser")]
TCGA_MB = 35.0


def put_genomics(store, patient, record, path):
    """An avatar with genomics and no scan."""
    found = genomics_of(
        store, record, read_variants(path), None, (), capture_mb=TCGA_MB, site="glioma"
    )
    put_avatar(
        store, patient, record=found.record, diagnosis=found.diagnosis, variants=found.variants,
        calls=found.calls, burden=found.burden, interpretations=found.interpretations,
        knowledge=found.knowledge, provenance=(found.provenance,),
    )  # fmt: skip


@pytest.fixture(scope="module")
def board(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("genomics")
    with AvatarStore(folder / "store") as store:
        import_civic(shared / "knowledge/civic_ClinicalEvidenceSummaries_2021-02.tsv.gz", store)
        for patient in ("TCGA-DU-7294", "TCGA-FG-6692"):
            study = write_shared_study(patient, folder / patient)
            record = yaml.safe_load((study / "record.yaml").read_text())
            path = shared / "glioma" / patient / f"{patient}.vcf.gz"
            put_genomics(store, patient, ClinicalRecord.model_validate(record), path)
        hypermutator = "TCGA-06-5416"
        path = shared / "variants/vcf/tcga_glioma_grch38" / f"{hypermutator}.vcf.gz"
        put_genomics(store, hypermutator, ClinicalRecord(patient_id=hypermutator), path)
    process, address = serve(folder / "store")
    yield address
    process.terminate()
    process.wait(20)


def opened(page, board, patient):
    page.goto(f"{board}/genomics?patient={patient}")
    page.locator(".keys").get_by_text("Gene", exact=False).first.wait_for()  # the last of the page
    banner(page)


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
    page.get_by_text("Show what was removed").first.click()
    page.get_by_text("29 of 85 calls; build GRCh38").wait_for()
    page.get_by_text("Every call").scroll_into_view_if_needed()
    shot(page, "genomics-calls")
    page.get_by_text("Show what was removed").first.click()
    search = page.get_by_role("textbox", name="Search")
    search.fill("pten")
    search.press("Enter")
    page.get_by_text("1 of 85 calls; build GRCh38").wait_for()


def test_all_patients_are_seen_together(board, page):
    opened(page, board, "TCGA-DU-7294")
    page.get_by_text("All patients of this store").first.click()
    page.get_by_text("3 sequenced patients").wait_for()
    print_ = page.locator(".js-plotly-plot", has_text="IDH1 33%")
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
