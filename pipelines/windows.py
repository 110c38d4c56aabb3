"""Random windows of cases whose files are crops about the tumor, and what such files give away.

The size and the middle of a crop tell where its tumor is without a look at the image. A window drawn at
random tells less; how much is left says the Dice of an ellipsoid in its middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.errors import ImageError
from data.imaging import Segmentation, common_box
from models.segmentation.scores import dice
from pipelines.cases import Case

SIDES = (0.55, 0.85)
"""Of a window, as shares of what the case's images have in common; drawn anew for each axis."""
LEAST_TUMOR = 0.5
"""Of the tumor, in each window."""
TRIES = 500
SEED = 20261123
SEMI_AXES = np.arange(0.30, 1.31, 0.05)
"""Of an ellipsoid, as shares of half the window's sides."""


def windows_of(case: Case, count: int) -> list[Case]:
    """Some windows of a case, each with at least half of the tumor; the same ones every time.

    Raises:
        ImageError: no such window is found.
    """
    reference = case.reference
    if reference is None:
        return []
    rng = np.random.default_rng([SEED, *case.name.encode()])
    low, high = common_box(case.images.values())
    tumor = reference.volume.world(np.argwhere(reference.volume.array > 0).astype(float))
    found: list[Case] = []
    for _ in range(TRIES):
        if len(found) == count:
            return found
        sides = (high - low) * rng.uniform(*SIDES, 3)
        start = low + (high - low - sides) * rng.random(3)
        inside = ((tumor >= start) & (tumor <= start + sides)).all(axis=1)
        if inside.mean() >= LEAST_TUMOR:
            images = {n: v.within(start, start + sides) for n, v in case.images.items()}
            references = {
                n: Segmentation(s.volume.within(start, start + sides), s.labels)
                for n, s in case.references.items()
                if n in images
            }
            found.append(replace(case, images=images, references=references))
    raise ImageError(f"{case.name}: no window of it holds half of the tumor")


def geometry_dice(references: Sequence[Segmentation]) -> list[float]:
    """Dice of an ellipsoid in the middle of each image, of the size that suits all of them best.

    The size is chosen in hindsight, so that this baseline is no lower than any that knows geometry alone
    and draws ellipsoids.
    """
    masks = [np.asarray(reference.volume.array > 0) for reference in references]
    scores = [[dice(_ellipsoid(mask.shape, share), mask) for mask in masks] for share in SEMI_AXES]
    return scores[int(np.argmax(np.mean(scores, axis=1)))]


def _ellipsoid(shape: tuple[int, ...], share: float) -> NDArray[np.bool_]:
    """In the middle of a grid, its semi-axes that share of half the grid's sides."""
    along = [(2 * np.arange(n) + 1 - n) / n for n in shape]
    squares = sum(a**2 for a in np.meshgrid(*along, indexing="ij", sparse=True))
    return np.asarray(squares < share**2)
