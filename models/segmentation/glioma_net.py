"""The project's own glioma network: a MONAI UNet at 2 mm on T1c and FLAIR, and T1 and T2 where given."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.networks.nets import UNet
from numpy.typing import NDArray

SEQUENCES = ("t1c", "flair", "t1", "t2")
REQUIRED = SEQUENCES[:2]
"""A sequence that is not required and not given is a channel of zeros, as in training."""
SPACING_MM = 2.0
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


def z_score(image: NDArray[Any], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Zero mean and unit variance inside the brain, clipped to [-5, 5]; zero outside."""
    inside = image[brain].astype(np.float64)
    scaled = (image - inside.mean()) / max(float(inside.std()), 1e-6)
    return np.where(brain, np.clip(scaled, -5.0, 5.0), 0.0).astype(np.float32)
