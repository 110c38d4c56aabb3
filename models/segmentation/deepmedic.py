"""DeepMedic: three pathways at full, third and fifth resolution, in torch; a second opinion.

Kamnitsas et al., Efficient multi-scale 3D CNN with fully connected CRF for accurate brain lesion
segmentation, Med Image Anal 2017;36:61. Weights: University of Pennsylvania (CaPTk, SBIA licence),
587 high-grade gliomas; users add them once.

What must be as it was trained: statistics over the brain between its 5 % and 95 % quantiles and within
three standard deviations; normalisation before the activation, with the stored averages; residuals
into the first channels, every second layer from the fourth and around the last hidden ones; 0.7 on
the inputs of the last two layers, which is what dropout leaves at inference; no padding, so that
each tile is cut with its surround.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
import torch.nn.functional as nn
from numpy.typing import NDArray
from typing_extensions import override

from data.errors import WeightsError
from data.imaging import Volume
from models.segmentation.base import Network, brain_mask, predict_in_network_space

CHANNELS = ("t1", "t1c", "t2", "flair")
SCALES = (1, 3, 5)
LAYERS = 8
"""Convolutions of one pathway, 3 x 3 x 3 without padding: each loses one voxel on every side."""
KEPT_BY_DROPOUT = 0.7
TILE = 45
"""Edge of the cube of results that is computed at once; a multiple of every scale."""
CLASSES = 5
"""Background, then labels 1 to 4 of BraTS; 3 is not used, 4 enhances."""

Weights = dict[str, torch.Tensor]
Array = NDArray[np.float32]


@final
class DeepMedic(Network):
    """Class probabilities of every voxel from its surroundings at three scales."""

    kind: Literal["deepmedic"] = "deepmedic"
    weights: Path

    @property
    @override
    def requires(self) -> tuple[str, ...]:
        return ("t1c", "flair", "t1", "t2")

    @property
    @override
    def citation(self) -> str:
        return "Kamnitsas et al. 2017, Med Image Anal 36:61 (weights: UPenn SBIA, CaPTk)"

    @override
    def regions(self, images: Mapping[str, Volume], brain: Volume | None) -> Array:
        self.require(images, brain)
        reference = images["t1c"]
        weights = _load(self.weights)

        def predict(stack: Array, inside: NDArray[np.bool_]) -> Array:
            return _nested(_classes(weights, stack, inside)) * inside

        return predict_in_network_space(
            images,
            CHANNELS,
            brain_mask(brain, reference),
            predict,
            axis_codes="LPS",
            spacing_mm=1.0,
            reference=reference,
        )


def _nested(classes: Array) -> Array:
    """(5, i, j, k) class probabilities to (3, i, j, k) of whole tumor, core and enhancing.

    A region's value is its likeliest class against the likeliest outside it, so that above one half
    means what the network's own rule means: the likeliest class of all is in the region.
    """
    within = ([1, 2, 3, 4], [1, 3, 4], [4])
    inside = np.stack([classes[group].max(axis=0) for group in within])
    outside = np.stack([np.delete(classes, group, axis=0).max(axis=0) for group in within])
    return np.asarray(inside / (inside + outside), np.float32)


def _classes(weights: Weights, stack: Array, inside: NDArray[np.bool_]) -> Array:
    """(4, i, j, k) scans to (5, i, j, k) class probabilities, tile by tile."""
    shape = inside.shape
    lost = (LAYERS + 2) * max(SCALES)
    around = [(lost, lost + -n % TILE) for n in shape]
    padded = [np.pad(np.where(inside, channel, 0.0), around) for channel in stack]
    scaled = [
        _normalized(wide, channel[inside]) for wide, channel in zip(padded, stack, strict=True)
    ]
    source = torch.from_numpy(np.stack(scaled))[None]
    out = np.zeros((CLASSES, *(n + -n % TILE for n in shape)), np.float32)
    out[0] = 1.0  # where no tile is computed there is no brain
    with torch.inference_mode():
        for corner in product(*(range(0, n, TILE) for n in shape)):
            box = tuple(slice(c, c + TILE) for c in corner)
            if inside[box].any():
                at = tuple(c + lost for c in corner)
                out[(slice(None), *box)] = _tile(weights, source, at).numpy()
    i, j, k = shape
    return out[:, :i, :j, :k]


def _normalized(image: Array, brain: Array) -> Array:
    """Scaled by the brain's voxels; the background keeps the value that zero then has."""
    low, high = np.quantile(brain, [0.05, 0.95])
    kept = brain[(brain >= low) & (brain <= high)].astype(np.float64)
    kept = kept[np.abs(kept - kept.mean()) <= 3 * kept.std()]
    return np.asarray((image - kept.mean()) / max(float(kept.std()), 1e-6), np.float32)


