"""The project's own glioma network: a MONAI UNet on T1c and FLAIR, and T1 and T2 where given.

The same weights see the whole brain on voxels of 2 mm and a close-up of the tumor on voxels of 1 mm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.networks.nets import UNet
from numpy.typing import NDArray

SEQUENCES = ("t1c", "flair", "t1", "t2")
REQUIRED = SEQUENCES[:2]
"""A sequence that is not required and not given is a channel of zeros, as in training."""
SPACING_MM = 1.0
COARSE = 2
"""The whole brain is seen on voxels this many times as large; a close-up of the tumor on those of 1 mm."""
DIVISOR = 8
"""Each axis is padded to a multiple of this: the network halves three times."""


def build_glioma_net() -> torch.nn.Module:
    """An untrained network: (batch, 4, i, j, k) z-scored images to (batch, 3, i, j, k) region logits."""
    net: torch.nn.Module = UNet(
        spatial_dims=3,
        in_channels=len(SEQUENCES),
        out_channels=3,
        channels=(24, 48, 96, 192),
        strides=(2, 2, 2),
        num_res_units=2,
        norm="INSTANCE",
    )
    return net


def coarse(images: NDArray[Any]) -> NDArray[np.float32]:
    """Means over blocks of ``COARSE`` voxels a side; (..., i, j, k) with even i, j, k."""
    channels = np.asarray(images, np.float32).reshape(-1, *images.shape[-3:])
    turned = (
        channels.strides[-3] < channels.strides[-1]
    )  # as NIfTI lays voxels: not copied over for it
    if turned:
        channels = channels.transpose(0, 3, 2, 1)
    blocks = torch.from_numpy(np.ascontiguousarray(channels))[None]
    means = torch.nn.functional.avg_pool3d(blocks, COARSE)[0].numpy()
    if turned:
        means = means.transpose(0, 3, 2, 1)
    return np.asarray(means.reshape(*images.shape[:-3], *means.shape[-3:]))


def z_score(
    image: NDArray[Any], brain: NDArray[np.bool_], over: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Zero mean and unit variance over the brain, clipped to [-5, 5]; zero outside.

    Args:
        image: (i, j, k).
        brain: where it has something to show.
        over: the voxels that mean and variance are of, where not the whole brain's.
    """
    return scaled(image, brain, scale_of(image, brain if over is None else over))


def scale_of(image: NDArray[Any], over: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean and standard deviation of an image (i, j, k) over some of its voxels."""
    inside = image[over]
    return float(inside.mean(dtype=np.float64)), float(inside.std(dtype=np.float64))


def scaled(
    image: NDArray[Any], brain: NDArray[np.bool_], scale: tuple[float, float]
) -> NDArray[np.float32]:
    """Zero mean and unit variance by a scale that is known, clipped to [-5, 5]; zero outside the brain."""
    mean, spread = scale
    shifted = np.asarray(image - np.float32(mean), np.float32)
    shifted /= np.float32(max(spread, 1e-6))
    np.clip(shifted, -5.0, 5.0, out=shifted)
    shifted *= brain
    return shifted
