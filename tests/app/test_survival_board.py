"""The survival and the research page in a browser, of the demonstration patients and real cohorts."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from avatars import put_avatar, scan_of
from browser import banner, keys_of_buttons, keys_of_fields, pick, serve, settled, shot, switch
from playwright.sync_api import expect

from data.clinical import ClinicalRecord
from data.imaging import Volume
from data.prognosis import DAYS_PER_MONTH
from data.store import AvatarStore
from pipelines.config import survival_model
from pipelines.ship_survival import keep_for
from pipelines.sites.glioma import survival_covariates
from pipelines.tcga_glioma import record_of

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("survival-browser")]
FLAGSHIPS = ("TCGA-DU-7294", "TCGA-FG-6692")


def tumor(store):
    """Of 8 mL, made up: the page needs a volume."""
    mask = np.zeros((40, 40, 40), np.int16)
    mask[10:30, 10:30, 10:30], mask[12:28, 12:28, 12:28] = 1, 3
    image = Volume(np.ones(mask.shape, np.float32), np.eye(4))
    return scan_of(store, image, Volume(mask, np.eye(4)))


@pytest.fixture(scope="module")
def board(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("survival") / "store"
    table = shared / "cohorts" / "tcga_glioma_clinical.csv.gz"
    rows = pd.read_csv(table).set_index("patient", drop=False)
    with AvatarStore(folder) as store:
        for patient in FLAGSHIPS:
            row = rows.loc[patient].to_dict()
            followed = {
                "followup_days": round(row["os_m"] * DAYS_PER_MONTH),
                "vital_status": "dead" if row["dead"] else "alive",
            }
            record = record_of(row).model_copy(update=followed)
            survival = survival_model("glioma").predict(survival_covariates(record))
            scans = (tumor(store),) if patient == "TCGA-FG-6692" else ()
            put_avatar(
                store, patient, *scans, record=record, survival=survival, prior_class="glioblastoma"
            )
        young = ClinicalRecord(patient_id="CHILD", age_years=4, sex="male", grade=4)
        put_avatar(store, "CHILD", record=young)
    keep_for("glioma", table, folder)
    process, address = serve(folder)
    yield address
    process.terminate()
    process.wait(20)


def opened(page, board, patient):
    page.goto(f"{board}/survival?patient={patient}")
    page.locator(".keys").get_by_text("Patient").first.wait_for()  # the last of the page
    banner(page)
    settled(page)


def test_a_patient_has_a_curve_what_drives_it_and_patients_like_this_one(board, page):
    opened(page, board, "TCGA-FG-6692")
    expect(page.get_by_text("What drives it")).to_be_visible()
    expect(page.get_by_text("In-silico patient: no person")).to_be_visible()
    expect(page.locator(".js-plotly-plot").first.get_by_text("died at 18 months")).to_be_visible()
    expect(page.get_by_text("20 patients like this one").first).to_be_visible()
    expect(page.get_by_text("who was left out of the fit")).to_be_visible()
    expect(page.get_by_text("The 20 nearest of 1039")).to_be_visible()
    expect(page.get_by_text("Within what the model has seen")).to_be_visible()
    median = page.get_by_test_id("stMetricValue").inner_text()
    shot(page, "survival-glioblastoma")
    assert keys_of_fields(page) == {
        "Patient": "F", "Months lived since diagnosis": "M", "Regimens": "R",
    }  # fmt: skip
    lived = page.get_by_role("spinbutton", name="Months lived since diagnosis")
    lived.fill("18")
    lived.press("Enter")
    expect(page.get_by_text("Median survival, having lived 18 months")).to_be_visible()
    expect(page.get_by_test_id("stMetricValue")).not_to_have_text(median)
    shot(page, "survival-lived")


def test_the_oligodendroglioma_s_curve_is_above(board, page):
    opened(page, board, "TCGA-DU-7294")
    expect(page.get_by_test_id("stMetricValue")).to_contain_text("beyond 120")
    page.get_by_text("Model card").click()
    page.get_by_text("On UPENN-GBM (585 patients", exact=False).first.wait_for()
    shot(page, "survival-oligodendroglioma")


def chosen(page, box, regimen):
    """One more of a list of several, by the keyboard: its options move while it opens."""
    box.click()
    page.keyboard.type(regimen)
    page.get_by_role("option").filter(has_text=re.compile(f"^{regimen}$")).first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")


def test_regimens_change_survival_in_silico_and_say_what_is_assumed(board, page):
    opened(page, board, "TCGA-FG-6692")
    box = page.get_by_role("combobox", name="Regimens")
    for regimen in ("observation", "stupp"):
        chosen(page, box, regimen)
        page.get_by_text("without the twin").first.wait_for()
    page.locator("table").get_by_text("Stupp", exact=True).wait_for()
    expect(page.get_by_text("6.59 times", exact=False)).to_be_visible()
    page.get_by_text("Under a regimen").scroll_into_view_if_needed()
    shot(page, "survival-regimens")
    opened(page, board, "TCGA-DU-7294")
    chosen(page, box, "stupp")
    expect(page.get_by_text("no growth prior or no scan", exact=False)).to_be_visible()


def test_a_child_gets_no_number(board, page):
    opened(page, board, "CHILD")
    expect(page.get_by_text("No number for this patient.")).to_be_visible()
    expect(page.get_by_text("age is 4, the fit's patients had 10 to 89")).to_be_visible()
    assert page.locator(".js-plotly-plot").count() == 0
    shot(page, "survival-outside")


def test_the_avatar_page_leads_to_the_survival(board, page):
    page.goto(f"{board}/avatar?patient=TCGA-FG-6692")
    page.get_by_role("link", name="Open the survival").click()
    page.wait_for_url("**/survival?patient=TCGA-FG-6692")


def test_a_cut_off_is_exploratory_until_somebody_says_it_is_not(board, page):
    page.goto(f"{board}/research")
    page.locator(".keys").get_by_text("Compare").wait_for()
    banner(page)
    expect(page.get_by_text("TCGA glioma: 1039 patients, 523 with death")).to_be_visible()
    expect(page.get_by_text("Exploratory cut-off: p is too small")).to_be_visible()
    expect(page.get_by_text("log-rank p < 0.001")).to_be_visible()
    shot(page, "research-age")
    switch(page, "Chosen before")
    expect(page.get_by_text("Exploratory cut-off: p is too small")).to_be_hidden()
    pick(page, "Marker", "IDH")
    expect(page.locator(".js-plotly-plot").get_by_text("mutant (401, 69 events)")).to_be_visible()
    shot(page, "research-idh")
    assert keys_of_fields(page) == {
        "Cohort": "C", "Marker": "K", "Models": "M", "Horizon (months)": "H",
    }  # fmt: skip


def test_models_are_compared_on_the_same_folds_with_calibration_and_net_benefit(board, page):
    page.goto(f"{board}/research")
    page.locator(".keys").get_by_text("Compare").wait_for()
    pick(page, "Cohort", "GBSG2")
    expect(page.get_by_text("GBSG2: 686 patients, 299 with the event")).to_be_visible()
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Net benefit at").first.wait_for()
    expect(page.get_by_text("Cox (ICI", exact=False).first).to_be_visible()
    pick(page, "Marker", "menostat")  # the page is drawn again, and nothing is fitted again
    settled(page)
    expect(page.get_by_text("Net benefit at").first).to_be_visible()
    assert keys_of_buttons(page)["Compare"] == "P"
    page.get_by_text("Calibration: observed, smoothed").scroll_into_view_if_needed()
    shot(page, "research-compared")
