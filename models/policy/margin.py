"""A target by a margin beside a target of the same size by the predicted cells, and what each covers.

The measure of the PREDICT-GBM benchmark (github.com/BrainLesion/PredictGBM): the usual plan is all brain within
a margin of the tumor core; the model's plan is as many voxels where most cells are predicted; coverage is the
share of a recurrence inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

MARGIN_MM = 15.0
"""Clinical target volume about the core, ESTRO-EANO 2023 (Radiother Oncol 184:109663)."""


@dataclass(frozen=True)
class MarginPlans:
    """Two targets (i, j, k) with as many voxels."""

    usual: Mask
    model: Mask

    def coverage(self, recurrence: Mask) -> tuple[float, float]:
        """Share of a recurrence inside the usual plan and inside the model's.

        Raises:
            ValueError: there is no recurrence.
        """
        total = np.count_nonzero(recurrence)
        if not total:
            raise ValueError("a recurrence without a voxel cannot be covered")
        usual, model = (np.count_nonzero(recurrence & p) / total for p in (self.usual, self.model))
        return float(usual), float(model)

    def held(self, cells: Field, outside: Mask) -> tuple[float, float]:
        """Share of the cells ``outside`` (of what is seen) that each plan holds; 0 where there are none."""
        total = float(cells[outside].sum(dtype=np.float64))
        usual, model = (
            float(cells[outside & p].sum(dtype=np.float64)) / total if total > 0.0 else 0.0
            for p in (self.usual, self.model)
        )
        return usual, model

    @property
    def overlap(self) -> float:
        """Dice of the two."""
        both = int(np.count_nonzero(self.usual & self.model))
        return 2.0 * both / int(np.count_nonzero(self.usual) + np.count_nonzero(self.model))


def margin_plans(
    cells: Field, core_mm: Field, brain: Mask, *, margin_mm: float = MARGIN_MM
) -> MarginPlans:
    """Both targets.

    Args:
        cells: (i, j, k) predicted cell fraction.
        core_mm: signed distance from the core's edge, negative inside.
        brain: where a target may lie.
        margin_mm: of the usual plan.

    Raises:
        ValueError: grids of different shapes, a negative margin, or no brain within it.
    """
    if not cells.shape == core_mm.shape == brain.shape:
        raise ValueError(f"grids of shapes {cells.shape}, {core_mm.shape} and {brain.shape} differ")
    if not margin_mm >= 0.0:
        raise ValueError(f"a margin is not negative, got {margin_mm:g} mm")
    usual = (core_mm <= margin_mm) & brain
    count = np.count_nonzero(usual)
    if not count:
        raise ValueError("no brain lies within the margin of the core")
    inside = np.flatnonzero(brain)
    # Equal densities, as where none are predicted, go by the distance, so that ties are no accident.
    order = np.lexsort((core_mm.ravel()[inside], -cells.ravel()[inside]))
    model = np.zeros(brain.size, bool)
    model[inside[order[:count]]] = True
    return MarginPlans(usual, model.reshape(brain.shape))
