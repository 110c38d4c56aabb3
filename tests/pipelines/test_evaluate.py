from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import write_nifti
from typer.testing import CliRunner

from app.cli import app
from data.errors import ImageError, StudyError
from models.segmentation.suv_threshold import SuvThreshold
from pipelines.cases import CaseList, read_cases
from pipelines.evaluate import evaluate, interval

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


def test_crops_are_judged_by_windows_of_which_a_patient_counts_once(tmp_path):
    """A hot ball in the middle of a crop: the threshold is right, and the ellipsoid only on whole crops."""
    shape = (40, 40, 40)
    grid = np.indices(shape) - 19.5
    for patient, radius in (("a", 9), ("b", 12)):
        ball = (grid**2).sum(0) < radius**2
        affine = np.diag([4.0, 4.0, 4.0, 1.0])
        write_nifti(tmp_path / f"{patient}.nii.gz", (0.5 + 9 * ball).astype(np.float32), affine)
        write_nifti(tmp_path / f"{patient}_gtv.nii.gz", ball.astype(np.uint8), affine)
    listed = {
        "site": "sarcoma",
        "windows": 3,
        "cases": [
            {"name": n, "sequences": {"pet": f"{n}.nii.gz"}, "reference": f"{n}_gtv.nii.gz"}
            for n in ("a", "b")
        ],
    }
    path = tmp_path / "crops.yaml"
    path.write_text(yaml.safe_dump(listed))
    found = evaluate(read_cases(path), SuvThreshold())
    assert [(row.case, row.window) for row in found.cases] == [
        (case, n) for case in "ab" for n in (1, 2, 3)
    ]
    assert found.summary["WT"].dice.mean == 1.0
    by_case = [[r.geometry_dice for r in found.cases if r.case == case] for case in "ab"]
    assert found.geometry_dice.mean == pytest.approx(np.mean([np.mean(v) for v in by_case]))
    whole = evaluate([replace(case, windows=0) for case in read_cases(path)], SuvThreshold())
    assert [row.window for row in whole.cases] == [None, None]
    assert whole.geometry_dice.mean > found.geometry_dice.mean


def test_a_segmenter_of_another_site_is_refused(listed):
    with pytest.raises(StudyError, match="suv-threshold draws sarcoma, ball is glioma"):
        evaluate(read_cases(listed()), SuvThreshold())
