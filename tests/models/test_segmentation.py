from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import OBLIQUE

from data.errors import ImageError, WeightsError
from data.imaging import Volume
from models.segmentation import deepmedic
from models.segmentation.base import brain_mask, predict_in_network_space
from models.segmentation.deepmedic import _classes, _name, _nested
from models.segmentation.glioma_net import DIVISOR, coarse
from models.segmentation.msnet import MSNet
from models.segmentation.own import WEIGHTS, GliomaNet, _box, _refined
from models.segmentation.regions import labels_of, regions_of
from models.segmentation.registry import SEGMENTERS
from models.segmentation.scores import dice
from pipelines.cases import read_cases
from pipelines.evaluate import evaluate
from pipelines.weights import segmenter_of

CASES = Path(__file__).parents[2] / "configs" / "cases" / "glioma_labelled.yaml"


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


@pytest.mark.parametrize("kind", ["glioma-net", "msnet", "deepmedic", "ensemble"])
def test_every_glioma_segmenter_refuses_a_study_without_a_sequence_it_needs(kind):
    given = {"members": (GliomaNet(),)} if kind == "ensemble" else {"weights": WEIGHTS}
    segmenter = SEGMENTERS[kind].model_validate(given)
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "case", "expected"),
    # Measured on these files with the original networks (MSNet axial only).
    [
        ("msnet", "TCGA-DU-7294", {"WT": 0.951, "TC": 0.848}),
        ("deepmedic", "TCGA-FG-6692", {"WT": 0.908, "TC": 0.908, "ET": 0.899}),
    ],
)
def test_a_network_of_others_reaches_its_reference_dice(labelled, kind, case, expected):
    result = evaluate([labelled[case]], segmenter_of(kind))
    for region, value in expected.items():
        assert result.summary[region].dice.mean == pytest.approx(value, abs=0.02)


@pytest.mark.slow
def test_openvino_and_torch_draw_the_same_mask_on_a_real_case(labelled):
    case = labelled["TCGA-DU-7294"]
    one, two, rough = (
        GliomaNet(engine=engine, precision=precision).segment(case.images, case.brain).array > 0
        for engine, precision in (("torch", "f32"), ("openvino", "f32"), ("openvino", "bf16"))
    )
    assert dice(one, two) > 0.999
    assert dice(rough, two) > 0.995


@pytest.mark.slow
def test_the_own_network_draws_cases_that_it_was_never_taught_from(labelled):
    result = evaluate(list(labelled.values()), GliomaNet())
    folds = {row.case: row.weights for row in result.cases}
    assert set(folds.values()) == {"never taught from it", "a fold without it"}
    whole = [row.regions["WT"].dice for row in result.cases]
    assert np.mean(whole) >= 0.85
    assert min(whole) >= 0.65
    assert result.summary["TC"].dice.mean >= 0.60
    pair = evaluate(list(labelled.values()), GliomaNet(), only=("t1c", "flair"))
    assert pair.summary["WT"].dice.mean >= result.summary["WT"].dice.mean - 0.05


def test_specks_of_enhancement_are_core_and_more_of_it_is_not():
    labels = np.full((20, 20, 20), 2, np.uint8)
    labels[5:15, 5:15, 5:15] = 1
    speck, part = labels.copy(), labels.copy()
    speck[8:11, 8:11, 8] = 3
    part[8:12, 8:12, 8:10] = 3
    assert (GliomaNet().cleaned(speck, 1.0) == labels).all()
    assert (GliomaNet().cleaned(part, 1.0) == part).all()


def test_a_close_up_holds_the_larger_lesions_and_fits_the_network():
    whole = np.zeros((48, 56, 40), np.float32)  # on coarse voxels
    assert _box(whole) is None
    whole[2, 2, 2] = 0.9  # a speck
    assert _box(whole) is None
    low, high = (30, 10, 25), (45, 20, 39)
    whole[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 0.5
    box = _box(whole)
    for side, first, last, n in zip(box, low, high, whole.shape, strict=True):
        assert (side.stop - side.start) % DIVISOR == 0
        assert 0 <= side.start <= 2 * first - 10 or side.start == 0
        assert min(2 * last + 10, 2 * n) <= side.stop <= 2 * n


def test_coarse_regions_are_refined_where_they_may_be():
    regions = np.zeros((3, 24, 24, 24), np.float32)
    regions[:, 10:14, 10:14, 10:14] = 0.8
    fine = _refined(regions)
    assert fine.shape == (3, 48, 48, 48)
    assert fine[0, 24, 24, 24] == pytest.approx(0.8)
    assert fine.sum() == pytest.approx(8 * regions.sum(), rel=1e-3)
    assert not _refined(np.full((3, 4, 4, 4), 0.001, np.float32)).any()


def test_coarse_voxels_are_means_of_blocks():
    fine = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    assert coarse(fine).shape == (2, 2, 2)
    assert coarse(fine)[0, 0, 0] == fine[:2, :2, :2].mean()
    assert coarse(fine[None])[0, 1, 1, 1] == fine[2:, 2:, 2:].mean()


def test_regions_of_deepmedic_say_what_its_likeliest_class_says():
    rng = np.random.default_rng(0)
    classes = rng.dirichlet(np.ones(5) * 0.5, (6, 7, 8)).transpose(3, 0, 1, 2)
    likeliest = classes.argmax(axis=0)
    whole, core, enhancing = _nested(classes) > 0.5
    assert np.array_equal(whole, likeliest > 0)
    assert np.array_equal(core, np.isin(likeliest, (1, 3, 4)))
    assert np.array_equal(enhancing, likeliest == 4)


def test_a_voxel_of_deepmedic_does_not_depend_on_the_tile_it_falls_in(monkeypatch):
    """With weights drawn at random: two tilings of one head agree where both computed."""
    rng = np.random.default_rng(0)
    weights = {}
    widths = [4, 10, 12, 14, 16, 18, 20, 22, 25]
    number = norm = 0
    for path in range(3):
        weights[_name("b", path)] = torch.zeros(4)
        for layer in range(8):
            shape = (widths[layer + 1], widths[layer], 3, 3, 3)
            weights[_name("W", number)] = torch.from_numpy(
                (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
            )
            number += 1
            if layer > 0:
                _identity_norm(weights, norm, widths[layer])
                norm += 1
    for shape, width in (((60, 75, 3, 3, 3), 75), ((80, 60, 1, 1, 1), 60), ((5, 80, 1, 1, 1), 80)):
        kernel = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        weights[_name("W", number)] = torch.from_numpy(kernel.astype(np.float32))
        _identity_norm(weights, norm, width)
        number, norm = number + 1, norm + 1
    weights["b_3"] = torch.zeros(5)
    scan = rng.standard_normal((4, 45, 30, 30)).astype(np.float32)
    inside = np.ones(scan.shape[1:], bool)
    whole = _classes(weights, scan, inside)
    monkeypatch.setattr(deepmedic, "TILE", 15)
    tiled = _classes(weights, scan, inside)
    assert np.abs(whole - tiled).max() < 1e-4


def _identity_norm(weights, n, width):
    weights[_name("muBnsForRollingAverage", n)] = torch.zeros(width)
    weights[_name("varBnsForRollingAverage", n)] = torch.ones(width)
    weights[_name("gBn", n)] = torch.ones(width)
    weights[_name("bBn", n)] = torch.zeros(width)
    weights[_name("aPrelu", n)] = torch.full((width,), 0.1)


@pytest.fixture(scope="module")
def labelled(shared):
    return {case.name: case for case in read_cases(CASES)}
