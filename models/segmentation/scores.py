"""How good a mask is: overlap, distances, volume and lesions, with a policy for empty masks.

Policy. Both empty: Dice 1, distances 0 mm, surface Dice 1. One empty: Dice 0, HD95 374 mm (the diagonal
of a BraTS volume), surface Dice 0. MONAI's metrics return NaN there and leave it out of the mean, so
that a missed tumor would improve the score.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import ndimage
from scipy.stats import mannwhitneyu

Mask = NDArray[np.bool_]
WORST_DISTANCE_MM = 374.0
"""BraTS challenge: sqrt(240^2 + 240^2 + 155^2)."""
SURFACE_TOLERANCE_MM = 1.0
LESION_DILATION_MM = 3.0
SMALLEST_LESION_MM3 = 50.0
"""BraTS 2023 lesion-wise scores for glioma: smaller reference lesions are not counted."""


class RegionScores(BaseModel):
    """One region of one case."""

    model_config = ConfigDict(frozen=True)

    dice: float
    hd95_mm: float
    surface_dice: float
    """Share of both surfaces within 1 mm of the other."""
    found_ml: float
    reference_ml: float
    lesions: int
    """In the reference."""
    lesions_missed: int
    lesions_false: int
    lesion_dice: float
    """Mean Dice over reference lesions and false ones; a missed or false one scores 0."""

    @property
    def volume_error_ml(self) -> float:
        """Found minus reference."""
        return self.found_ml - self.reference_ml


def score(found: Mask, reference: Mask, spacing_mm: tuple[float, float, float]) -> RegionScores:
    """Compare two masks (i, j, k) on one grid.

    Raises:
        ValueError: masks of different shape.
    """
    if found.shape != reference.shape:
        raise ValueError(f"the mask has shape {found.shape}, the reference {reference.shape}")
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    box = _box(found | reference)
    a, b = found[box], reference[box]
    hd95, near = _surface(a, b, spacing_mm)
    missed, false, lesions, per_lesion = _lesions(a, b, spacing_mm)
    return RegionScores(
        dice=dice(a, b),
        hd95_mm=hd95,
        surface_dice=near,
        found_ml=float(a.sum()) * voxel_ml,
        reference_ml=float(b.sum()) * voxel_ml,
        lesions=lesions,
        lesions_missed=missed,
        lesions_false=false,
        lesion_dice=per_lesion,
    )


def dice(found: Mask, reference: Mask) -> float:
    """2 |A and B| / (|A| + |B|); 1 where both are empty."""
    total = int(found.sum()) + int(reference.sum())
    return 1.0 if total == 0 else 2.0 * float((found & reference).sum()) / total


def error_auroc(doubt: NDArray[Any], wrong: Mask) -> float | None:
    """Chance that a wrong voxel is doubted more than a right one; ties count half (Mann-Whitney).

    ``None`` where every voxel is right, or every one wrong.
    """
    errors = int(wrong.sum())
    if errors in (0, wrong.size):
        return None
    ranked = mannwhitneyu(doubt[wrong], doubt[~wrong]).statistic
    return float(ranked) / errors / (wrong.size - errors)


def _box(mask: Mask) -> tuple[slice, ...]:
    """The part that holds the mask, with room for the dilation; everything where it is empty."""
    inside = np.argwhere(mask)
    if not len(inside):
        return tuple(slice(0, n) for n in mask.shape)
    low, high = np.maximum(inside.min(0) - 4, 0), inside.max(0) + 5
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _surface(a: Mask, b: Mask, spacing_mm: tuple[float, float, float]) -> tuple[float, float]:
    """HD95 in mm and surface Dice."""
    if not (a.any() or b.any()):
        return 0.0, 1.0
    if not (a.any() and b.any()):
        return WORST_DISTANCE_MM, 0.0
    pair = [torch.from_numpy(np.ascontiguousarray(m))[None, None] for m in (a, b)]
    with warnings.catch_warnings():  # MONAI deprecates an argument that it passes to itself
        warnings.simplefilter("ignore", FutureWarning)
        far = compute_hausdorff_distance(
            *pair, include_background=True, percentile=95, spacing=list(spacing_mm)
        )
        near = compute_surface_dice(
            *pair,
            class_thresholds=[SURFACE_TOLERANCE_MM],
            include_background=True,
            spacing=list(spacing_mm),
        )
    return float(far), float(near)


def _lesions(
    found: Mask, reference: Mask, spacing_mm: tuple[float, float, float]
) -> tuple[int, int, int, float]:
    """Missed, false and reference lesions, and the mean Dice over both kinds.

    A reference lesion is a 26-connected component, components within 3 mm counted as one, of at
    least 50 mm3. It owns every found component that touches it, dilated.
    """
    cube = np.ones((3, 3, 3), bool)
    near = ndimage.distance_transform_edt(~reference, spacing_mm) if reference.any() else None
    grown = reference if near is None else near <= LESION_DILATION_MM
    zones, count = ndimage.label(grown, cube)
    parts, part_count = ndimage.label(found, cube)
    voxel_mm3 = float(np.prod(spacing_mm))
    owned: set[int] = set()
    values: list[float] = []
    missed = 0
    for zone in range(1, count + 1):
        touching = set(np.unique(parts[zones == zone])) - {0}
        owned |= touching
        own = reference & (zones == zone)
        if own.sum() * voxel_mm3 < SMALLEST_LESION_MM3:
            continue
        value = dice(np.isin(parts, sorted(touching)) & found, own) if touching else 0.0
        missed += not touching
        values.append(value)
    false = part_count - len(owned)
    lesions = len(values)
    values += [0.0] * false
    return missed, false, lesions, float(np.mean(values)) if values else 1.0
