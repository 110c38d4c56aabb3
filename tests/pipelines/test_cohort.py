"""Cohorts in batch: good and broken studies, going on, budgets, stops, full disks, and killed processes."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from cohorts import SIDE, has_ended, write_cohort, write_patient
from dicom_files import two_series
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import app
from data.errors import StudyError
from data.files import TEMPORARY
from data.io.cohort import read_cohort
from data.prognosis import Band, SurvivalPrediction
from data.store import AvatarStore
from data.store.check import check_store
from pipelines import weights
from pipelines.cohort import records, task
from pipelines.cohort.config import CohortConfig, StepBudget, read_cohort_config
from pipelines.cohort.discover import FoundStudy, discover
from pipelines.cohort.records import (
    PatientRecord,
    StepTaken,
    record_path,
    records_of,
    run_folder,
    write_record,
)
from pipelines.cohort.run import PLAN, PROGRESS, plan, run_cohort, write_plan
from pipelines.cohort.status import BY_JOBS, NO_JOBS, SILENT_JOBS, cancel, run_state
from pipelines.cohort.table import omop, row_of, step_table, with_outliers
from pipelines.cohort.workers import how_many

SLOW = [pytest.mark.slow, pytest.mark.xdist_group("cohort")]


def avatar_command(*words):
    return [sys.executable, "-m", "app.cli", *map(str, words)]


def digests(folder):
    with AvatarStore(folder) as store:
        return store.digests()


def whys(path, store, **more):
    planned = plan(path, store, **more)
    return {one.study.patient: one.why for one in planned}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Twelve patients, run undisturbed."""
    folder = tmp_path_factory.mktemp("cohort")
    path = write_cohort(folder, 12)
    found = run_cohort(path, folder / "store", workers=2)
    return path, folder / "store", found


# What 'avatar cohort run' does


@pytest.mark.slow
@pytest.mark.xdist_group("cohort")
def test_all_patients_have_their_avatars_and_their_steps_are_counted(finished):
    _, store, found = finished
    assert (len(found.records), found.failed, found.stopped) == (12, (), "")
    assert digests(store) == {r.avatar: r.sha256 for r in found.records}
    table = step_table({r.patient: r for r in found.records}).set_index("step")
    assert list(table.index) == ["ingest", "scan", "annotate", "assemble"]
    assert (table["computed"] == 12).all()
    assert table["peak_mb"].between(100, 6000).all()
    progress = json.loads((found.run / "progress.json").read_text())
    assert (progress["state"], progress["done"]) == ("finished", 12)


@pytest.mark.slow
@pytest.mark.xdist_group("cohort")
def test_a_finished_cohort_is_not_computed_again(finished):
    path, store, _ = finished
    before = {p: p.stat().st_mtime_ns for p in (store / "runs" / "small" / "patients").iterdir()}
    again = run_cohort(path, store)
    assert again.recomputed == 0
    assert len(again.records) == 12
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert set(whys(path, store).values()) == {""}


@pytest.mark.slow
@pytest.mark.xdist_group("cohort")
def test_only_what_changed_is_run_again_and_says_why(finished, tmp_path):
    path, store, _ = finished
    shutil.copytree(path.parent, tmp_path / "c")
    path, store = tmp_path / "c" / path.name, tmp_path / "c" / "store"
    record = path.parent / "studies" / "P03" / "record.yaml"
    record.write_text(record.read_text().replace("age_years: 43", "age_years: 71"))
    (store / "runs" / "small" / "patients" / "P04.json").unlink()
    with AvatarStore(store) as opened:
        other = opened.get("P05").model_copy(update={"prior_class": "another"})
        opened.put(other)
    found = whys(path, store)
    assert found["P03"] == "changed: record.yaml"
    assert found["P04"] == "was not run yet"
    assert found["P05"] == "the avatar in the store is another one"
    assert [p for p, why in found.items() if why] == ["P03", "P04", "P05"]
    done = run_cohort(path, store, workers=1)
    assert done.recomputed == 3
    steps = {r.patient: [s.step for s in r.steps] for r in done.records}
    assert "scan" not in steps["P03"]  # its images are the same
    with AvatarStore(store) as opened:
        assert opened.get("P03").record.age_years == 71
    settings = yaml.safe_load(path.read_text()) | {"despite_flags": True}
    path.write_text(yaml.safe_dump(settings))
    assert set(whys(path, store).values()) == {"changed: settings"}


# Broken studies


def spoil_text(name, text):
    return lambda folder: (folder / name).write_text(text)


def spoil_volume(folder):
    image = np.full((SIDE, SIDE, SIDE), np.nan, np.float32)
    nib.save(nib.Nifti1Image(image, np.diag([2.0, 2, 2, 1])), folder / "t1c.nii.gz")


def other_grid(folder):
    nib.save(nib.Nifti1Image(np.ones((8, 8, 8), np.uint8), np.eye(4)), folder / "mask.nii.gz")


def elsewhere(folder):
    image = np.ones((8, 8, 8), np.int16)
    nib.save(
        nib.Nifti1Image(image, np.diag([2.0, 2, 2, 1]) + 1e5 * np.eye(4, k=3)),
        folder / "flair.nii.gz",
    )


