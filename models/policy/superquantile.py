"""The risk that a plan is judged by: the mean of its worst cases (superquantile, conditional value at risk).

Rockafellar & Uryasev 2000, J Risk 2:21. Of the average it is the pessimist's version: at level 0 the mean, near
1 the worst case.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def lower_superquantile(values: Values, level: float) -> Values:
    """Mean of the lowest ``1 - level`` of the members, where more is better.

    Args:
        values: (..., members).
        level: in [0, 1); of a member that is only partly in the tail that part counts.

    Raises:
        ValueError: a level outside [0, 1).
    """
    if not 0.0 <= level < 1.0:
        raise ValueError(f"a level is in [0, 1), got {level}")
    ordered = np.sort(np.asarray(values, np.float64), axis=-1)
    members = ordered.shape[-1]
    tail = (1.0 - level) * members
    weights = np.clip(tail - np.arange(members), 0.0, 1.0)
    return np.asarray(ordered @ weights / tail)
