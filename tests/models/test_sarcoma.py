"""The sarcoma network's space, scales and gate; what it is worth is in tests/pipelines/test_sarcoma.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import OBLIQUE
from safetensors.torch import save_file

from data.errors import ImageError
from data.imaging import Volume
from models.segmentation.sarcoma import WEIGHTS, SarcomaNet
from models.segmentation.sarcoma_net import (
    CHANNELS,
    HU_RANGE,
    SPACING_MM,
    build_sarcoma_net,
    common_grid,
    scaled,
)
from models.segmentation.sarcoma_quality import sarcoma_flags
from models.segmentation.suv_threshold import SuvThreshold

RNG = np.random.default_rng(0)


def volume(shape, spacing, origin=(0.0, 0.0, 0.0), codes="RAS") -> Volume:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    return Volume(np.zeros(shape, np.float32), affine).reoriented(codes)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    save_file(build_sarcoma_net().state_dict(), path)
    return SarcomaNet(weights=path, engine="torch", precision="f32")


def limb(tumor_suv: float = 6.0) -> dict[str, Volume]:
    """A leg with a warm ball in it, as PET (LPS, coarse), CT and T1."""
    found = {}
    for name, spacing, codes in (("pet", 5.0, "LPS"), ("ct", 2.0, "LPS"), ("t1", 2.5, "RAS")):
        n = round(150 / spacing)
        grid = volume((n, n, n), (spacing,) * 3, (-75.0, -75.0, -75.0), codes)
        at = grid.world(np.moveaxis(np.indices(grid.shape), 0, -1).astype(float))
        leg = np.hypot(at[..., 0], at[..., 1]) < 60
        ball = ((at - [15.0, 10.0, -5.0]) ** 2).sum(-1) < 25.0**2
        values = {
            "pet": np.where(ball, tumor_suv, 0.6 * leg),
            "ct": np.where(leg, np.where(ball, 30.0, -90.0), -1000.0),
            "t1": np.where(ball, 400.0, 900.0 * leg),
        }[name]
        grain = np.random.default_rng(1).standard_normal(grid.shape) * np.abs(values).max() * 0.02
        found[name] = grid.with_array((values + np.abs(grain)).astype(np.float32))
    return found


def test_the_grid_is_where_all_images_reach_and_on_one_lattice():
    pet = volume((40, 40, 60), (5.47, 5.47, 3.27), (-101.3, -77.7, 300.1), "LPS")
    t1 = volume((60, 70, 50), (1.95, 1.95, 3.27), (-55.2, -60.1, 333.3))
    grid = common_grid([pet, t1])
    assert grid.axis_codes == "RAS"
    assert np.allclose(grid.spacing_mm, SPACING_MM)
    assert np.allclose(grid.affine[:3, 3] / SPACING_MM, np.rint(grid.affine[:3, 3] / SPACING_MM))
    ends = grid.world(np.array([[0, 0, 0], np.array(grid.shape) - 1], float))
    for image in (pet, t1):
        corners = image.world(np.array([[0, 0, 0], np.array(image.shape) - 1], float))
        assert (ends[0] >= corners.min(0) - 1e-6).all()
        assert (ends[1] <= corners.max(0) + 1e-6).all()
    assert (ends[1] - ends[0] > 0.9 * 1.95 * np.array([59, 69, 49]) - SPACING_MM).all()


def test_images_that_do_not_meet_are_refused_with_what_to_check():
    here, there = volume((30, 30, 30), (5, 5, 5)), volume((30, 30, 30), (5, 5, 5), (140, 0, 0))
    with pytest.raises(ImageError, match=r"5 x 145 x 145 mm.*one coordinate system"):
        common_grid([here, there])


def test_each_image_has_its_own_scale_and_an_absent_one_is_zero():
    shape = (6, 7, 8)
    images = {"pet": np.full(shape, np.e - 1), "ct": RNG.uniform(-1000, 3000, shape)}
    channels = scaled(images)
    assert np.allclose(channels[CHANNELS.index("pet")], 1.0)
    assert channels[CHANNELS.index("ct")].min() == HU_RANGE[0] / 100
    assert channels[CHANNELS.index("ct")].max() == HU_RANGE[1] / 100
    assert not channels[CHANNELS.index("t1")].any()


def test_mr_has_no_unit_so_its_scale_does_not_matter():
    image = np.where(RNG.random((20, 20, 20)) < 0.7, RNG.normal(500, 60, (20, 20, 20)), 0)
    assert np.allclose(scaled({"t1": image}), scaled({"t1": 7.3 * image}), atol=1e-4)


@pytest.mark.parametrize("first", CHANNELS)
def test_the_mask_is_on_the_grid_of_the_first_image(untrained, first):
    images = limb()
    images = {first: images.pop(first)} | images
    found = untrained.examine(images, None)
    assert found.labels.same_grid(images[first])
    assert len(found.opinions) == 4
    assert set(found.agreement) == {"WT"}
    assert np.array_equal(untrained.segment(images, None).array, found.labels.array)


def test_an_oblique_image_comes_back_to_its_own_grid(untrained):
    image = Volume(RNG.random((60, 70, 40)).astype(np.float32) * 5, OBLIQUE)
    found = untrained.regions({"pet": image}, None)
    assert found.shape == (1, *image.shape)
    assert found.min() >= 0
    assert found.max() <= 1


def test_a_study_with_none_of_its_images_is_refused(untrained):
    with pytest.raises(ImageError, match="needs one of pet, ct, t1; this study has flair"):
        untrained.segment({"flair": limb()["t1"]}, None)


@pytest.mark.parametrize("name", CHANNELS)
def test_one_image_is_enough_and_is_looked_at_upside_down_for_other_opinions(untrained, name):
    image = limb()[name]
    found = untrained.examine({name: image}, None)
    assert len(found.opinions) == 3
    assert found.disagreement.same_grid(image)
    assert not np.array_equal(found.opinions[0], found.opinions[2])
    assert np.array_equal(found.opinions[0], untrained.regions({name: image}, None))


def test_the_shipped_network_finds_a_warm_ball_in_a_leg():
    images = limb()
    mask = SarcomaNet().segment(images, None).array > 0
    ball = images["pet"].array > 4
    overlap = 2 * (mask & ball).sum() / (mask.sum() + ball.sum())
    assert WEIGHTS.stat().st_size < 10e6
    assert overlap > 0.7


def test_a_sound_study_passes_the_gate():
    assert sarcoma_flags(limb()) == ()


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("pet", lambda v: v.array * 5000, "not in SUV"),
        ("pet", lambda v: v.array - 900, "not in SUV"),
        ("ct", lambda v: v.array + 1024, "not in HU"),
        ("t1", lambda v: (v.array > 100).astype(np.float32), "different values"),
        ("t1", lambda v: np.minimum(v.array, 500), "cut off"),
    ],
)
def test_units_and_gray_levels_that_cannot_be_are_stopped(name, spoil, said):
    images = limb()
    images[name] = images[name].with_array(spoil(images[name]))
    flags = sarcoma_flags(images)
    assert any(said in flag.finding and flag.severity == "stop" for flag in flags)


def test_a_whole_body_is_stopped_and_told_to_be_given_a_focus():
    body = volume((20, 20, 200), (20, 20, 5)).with_array(
        RNG.random((20, 20, 200)).astype(np.float32)
    )
    (flag,) = sarcoma_flags({"pet": body})
    assert flag.code == "field-of-view"
    assert "1000 mm" in flag.finding
    assert "focus" in flag.look_at


def test_the_usual_threshold_draws_from_a_share_of_the_highest_uptake():
    images = limb(tumor_suv=10.0)
    mask = SuvThreshold().segment(images, None)
    assert mask.same_grid(images["pet"])
    pet = images["pet"].array
    assert np.array_equal(mask.array > 0, pet >= 0.41 * pet.max())
    with pytest.raises(ImageError, match="suv-threshold needs pet"):
        SuvThreshold().segment({"ct": images["ct"]}, None)
