from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from data.errors import WeightsError
from models.segmentation.engine import engine_in_use, forward_of
from models.segmentation.glioma_net import SEQUENCES, build_glioma_net
from models.segmentation.own import GliomaNet

CHANNELS = len(SEQUENCES)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    save_file(build_glioma_net().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).standard_normal((1, CHANNELS, 32, 40, 24)).astype(np.float32)


def test_openvino_and_torch_agree(weights, images):
    torch_says = forward_of(build_glioma_net, weights, CHANNELS, "torch", "f32")(images)
    openvino_says = forward_of(build_glioma_net, weights, CHANNELS, "openvino", "f32")(images)
    assert openvino_says.shape == (1, 3, 32, 40, 24)
    assert np.abs(openvino_says - torch_says).max() < 5e-3


def test_the_precision_is_what_was_asked_for(weights, images):
    exact = forward_of(build_glioma_net, weights, CHANNELS, "torch", "f32")(images)
    rough = forward_of(build_glioma_net, weights, CHANNELS, "torch", "bf16")(images)
    plain = forward_of(build_glioma_net, weights, CHANNELS, "openvino", "f32")(images)
    assert np.abs(rough - exact).mean() > 10 * np.abs(plain - exact).mean()


def test_where_openvino_cannot_run_torch_takes_over_and_the_provenance_says_so(
    weights, images, monkeypatch
):
    exact = forward_of(build_glioma_net, weights, CHANNELS, "torch", "f32")(images)
    assert GliomaNet(weights=weights).settings["engine"] == "openvino"
    monkeypatch.setitem(sys.modules, "openvino", None)
    for cached in (engine_in_use, forward_of):
        cached.cache_clear()
    try:
        assert GliomaNet(weights=weights).settings["engine"] == "torch"
        forward = forward_of(build_glioma_net, weights, CHANNELS, "openvino", "f32")
        assert np.array_equal(forward(images), exact)
    finally:
        for cached in (engine_in_use, forward_of):
            cached.cache_clear()


def test_the_converted_network_is_kept_beside_the_weights(weights, images):
    forward_of(build_glioma_net, weights, CHANNELS, "openvino", "f32")(images)
    kept = list(weights.parent.glob("net-*.xml"))
    assert len(kept) == 1
    assert kept[0].with_suffix(".bin").is_file()
    assert not list(weights.parent.glob("*.tmp*"))


def test_other_images_sizes_need_no_new_network(weights):
    forward = forward_of(build_glioma_net, weights, CHANNELS, "openvino", "f32")
    for shape in ((16, 24, 32), (48, 16, 16)):
        assert forward(np.zeros((1, CHANNELS, *shape), np.float32)).shape == (1, 3, *shape)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="do not fit the network"):
        forward_of(build_glioma_net, path, CHANNELS, "torch", "f32")


def test_damaged_weights_are_refused(tmp_path):
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(b"\x10\x00")
    with pytest.raises(WeightsError, match="do not fit the network"):
        forward_of(build_glioma_net, path, CHANNELS, "torch", "f32")
