"""The README's code and YAML, run as they stand; its commands exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from data.io.nifti import read_nifti
from data.io.study import StudyFile
from data.store import AvatarStore
from pipelines.insilico import TUMOR_ML

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
@pytest.mark.xdist_group("samples")
def test_the_script_runs_on_the_demo_patient_who_is_labelled_in_silico(
    tmp_path, monkeypatch, capsys
):
    (script,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    told: dict[str, Any] = {}
    exec(compile(script, "README.md", "exec"), told)
    assert "Whole tumor" in capsys.readouterr().out
    avatar = told["avatar"]
    with AvatarStore(Path("runs/readme/store")) as store:
        mask = store.volume(avatar.latest_scan.segmentation).array > 0
    truth = read_nifti(told["study"] / "truth.nii.gz").array > 0
    assert truth.sum() / 1000 == pytest.approx(TUMOR_ML, rel=0.5)
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.7
    assert avatar.origin == "in-silico"
    assert avatar.prior_class == "glioblastoma"
    assert "In-silico" in avatar.record.diagnosis


def test_the_study_file_is_valid():
    (text,) = blocks("yaml")
    assert StudyFile.model_validate(yaml.safe_load(text)).patient_id == "P001"


def test_the_two_commands_are_targets_and_the_gate_calls_the_test_command():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"demo", "test"} <= set(targets)
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_every_file_the_readme_names_is_there():
    for link in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / link).exists(), link
