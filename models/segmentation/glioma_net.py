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
    i, j, k = (n // COARSE for n in images.shape[-3:])
    blocks = images.reshape(*images.shape[:-3], i, COARSE, j, COARSE, k, COARSE)
    return np.asarray(blocks.mean((-5, -3, -1)), np.float32)


def z_score(
    image: NDArray[Any], brain: NDArray[np.bool_], over: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Zero mean and unit variance over the brain, clipped to [-5, 5]; zero outside.

    Args:
        image: (i, j, k).
        brain: where it has something to show.
        over: the voxels that mean and variance are of, where not the whole brain's.
    """
    inside = image[brain if over is None else over].astype(np.float64)
    scaled = (image - inside.mean()) / max(float(inside.std()), 1e-6)
    return np.where(brain, np.clip(scaled, -5.0, 5.0), 0.0).astype(np.float32)