def _tile(w: Weights, source: torch.Tensor, at: tuple[int, ...]) -> torch.Tensor:
    """Probabilities (5, TILE, TILE, TILE) of the cube whose first voxel is ``at``.

    The last pathway layers are followed by one more 3 x 3 x 3 layer, so a rim of one voxel is
    computed at full resolution (of one block at the others) and lost there.
    """
    joined = []
    for path, scale in enumerate(SCALES):
        rim = 1 if scale == 1 else scale
        start = [a - rim - LAYERS * scale + scale // 2 for a in at]
        count = (TILE + 2 * rim) // scale + 2 * LAYERS
        cut = [slice(s, s + (count - 1) * scale + 1, scale) for s in start]
        x = _pathway(w, path, source[(slice(None), slice(None), *cut)])
        if scale > 1:
            for axis in (2, 3, 4):
                x = x.repeat_interleave(scale, axis)
            trim = slice(rim - 1, rim - 1 + TILE + 2)
            x = x[:, :, trim, trim, trim]
        joined.append(x)
    joint = torch.cat(joined, dim=1)
    x = nn.conv3d(_activated(w, 21, joint), w["W_24"])
    x = nn.conv3d(_activated(w, 22, x) * KEPT_BY_DROPOUT, w["W_25"])
    x[:, : joint.shape[1]] += joint[:, :, 1:-1, 1:-1, 1:-1]
    x = nn.conv3d(_activated(w, 23, x) * KEPT_BY_DROPOUT, w["W_26"])
    return torch.softmax(x + w["b_3"][None, :, None, None, None], dim=1)[0]


def _pathway(w: Weights, path: int, x: torch.Tensor) -> torch.Tensor:
    x = x + w[_name("b", path)][None, :, None, None, None]
    inputs = [x]
    for layer in range(LAYERS):
        if layer > 0:
            x = _activated(w, path * (LAYERS - 1) + layer - 1, x)
        x = nn.conv3d(x, w[_name("W", path * LAYERS + layer)])
        if layer in (3, 5, 7):
            earlier = inputs[layer - 1][:, :, 2:-2, 2:-2, 2:-2]
            x[:, : earlier.shape[1]] += earlier
        inputs.append(x)
    return x


def _activated(w: Weights, n: int, x: torch.Tensor) -> torch.Tensor:
    x = nn.batch_norm(
        x,
        w[_name("muBnsForRollingAverage", n)],
        w[_name("varBnsForRollingAverage", n)],
        w[_name("gBn", n)],
        w[_name("bBn", n)],
        eps=1e-5,
    )
    return nn.prelu(x, w[_name("aPrelu", n)])


def _name(stem: str, n: int) -> str:
    return stem if n == 0 else f"{stem}_{n}"


@lru_cache(maxsize=1)
def _load(path: Path) -> Weights:
    try:
        with np.load(path, allow_pickle=False) as archive:
            weights = {key: torch.from_numpy(archive[key]) for key in archive.files}
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: not readable weights ({error})") from error
    if "W_26" not in weights:
        raise WeightsError(f"{path}: these are not the weights of DeepMedic")
    return weights
