"""Tumor regions as overlapping network channels, and back to labels.

Channels of a glioma, in order: whole tumor (WT), tumor core (TC), enhancing tumor (ET); each contains the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CORE, EDEMA, ENHANCING = 1, 2, 3
REGIONS = ("WT", "TC", "ET")
"""The channels' abbreviations."""


def regions_of(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """(i, j, k) labels to (3, i, j, k) masks."""
    enhancing = labels == ENHANCING
    core = enhancing | (labels == CORE)
    return np.stack([core | (labels == EDEMA), core, enhancing])


def labels_of(regions: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(3, i, j, k) masks to (i, j, k) labels; a region counts only inside the one that contains it.

    A single mask (1, i, j, k), of a tumor whose parts are not told apart, is label 1.
    """
    if len(regions) == 1:
        return np.asarray(regions[0], np.uint8)
    whole, core, enhancing = regions
    labels = np.where(whole, EDEMA, 0).astype(np.uint8)
    labels[whole & core] = CORE
    labels[whole & core & enhancing] = ENHANCING
    return labels
