"""Runs a trained network: in OpenVINO on the CPU, or in torch, on a GPU where there is one.

Torch also takes over where OpenVINO cannot run; which of them computed is recorded with every mask.

OpenVINO silently computes in bfloat16 on processors that have it; here the precision is always said.
The converted network (IR) is kept beside the weights and made again when they change.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from data.errors import WeightsError
from data.files import sha256_file

Array = NDArray[np.float32]
Forward = Callable[[Array], Array]
"""(batch, channel, i, j, k) images to (batch, region, i, j, k) logits."""
Engine = Literal["openvino", "torch"]
Precision = Literal["f32", "bf16"]


@lru_cache(maxsize=4)
def forward_of(
    build: Callable[[], torch.nn.Module],
    weights: Path,
    channels: int,
    engine: Engine,
    precision: Precision,
) -> Forward:
    """A network ready to run, kept for the next call.

    Args:
        build: makes the untrained network.
        weights: safetensors with its state.
        channels: images it takes.
        engine: what computes it; torch takes a GPU where there is one.
        precision: of the arithmetic; the result is float32 in any case.

    Raises:
        WeightsError: no such file, or it does not fit the network.
    """
    if engine_in_use(engine) == "torch":
        return _torch_forward(_loaded(build, weights), precision)
    return _openvino_forward(build, weights, channels, precision_in_use("openvino", precision))


@lru_cache(maxsize=2)
def engine_in_use(wanted: Engine) -> Engine:
    """The engine that computes where ``wanted`` is asked for: torch where OpenVINO cannot run."""
    if wanted == "openvino":
        try:
            import openvino

            if "CPU" in openvino.Core().available_devices:
                return "openvino"
        except (ImportError, OSError, RuntimeError):
            pass
    return "torch"


@lru_cache(maxsize=4)
def precision_in_use(engine: Engine, wanted: Precision) -> Precision:
    """The precision of the arithmetic: single where OpenVINO's processor has no bfloat16."""
    if engine == "openvino" and wanted == "bf16":
        import openvino

        able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return "bf16" if "BF16" in able else "f32"
    return wanted


def _require(weights: Path) -> None:
    if not weights.is_file():
        raise WeightsError(
            f"{weights}: the network's weights are missing; install the package again"
        )


def _loaded(build: Callable[[], torch.nn.Module], weights: Path) -> torch.nn.Module:
    _require(weights)
    net = build()
    try:
        net.load_state_dict(load_file(weights))
    except (RuntimeError, SafetensorError) as error:
        first = str(error).splitlines()[0]
        raise WeightsError(f"{weights}: these weights do not fit the network ({first})") from error
    return net.eval()


def _torch_forward(net: torch.nn.Module, precision: Precision) -> Forward:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = net.to(device)

    def forward(images: Array) -> Array:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"),
        ):
            logits = net(torch.from_numpy(np.ascontiguousarray(images)).to(device))
        return np.asarray(logits.float().cpu().numpy())

    return forward


def _openvino_forward(
    build: Callable[[], torch.nn.Module], weights: Path, channels: int, precision: Precision
) -> Forward:
    import openvino

    core = openvino.Core()
    model = core.read_model(_ir(openvino, build, weights, channels))
    compiled = core.compile_model(
        model,
        "CPU",
        {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()},
    )

    def forward(images: Array) -> Array:
        return np.array(compiled(np.ascontiguousarray(images))[0], np.float32)

    return forward


def _ir(openvino: Any, build: Callable[[], torch.nn.Module], weights: Path, channels: int) -> Path:
    """The IR of these weights: beside them, or where that cannot be written in the user's cache."""
    from data.samples.distribution import cache_dir

    _require(weights)
    name = f"{weights.stem}-{sha256_file(weights)[:12]}-ov{openvino.__version__.split('-')[0]}"
    places = [weights.parent, cache_dir() / "openvino"]
    for folder in places:
        if (folder / f"{name}.xml").is_file():
            return folder / f"{name}.xml"
    net = _loaded(build, weights)
    size = 32
    example = torch.zeros(1, channels, size, size, size)
    with warnings.catch_warnings():  # tracing warns of instance norm's checks of shape
        warnings.simplefilter("ignore")
        model = openvino.convert_model(net, example_input=example)
    model.reshape([-1, channels, -1, -1, -1])
    for folder in places:
        try:
            return _saved(openvino, model, folder / f"{name}.xml")
        except OSError:
            continue
    raise WeightsError(f"the converted network can be kept neither in {places[0]} nor {places[1]}")


def _saved(openvino: Any, model: Any, path: Path) -> Path:
    """Both files of an IR, whole or not at all; the .xml last, since it is what is looked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    probe = path.with_name(f"{path.stem}.{os.getpid()}.tmp")
    probe.touch()
    probe.unlink()
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp.xml")  # others may convert too
    openvino.save_model(model, temporary, compress_to_fp16=False)
    temporary.with_suffix(".bin").replace(path.with_suffix(".bin"))
    return temporary.replace(path)