BROKEN = {
    "a missing study.yaml": (lambda f: (f / "study.yaml").unlink(), "has no study.yaml"),
    "no YAML": (spoil_text("study.yaml", "scans: ["), "study.yaml"),
    "an unknown key": (spoil_text("study.yaml", "patient_id: X\nscan: []"), "study.yaml"),
    "a patient id with spaces": (
        lambda f: (f / "study.yaml").write_text((f / "study.yaml").read_text().replace("id: B", "id: x y ")),
        "patient_id",
    ),
    "a missing image": (lambda f: (f / "flair.nii.gz").unlink(), "flair.nii.gz"),
    "an empty image": (lambda f: (f / "t1c.nii.gz").write_bytes(b""), "t1c.nii.gz"),
    "a truncated image": (lambda f: os.truncate(f / "t1c.nii.gz", 4000), "t1c.nii.gz"),
    "an image of NaN": (spoil_volume, "t1c.nii.gz"),
    "a mask on another grid": (other_grid, "mask.nii.gz"),
    "a scan elsewhere": (elsewhere, "does not overlap the flair scan"),
    "a record of somebody else": (spoil_text("record.yaml", "patient_id: other"), "record.yaml"),
    "an impossible age": (spoil_text("record.yaml", "age_years: 400"), "record.yaml"),
    "a VCF that is none": (spoil_text("calls.vcf", "hello"), "calls.vcf"),
    "two scans of one day": (
        lambda f: (f / "study.yaml").write_text(
            yaml.safe_dump(yaml.safe_load((f / "study.yaml").read_text()) | {"scans": [
                {"sequences": {"t1c": "t1c.nii.gz"}}, {"sequences": {"t1c": "t1c.nii.gz"}}]})
        ), "same day",
    ),
    "an unknown network": (
        lambda f: (f / "study.yaml").write_text((f / "study.yaml").read_text() + "segmenter: mystery\n"),
        "mystery",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.xdist_group("cohort")
def test_thirty_good_and_fifteen_broken_studies_are_thirty_avatars_and_fifteen_reasons(tmp_path):
    path = write_cohort(tmp_path, 30)
    for number, (what, (spoil, _)) in enumerate(BROKEN.items()):
        more = {"variants": {"file": "calls.vcf"}} if "VCF" in what else {}
        folder = write_patient(
            tmp_path / "studies" / f"B{number:02d}", f"B{number:02d}", 100 + number, **more
        )
        spoil(folder)
    store = tmp_path / "store"
    ran = CliRunner().invoke(app, ["cohort", "run", str(path), "--store", str(store), "--json"])
    assert ran.exit_code == 1, ran.output
    told = json.loads(ran.stdout)
    assert (told["patients"], told["done"], len(told["failed"])) == (45, 30, 15)
    errors = {one["patient"]: one for one in told["failed"]}
    for number, (what, (_, words)) in enumerate(BROKEN.items()):
        one = errors[f"B{number:02d}"]
        assert words in one["error"], what
        assert f"B{number:02d}" in one["error"], what
        assert one["fault"] == "input", what
    assert len(digests(store)) == 30
    report = Path(told["report"]).read_text()
    assert all(f"<td>{patient}</td>" in report for patient in errors)
    assert report.count("data:image/png") == 30
    # what is broken stays so until it is changed, and then only that is run
    assert set(whys(path, store).values()) == {""}
    assert sum(bool(why) for why in whys(path, store, retry_failed=True).values()) == 15
    write_patient(tmp_path / "studies" / "B05", "B05", 105)
    assert [p for p, why in whys(path, store).items() if why] == ["B05"]
    assert run_cohort(path, store, workers=1).recomputed == 1
    assert len(digests(store)) == 31


def test_one_patient_in_two_studies_is_run_neither_time(tmp_path):
    path = write_cohort(tmp_path, 2)
    shutil.copytree(tmp_path / "studies" / "P00", tmp_path / "studies" / "copy")
    found = discover(read_cohort_config(path), tmp_path, tmp_path / "run")
    assert [bool(study.error) for study in found] == [True, True, False]
    assert "patient P00 is also in" in found[0].error


def test_a_broken_study_does_not_keep_a_good_one_of_the_same_name_from_running(tmp_path):
    path = write_cohort(tmp_path, 1, studies=["studies/*", "st*/P00", "elsewhere/*"])
    (tmp_path / "elsewhere" / "P00").mkdir(parents=True)
    good, broken = discover(read_cohort_config(path), tmp_path, tmp_path / "run")
    assert (good.patient, good.error) == ("P00", "")
    assert broken.patient.startswith("P00.")
    assert "has no study.yaml" in broken.error


def test_who_is_not_in_the_cohort_any_more_is_in_none_of_its_tables(tmp_path):
    path = write_cohort(tmp_path, 3, side=16)
    store = tmp_path / "store"
    command = ["cohort", "run", str(path), "--store", str(store), "--json"]
    assert CliRunner().invoke(app, command).exit_code == 0
    shutil.rmtree(tmp_path / "studies" / "P01")
    told = json.loads(CliRunner().invoke(app, command).stdout)
    assert (told["patients"], told["recomputed"]) == (2, 0)
    table = pd.read_parquet(run_folder(store, "small") / "cohort.parquet")
    assert table["patient"].tolist() == ["P00", "P02"]
    assert "P01" not in Path(told["report"]).read_text()
    assert sorted(digests(store)) == ["P00", "P01", "P02"]  # the avatar stays


def test_a_network_that_was_not_there_is_an_input_that_comes(tmp_path, monkeypatch):
    path = write_cohort(tmp_path, 1, side=16, segmenter="msnet")
    for place in ("AVATAR_SHARED", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "HOME"):
        monkeypatch.setenv(place, str(tmp_path / "nothing"))
    (study,) = discover(read_cohort_config(path), tmp_path, tmp_path / "run")
    with AvatarStore(tmp_path / "store") as store:
        records._segmenter_digest.cache_clear()
        assert records.inputs_of(study, read_cohort_config(path), store)["segmenter"] == "none"
        found = set()
        for sha256 in ("a", "b"):
            network = SimpleNamespace(settings={"weights_sha256": sha256})
            monkeypatch.setattr(weights, "segmenter_of", lambda kind, network=network: network)
            records._segmenter_digest.cache_clear()
            found.add(records.inputs_of(study, read_cohort_config(path), store)["segmenter"])
        records._segmenter_digest.cache_clear()
    assert len(found | {"none"}) == 3


# Where studies come from


def test_a_manifest_names_files_and_its_mistakes_are_told_with_their_line(tmp_path):
    folder = write_patient(tmp_path / "a", "A1", 1)
    rows = [
        "patient_id,t1c,flair,segmentation,record,site,day",
        "A1,a/t1c.nii.gz,a/flair.nii.gz,a/mask.nii.gz,a/record.yaml,generic,0",
        "x y,a/t1c.nii.gz,,,,,0",
        "A2,a/t1c.nii.gz,,,,,soon",
        "A3,a/none.nii.gz,,,,generic,",
    ]
    (tmp_path / "patients.csv").write_text("\n".join(rows))
    config = CohortConfig(name="m", manifest=Path("patients.csv"))
    found = {s.patient: s for s in discover(config, tmp_path, tmp_path / "run")}
    assert found["A1"].folder == tmp_path / "run" / "studies" / "A1"
    told = yaml.safe_load((found["A1"].folder / "study.yaml").read_text())
    assert told["scans"][0]["sequences"]["t1c"] == str(folder / "t1c.nii.gz")
    (unnamed,) = (study for patient, study in found.items() if patient.startswith("x-y."))
    assert "line 3: 'x y' is no patient id" in unnamed.error
    assert "line 4: day is 'soon'" in found["A2"].error
    (tmp_path / "patients.csv").write_text("patient_id,T1\nA,x")
    with pytest.raises(StudyError, match="the column 'T1' is not known"):
        discover(config, tmp_path, tmp_path / "run")


def test_a_manifest_s_study_is_of_the_patient_that_its_line_says(tmp_path):
    write_patient(tmp_path / "a", "A1", 1, side=16)
    rows = [
        "patient_id,study,record,site",
        "A1,a",
        "B1,a",
        "D1,a,,,generic",
    ]
    (tmp_path / "patients.csv").write_text("\n".join(rows))
    config = CohortConfig(name="m", manifest=Path("patients.csv"))
    found = {s.patient: s for s in discover(config, tmp_path, tmp_path / "run")}
    assert (found["A1"].folder, found["A1"].error) == (tmp_path / "a", "")
    assert "line 3: calls B1 whom" in found["B1"].error
    assert found["B1"].error.endswith("study.yaml calls A1")
    assert "line 4: has more cells than the first line" in found["D1"].error
    (tmp_path / "patients.csv").write_text(f"{rows[0]}\nA1,a,a/record.yaml,glioma")
    (only,) = discover(config, tmp_path, tmp_path / "run")
    assert "line 2: gives record, site beside a study" in only.error


def test_a_bids_dataset_is_read_by_its_names_and_days_are_never_guessed(tmp_path):
    names = {
        "sub-01/anat/sub-01_T1w.nii.gz", "sub-01/anat/sub-01_ce-gd_T1w.nii.gz",
        "sub-01/anat/sub-01_FLAIR.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_T2w.nii.gz", "sub-02/ses-2/anat/sub-02_ses-2_T2w.nii.gz",
        "sub-03/func/sub-03_bold.nii.gz",
    }  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    config = CohortConfig(name="b", bids=Path())
    found = {s.patient: s for s in discover(config, tmp_path, tmp_path / "run")}
    told = yaml.safe_load((found["01"].folder / "study.yaml").read_text())
    assert set(told["scans"][0]["sequences"]) == {"t1", "t1c", "flair"}
    assert "2 sessions, and sub-02_sessions.tsv does not tell when each was" in found["02"].error
    assert "has no image that is known" in found["03"].error
    (tmp_path / "sub-02" / "sub-02_sessions.tsv").write_text(
        "session_id\tacq_time\nses-1\t2020-03-01T10:00:00\nses-2\t2020-04-10T22:00:00\n"
    )
    found = {s.patient: s for s in discover(config, tmp_path, tmp_path / "run")}
    told = yaml.safe_load((found["02"].folder / "study.yaml").read_text())
    assert [scan["day"] for scan in told["scans"]] == [0.0, 40.5]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("name: x", "name studies, a manifest, a bids folder or dicom"),
        ("name: 'a b'\nstudies: [x]", "name"),
        (
            "name: x\nstudies: [x]\nbudgets: {steps: {draw: {minutes: 1}}}",
            "there is no step 'draw'",
        ),
        ("name: x\nstudies: [x]\nworkers: 0", "workers"),
        ("name: x\nstudies: [x]\nbudgets: {minutes: .nan}", "minutes"),
        ("name: x\nstudies: [nothing/*]", "no study was found for x"),
    ],
)
def test_a_cohort_file_that_breaks_a_rule_is_refused(tmp_path, text, match):
    (tmp_path / "cohort.yaml").write_text(text)
    with pytest.raises(StudyError, match=match):
        run_cohort(tmp_path / "cohort.yaml", tmp_path / "store")


