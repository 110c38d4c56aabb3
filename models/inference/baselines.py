"""Forecasts that need no model, for any model to be measured against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def last_value(days: Values, volumes_mm3: Values, at: Values) -> Values:
    """The last volume seen, at any later day."""
    return np.full(len(at), float(volumes_mm3[np.argmax(days)]))


def exponential_fit(days: Values, volumes_mm3: Values, at: Values) -> Values:
    """A straight line through the logarithms of the volumes, by least squares.

    Raises:
        ValueError: fewer than two days, or a volume that is not positive.
    """
    if len(np.unique(days)) < 2 or not (volumes_mm3 > 0).all():
        raise ValueError("an exponential needs positive volumes of at least two days")
    slope, start = np.polyfit(days, np.log(volumes_mm3), 1)
    return np.asarray(np.exp(start + slope * at))
