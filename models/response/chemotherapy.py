"""Log-kill by a drug: each dose removes a fixed share of cells (Skipper 1964).

With linear pharmacokinetics the exposure of a dose, its area under the curve, is proportional to it,
so the log-kill is the sensitivity (per mg/m2) times the dose, whatever the time step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def surviving_fraction(dose_mg_m2: ArrayLike, sensitivity: ArrayLike) -> NDArray[Any]:
    """exp(-s D) with the sensitivity s in m2/mg."""
    return np.asarray(np.exp(-np.asarray(sensitivity, float) * np.asarray(dose_mg_m2, float)))
