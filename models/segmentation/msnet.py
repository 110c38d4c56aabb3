"""MSNet: cascaded anisotropic networks, second place of BraTS 2017, in torch.

Wang et al., Automatic brain tumor segmentation using cascaded anisotropic convolutional neural
networks, arXiv 1709.00382. Weights: University College London, BSD-3; users add them once.

What must be as it was trained: z-score over the brain and N(0, 1) noise outside it; slabs of 19 slices
that give 11; batch normalisation with the batch's own statistics, five slabs at a time; TensorFlow's
SAME padding; residuals with channels padded on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
import torch.nn.functional as nn
from numpy.typing import NDArray
from scipy import ndimage
from typing_extensions import override

from data.errors import WeightsError
from data.imaging import Volume
from models.segmentation.base import Box, Network, box_around, brain_mask, predict_in_network_space

CHANNELS = ("flair", "t1", "t1c", "t2")
SLAB_IN, SLAB_OUT, BATCH = 19, 11, 5
MARGIN = 5
SMALLEST_WHOLE_VOXELS = 2000
SMALLEST_ENHANCING_VOXELS = 30
SEED = 1709
"""Of the noise outside the brain: the same scan gives the same mask."""

VIEWS = (("ax", (0, 1, 2)), ("sg", (2, 0, 1)), ("cr", (1, 0, 2)))
"""Suffix of the networks' names, and the axes (of z, y, x) that each slides along and sees in plane."""

Weights = dict[str, torch.Tensor]
Views = list[tuple[Weights, tuple[int, int, int]]]
"""Networks of one step of the cascade, each with its axes."""
Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


@final
class MSNet(Network):
    """Whole tumor, then core inside it, then enhancing inside that.

    Axial networks alone, or the mean of axial, sagittal and coronal ones at three times the cost.
    """

    kind: Literal["msnet"] = "msnet"
    weights: Path
    views: Literal["axial", "three"] = "axial"

    @property
    @override
    def requires(self) -> tuple[str, ...]:
        return ("t1c", "flair", "t1", "t2")

    @property
    @override
    def citation(self) -> str:
        return "Wang et al. 2017, arXiv 1709.00382 (weights: UCL, BSD-3)"

    @override
    def regions(self, images: Mapping[str, Volume], brain: Volume | None) -> Array:
        self.require(images, brain)
        reference = images["t1c"]
        views = VIEWS if self.views == "three" else VIEWS[:1]
        nets = {
            step: [(_load(self.weights, step + view), axes) for view, axes in views]
            for step in ("wt", "tc", "en")
        }

        def predict(stack: Array, inside: Mask) -> Array:
            turned = stack.transpose(0, 3, 2, 1)
            return _cascade(turned, inside.transpose(2, 1, 0), nets).transpose(0, 3, 2, 1).copy()

        mask = brain_mask(brain, reference)
        return predict_in_network_space(
            images, CHANNELS, mask, predict, axis_codes="LPS", spacing_mm=1.0, reference=reference
        )


