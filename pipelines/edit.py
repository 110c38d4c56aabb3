"""Operations on one label of a mask, for whoever corrects it: what the editor asks the server for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from data.avatar import Scan
from data.errors import ImageError
from data.imaging import Volume
from data.store import AvatarStore
from models.segmentation.interact import (
    Mask,
    Voxel,
    fill_holes,
    grow,
    interpolate_slices,
    remove_islands,
    segment_from_clicks,
    smooth,
)

GROWN_MM = 1.0
PLANES = ("sagittal", "coronal", "axial")
"""Slices along RAS axes 0, 1 and 2."""
Point = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
Spacing = tuple[float, float, float]


class EditOptions(BaseModel):
    """What an operation works on and with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: int = Field(gt=0, lt=256)
    over: bool = Field(default=True, description="take voxels of other labels, not only background")
    plane: Literal["sagittal", "coronal", "axial"] = "axial"
    inside: tuple[Point, ...] = Field(default=(), max_length=200, description="RAS+ mm")
    outside: tuple[Point, ...] = Field(default=(), max_length=200, description="RAS+ mm")


OPERATIONS: Mapping[str, Callable[[Mask, Spacing, EditOptions], Mask]] = {
    "grow": lambda mask, spacing, _: _by_a_voxel(mask, spacing, GROWN_MM),
    "shrink": lambda mask, spacing, _: _by_a_voxel(mask, spacing, -GROWN_MM),
    "smooth": lambda mask, spacing, _: smooth(mask, spacing),
    "fill-holes": lambda mask, _, __: fill_holes(mask),
    "remove-islands": lambda mask, spacing, _: remove_islands(mask, spacing),
    "interpolate": lambda mask, spacing, options: interpolate_slices(
        mask, spacing, PLANES.index(options.plane)
    ),
}
"""By name: a label's mask in RAS order to its new mask."""
CLICK = "click"
"""The operation that also looks at the images."""


def operate(
    store: AvatarStore, scan: Scan, labels: Volume, name: str, options: EditOptions
) -> Volume:
    """A label map after one operation on one label.

    Voxels that the label loses become background; those it gains were background, or any other label
    where ``options.over`` says so.

    Args:
        store: where the scan's images are.
        scan: what is looked at.
        labels: the mask as the reader has it, on the grid of the scan's mask.
        name: of :data:`OPERATIONS`, or :data:`CLICK`.
        options: which label, and what else the operation needs.

    Raises:
        ImageError: no such operation, a label that the table does not name, or clicks that cannot be used.
    """
    if options.label not in scan.labels.values:
        raise ImageError(f"the label {options.label} is not in the table {scan.labels.name!r}")
    if name == CLICK:
        gained = _clicked(store, scan, labels, options)
        return labels.with_array(_with_label(labels.array, gained, options, keep=True))
    if name not in OPERATIONS:
        raise ImageError(f"no operation {name!r}; there are {', '.join((*OPERATIONS, CLICK))}")
    upright = labels.reoriented("RAS")
    own = upright.array == options.label
    if not own.any():
        raise ImageError("the label is nowhere in the mask yet: draw it first")
    made = OPERATIONS[name](own, upright.spacing_mm, options)
    edited = upright.with_array(_with_label(upright.array, made, options, keep=False))
    back = edited.reoriented(labels.axis_codes)
    return labels.with_array(back.array)


def _by_a_voxel(mask: Mask, spacing: Spacing, by_mm: float) -> Mask:
    """By a distance, but at least by the shortest edge of a voxel."""
    return grow(mask, spacing, float(np.sign(by_mm)) * max(abs(by_mm), min(spacing)))


def _with_label(
    array: NDArray[np.generic], made: Mask, options: EditOptions, *, keep: bool
) -> NDArray[np.generic]:
    edited = np.array(array)
    if not keep:
        edited[(array == options.label) & ~made] = 0
    edited[made if options.over else made & (array == 0)] = options.label
    return edited


def _clicked(store: AvatarStore, scan: Scan, labels: Volume, options: EditOptions) -> Mask:
    images = [store.volume(ref) for ref in scan.sequences.values()]
    images = [image for image in images if image.same_grid(labels)]
    if not images:
        raise ImageError(
            "no sequence lies on the grid of the mask, so clicks have nothing to go by"
        )
    inverse = np.linalg.inv(labels.affine)

    def voxels(points: tuple[Point, ...]) -> list[Voxel]:
        placed = np.rint(np.array(points).reshape(-1, 3) @ inverse[:3, :3].T + inverse[:3, 3])
        return [(int(i), int(j), int(k)) for i, j, k in placed]

    stacked = np.stack([np.asarray(image.array, np.float32) for image in images])
    inside, outside = voxels(options.inside), voxels(options.outside)
    return segment_from_clicks(stacked, labels.spacing_mm, inside, outside)