def test_workers_are_as_many_as_cores_memory_and_patients_allow():
    assert how_many(None, 1e-6, 4, 100) == 4
    assert how_many(None, 1e6, 4, 100) == 1
    assert how_many(7, 1e6, 4, 100) == 7
    assert how_many(7, 1e-6, 4, 3) == 3


# Budgets, stops, and what machines do


@pytest.mark.slow
@pytest.mark.xdist_group("cohort")
def test_a_step_over_its_budget_is_stopped_and_the_others_go_on(tmp_path):
    path = write_cohort(
        tmp_path, 3, budgets={"memory_gb": 6, "steps": {"scan": {"memory_gb": 6, "minutes": 1}}}
    )
    big = write_patient(tmp_path / "studies" / "P01", "P01", 1, side=SIDE)
    image = np.zeros((700, 700, 700), np.int16)
    nib.save(nib.Nifti1Image(image, np.diag([0.4, 0.4, 0.4, 1])), big / "t1c.nii.gz")
    settings = yaml.safe_load(path.read_text())
    settings["budgets"]["memory_gb"] = 1.2
    path.write_text(yaml.safe_dump(settings))
    found = {r.patient: r for r in run_cohort(path, tmp_path / "store", workers=1).records}
    assert found["P01"].fault == "budget"
    assert "over its budget of 1.2 GB; raise it under 'budgets'" in found["P01"].error
    assert [found[p].status for p in ("P00", "P02")] == ["done", "done"]
    assert whys(path, tmp_path / "store")["P01"].startswith("failed: ")


