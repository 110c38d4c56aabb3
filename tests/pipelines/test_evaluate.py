from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import write_nifti
from typer.testing import CliRunner

from app.cli import app
from data.errors import ImageError, StudyError
from pipelines.cases import CaseList, read_cases
from pipelines.evaluate import interval

CONFIGS = Path(__file__).parents[2] / "configs" / "cases"
SHAPE = (64, 72, 60)


@pytest.fixture
def listed(tmp_path):
    """One case of a bright ball in a head, and the YAML that lists it."""
    grid = np.indices(SHAPE) - (np.array(SHAPE)[:, None, None, None] - 1) / 2
    inside = np.sqrt((grid**2).sum(0)) < 26
    ball = np.sqrt(((grid - 6) ** 2).sum(0)) < 8
    rng = np.random.default_rng(0)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    for name in ("t1c", "flair"):
        image = np.where(inside, 100 + 10 * rng.standard_normal(SHAPE) + 90 * ball, 0)
        write_nifti(tmp_path / f"{name}.nii.gz", image.astype(np.float32), affine)
    write_nifti(tmp_path / "truth.nii.gz", np.where(ball, 2, 0).astype(np.uint8), affine)

    def write(**changes):
        case = {
            "name": "ball",
            "sequences": {"t1c": "t1c.nii.gz", "flair": "flair.nii.gz"},
            "reference": "truth.nii.gz",
            "reference_by": "geometry",
        }
        path = tmp_path / "cases.yaml"
        path.write_text(yaml.safe_dump({"cases": [case | changes]}))
        return path

    return write


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.name)
def test_the_shipped_case_lists_are_valid(path):
    assert CaseList.model_validate(yaml.safe_load(path.read_text())).cases


def test_evaluate_prints_json_and_keeps_scores_and_pictures(listed, tmp_path):
    store = tmp_path / "store"
    result = CliRunner().invoke(app, ["evaluate", str(listed()), "--json", "--store", str(store)])
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)["cases"][0]["regions"]
    assert scores["WT"]["reference_ml"] == pytest.approx(17.1, abs=0.6)
    folder = store / "evaluations" / "cases-glioma-net"
    assert json.loads((folder / "evaluation.json").read_text())["segmenter"] == "glioma-net"
    assert (folder / "worst.png").read_bytes().startswith(b"\x89PNG")


def test_a_list_without_references_is_refused(listed, tmp_path):
    result = CliRunner().invoke(app, ["evaluate", str(listed(reference=None))])
    assert isinstance(result.exception, StudyError)
    assert "no case has a reference" in str(result.exception)


def test_a_case_with_a_missing_file_is_named(listed):
    with pytest.raises(ImageError, match=r"case ball: .*gone.nii.gz: is no file"):
        read_cases(listed(reference="gone.nii.gz"))


def test_a_misspelled_key_is_refused(listed):
    with pytest.raises(StudyError, match="referense"):
        read_cases(listed(referense="truth.nii.gz"))


def test_the_interval_of_equal_values_is_a_point_and_of_one_value_unknown():
    assert interval([0.5, 0.5, 0.5]).model_dump() == {"mean": 0.5, "low": 0.5, "high": 0.5}
    assert interval([0.5]).low is None


def test_the_interval_holds_the_mean_and_lies_within_the_values():
    found = interval([0.2, 0.4, 0.9, 0.7])
    assert found.low is not None
    assert found.high is not None
    assert 0.2 <= found.low < found.mean < found.high <= 0.9
