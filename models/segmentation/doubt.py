"""Where opinions on a mask disagree: connected regions to look at, the most doubtful first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from data.imaging import MM3_PER_ML, Volume

DOUBTFUL_PERCENT = 40.0
"""Of the most disagreement there can be; from here on a voxel belongs to a doubtful region."""
SMALLEST_ML = 0.05
MOST_REGIONS = 25


@dataclass(frozen=True)
class DoubtfulRegion:
    """One place to look at."""

    place_ras_mm: tuple[float, float, float]
    """The voxel in it that lies deepest."""
    volume_ml: float


def doubtful_regions(disagreement: Volume) -> tuple[DoubtfulRegion, ...]:
    """Regions in the order of the doubt they hold (percent times volume), at most 25.

    Args:
        disagreement: percent of the most there can be, 0 to 100.
    """
    inside = disagreement.array >= DOUBTFUL_PERCENT
    parts, count = ndimage.label(inside, np.ones((3, 3, 3)))
    if count == 0:
        return ()
    voxel_ml = disagreement.voxel_volume_mm3 / MM3_PER_ML
    ml = np.bincount(parts.ravel())[1:] * voxel_ml
    held = ndimage.sum_labels(disagreement.array, parts, np.arange(1, count + 1))
    order = [int(n) for n in np.argsort(-held) if ml[n] >= SMALLEST_ML][:MOST_REGIONS]
    boxes, found = ndimage.find_objects(parts), []
    for n in order:
        box = boxes[n]
        depth = ndimage.distance_transform_edt(np.pad(parts[box] == n + 1, 1))[1:-1, 1:-1, 1:-1]
        corner = np.array([side.start for side in box])
        deepest = corner + np.array(np.unravel_index(int(np.argmax(depth)), depth.shape))
        x, y, z = (round(float(v), 2) for v in disagreement.world(deepest.astype(float)))
        found.append(DoubtfulRegion((x, y, z), round(float(ml[n]), 3)))
    return tuple(found)