@pytest.mark.slow
@pytest.mark.xdist_group("cohort")
def test_a_step_that_was_asked_for_is_the_last_and_a_later_run_goes_on(tmp_path):
    path = write_cohort(tmp_path, 2)
    first = run_cohort(path, tmp_path / "store", until="scan", workers=1)
    assert [r.status for r in first.records] == ["stopped", "stopped"]
    assert [s.step for s in first.records[0].steps] == ["ingest", "scan"]
    assert digests(tmp_path / "store") == {}
    second = run_cohort(path, tmp_path / "store", workers=1)
    assert "scan" not in [s.step for s in second.records[0].steps]
    assert len(digests(tmp_path / "store")) == 2
    with pytest.raises(StudyError, match="there is no step 'draw'"):
        run_cohort(path, tmp_path / "store", until="draw")


@pytest.mark.slow
@pytest.mark.xdist_group("cohort")
def test_ctrl_c_finishes_what_is_in_hand_and_the_run_goes_on_later(tmp_path):
    path = write_cohort(tmp_path, 8, side=144)
    command = avatar_command("cohort", "run", path, "--store", tmp_path / "store", "--workers", 1)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = run_folder(tmp_path / "store", "small") / "patients"
    deadline = time.monotonic() + 120
    while len(list(log.glob("*.json"))) < 2:
        assert not has_ended(process, 0.02)
        assert time.monotonic() < deadline
    busy = subprocess.run(
        avatar_command("cohort", "run", path, "--store", tmp_path / "store"), capture_output=True, text=True
    )  # fmt: skip
    assert busy.returncode == 2
    assert "is being run already" in " ".join(busy.stderr.split())
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    before = digests(tmp_path / "store")
    assert {r.status for r in records_of(log.parent).values()} == {"done"}
    rest = run_cohort(path, tmp_path / "store", workers=1)
    assert rest.recomputed == 8 - len(before)
    assert {p: d for p, d in digests(tmp_path / "store").items() if p in before} == before
    assert len(digests(tmp_path / "store")) == 8


def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True
    )
    if done.returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    return disk


