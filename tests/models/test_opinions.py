"""Several opinions on one mask: where they differ, and that they differ where it is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.imaging import Volume
from models.segmentation.base import Examined
from models.segmentation.ensemble import Ensemble
from models.segmentation.own import GliomaNet
from models.segmentation.scores import dice, error_auroc
from pipelines.cases import read_cases
from pipelines.evaluate import evaluate
from pipelines.weights import segmenter_of

CASES = Path(__file__).parents[2] / "configs" / "cases" / "glioma_labelled.yaml"


def test_disagreement_is_none_where_opinions_are_one_and_all_where_they_oppose():
    labels = Volume(np.zeros((2, 1, 1), np.uint8), np.eye(4))
    yes, no = np.ones((3, 2, 1, 1), np.float32), np.zeros((3, 2, 1, 1), np.float32)
    half = np.concatenate([yes[:, :1], no[:, :1]], axis=1)
    examined = Examined(labels, (yes, half))
    assert examined.disagreement.array.ravel().tolist() == [0, 100]
    assert examined.agreement == pytest.approx(dict.fromkeys(("WT", "TC", "ET"), 2 / 3))
    alone = Examined(labels, (yes,))
    assert alone.disagreement is None
    assert alone.agreement == {}


def test_auroc_is_one_half_without_knowledge_one_with_it_and_unknown_without_errors():
    wrong = np.array([True, True, False, False, False])
    assert error_auroc(np.ones(5), wrong) == pytest.approx(0.5)
    assert error_auroc(np.array([5, 4, 3, 2, 1]), wrong) == pytest.approx(1.0)
    assert error_auroc(np.array([1, 2, 3, 4, 5]), wrong) == pytest.approx(0.0)
    assert error_auroc(np.ones(5), np.zeros(5, bool)) is None


@pytest.fixture(scope="module")
def labelled(shared):
    return {case.name: case for case in read_cases(CASES)}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TCGA-FG-6692", "brats_2013_pat0001_1"])
def test_opinions_of_the_shipped_network_differ_where_its_mask_is_wrong(labelled, name):
    (row,) = evaluate([labelled[name]], GliomaNet(), doubt=True).cases
    assert row.error_auroc > 0.85
    (plain,) = evaluate([labelled[name]], GliomaNet()).cases
    assert plain.regions == row.regions
    assert plain.error_auroc is None


@pytest.mark.slow
def test_an_ensemble_is_the_mean_of_its_members_and_says_who_they_are(labelled):
    case = labelled["TCGA-FG-6692"]
    second = segmenter_of("msnet")
    both = Ensemble(members=(GliomaNet(), second))
    assert both.requires == ("t1c", "flair", "t1", "t2")
    assert {"glioma-net engine", "msnet weights_sha256"} <= set(both.settings)
    examined = both.examine(case.images, case.brain)
    mean = both.merged(examined.opinions)
    assert dice(examined.labels.array > 0, mean[0] > 0.5) == 1.0
    assert 0.5 < examined.agreement["WT"] < 1.0
    wrong = examined.labels.array != case.reference.volume.array
    brain = case.images["t1c"].array > 0
    assert error_auroc(examined.disagreement.array[brain], wrong[brain]) > 0.85
