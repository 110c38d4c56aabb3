"""A later scan laid on an earlier one: by a known movement, and refused where it is another head."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from data.alignment import Alignment
from data.imaging import Volume
from data.io.nifti import read_nifti
from models.alignment import align, difference, matched
from models.registration import resample


def movement(degrees, shift):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def moved(volume, matrix, rng, noise=0.02):
    """The same patient, lying otherwise, brighter and noisy."""
    plain = volume.with_array(np.asarray(volume.array, np.float32))
    later = resample(plain, volume, np.linalg.inv(matrix)).array
    scale = noise * float(later.max())
    return volume.with_array(
        np.where(later > 0, 1.3 * later + rng.normal(0, scale, later.shape), 0).astype(np.float32)
    )


def phantom(rng, shape=(64, 72, 48), spacing=(2.5, 2.5, 3.0)):
    grid = (np.indices(shape) - np.array(shape)[:, None, None, None] / 2) * np.array(spacing)[
        :, None, None, None
    ]
    inside = ((grid / np.array([65, 80, 60])[:, None, None, None]) ** 2).sum(0) < 1
    texture = gaussian_filter(rng.normal(size=shape), 3)
    array = np.where(inside, 200 + 60 * texture / texture.std(), 0).clip(0)
    return Volume(array.astype(np.float32), np.diag([*spacing, 1.0]))


def error_mm(found, truth, volume):
    points = volume.world(np.argwhere(volume.array > 0)[::50].astype(float))
    apart = (found - truth)[:3, :3] @ points.T + (found - truth)[:3, 3:]
    return float(np.linalg.norm(apart, axis=0).max())


@pytest.mark.parametrize("kind", ["rigid", "affine"])
def test_a_known_movement_is_found_and_passes_its_checks(kind):
    rng = np.random.default_rng(1)
    first = phantom(rng)
    truth = movement((4, -3, 6), (5, -4, 3))
    found = align(first, moved(first, truth, rng), sequence="t1", kind=kind)
    assert found.doubts == ()
    assert error_mm(found.matrix, truth, first) < 1.0
    assert found.correlation > 0.9 > found.correlation_before
    assert Alignment.model_validate_json(found.model_dump_json()) == found


def test_the_tumor_does_not_pull_the_match():
    rng = np.random.default_rng(2)
    first = phantom(rng)
    points = np.moveaxis(np.indices(first.shape), 0, -1) * [2.5, 2.5, 3.0]
    ball = np.linalg.norm(points - [110, 90, 72], axis=-1)
    later = first.with_array(np.where(ball < 26, 900, first.array).astype(np.float32))
    first = first.with_array(np.where(ball < 10, 900, first.array).astype(np.float32))
    found = align(first, later, sequence="t1", tumor=ball < 26)
    assert error_mm(found.matrix, np.eye(4), first) < 0.3


def test_another_patient_is_doubted_in_words():
    first, other = (phantom(np.random.default_rng(seed)) for seed in (3, 4))
    found = align(first, other, sequence="t1")
    assert found.doubts
    assert any("correlates" in said or "there and back" in said for said in found.doubts)


def test_a_scan_of_half_the_patient_is_doubted():
    rng = np.random.default_rng(5)
    first = phantom(rng)
    half = Volume(first.array[:, :, :22], first.affine)
    found = align(first, half, sequence="t1")
    assert any("of the earlier patient only" in said for said in found.doubts)


def test_what_became_brighter_is_positive_and_scanners_are_matched():
    rng = np.random.default_rng(6)
    first = phantom(rng)
    later = first.with_array((2.0 * first.array + 30 * (first.array > 0)).astype(np.float32))
    array = np.array(later.array)
    array[30:34, 30:34, 20:24] += 2.0 * 150
    inside = first.array > 0
    same = first.with_array(matched(first, later.with_array(array), inside))
    change = difference(first, same, inside)
    low, high = np.percentile(first.array[first.array > 0], [1, 99])
    assert change[31, 31, 21] == pytest.approx(100 * 150 / (high - low), abs=8)
    assert np.abs(change[first.array == 0]).max() == 0
    rest = change[first.array > 0]
    assert np.median(np.abs(rest)) <= 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patient", "sequence"), [("TCGA-FG-6692", "t1c"), ("TCGA-DU-7294", "flair")]
)
def test_a_real_head_is_brought_back_to_a_tenth_of_a_millimetre(shared, patient, sequence):
    first = read_nifti(shared / "glioma" / patient / f"{patient}_{sequence}.nii.gz")
    rng = np.random.default_rng(7)
    truth = movement((8, -5, 10), (12, -7, 5))
    found = align(first, moved(first, truth, rng), sequence=sequence)
    assert found.doubts == ()
    assert error_mm(found.matrix, truth, first) < 0.1
    assert found.turned_degrees == pytest.approx(14.0, abs=0.2)


@pytest.mark.slow
def test_two_real_heads_are_not_taken_for_one(shared):
    heads = [
        read_nifti(shared / "glioma" / p / f"{p}_t1c.nii.gz")
        for p in ("TCGA-FG-6692", "TCGA-DU-7294")
    ]
    assert align(*heads, sequence="t1c").doubts
