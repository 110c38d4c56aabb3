"""The quality gate of body images: units, gray levels and extent.

There is no template of a body part, so that a turned or mirrored image cannot be told from a right one;
no flag promises that.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from data.imaging import Volume
from data.quality import Flag
from models.segmentation.quality import gray_levels
from models.segmentation.sarcoma_net import CHANNELS

LARGEST_FIELD_MM = 450.0
"""The longest side among the images that the network knows is 317 mm."""
LARGEST_SUV = 200.0
"""No tissue takes up more but a full bladder now and then; in Bq/mL a PET has thousands."""
FAT_HU = -20.0
"""Every part of the body has fat, and air about it; a CT without a darker voxel is not in HU."""


def sarcoma_flags(images: Mapping[str, Volume]) -> tuple[Flag, ...]:
    """What is wrong with a study of a body part before anybody segments it.

    Args:
        images: by sequence, in one patient space; those that are no PET, CT or T1 are not looked at.
    """
    flags: list[Flag] = []
    for name in (n for n in CHANNELS if n in images):
        volume = images[name]
        seen = volume.array.ravel()
        flags += gray_levels(name, seen[seen > np.quantile(seen, 0.5)])
        unit = _unit(name, volume)
        if unit:
            flags.append(unit)
        side = max(n * mm for n, mm in zip(volume.shape, volume.spacing_mm, strict=True))
        if side > LARGEST_FIELD_MM:
            flags.append(
                Flag(
                    code="field-of-view",
                    severity="stop",
                    finding=f"{name} is {side:.0f} mm long, more than a body part",
                    look_at="where the tumor is, and give that place as 'focus' in study.yaml: the network "
                    "has never seen a brain, a heart or a bladder, which take up FDG as tumors do",
                )
            )
    return tuple(flags)


def _unit(name: str, volume: Volume) -> Flag | None:
    low, high = (float(v) for v in np.quantile(volume.array, (0.01, 0.999)))
    if name == "pet" and (low < -1.0 or high > LARGEST_SUV):
        finding = f"the PET has values from {low:.0f} to {high:.0f}: not in SUV"
        look_at = "the file given as pet: it may be in Bq/mL, or be a CT"
    elif name == "ct" and low > FAT_HU:
        finding = (
            f"the CT has hardly a value under {FAT_HU:g} (1 % of it under {low:.0f}): not in HU"
        )
        look_at = "the file given as ct: its rescale intercept may be missing, or it is no CT"
    else:
        return None
    return Flag(code="intensity", severity="stop", finding=finding, look_at=look_at)
