"""From a head as the scanner gives it to what the glioma networks were trained on, and back.

Sequences are registered to one another, the brain is found, and a grid of 1 mm is laid through it that
stands as the SRI24 atlas does. The grid is in the patient's own space and only turned and moved, never
scaled, so that volumes stay what they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from data.errors import ImageError
from data.imaging import MM3_PER_ML, Volume
from models.registration import (
    Matrix,
    centers_on_each_other,
    foreground,
    register,
    resample,
)

LARGEST_BRAIN_ML = 2200.0
"""Six stripped heads fill 0.4 to 1.7 L with signal, four whole ones 2.9 to 3.1 L."""
SMALLEST_BRAIN_ML = 500.0


@dataclass(frozen=True, eq=False)
class Upright:
    """A whole head with its sequences laid on each other, and a way to see it upright."""

    aligned: dict[str, Volume]
    """By sequence: the voxels as they were given, each with the affine that lays it on the first."""
    reference_brain: Volume
    """0/1 on the grid that masks go back to: the first sequence's."""
    brain: Volume
    """0/1 on a grid of 1 mm that stands as the atlas does, in the patient's space."""

    @cached_property
    def images(self) -> dict[str, Volume]:
        """The sequences as networks want them: on the upright grid, zero outside the brain."""
        found = {}
        for name, v in self.aligned.items():
            seen = resample(v.with_array(v.array.astype(np.float32)), self.brain).array
            inside = np.where(self.brain.array > 0, np.clip(seen, 0, None), 0)
            found[name] = self.brain.with_array(inside)
        return found

    @property
    def reference(self) -> Volume:
        """The first sequence, whose grid masks go back to."""
        return next(iter(self.aligned.values()))

    def returned(self, regions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (region, i, j, k) on the upright grid, brought to the reference's."""
        back = [resample(self.brain.with_array(r), self.reference).array for r in regions]
        return np.asarray(np.stack(back), np.float32)

    def movement(self, name: str, given: Volume) -> tuple[float, float]:
        """By how much a sequence was turned (degrees) and how far its middle was moved (mm)."""
        there = self.aligned[name].affine
        turn = there[:3, :3] @ np.linalg.inv(given.affine[:3, :3])
        cosine = np.clip((np.trace(turn) - 1.0) / 2.0, -1.0, 1.0)
        middle = (np.array(given.shape) - 1.0) / 2.0
        moved = self.aligned[name].world(middle) - given.world(middle)
        return float(np.degrees(np.arccos(cosine))), float(np.linalg.norm(moved))


def shows_whole_head(image: Volume) -> bool:
    """Whether more is seen than a brain can be: a head that is not skull-stripped."""
    ml = np.count_nonzero(foreground(image).array) * image.voxel_volume_mm3 / MM3_PER_ML
    return bool(ml > LARGEST_BRAIN_ML)


def brain_of(image: Volume) -> Volume:
    """The brain in a T1 or T1c of a whole head (0/1, same grid), by deepbet (Fisch 2024,
    doi:10.1016/j.compbiomed.2024.108845).

    Raises:
        ImageError: no brain is found, or too little to be one.
    """
    nifti = nib.Nifti1Image(np.asarray(image.array, np.float32), image.affine)
    try:
        _, found, _ = _deepbet().run(nifti)
        inside = np.asarray(found.dataobj) > 0
    except (AssertionError, ValueError) as error:
        raise ImageError(
            f"no brain was found ({error}); give a brain_mask in study.yaml"
        ) from error
    ml = np.count_nonzero(inside) * image.voxel_volume_mm3 / MM3_PER_ML
    if not SMALLEST_BRAIN_ML <= ml <= LARGEST_BRAIN_ML:
        raise ImageError(
            f"{ml:.0f} mL of brain were found, and a brain has {SMALLEST_BRAIN_ML:g} to "
            f"{LARGEST_BRAIN_ML:g}; is this a T1 of a whole adult head? Otherwise give a brain_mask in "
            "study.yaml"
        )
    return image.with_array(inside.astype(np.uint8))


@lru_cache(maxsize=1)
def _deepbet() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from deepbet import BrainExtraction

        return BrainExtraction(no_gpu=True)


def stand_upright(images: Mapping[str, Volume], atlas: Volume) -> Upright:
    """Register, strip and stand up a whole head.

    Args:
        images: by sequence, of one examination; the others are registered to the first, a T1 or T1c.
        atlas: skull-stripped T1 of an upright head, 1 mm.

    Raises:
        ImageError: no brain is found, or sequences do not show the same head.
    """
    first, *others = images
    reference = images[first]
    brain = brain_of(reference)
    aligned = {first: reference}
    for name in others:
        starts = [np.eye(4), centers_on_each_other(foreground(reference), foreground(images[name]))]
        moved = register(
            reference, images[name], kind="rigid", starts=starts, fixed_mask=brain.array > 0
        )
        aligned[name] = _through(images[name], np.asarray(np.linalg.inv(moved), np.float64))
    stripped = reference.with_array(np.where(brain.array > 0, reference.array, 0))
    outline = atlas.with_array((atlas.array > 0).astype(np.uint8))
    starts = [centers_on_each_other(outline, brain)]
    stands = register(atlas, stripped, kind="rigid", starts=starts, fixed_mask=outline.array > 0)
    grid = _through(atlas, stands)
    whole = resample(reference.with_array(reference.array.astype(np.float32)), grid)
    return Upright(aligned, brain, brain_of(whole))  # found again: on thick slices it has steps


def _through(volume: Volume, matrix: Matrix) -> Volume:
    """The same voxels moved in space."""
    return Volume(volume.array, matrix @ volume.affine, volume.frame_of_reference_uid)