@pytest.mark.slow
@pytest.mark.xdist_group("cohort")
def test_a_full_disk_stops_the_run_says_so_and_loses_nothing(finished, tmp_path):
    path = write_cohort(tmp_path, 8)
    disk = small_disk(tmp_path)
    try:
        ran = subprocess.run(
            avatar_command("cohort", "run", path, "--store", disk / "store", "--workers", 1),
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        words = " ".join((ran.stdout + ran.stderr).split())
        assert ran.returncode == 2, words
        assert "Traceback" not in words
        assert "No space left on device" in words or "the disk is full" in words
        kept = digests(disk / "store")
        with AvatarStore(disk / "store") as store:
            bad = [f for f in check_store(store).findings if f.kind not in ("orphan", "leftover")]
        assert bad == []
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        found = run_cohort(path, disk / "store", workers=1)
        assert found.failed == ()
        expected = digests(finished[1])
        assert digests(disk / "store") == {p: expected[p] for p in sorted(expected)[:8]}
        assert {p: expected[p] for p in kept} == kept
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
@pytest.mark.xdist_group("cohort")
def test_a_store_that_cannot_be_written_says_so(tmp_path):
    path = write_cohort(tmp_path, 1)
    disk = small_disk(tmp_path)
    try:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        command = avatar_command("cohort", "run", path, "--store", disk / "store")
        ran = subprocess.run(command, capture_output=True, text=True)
        words = " ".join(ran.stderr.split())
        assert ran.returncode == 2
        assert "cannot be written" in words or "cannot be used as a store" in words
        assert "Traceback" not in words
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
@pytest.mark.xdist_group("cohort")
def test_fifty_kills_of_workers_and_drivers_change_no_byte(finished, tmp_path):
    """Until all is done: a worker is killed now and then, and the driver every sixth time."""
    reference_path, reference_store, _ = finished
    shutil.copytree(reference_path.parent / "studies", tmp_path / "studies")
    path = tmp_path / "cohort.yaml"
    path.write_text(reference_path.read_text())
    store, rng = tmp_path / "store", random.Random(7)
    expected, kills, drivers, rounds = digests(reference_store), 0, 0, 0
    command = avatar_command("cohort", "run", path, "--store", store, "--workers", 2)
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        rounds += 1
        process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        finished_before = len(list((store / "runs" / "small" / "patients").glob("P*.json")))
        while not has_ended(process, rng.uniform(0.02, 0.25)):
            workers = _workers(process)
            if kills >= 50 or not workers:
                continue
            kills += 1
            if kills % 6 == 0:
                drivers += 1
                process.kill()
                process.wait()
            else:
                _kill(rng.choice(workers))
        done = len(list((store / "runs" / "small" / "patients").glob("P*.json")))
        assert done >= finished_before
        if process.returncode == 0 and kills < 50:  # all done: begin again in a new store
            assert digests(store) == expected
            shutil.rmtree(store)
        elif process.returncode == 0:
            break
    assert kills >= 50, kills
    assert drivers >= 8
    assert digests(store) == expected
    with AvatarStore(store) as opened, AvatarStore(reference_store) as reference:
        for patient in expected:
            assert opened.get(patient).to_json() == reference.get(patient).to_json()
        assert [f for f in check_store(opened).findings if f.kind != "orphan"] == []
    assert list(store.rglob(".tmp-*")) == []
    assert all(r.status == "done" for r in records_of(store / "runs" / "small").values())
    print(f"{kills} kills, {drivers} of them of the driver, in {rounds} rounds")


def _workers(process):
    """Processes with a job: the children of the fork server."""
    try:
        return [p for child in process.children() for p in child.children()]
    except psutil.Error:
        return []


def _kill(process):
    try:
        process.kill()
    except psutil.Error:
        return


# Tables


@pytest.mark.slow
@pytest.mark.xdist_group("cohort")
def test_the_table_has_what_is_known_and_none_where_it_is_not(finished):
    path, store, found = finished
    ran = CliRunner().invoke(app, ["cohort", "report", str(path), "--store", str(store)])
    assert ran.exit_code == 0, ran.output
    table = pd.read_parquet(found.run / "cohort.parquet").set_index("patient")
    with AvatarStore(store) as opened:
        avatar = opened.get("P04")
    assert table.loc["P04", "volume_wt_ml"] == avatar.latest_scan.measured("WT").volume_ml
    assert table.loc["P04", "age_years"] == 44
    assert table["marker_idh_mutation"].isna().all()
    assert table.loc["P04", "sha256"] == digests(store)["P04"]
    cohort, told = read_cohort(found.run / "survival.yaml")
    assert (len(cohort), cohort.unit) == (12, "months")
    assert told.covariates["first_volume_wt_ml"].modality == "imaging"
    assert "volume_wt_ml" not in told.covariates  # of the latest scan, which is after diagnosis
    manifest = json.loads((found.run / "manifest.json").read_text())
    assert len(manifest["patients"]) == 12
    assert {s["step"] for s in manifest["steps"]} == {"ingest", "scan", "annotate", "assemble"}
    assert "omop/person.csv" in manifest["outputs"]
    person = pd.read_csv(found.run / "omop" / "person.csv")
    assert set(person["gender_concept_id"]) == {8507, 8532}
    measured = pd.read_csv(found.run / "omop" / "measurement.csv")
    assert set(measured["unit_source_value"]) == {"years", "mL"}
    assert set(measured["person_id"]) == set(person["person_id"])
    is_volume = measured["measurement_source_value"].str.startswith("volume_")
    assert (measured["measurement_day"].notna() == is_volume).all()
    assert set(person["origin"]) == {"in-silico"}


def test_a_person_has_the_same_id_in_every_export_and_no_diagnosis_is_no_condition():
    done = {"status": "done", "origin": "patient", "vital_status": "dead", "followup_months": 2.0}
    both = [
        {"avatar": "A", "diagnosis": None, **done},
        {"avatar": "B", "diagnosis": "glioma", **done},
    ]
    ids = omop(pd.DataFrame(both))["person"]["person_id"].tolist()
    alone = omop(pd.DataFrame(both[1:]))
    assert alone["person"]["person_id"].tolist() == ids[1:]
    assert ids[0] != ids[1]
    assert all(0 < one < 2**63 for one in ids)
    assert omop(pd.DataFrame(both))["condition_occurrence"]["person_id"].tolist() == ids[1:]
    assert omop(pd.DataFrame(both))["death"]["person_id"].tolist() == ids


def small_run(folder, **settings):
    """Three tiny patients, run; the cohort's file and the store."""
    path = write_cohort(folder, 3, side=16, **settings)
    assert run_cohort(path, folder / "store", workers=1).failed == ()
    return path, folder / "store"


def reported(path, store):
    """The table and the report's text, as 'avatar cohort report' writes them."""
    ran = CliRunner().invoke(app, ["cohort", "report", str(path), "--store", str(store)])
    assert ran.exit_code == 0, ran.output
    run = run_folder(store, "small")
    table = pd.read_parquet(run / "cohort.parquet").set_index("patient")
    return table, (run / "quality.html").read_text()


def test_who_was_not_run_and_whose_avatar_is_gone_damaged_or_changed_is_told(tmp_path):
    path, store = small_run(tmp_path)
    record_path(run_folder(store, "small"), "P00").unlink()
    with AvatarStore(store) as opened:
        opened.put(opened.get("P01").model_copy(update={"prior_class": "another"}))
        with opened.database.writing() as session:
            session.execute(text("UPDATE avatars SET document = '{}' WHERE patient_id = 'P02'"))
        now = opened.digests()["P01"]
    table, report = reported(path, store)
    assert table["status"].to_dict() == {"P00": "not run", "P01": "done", "P02": "failed"}
    assert "Not run to the end:</b> P00" in report
    assert table.loc["P01", ["sha256", "prior_class"]].tolist() == [now, "another"]
    assert "The avatar was changed since the run" in report
    assert "P02" in table.loc["P02", "error"]
    assert table.loc["P02", "fault"] == "storage"
    with AvatarStore(store) as opened, opened.database.writing() as session:
        session.execute(text("DELETE FROM avatars WHERE patient_id = 'P02'"))
    table, _ = reported(path, store)
    assert "is not in the store any more" in table.loc["P02", "error"]


def test_a_median_beyond_the_model_s_end_and_the_first_scan_s_volumes_are_in_the_table(small_store):
    record = PatientRecord(patient="P1", avatar="P1", source="P1", status="done")
    curve = Band(lower=(1.0, 0.7), median=(1.0, 0.8), upper=(1.0, 0.9), level=0.9)
    survival = SurvivalPrediction(
        model="m", months=(0.0, 24.0), survival=curve, median_months=None, covariates={}, unknown=(),
        statement="made up",
    )  # fmt: skip
    with AvatarStore(small_store) as opened:
        avatar = opened.get("P1")
    (scan,) = avatar.scans
    grown = tuple(m.model_copy(update={"volume_mm3": 3 * m.volume_mm3}) for m in scan.measurements)
    later = scan.model_copy(update={"day": 90.0, "measurements": grown})
    row = row_of(record, avatar.model_copy(update={"scans": (scan, later), "survival": survival}))
    assert row["volume_wt_ml"] == pytest.approx(3 * row["first_volume_wt_ml"])
    assert (row["scan_day"], row["first_scan_day"]) == (90.0, 0.0)
    assert (row["survival_median_months"], row["beyond_survival_median_months"]) == (None, 24.0)
    assert row["survival_probability_12_months_low"] == pytest.approx(0.85)


def test_tables_that_cannot_be_written_are_an_exit_code_and_lose_no_avatar(tmp_path):
    path = write_cohort(tmp_path, 1, side=16)
    (run_folder(tmp_path / "store", "small") / "manifest.json").mkdir(parents=True)
    ran = CliRunner().invoke(app, ["cohort", "run", str(path), "--store", str(tmp_path / "store")])
    assert ran.exit_code == 2
    assert "no tables: " in ran.stderr
    assert "1 of 1 patients have their avatar" in ran.stdout


# One store, several cohorts


def test_two_cohort_files_of_one_name_do_not_share_a_run(tmp_path):
    path, store = small_run(tmp_path / "a")
    other = write_cohort(tmp_path / "b", 2, side=16)
    before = {file: file.read_bytes() for file in (store / "runs").rglob("*") if file.is_file()}
    for command in ("run", "run --why", "plan", "report", "task"):
        words = [*command.split(), str(other), "--store", str(store)]
        ran = CliRunner().invoke(app, ["cohort", *words, *(["P00"] if command == "task" else [])])
        assert isinstance(ran.exception, StudyError), command
        assert f"a run of this name (small) is of {path}" in str(ran.exception)
    assert {f: f.read_bytes() for f in (store / "runs").rglob("*") if f.is_file()} == before
    path.unlink()  # moved, or given up
    assert run_cohort(other, store, workers=1).patients == 2


def test_an_avatar_of_another_cohort_s_patient_is_not_overwritten(tmp_path):
    _, store = small_run(tmp_path / "a")
    before = digests(store)
    other = write_cohort(tmp_path / "b", 0, name="other")
    write_patient(tmp_path / "b" / "studies" / "P00", "P00", 77, side=16)
    (refused,) = run_cohort(other, store, workers=1).failed
    assert refused.fault == "input"
    assert f"and so is {tmp_path / 'a' / 'studies' / 'P00'} of the run small" in refused.error
    assert digests(store) == before
    shutil.copytree(tmp_path / "a" / "studies", tmp_path / "c" / "studies")
    same = write_cohort(tmp_path / "c", 0, name="same")  # the same people in another cohort
    assert run_cohort(same, store, workers=1).failed == ()
    assert digests(store) == before
    shutil.rmtree(tmp_path / "a" / "studies" / "P00")
    shutil.rmtree(tmp_path / "c" / "studies" / "P00")
    assert run_cohort(other, store, workers=1, retry_failed=True).failed == ()
    assert digests(store) != before


def test_an_avatar_that_was_claimed_by_who_is_another_now_is_free(tmp_path):
    run = tmp_path / "runs" / "small"
    study, other = (FoundStudy(name, None, tmp_path / name) for name in ("B", "A"))
    task._claim(run, "P2", other, set())
    with pytest.raises(StudyError, match="is of patient P2, as A is"):
        task._claim(run, "P2", study, set())
    write_record(run, PatientRecord(patient="A", avatar="P1", source="A", status="done"))
    task._claim(run, "P2", study, set())
    with pytest.raises(StudyError, match="is of patient P2, as B is"):
        task._claim(run, "P2", other, set())


def test_outliers_need_ten_others_and_a_spread():
    values = [30.0, 31, 29, 30, 32, 28, 30, 31, 29, 30, 900]
    told = with_outliers(pd.DataFrame({"volume_wt_ml": values, "age_years": [50.0] * 11}))
    assert told["outlier"].tolist() == [None] * 10 + ["volume_wt_ml 900"]
    assert with_outliers(pd.DataFrame({"volume_wt_ml": values[-3:]}))["outlier"].isna().all()


def test_a_worker_does_not_run_the_driver_s_script_again(tmp_path):
    """Which may have no guard, and may be gone."""
    path = write_cohort(tmp_path, 1)
    script = tmp_path / "script.py"
    script.write_text(
        "import pathlib, sys\n"
        "from pipelines.cohort.run import run_cohort\n"
        "pathlib.Path(__file__).unlink()\n"
        f"found = run_cohort(pathlib.Path({str(path)!r}), pathlib.Path({str(tmp_path / 'store')!r}))\n"
        "sys.exit(len(found.failed))\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert len(digests(tmp_path / "store")) == 1


def test_a_failed_patient_has_a_row_and_no_row_in_omop():
    failed = PatientRecord(patient="P", source="s", status="failed", fault="input", error="e")
    table = pd.DataFrame([row_of(failed, None)])
    assert table.loc[0, "error"] == "e"
    assert len(omop(table)["person"]) == 0
    assert step_table({"P": failed}).empty
    taken = StepTaken(step="scan", seconds=1.0, cpu_seconds=0.5, peak_mb=10)
    found = step_table({"P": failed.model_copy(update={"steps": (taken,)})})
    assert found.to_dict("records")[0]["seconds_all"] == 1.0


def test_a_run_of_which_nobody_is_finished_has_no_table_and_says_so(tmp_path):
    path = write_cohort(tmp_path, 1)
    ran = CliRunner().invoke(
        app, ["cohort", "report", str(path), "--store", str(tmp_path / "store")]
    )
    assert "none of its patients is finished" in str(ran.exception)


def test_a_defect_of_ours_ends_one_patient_with_its_traceback_kept(tmp_path, monkeypatch):
    path, run = write_cohort(tmp_path, 1), tmp_path / "run"
    (study,) = discover(read_cohort_config(path), tmp_path, run)

    def broken(*_, **__):
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(task, "run_study", broken)
    found = task.run_patient(study, read_cohort_config(path), tmp_path / "store", run)
    assert (found.status, found.fault) == ("failed", "crash")
    assert "unforeseen ZeroDivisionError: of ours; please report it with" in found.error
    assert "in broken" in (run / "tracebacks" / "P00.txt").read_text()


def test_a_dump_of_dicom_is_taken_in_without_the_person_and_again_when_it_changes(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    config = CohortConfig(name="d", dicom=("dump",), site="generic")
    source, run = two_series(tmp_path), tmp_path / "run"
    file = next(source.rglob("*.dcm"))

    def taken():
        (study,) = discover(config, tmp_path, run)
        record = task.run_patient(study, config, tmp_path / "store", run)
        assert "segmentation" in record.error  # it has no mask, and the site no network
        return yaml.safe_load((run / "studies" / "dump" / "study.yaml").read_text()), record

    told, record = taken()
    assert set(told["scans"][0]["sequences"]) == {"t1c", "flair"}
    assert not [p for p in run.rglob("*") if p.is_file() and b"Doe" in p.read_bytes()]
    marker = run / "studies" / "dump" / "marker"
    marker.touch()
    assert taken()[1].inputs == record.inputs
    assert marker.exists()  # the copy is as it was
    file.write_bytes(file.read_bytes())  # of the same size, exported again
    again, changed = taken()
    assert again["patient_id"] == told["patient_id"]
    assert changed.inputs["dump"] != record.inputs["dump"]
    assert not marker.exists()


def test_a_dump_without_an_image_fails_by_its_name(tmp_path):
    source = tmp_path / "dumps" / "DOE"
    source.mkdir(parents=True)
    (source / "notes.txt").write_text("no image")
    config = CohortConfig(name="d", dicom=("dumps/*",), site="generic")
    (study,) = discover(config, tmp_path, tmp_path / "run")
    assert (study.patient, study.folder, study.is_dump) == ("DOE", None, True)
    found = task.run_patient(study, config, tmp_path / "store", tmp_path / "run")
    assert found.fault == "input"
    assert str(source) in found.error


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("DOE.zip", "DOE"), ("P1.tar.gz", "P1"), ("1.2.840.1", "1.2.840.1"), ("1.2.840.2", "1.2.840.2"),
        ("-nal", "nal."), ("患者一.zip", "patient."), ("a b", "a-b."),
    ],
)  # fmt: skip
def test_dumps_are_named_after_their_files_and_no_two_alike(tmp_path, name, patient):
    (tmp_path / "dumps" / name).mkdir(parents=True)
    (tmp_path / "dumps" / ".DS_Store").write_text("")
    config = CohortConfig(name="d", dicom=(str(tmp_path / "dumps" / "*"),), site="generic")
    (study,) = discover(config, tmp_path / "elsewhere", tmp_path / "run")
    assert study.patient == patient or (patient[-1] == "." and study.patient.startswith(patient))


def test_a_dump_that_was_cut_off_is_taken_in_again_and_a_broken_one_only_when_it_changes(tmp_path):
    source = tmp_path / "dumps" / "DOE"
    source.mkdir(parents=True)
    (source / "notes.txt").write_text("no image")
    (tmp_path / "c.yaml").write_text("name: d\ndicom: [dumps/*]\nsite: generic\n")
    store = tmp_path / "store"
    run = run_folder(store, "d")
    (run / "studies" / "DOE").mkdir(parents=True)  # of a worker that was killed
    leftover = run / "studies" / f"{TEMPORARY}elsewhere-1-x"
    leftover.mkdir()
    os.utime(leftover, (0, 0))
    (found,) = run_cohort(tmp_path / "c.yaml", store, workers=1).records
    assert (found.status, found.fault) == ("failed", "input")
    assert "exists already" not in found.error
    assert not leftover.exists()
    assert whys(tmp_path / "c.yaml", store) == {"DOE": ""}
    (tmp_path / "c.yaml").write_text("name: d\ndicom: [dumps/*]\nsite: glioma\n")
    assert "changed: dump" in whys(tmp_path / "c.yaml", store)["DOE"]


def test_a_file_that_cannot_be_read_fails_its_patient_alone(tmp_path, monkeypatch):
    path = write_cohort(tmp_path, 1, side=16)
    (study,) = discover(read_cohort_config(path), tmp_path, tmp_path / "run")
    file = str(study.folder / "t1c.nii.gz")

    def unreadable(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", file)

    run = run_folder(tmp_path / "store", "small")
    monkeypatch.setattr(records, "sha256_file", unreadable)
    found = task.run_patient(study, read_cohort_config(path), tmp_path / "store", run)
    assert (found.status, found.fault) == ("failed", "input")
    assert f"{file}: cannot be used (Permission denied)" in found.error
    assert whys(path, tmp_path / "store") == {"P00": ""}
    monkeypatch.undo()
    assert whys(path, tmp_path / "store")["P00"].startswith("changed: ")


def test_a_database_that_fails_is_nobody_s_input(tmp_path, monkeypatch):
    path = write_cohort(tmp_path, 1, side=16)
    (study,) = discover(read_cohort_config(path), tmp_path, tmp_path / "run")

    def gone(self, *_):
        with self.database.writing() as session:
            session.execute(text("SELECT * FROM nowhere"))

    monkeypatch.setattr(AvatarStore, "put", gone)
    run = run_folder(tmp_path / "store", "small")
    found = task.run_patient(study, read_cohort_config(path), tmp_path / "store", run)
    assert found.fault == "storage"


def test_a_name_on_a_disk_that_is_no_text_fails_its_patient_alone(tmp_path):
    path = write_cohort(tmp_path, 1, side=16)
    try:
        (tmp_path / "studies" / os.fsdecode(b"M\xfcller")).mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    found = run_cohort(path, tmp_path / "store", workers=1)
    assert [r.status for r in found.records] == ["failed", "done"]
    assert "has no study.yaml" in found.records[0].error


@pytest.mark.parametrize("by", ["a signal", "the board"])
def test_a_stop_is_heard_while_looking_at_what_has_changed(tmp_path, by):
    path = write_cohort(tmp_path, 2, side=16)
    run = run_folder(tmp_path / "store", "small")
    seen = []

    def shown(progress):
        seen.append((progress.state, progress.done, progress.total))
        if by == "the board" and progress.state != "stopped":
            assert run_state(run).is_looking
            cancel(run_state(run))

    asked = {"is_asked_to_stop": lambda: 1} if by == "a signal" else {}
    found = run_cohort(path, tmp_path / "store", workers=1, on_change=shown, **asked)
    assert found.was_asked
    assert found.records == ()
    assert found.stopped.startswith("it was asked to")
    assert seen[0] == ("looking at what has changed", 1, 2)
    assert run_state(run).state == "stopped"


def test_a_budget_of_a_step_is_filled_from_that_of_all():
    budgets = CohortConfig.model_validate(
        {
            "name": "b",
            "studies": ["x"],
            "budgets": {"memory_gb": 24, "steps": {"simulate": {"minutes": 60}}},
        }
    ).budgets
    assert (budgets.of("simulate").memory_gb, budgets.of("simulate").minutes) == (24, 60)
    assert (budgets.of("scan").memory_gb, budgets.of("scan").minutes) == (24, 30)
    more = budgets.model_copy(update={"steps": {"tissue": StepBudget(memory_gb=40)}})
    assert (budgets.most_gb, more.most_gb) == (24, 40)


@pytest.mark.parametrize(("attempt", "code"), [(1, 1), (2, 0)])
def test_what_a_job_lacked_is_an_error_until_its_last_attempt(tmp_path, monkeypatch, attempt, code):
    """After which the record says so, and the tables can be written."""
    path = write_cohort(tmp_path, 1, side=16)

    def lacked(study, config, store, run, *, attempts):
        return PatientRecord(
            patient=study.patient, source="s", status="failed", fault="budget", error="e", attempts=attempts
        )  # fmt: skip

    monkeypatch.setattr(task, "run_patient", lacked)
    words = ["cohort", "task", str(path), "P00", "--store", str(tmp_path / "store")]
    assert CliRunner().invoke(app, [*words, "--attempt", str(attempt)]).exit_code == code


def test_a_part_of_a_step_is_counted_with_it():
    watch = task.Stopwatch(until="calibrate")
    for step in ("ingest", "calibrate", "update", "update"):
        watch.begins(step)
    watch.ends()
    assert [taken.step for taken in watch.taken] == ["ingest", "calibrate"]


def test_a_run_by_another_engine_is_told_from_its_records(tmp_path):
    path = write_cohort(tmp_path / "cohort", 3, side=16)
    run = run_folder(tmp_path / "store", "small")

    def told(*, minutes_ago=0.0):
        then = time.time() - 60 * minutes_ago
        for file in (run / PLAN, *(run / "patients").glob("*.json")):
            os.utime(file, (then, then))
        found = run_state(run)
        assert not found.is_running
        return found.state, *(found.progress[key] for key in ("total", "kept", "done", "failed"))

    write_plan(path, tmp_path / "store")
    assert told() == (BY_JOBS, 3, 0, 0, 0)
    assert run_state(run).cohort == path
    taken = StepTaken(step="scan", seconds=2.0, cpu_seconds=1.5, peak_mb=300.0)
    for name, status in (("P00", "done"), ("P01", "failed")):
        error = "t1c.nii.gz: not a readable NIfTI file" if status == "failed" else ""
        write_record(
            run,
            PatientRecord(patient=name, source=name, status=status, error=error, steps=(taken,)),
        )
    assert told(minutes_ago=1) == (BY_JOBS, 3, 0, 1, 1)
    assert told(minutes_ago=SILENT_JOBS.total_seconds() / 60 + 1) == (NO_JOBS, 3, 0, 1, 1)
    shown = run_state(run).progress
    assert shown["failures"] == [("P01", "t1c.nii.gz: not a readable NIfTI file")]
    assert (shown["steps"], shown["step_seconds"]) == ({"scan": 2}, {"scan": 4.0})
    write_record(run, PatientRecord(patient="P02", source="P02", status="done"))
    assert told(minutes_ago=100) == ("finished", 3, 0, 2, 1)
    (run / PLAN).write_text(json.dumps({"patients": ["P00", "P01", "P02"], "to_run": ["P02"]}))
    assert told()[1:3] == (1, 2)
    shown = run_state(run).progress
    assert (shown["kept_failed"], [p for p, _ in shown["failures"]]) == (1, ["P01"])
    record_path(run, "P02").unlink()
    run_cohort(path, tmp_path / "store", workers=1)
    assert run_state(run).progress == json.loads((run / PROGRESS).read_text())
