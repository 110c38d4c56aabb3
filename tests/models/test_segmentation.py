from __future__ import annotations

import numpy as np
import pytest
from conftest import OBLIQUE

from data.errors import ImageError, WeightsError
from data.imaging import Volume
from data.io.nifti import read_nifti
from models.segmentation.base import brain_mask, predict_in_network_space
from models.segmentation.msnet import MSNet
from models.segmentation.own import WEIGHTS, GliomaNet
from models.segmentation.regions import labels_of, regions_of
from models.segmentation.registry import SEGMENTERS
from pipelines.sites.glioma import LABEL_ALIASES, LABELS
from pipelines.weights import find_weights


def head(affine=OBLIQUE, shape=(70, 80, 30)):
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(float)
    middle, radii = np.array(shape) / 2, np.array(shape) / 2.3
    inside = (((grid - middle[:, None, None, None]) / radii[:, None, None, None]) ** 2).sum(0) < 1
    rng = np.random.default_rng(0)
    return Volume(np.where(inside, 100 + rng.normal(0, 5, shape), 0).astype(np.float32), affine)


def test_labels_and_regions_are_inverse():
    labels = np.random.default_rng(0).integers(0, 4, (4, 5, 6)).astype(np.uint8)
    assert np.array_equal(labels_of(regions_of(labels)), labels)


def test_a_region_outside_the_one_that_contains_it_does_not_count():
    regions = np.zeros((3, 1, 1, 2), bool)
    regions[2, 0, 0, 0] = regions[0, 0, 0, 1] = regions[1, 0, 0, 1] = True
    assert labels_of(regions).ravel().tolist() == [0, 1]


@pytest.mark.parametrize("axis_codes", ["RAS", "LPS"])
@pytest.mark.parametrize("spacing", [1.0, 2.0])
def test_what_is_drawn_in_network_space_comes_back_to_its_place_in_an_oblique_scan(
    axis_codes, spacing
):
    scan = head()
    marked = np.zeros(scan.shape, np.float32)
    marked[20:30, 40:56, 12:20] = 50.0
    images = {"t1c": scan, "flair": scan.with_array(scan.array + marked)}

    def predict(stack, inside):
        return (stack[1] - stack[0] > 25)[None].astype(np.float32)

    back = predict_in_network_space(
        images,
        ("t1c", "flair"),
        brain_mask(None, scan),
        predict,
        axis_codes=axis_codes,
        spacing_mm=spacing,
        divisor=8,
        reference=scan,
    )
    assert back.shape == (1, *scan.shape)
    found, meant = back[0] > 0.5, marked > 0
    dice = 2 * (found & meant).sum() / (found.sum() + meant.sum())
    assert dice > 0.9
    shift = np.argwhere(found).mean(0) - np.argwhere(meant).mean(0)
    assert np.abs(shift).max() < 0.5


def test_a_sequence_on_another_grid_is_brought_to_the_reference_first():
    scan = head(np.diag([1.5, 1.5, 2.0, 1.0]), (60, 60, 40))
    flipped = scan.reoriented("LPI")
    seen = {}

    def predict(stack, inside):
        seen["difference"] = float(np.abs(stack[0] - stack[1]).max())
        return np.zeros((1, *inside.shape), np.float32)

    predict_in_network_space(
        {"t1c": scan, "flair": flipped},
        ("t1c", "flair"),
        brain_mask(None, scan),
        predict,
        axis_codes="RAS",
        spacing_mm=2.0,
        reference=scan,
    )
    assert seen["difference"] < 1e-2


@pytest.mark.parametrize("kind", sorted(SEGMENTERS))
def test_every_segmenter_refuses_a_study_without_a_sequence_it_needs(kind):
    segmenter = MSNet(weights=WEIGHTS) if kind == "msnet" else GliomaNet()
    for missing in ("t1c", "flair"):
        images = {s: head() for s in ("t1", "t1c", "t2", "flair") if s != missing}
        with pytest.raises(ImageError, match=rf"{kind} needs .* has no {missing}"):
            segmenter.segment(images, None)


def test_a_head_that_is_not_skull_stripped_is_refused():
    scan = head()
    full = scan.with_array(np.full(scan.shape, 7, np.float32))
    with pytest.raises(ImageError, match="not skull-stripped"):
        brain_mask(None, full)


def test_a_brain_mask_on_another_grid_is_refused():
    scan = head()
    other = Volume(np.ones((3, 3, 3), np.uint8), np.eye(4))
    with pytest.raises(ImageError, match="same grid"):
        brain_mask(other, scan)


def test_an_empty_scan_is_refused():
    scan = head()
    with pytest.raises(ImageError, match="100 mL"):
        brain_mask(None, scan.with_array(np.zeros(scan.shape)))


def test_weights_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, a=np.zeros(3))
    scan = head()
    with pytest.raises(WeightsError, match="holds no network"):
        MSNet(weights=path).segment({s: scan for s in ("t1", "t1c", "t2", "flair")}, None)


def test_the_shipped_network_is_under_eight_megabytes_and_labels_on_the_grid_of_the_scan():
    assert WEIGHTS.stat().st_size < 8_000_000
    scan = head(np.diag([2.0, 2.0, 2.0, 1.0]), (76, 90, 70))
    labels = GliomaNet().segment({"t1c": scan, "flair": scan}, None)
    assert labels.same_grid(scan)
    assert set(np.unique(labels.array)) <= {0, 1, 2, 3}


def dice(found, meant):
    total = found.sum() + meant.sum()
    return 1.0 if total == 0 else 2 * (found & meant).sum() / total


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patient", "expected"),
    # Measured on these files with the original networks, axial only.
    [
        ("TCGA-DU-7294", {"WT": 0.951, "TC": 0.848}),
        ("TCGA-FG-6692", {"WT": 0.914, "TC": 0.933, "ET": 0.932}),
    ],
)
def test_msnet_reaches_its_reference_dice(shared, patient, expected):
    from data.imaging import Segmentation
    from data.io.nifti import read_segmentation

    case = shared / "glioma" / patient
    images = {s: read_nifti(case / f"{patient}_{s}.nii.gz") for s in ("t1", "t1c", "t2", "flair")}
    images = {s: v.with_array(np.clip(v.array, 0, None)) for s, v in images.items()}
    network = MSNet(weights=find_weights("msnet_brats17_fp32.npz"))
    found = Segmentation(network.segment(images, None), LABELS)
    meant = read_segmentation(case / f"{patient}_consensus_seg.nii.gz", LABELS, LABEL_ALIASES)
    for region, value in expected.items():
        assert dice(found.mask(region), meant.mask(region)) == pytest.approx(value, abs=0.02)
