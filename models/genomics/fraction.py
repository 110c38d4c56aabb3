"""Variant allele fractions as what they are: counts, with an interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z = 1.959963984540054
"""Of a two-sided interval of 95 %."""


def interval(
    alternate: ArrayLike, depth: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's score interval (1927) of a fraction of reads; NaN where the depth is zero or not known.

    Args:
        alternate: reads that show the allele.
        depth: reads in all.
    """
    k, n = np.asarray(alternate, float), np.asarray(depth, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = k / n
        middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
        half = Z * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
        known = n > 0
    low = np.where(known, np.clip(middle - half, 0, 1), np.nan)
    high = np.where(known, np.clip(middle + half, 0, 1), np.nan)
    return low, high
