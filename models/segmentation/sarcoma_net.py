"""The project's own soft-tissue sarcoma network: a MONAI UNet on any of FDG-PET, CT and T1-weighted MR.

It looks at a part of the body that holds the tumor, on voxels of 3 mm, and draws the gross tumor volume.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from monai.networks.nets import UNet
from numpy.typing import NDArray

from data.errors import ImageError
from data.imaging import Volume, common_box

CHANNELS = ("pet", "ct", "t1")
"""One is enough; one that is not given is a channel of zeros, as in training."""
SPACING_MM = 3.0
DIVISOR = 8
"""Each axis is padded to a multiple of this: the network halves three times."""
SMALLEST_FIELD_MM = 24.0
HU_RANGE = (-200.0, 300.0)
"""CT is clipped to it: fat, muscle, tumor and contrast agent are inside."""
Array = NDArray[np.float32]


def build_sarcoma_net() -> torch.nn.Module:
    """An untrained network: (batch, 3, i, j, k) scaled images to (batch, 1, i, j, k) tumor logits."""
    net: torch.nn.Module = UNet(
        spatial_dims=3,
        in_channels=len(CHANNELS),
        out_channels=1,
        channels=(24, 48, 96, 192),
        strides=(2, 2, 2),
        num_res_units=2,
        norm="INSTANCE",
    )
    return net


def common_grid(volumes: Collection[Volume]) -> Volume:
    """The network's grid, axes RAS, where all volumes have something to show; zeros.

    Its voxels lie on one lattice whatever the volumes, so that grids differ by whole voxels.

    Raises:
        ImageError: no such place, or one under 24 mm a side.
    """
    low, high = common_box(volumes)
    first, last = np.ceil(low / SPACING_MM - 1e-6), np.floor(high / SPACING_MM + 1e-6)
    if ((last - first) * SPACING_MM < SMALLEST_FIELD_MM).any():
        size = " x ".join(f"{max(mm, 0.0):.0f}" for mm in high - low)
        raise ImageError(
            f"what the images have in common is {size} mm; at least {SMALLEST_FIELD_MM:g} mm a side are "
            "needed. Check that they are of one patient and in one coordinate system"
        )
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = first * SPACING_MM
    i, j, k = (last - first).astype(int) + 1
    return Volume(np.zeros((i, j, k), np.uint8), affine)


def scaled(images: Mapping[str, NDArray[Any]]) -> Array:
    """Images on one grid (i, j, k) by channel to (channel, i, j, k) of about unit size.

    PET in SUV by its logarithm, CT in HU linearly within ``HU_RANGE``; MR, which has no unit, by mean and
    standard deviation of the body.
    """
    shape = next(iter(images.values())).shape
    channels = np.zeros((len(CHANNELS), *shape), np.float32)
    for name, image in images.items():
        channels[CHANNELS.index(name)] = _SCALED[name](np.asarray(image, np.float32))
    return channels


def _pet(image: Array) -> Array:
    return np.asarray(np.log1p(np.clip(image, 0.0, None)), np.float32)


def _ct(image: Array) -> Array:
    return np.asarray(np.clip(image, *HU_RANGE) / 100.0, np.float32)


def _mr(image: Array) -> Array:
    body = image > 0.1 * np.quantile(image, 0.98)
    inside = image[body] if body.any() else image
    return np.asarray(
        np.clip((image - inside.mean()) / max(float(inside.std()), 1e-6), -3.0, 5.0), np.float32
    )


_SCALED = {"pet": _pet, "ct": _ct, "t1": _mr}