@lru_cache(maxsize=8)
def _load(path: Path, prefix: str) -> Weights:
    """One network's tensors in torch's layout (out, in, depth, row, column)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {
                key.removeprefix(f"{prefix}/"): archive[key]
                for key in archive.files
                if key.startswith(f"{prefix}/")
            }
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: not readable weights ({error})") from error
    if not arrays:
        raise WeightsError(f"{path}: holds no network {prefix!r}")
    return {
        key: torch.from_numpy(value.transpose(4, 3, 0, 1, 2).copy() if value.ndim == 5 else value)
        for key, value in arrays.items()
    }


def _cascade(stack: Array, inside: Mask, nets: Mapping[str, Views]) -> Array:
    """(4, z, y, x) scans to (3, z, y, x) nested masks as 0 or 1."""
    rng = np.random.default_rng(SEED)
    images = np.stack([_normalized(channel, inside, rng) for channel in stack])
    whole = _found(nets["wt"], images, (180, 160), rng, twice=True) & inside
    box = (
        box_around(_close_and_keep(whole, SMALLEST_WHOLE_VOXELS), MARGIN)
        if whole.any()
        else _all(whole)
    )
    core = np.zeros_like(whole)
    core[box] = _found(nets["tc"], images[:, *box], (96, 96), rng, twice=True)
    core &= inside
    inner = box_around(_close_and_keep(core, None), MARGIN) if core.any() else box
    enhancing = np.zeros_like(whole)
    enhancing[inner] = _found(nets["en"], images[:, *inner], (96, 96), rng, twice=False)
    enhancing &= inside
    return _fuse(whole, core, enhancing)


def _normalized(channel: Array, inside: Mask, rng: np.random.Generator) -> Array:
    voxels = (
        channel[inside & (channel > 0)] if (channel[inside] > 0).mean() > 0.9 else channel[inside]
    )
    scaled = (channel - voxels.mean()) / voxels.std()
    return np.where(inside, scaled, rng.standard_normal(channel.shape)).astype(np.float32)


def _found(
    views: Views,
    images: Array,
    smallest: tuple[int, int],
    rng: np.random.Generator,
    *,
    twice: bool,
) -> Mask:
    """Foreground where its mean probability over the views is above one half; (z, y, x)."""
    total = np.zeros(images.shape[1:], np.float32)
    for weights, axes in views:
        turned = images.transpose(0, *(axis + 1 for axis in axes))
        seen = _run(weights, turned, smallest, rng, twice=twice)
        total += seen.transpose(np.argsort(axes))
    return np.asarray(total > 0.5 * len(views))


def _run(
    weights: Weights,
    images: Array,
    smallest: tuple[int, int],
    rng: np.random.Generator,
    *,
    twice: bool,
) -> Array:
    """Probability of foreground from slabs slid along the first axis of (4, slice, row, column)."""
    _, depth, rows, columns = images.shape
    height = max((rows + 3) // 4 * 4, smallest[0])
    width = max((columns + 3) // 4 * 4, smallest[1])
    top, left = height // 2 - rows // 2, width // 2 - columns // 2
    before, after = SLAB_IN // 2, SLAB_IN // 2 + SLAB_OUT
    padded = rng.standard_normal((4, depth + before + after, height, width)).astype(np.float32)
    padded[:, before : before + depth, top : top + rows, left : left + columns] = images
    half = SLAB_OUT // 2
    centers = [min(c, max(depth - half, half)) for c in range(half, depth + half, SLAB_OUT)]
    slabs = [padded[:, c : c + SLAB_IN] for c in centers]
    out = np.zeros((depth, rows, columns), np.float32)
    for start in range(0, len(slabs), BATCH):
        chosen = slabs[start : start + BATCH]
        shape = (4, SLAB_IN, height, width)
        noise = [rng.standard_normal(shape).astype(np.float32) for _ in range(BATCH - len(chosen))]
        with torch.inference_mode():
            logits = _network(weights, torch.from_numpy(np.stack([*chosen, *noise])), twice=twice)
        found = torch.sigmoid(logits[:, 1] - logits[:, 0]).numpy()
        for center, slab in zip(centers[start:], found[: len(chosen)], strict=False):
            first = center - half
            last = min(first + SLAB_OUT, depth)
            out[first:last] = slab[: last - first, top : top + rows, left : left + columns]
    return out


def _network(w: Weights, x: torch.Tensor, *, twice: bool) -> torch.Tensor:
    """(batch, 4, 19, y, x) to (batch, 2, 11, y, x) logits; ``twice``: halved twice, not once."""
    x = _block(w, "block1_2", _block(w, "block1_1", x))
    x = _layer(w, "fuse1", x)
    if twice:
        x = _layer(w, "downsample1", x, stride=2)
    x = _block(w, "block2_2", _block(w, "block2_1", x))
    first = _layer(w, "fuse2", x)
    x = _layer(w, "downsample2", first, stride=2)
    for name, dilation in (("block3_1", 1), ("block3_2", 2), ("block3_3", 3)):
        x = _block(w, name, x, dilation)
    second = _layer(w, "fuse3", x)
    x = second
    for name, dilation in (("block4_1", 3), ("block4_2", 2), ("block4_3", 1)):
        x = _block(w, name, x, dilation)
    third = _layer(w, "fuse4", x)
    p1, p2 = first[:, :, 2:-2], second[:, :, 1:-1]
    p1 = _up(w, "pred_up1", p1) if twice else _conv(w["pred1/w"], p1)
    p2, p3 = _up(w, "pred_up2_1", p2), _up(w, "pred_up3_1", third)
    if twice:
        p2, p3 = _up(w, "pred_up2_2", p2), _up(w, "pred_up3_2", p3)
    return _conv(w["final_pred/w"], torch.cat([p1, p2, p3], dim=1))


def _block(w: Weights, name: str, x: torch.Tensor, dilation: int = 1) -> torch.Tensor:
    y = x
    for n in range(2):
        y = _norm(y, w[f"{name}/bn_{n}/gamma"], w[f"{name}/bn_{n}/beta"])
        y = nn.prelu(y, w[f"{name}/prelu_acti_{n}/alpha"])
        y = _conv(w[f"{name}/conv_{n}/w"], y, dilation)
    missing = y.shape[1] - x.shape[1]
    return y + nn.pad(x, (0, 0, 0, 0, 0, 0, missing // 2, missing - missing // 2))


def _layer(w: Weights, name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
    """Convolution, normalisation, PReLU; along depth VALID, in plane SAME."""
    full = f"{name}_bn_prelu"
    kernel = w[f"{full}/conv_/w"]
    padded = nn.pad(x, (0, 1, 0, 1)) if stride == 2 else x
    y = nn.conv3d(padded, kernel, stride=(1, stride, stride))
    return nn.prelu(
        _norm(y, w[f"{full}/bn_/gamma"], w[f"{full}/bn_/beta"]), w[f"{full}/prelu_acti_/alpha"]
    )


def _up(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    full = f"{name}_bn_prelu"
    y = nn.conv_transpose3d(x, w[f"{full}/deconv_/w"], stride=(1, 2, 2))
    y = y[..., : 2 * x.shape[-2], : 2 * x.shape[-1]]
    return nn.prelu(
        _norm(y, w[f"{full}/bn_/gamma"], w[f"{full}/bn_/beta"]), w[f"{full}/prelu_acti_/alpha"]
    )


def _conv(kernel: torch.Tensor, x: torch.Tensor, dilation: int = 1) -> torch.Tensor:
    return nn.conv3d(x, kernel, padding=(0, dilation, dilation), dilation=(1, dilation, dilation))


def _norm(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    return nn.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-5)


def _all(mask: Mask) -> Box:
    i, j, k = mask.shape
    return slice(0, i), slice(0, j), slice(0, k)


def _close_and_keep(mask: Mask, smallest: int | None) -> Mask:
    """Closed, then the large components: those above ``smallest`` voxels, or the largest and one more
    of at least a tenth of it.
    """
    structure = ndimage.generate_binary_structure(3, 2)
    closed = ndimage.binary_closing(mask, structure)
    components, count = ndimage.label(closed, structure)
    if count <= 1:
        return np.asarray(closed, bool)
    sizes = np.bincount(components.ravel())[1:]
    order = np.argsort(sizes)[::-1]
    if smallest is not None and sizes[order[0]] > smallest:
        kept = np.flatnonzero(sizes > smallest)
    else:
        kept = order[:2] if sizes[order[1]] * 10 > sizes[order[0]] else order[:1]
    return np.isin(components, kept + 1)


def _fuse(whole: Mask, core: Mask, enhancing: Mask) -> Array:
    together = _close_and_keep(whole | core | enhancing, SMALLEST_WHOLE_VOXELS)
    whole = whole & together
    structure = ndimage.generate_binary_structure(3, 2)
    inner = ndimage.binary_closing((core | enhancing) & together, structure)
    components, count = ndimage.label(inner, structure)
    for n in range(1, count + 1):
        part = components == n
        if (part & whole).sum() < 0.5 * part.sum():
            inner &= ~part
    if inner.any():
        inner = _close_and_keep(inner, None)
    bright = inner & enhancing
    if bright.sum() < SMALLEST_ENHANCING_VOXELS:
        bright = np.zeros_like(bright)
    return np.stack([whole | inner, inner, bright]).astype(np.float32)
