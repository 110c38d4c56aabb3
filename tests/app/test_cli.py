from __future__ import annotations

import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest


def avatar(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def test_run_show_and_simulate_print_json(make_study, tmp_path):
    folder = make_study()
    run = avatar("run", folder, "--store", "s", "--json", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["patient_id"] == "P1"
    again = avatar("run", folder, "--store", "s", "--json", cwd=tmp_path)
    shown = avatar("show", "P1", "--store", "s", "--json", cwd=tmp_path)
    assert run.stdout == again.stdout == shown.stdout
    simulated = avatar(
        "simulate", "P1", "--regimen", "stupp", "--store", "s", "--json", cwd=tmp_path
    )
    assert json.loads(simulated.stdout)["total_dose_gy"] == 60.0
    table = avatar("simulate", "P1", "--regimen", "stupp", "--store", "s", cwd=tmp_path)
    assert "research use only" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nowhere"], "study.yaml"),
        (["show", "P9", "--store", "none"], "no avatar store"),
        (["board", "--store", "none"], "avatar run"),
        (["weights", "add", "none.npz"], "no such file"),
        (["study", "init", "none", "--patient", "P1"], "no such folder"),
        (["run"], "Missing argument"),
        (["knowledge", "import", "civic", "none-2026-01.tsv"], "no such file"),
        (["genomics", "show", "P9", "--store", "none"], "no avatar store"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_code_two(tmp_path, arguments, said):
    done = avatar(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_genomics_of_a_patient_and_of_all_print_json(small_store, tmp_path):
    shown = avatar("genomics", "show", "P1", "--store", small_store, "--json", cwd=tmp_path)
    told = json.loads(shown.stdout)
    assert told["diagnosis"]["name"].startswith("Oligodendroglioma")
    assert told["interpretations"][0]["alteration"]["gene"] == "IDH1"
    table = avatar("genomics", "show", "P1", "--store", small_store, "--all", cwd=tmp_path)
    assert "IDH1 R132H" in table.stdout
    assert "knowledge: approvals as of" in table.stdout
    same = avatar(
        "genomics", "diff", "P1", "--store", small_store, "--with", small_store, cwd=tmp_path
    )
    assert "Both runs say the same" in same.stdout
    cohort = avatar("genomics", "cohort", "--store", small_store, "--json", cwd=tmp_path)
    assert json.loads(cohort.stdout)["patients"] == 1
    known = avatar("knowledge", "list", "--store", small_store, "--json", cwd=tmp_path)
    told = json.loads(known.stdout)
    assert [source["name"] for source in told["sources"]] == ["approvals"]
    assert (told["panels"], told["signatures"]) == ([], None)


def test_plans_become_regimens_and_other_growth_laws_and_options_can_be_asked_for(
    small_store, tmp_path
):
    plan = ("plan", "P1", "--store", small_store, "--points", 3, "--write", "plans")
    front = avatar(*plan, "--json", cwd=tmp_path)
    assert front.returncode == 0, front.stderr
    found = json.loads(front.stdout)
    assert found["metric"] == "BED3"
    assert len(found["plans"]) == len(list((tmp_path / "plans").iterdir()))
    assert "research use only" in " ".join(avatar(*plan, cwd=tmp_path).stdout.split())
    asked = ("simulate", "P1", "--regimen", "plans/plan-1.yaml", "--store", small_store, "--json")
    solved = json.loads(avatar(*asked, cwd=tmp_path).stdout)
    assert solved["total_dose_gy"] == pytest.approx(5 * sum(found["plans"][0]["doses_gy"]), abs=0.2)
    other = avatar(*asked, "--growth", "gompertz", "--repopulation", cwd=tmp_path)
    told = json.loads(other.stdout)
    assert (told["growth"], told["model"]) == ("gompertz", "lumped")
    assert "times as fast from day 37" in told["options"][0]
    for wrong, said in (
        ((*asked, "--growth", "none"), "logistic"),
        ((*plan, "--toxicity", "hair"), "BED3"),
        ((*plan, "--base", "none"), "stupp"),
        ((*plan, "--cap", "nan"), "the largest fraction"),
    ):
        done = avatar(*wrong, cwd=tmp_path)
        assert done.returncode == 2
        assert said in done.stderr


def test_a_bad_regimen_is_a_sentence(small_store, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "name: x\nradiotherapy: [{fractions: 3, dose_per_fraction_gy: -2, start_day: 0}]\n"
    )
    for regimen, said in (("mine.yaml", "mine.yaml"), ("unknown", "stupp")):
        done = avatar("simulate", "P1", "--regimen", regimen, "--store", small_store, cwd=tmp_path)
        assert done.returncode == 2
        assert said in done.stderr


def test_a_port_that_is_taken_is_a_sentence(small_store, tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = avatar("board", "--store", small_store, "--port", port, cwd=tmp_path)
    assert done.returncode == 2
    assert "--port" in done.stderr


def test_a_name_in_brackets_is_printed_as_it_is(make_study, tmp_path):
    done = avatar("run", make_study(**{"[/red]": 1}), "--store", "s", cwd=tmp_path)
    assert done.returncode == 2
    assert "[/red]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_opened_is_a_sentence(tmp_path):
    done = avatar("train", "survival", "nowhere.csv", "out.json", cwd=tmp_path)
    assert done.returncode == 2
    assert "nowhere.csv" in done.stderr


def test_masks_under_review_are_listed_exported_and_imported(small_store, tmp_path):
    at = ("--store", small_store)
    (row,) = json.loads(avatar("review", "list", *at, "--json", cwd=tmp_path).stdout)
    assert (row["Patient"], row["Status"], row["Version"]) == ("P1", "new", 0)
    exported = avatar("review", "export", "P1", "m.nii.gz", *at, cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    image = nib.load(tmp_path / "m.nii.gz")
    array = np.asarray(image.dataobj).copy()
    array[2:5, 3, 4] = 1
    flipped = nib.Nifti1Image(array, image.affine).as_reoriented([[0, -1], [2, 1], [1, -1]])
    nib.save(flipped, tmp_path / "edited.nii.gz")
    edited = ("review", "import", "P1", "edited.nii.gz", "--reader", "Ada", *at)
    kept = avatar(*edited, cwd=tmp_path)
    assert kept.returncode == 0, kept.stderr
    assert "version 1 of P1, scan of day 0: 3 voxels changed" in kept.stdout
    avatar("review", "export", "P1", "back.nii.gz", *at, cwd=tmp_path)
    assert np.array_equal(np.asarray(nib.load(tmp_path / "back.nii.gz").dataobj), array)
    (row,) = json.loads(avatar("review", "list", *at, "--json", cwd=tmp_path).stdout)
    assert (row["Status"], row["Version"]) == ("in review", 1)
    assert "0 cases" in avatar("review", "list", *at, "--status", "signed", cwd=tmp_path).stdout
    told = avatar("review", "export", "P1", "j.nii.gz", "--json", *at, cwd=tmp_path)
    assert json.loads(told.stdout) == {"file": "j.nii.gz", "patient": "P1", "day": 0, "version": 1}
    again = avatar("review", "export", "P1", "j.nii.gz", "--overwrite", *at, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    for wrong, said in (
        (("review", "list", *at, "--status", "done"), "changes requested"),
        (("review", "export", "P1", "m.nii.gz", *at), "exists already"),
        (("review", "export", "P1", "sr.nii.gz", "--kind", "sr", *at), "are for DICOM"),
        (("review", "follow", "P1", "--baseline", 9, *at), "no scan on day 9"),
        (("review", "import", "P1", "none.dcm", "--reader", "Ada", *at), "there is no such file"),
        (("study", "import", tmp_path, "s", "--take", "²=t1c"), "is written as 3=t1c"),
        (("study", "import", tmp_path, "s", "--take", "1=t1c", "--take", "1=t2"), "taken twice"),
        (("study", "regimen", "plan.dcm", "plan.txt"), "written as .yaml"),
        (("study", "regimen", tmp_path, "plan.yaml"), "is a folder"),
        (("review", "export", "P1", "m.dcm", *at), "--series"),
        (("review", "export", "P1", "m.png", *at), "written as .nii.gz"),
        (("review", "export", "P1", "n.nii.gz", "--version", 7, *at), "no version 7"),
        (("review", "export", "P2", "n.nii.gz", *at), "it holds P1"),
        ((*edited, "--base", 0), "the latest is version 1 (Ada"),
        (edited, "nothing to save"),
    ):
        done = avatar(*wrong, cwd=tmp_path)
        assert done.returncode == 2
        assert said in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "n.nii.gz").exists()
