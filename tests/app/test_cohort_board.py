"""The pages of cohorts and runs in a real browser, with two thousand patients (rows simulated)."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import time
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from browser import banner, pick, serve, shot

from data.files import HOST
from pipelines.cohort.run import holder
from pipelines.cohort.status import run_state, runs_of

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("cohort-browser")]
COUNT = 2000
OPENINGS = 5


def simulated_table(count):
    rng = np.random.default_rng(5)
    kinds = rng.choice(
        ["Glioblastoma", "Astrocytoma", "Oligodendroglioma"], count, p=[0.6, 0.25, 0.15]
    )
    table = pd.DataFrame({
        "patient": [f"IS{n:04d}" for n in range(count)], "avatar": [f"IS{n:04d}" for n in range(count)],
        "status": "done", "error": None, "origin": "in-silico", "diagnosis": kinds,
        "age_years": rng.normal(57, 12, count).round(), "sex": rng.choice(["male", "female"], count),
        "grade": rng.choice(["G2", "G3", "G4"], count), "volume_wt_ml": rng.lognormal(3.4, 0.6, count),
        "volume_et_ml": rng.lognormal(2.0, 0.7, count),
        "survival_median_months": rng.choice([10.0, 16, 80], count),
        "flags": np.where(rng.random(count) < 0.03, "the mask touches the scan's edge", None),
        "outlier": np.where(rng.random(count) < 0.01, "volume_wt_ml 210", None),
        "marker_mgmt_methylation": rng.choice(["present", "absent", None], count),
        "followup_months": rng.exponential(25, count).round(1) + 0.1, "seconds": rng.normal(26, 3, count),
        "vital_status": rng.choice(["dead", "alive"], count, p=[0.7, 0.3]),
    })  # fmt: skip
    table.loc[[7, 99], "status"] = "failed"
    table.loc[[7, 99], "error"] = "t1c.nii.gz: not a readable NIfTI file; export it again"
    return table


def write_run(folder, name, state, table=None, **more):
    run = folder / "runs" / name
    (run / "patients").mkdir(parents=True)
    if table is not None:
        table.to_parquet(run / "cohort.parquet", index=False)
        (run / "quality.html").touch()
    told = {
        "name": name, "state": state, "total": 40, "kept": 3, "done": 17, "failed": 2, "workers": 2,
        "running": {}, "steps": {"scan": 17, "simulate": 16}, "step_seconds": {"scan": 80.0, "simulate": 300.0},
        "failures": [["IS0007", "t1c.nii.gz: not a readable NIfTI file; export it again"]], "seconds": 400.0,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    (run / "progress.json").write_text(json.dumps(told | more))
    (run / "log.txt").write_text("2026-01-01T00:00:00 IS0001: done (24.1 s)\n")
    (run / "cohort.json").write_text(
        json.dumps({"path": str(folder / "cohort.yaml"), "config": {}})
    )
    (run / "lock").touch()
    return run


@pytest.fixture(scope="module")
def folder(small_case, tmp_path_factory):
    store = shutil.copytree(small_case / "store", tmp_path_factory.mktemp("cohorts") / "store")
    table = simulated_table(COUNT)
    table.loc[0, ["patient", "avatar"]] = "P1"  # who is in the store
    write_run(store, "big", "finished", table)
    write_run(store, "night", "running", running={"IS0021": "simulate"})
    return store


@pytest.fixture(scope="module")
def address(folder):
    process, address = serve(folder)
    yield address
    process.terminate()
    process.wait(20)


def test_two_thousand_patients_open_filter_and_are_found(address, page):
    opened, filtered = [], []
    page.goto(address)
    for number in range(OPENINGS):
        page.get_by_text("avatars in this store").wait_for()
        started = time.perf_counter()
        page.get_by_role("link", name="Cohort").click()
        page.get_by_text(f"{COUNT} of {COUNT} patients").wait_for()
        page.locator(".js-plotly-plot canvas").first.wait_for()
        opened.append(time.perf_counter() - started)
        find = page.get_by_role("textbox", name="Find")
        started = time.perf_counter()
        find.fill(f"IS19{number}")
        find.press("Enter")
        page.get_by_text(f"10 of {COUNT} patients").wait_for()
        filtered.append(time.perf_counter() - started)
        page.get_by_role("link", name="Patients").click()
    print(
        f"{COUNT} patients: open {statistics.median(opened):.2f} s, filter {statistics.median(filtered):.2f} s "
        f"(medians of {OPENINGS})"
    )


def test_groups_have_colors_distributions_and_curves_and_a_row_opens_its_patient(address, page):
    page.goto(f"{address}/cohort")
    page.get_by_text("2 failed").wait_for()
    banner(page)
    pick(page, "Group by", "diagnosis")
    page.get_by_text("Glioblastoma (").first.wait_for()
    shot(page, "cohort")
    page.get_by_role("radio", name="Distribution").click()
    page.get_by_text("Oligodendroglioma (").filter(visible=True).first.wait_for()
    shot(page, "cohort-distribution")
    page.get_by_role("radio", name="Survival").click()
    page.get_by_text("Kaplan-Meier with pointwise").wait_for()
    shot(page, "cohort-survival")
    page.get_by_role("radio", name="Table").click()
    page.get_by_test_id("stDataFrame").wait_for()
    shot(page, "cohort-table")
    page.get_by_role("radio", name="Pictures").click()
    page.get_by_role("button", name="P1").wait_for()
    shot(page, "cohort-pictures")
    page.get_by_role("button", name="P1").click()
    page.get_by_text("Volumes per region").wait_for()
    assert "patient=P1" in page.url


def test_failed_patients_are_looked_at_alone_and_an_old_table_is_called_so(folder, address, page):
    page.goto(f"{address}/cohort")
    page.get_by_text("2 failed").wait_for()
    assert page.get_by_text("The table is older").count() == 0
    (folder / "runs" / "big" / "quality.html").unlink()  # as a run does that has something to do
    pick(page, "Look at", "Failed")
    page.get_by_text(f"2 of {COUNT} patients; 2 failed").wait_for()
    page.get_by_text("The table is older than the latest run, which was not summed up").wait_for()
    (folder / "runs" / "big" / "quality.html").touch()


def test_a_run_tells_how_far_it_is_and_is_cancelled(folder, address, page):
    run = folder / "runs" / "night"
    (run / "lock").write_text(holder())
    page.goto(f"{address}/runs")
    page.get_by_text("17 done, 2 failed of 40").first.wait_for()
    page.get_by_text("In hand: IS0021 (simulate)").wait_for()
    page.get_by_role("tab", name="Failures (2)").first.click()
    shot(page, "runs")
    page.get_by_role("button", name="Cancel").and_(page.locator(":enabled")).click()
    page.get_by_text("stopping").first.wait_for()
    assert (run / "cancel").exists()
    banner(page)


@pytest.mark.parametrize(
    ("lock", "at", "state"),
    [
        (holder(), "2020-01-01T00:00:00+00:00", "running"),
        (f"{HOST} {os.getpid()} 1.0", None, "was cut off"),  # another process had this number then
        (f"{HOST} {2**22 + 1} 1.0", None, "was cut off"),
        ("", None, "was cut off"),
        ("elsewhere 1 1.0", None, "running"),  # somebody wrote just now
        ("elsewhere 1 1.0", "2020-01-01T00:00:00+00:00", "was cut off"),
    ],
    ids=["own", "reused", "gone", "let go", "elsewhere now", "elsewhere long ago"],
)
def test_states_are_told_from_the_lock_and_the_driver(tmp_path, lock, at, state):
    run = write_run(tmp_path, "one", "running", **({"at": at} if at else {}))
    (run / "lock").write_text(lock)
    assert run_state(run).state == state


def test_runs_of_a_store_are_all_there(folder):
    assert {found.name for found in runs_of(folder)} == {"big", "night"}
    assert run_state(folder / "runs" / "big").state == "finished"
