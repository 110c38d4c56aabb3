from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.phantom.anatomy import Anatomy, vary
from models.phantom.contrast import paint, render
from models.phantom.lesion import CAVITY, CORE, EDEMA, ENHANCING, KIND_SHARES, grow_lesion
from models.phantom.patient import Patient, another
from models.phantom.scanner import CLEAN, scan, thick_slices
from models.segmentation.regions import regions_of

SHAPE = (40, 44, 36)
SEQUENCES = ("t1", "t1c", "t2", "flair")


@pytest.fixture(scope="module")
def anatomy():
    """An egg of white matter in a shell of cortex in a shell of CSF, 4 mm voxels."""
    grid = np.indices(SHAPE) - (np.array(SHAPE)[:, None, None, None] - 1) / 2
    radius = np.sqrt(((grid / (np.array(SHAPE)[:, None, None, None] / 2.2)) ** 2).sum(0))
    white = (radius < 0.75).astype(np.float32)
    grey = ((radius >= 0.75) & (radius < 0.9)).astype(np.float32)
    csf = ((radius >= 0.9) & (radius < 1.0)).astype(np.float32)
    return Anatomy(white, grey, csf, (4.0, 4.0, 4.0))


def lesion(anatomy, kind=None, **more):
    rng = np.random.default_rng(3)
    seed = np.array(SHAPE) // 2
    return grow_lesion(anatomy, seed, rng, visible_volume_mm3=40_000.0, kind=kind, **more)


@pytest.mark.parametrize("kind", KIND_SHARES)
def test_every_kind_of_tumor_stays_in_the_brain_and_has_about_the_volume_asked_for(anatomy, kind):
    grown = lesion(anatomy, kind)
    visible = (grown.labels > 0).sum() * 64.0
    assert not grown.labels[~anatomy.brain].any()
    assert 20_000 < visible < 80_000


def test_a_ring_enhances_around_its_core_and_a_cavity_is_labelled_apart(anatomy):
    ring = lesion(anatomy, "ring").labels
    assert {EDEMA, ENHANCING} <= set(np.unique(ring))
    assert (lesion(anatomy, "ring", cavity=True).labels == CAVITY).any()


def test_contrast_agent_shows_in_t1c_alone_and_edema_on_flair(anatomy):
    labels = np.zeros(SHAPE, np.uint8)
    labels[12:28, 14:30, 12:24] = EDEMA
    labels[17:23, 18:26, 15:21] = CORE
    labels[18:22, 19:25, 16:20] = ENHANCING
    for seed in range(8):
        rng = np.random.default_rng(seed)
        images = render(
            anatomy, labels, SEQUENCES, rng, scanner=CLEAN, decoys=False, random_share=0.0
        ).images
        healthy = (anatomy.white > 0.9) & (labels == 0)
        flair = images["flair"]
        assert flair[labels == EDEMA].mean() > flair[healthy].mean()
        gain = images["t1c"][labels == ENHANCING].mean() / images["t1"][labels == ENHANCING].mean()
        usual = images["t1c"][healthy].mean() / images["t1"][healthy].mean()
        assert gain > usual


def test_the_same_seed_renders_the_same_head(anatomy):
    grown = lesion(anatomy).labels
    one, two = (
        render(anatomy, grown, SEQUENCES, np.random.default_rng(1)).images for _ in range(2)
    )
    assert all(np.array_equal(one[s], two[s]) for s in SEQUENCES)
    assert not one["flair"][~anatomy.brain].any()


def test_edema_that_has_faded_is_not_labelled_and_nothing_else_is_lost(anatomy):
    labels = np.zeros(SHAPE, np.uint8)
    labels[8:32, 10:34, 8:28] = EDEMA
    labels[18:22, 18:24, 15:20] = CORE
    flat = {"flair": np.ones(SHAPE, np.float32)}
    half = (np.indices(SHAPE)[0] < 14).astype(np.float32)
    wet = replace(anatomy, white=anatomy.white * (1 - half), csf=half)  # edema fades in fluid
    faded = 0
    for seed in range(30):
        seen = paint(flat, wet, labels, {}, np.random.default_rng(seed))
        lost = (labels > 0) & (seen.labels == 0)
        assert (labels[lost] == EDEMA).all()
        assert np.array_equal(seen.labels[~lost], labels[~lost])
        change = np.abs(seen.images["flair"] - 1.0)
        if lost.any():
            faded += 1
            assert change[lost].mean() < 0.6 * change[seen.labels == EDEMA].mean()
    assert faded >= 3


def test_a_varied_head_keeps_tissue_shares_between_zero_and_one(anatomy):
    head = vary(anatomy, np.random.default_rng(0))
    total = head.white + head.grey + head.csf
    assert total.max() <= 1.0 + 1e-5
    assert min(head.white.min(), head.grey.min(), head.csf.min()) >= 0.0
    assert not np.array_equal(head.white, anatomy.white)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thick_slices_keep_the_mean_and_lose_detail_along_one_axis_only(axis):
    image = np.random.default_rng(0).standard_normal((40, 40, 40)).astype(np.float32)
    thick = thick_slices(image, axis, 4.0)
    rough = [float(np.abs(np.diff(thick, axis=a)).mean()) for a in range(3)]
    assert int(np.argmin(rough)) == axis
    assert thick.mean() == pytest.approx(image.mean(), abs=0.02)


def test_a_scan_is_positive_inside_the_brain_and_zero_outside(anatomy):
    image = scan(anatomy.white, anatomy.brain, anatomy.spacing_mm, np.random.default_rng(0), CLEAN)
    assert (image[anatomy.brain] > 0).all()
    assert not image[~anatomy.brain].any()


def test_a_varied_patient_keeps_labels_on_the_lesion_and_may_gain_one(anatomy):
    labels = np.zeros(SHAPE, np.uint8)
    labels[8:14, 18:26, 14:22] = EDEMA
    bright = np.where(anatomy.brain, 1.0 + 2.0 * (labels > 0), 0.0).astype(np.float32)
    regions = regions_of(labels).astype(np.float32)
    patient = Patient({"t1c": bright, "flair": bright}, regions, anatomy, anatomy.brain)
    same = another(patient, np.random.default_rng(0), lesion_share=0.0, largest_ml=20.0)
    inside = same.regions[0] > 0.5
    assert (
        same.images["flair"][inside].mean()
        > 1.3 * same.images["flair"][~inside & same.brain].mean()
    )
    grown = [
        another(patient, np.random.default_rng(seed), lesion_share=1.0, largest_ml=60.0)
        for seed in range(4)
    ]
    assert np.mean([one.regions[0].sum() for one in grown]) > 1.2 * same.regions[0].sum()
