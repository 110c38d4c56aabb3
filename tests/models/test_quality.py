"""The quality gate, on a real patient: what is wrong is caught, what is right passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.errors import ImageError
from data.imaging import Volume
from models.segmentation.base import brain_mask
from models.segmentation.own import GliomaNet
from models.segmentation.quality import LOWEST_AGREEMENT, mask_flags
from pipelines.cases import read_cases
from pipelines.check import check_study, refuse_stops

CASES = Path(__file__).parents[2] / "configs" / "cases"


@pytest.fixture(scope="module")
def cases(shared):
    listed = ("glioma_labelled.yaml", "glioma_taught.yaml")
    return {case.name: case for name in listed for case in read_cases(CASES / name)}


@pytest.fixture(scope="module")
def patient(cases):
    return cases["TCGA-FG-6692"].images


def codes(images, brain=None):
    return [flag.code for flag in check_study(images, brain, GliomaNet())]


def flipped(images, axis):
    return {n: v.with_array(np.flip(v.array, axis).copy()) for n, v in images.items()}


def test_real_studies_pass(cases):
    assert len(cases) == 6
    found = {name: codes(case.images, case.brain) for name, case in cases.items()}
    assert not any(found.values()), found


@pytest.mark.parametrize("axis", [1, 2])
def test_a_study_flipped_front_to_back_or_upside_down_is_caught(patient, axis):
    flags = check_study(flipped(patient, axis), None, GliomaNet())
    assert [flag.code for flag in flags] == ["orientation"]
    assert ("anterior", "superior")[axis - 1] in flags[0].finding


def test_a_head_stored_in_other_axes_with_a_right_affine_passes(patient):
    assert codes({n: v.reoriented("SPR") for n, v in patient.items()}) == []


def test_a_head_whose_axes_the_affine_confuses_is_caught(patient):
    turned = {n: Volume(v.array.transpose(2, 1, 0), v.affine) for n, v in patient.items()}
    assert codes(turned) == ["orientation"]


def test_a_study_without_t1c_is_caught(patient):
    images = {n: v for n, v in patient.items() if n != "t1c"}
    (flag,) = check_study(images, None, GliomaNet())
    assert (flag.code, flag.severity) == ("missing-sequence", "stop")
    assert "t1c" in flag.finding


@pytest.mark.parametrize(
    ("one", "other"),
    [("t1c", "flair"), ("t1", "t1c"), ("t2", "flair"), ("t1", "t2"), ("t1", "flair")],
)
def test_swapped_sequences_are_caught_and_named(patient, one, other):
    swapped = {**patient, one: patient[other], other: patient[one]}
    (flag,) = check_study(swapped, None, GliomaNet())
    assert flag.code == "sequences-swapped"
    assert f"{other} looks like {one}" in flag.finding.lower()
    with pytest.raises(ImageError, match=r"looks like .* --despite-flags"):
        refuse_stops((flag,), "P1")


def test_a_swap_is_caught_where_only_the_required_pair_is_given(patient):
    assert codes({"t1c": patient["flair"], "flair": patient["t1c"]}) == ["sequences-swapped"]


def test_a_mask_and_a_cut_off_scan_are_caught(patient):
    brain = brain_mask(None, patient["t1c"])
    assert codes({**patient, "flair": brain}) == ["intensity"]
    low = np.quantile(patient["flair"].array[brain.array > 0], 0.9)
    cut = patient["flair"].with_array(np.minimum(patient["flair"].array, low))
    assert codes({**patient, "flair": cut}) == ["intensity"]


def block(shape=(40, 40, 40), **box):
    brain = np.ones(shape, np.uint8)
    labels = np.zeros(shape, np.uint8)
    labels[tuple(box.get(axis, slice(10, 20)) for axis in "ijk")] = 2
    return Volume(labels, np.eye(4)), Volume(brain, np.eye(4))


def test_an_empty_mask_a_huge_one_and_one_at_the_edge_are_flagged():
    labels, brain = block()
    assert mask_flags(labels, brain) == ()
    empty = labels.with_array(np.zeros_like(labels.array))
    assert [f.code for f in mask_flags(empty, brain)] == ["no-tumor"]
    (huge,) = mask_flags(*block(i=slice(1, 39), j=slice(1, 39), k=slice(1, 30)))
    assert huge.code == "implausible-volume"
    (edge,) = mask_flags(*block(k=slice(30, 40)))
    assert edge.code == "at-the-edge"
    assert "last k" in edge.finding


def test_low_agreement_is_flagged_by_region():
    flags = mask_flags(*block(), {"WT": LOWEST_AGREEMENT, "TC": LOWEST_AGREEMENT - 0.01})
    assert [f.code for f in flags] == ["low-agreement"]
    assert "TC" in flags[0].finding
