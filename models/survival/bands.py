"""How sure a curve is: its standard error over refits, on the complementary log-log scale.

There log(-log S) is unbounded and close to normal, so that the band stays in [0, 1] (Kalbfleisch and Prentice
2002, section 1.4); quantiles of the refits themselves cover too little, as the bootstrap's curves are steeper.
The band is of the model's curve for such patients, at each time by itself; it is not the spread of single
patients around it, nor does it know of what the model leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Floats = NDArray[np.float64]

LEVEL = 0.9
EDGE = 1e-9
"""Probabilities are held this far from 0 and 1, where the scale has no value."""
FEWEST_REFITS = 20
"""Below, a standard error is mostly noise (its own relative error is 1 / sqrt(2 (n - 1)))."""


@dataclass(frozen=True, eq=False)
class CurveBand:
    """Probabilities to be without the event, of ``n`` patients at ``t`` times.

    Args:
        lower: (n, t)
        middle: (n, t) the model's own curve.
        upper: (n, t)
        level: probability between lower and upper, at each time by itself.
    """

    lower: Floats
    middle: Floats
    upper: Floats
    level: float = LEVEL


def band_of(middle: Floats, refits: Floats, level: float = LEVEL) -> CurveBand:
    """The band of curves from those of refits.

    Args:
        middle: (n, t) curves, times ascending.
        refits: (b, n, t) of the same patients by each refit.
        level: of the band.
    """
    center = _log_hazard(middle)
    error = _log_hazard(refits).std(axis=0, ddof=1)
    reach = student.ppf((1 + level) / 2, len(refits) - 1) * error
    lower = np.where(middle >= 1, 1.0, np.exp(-np.exp(center + reach)))
    upper = np.where(middle >= 1, 1.0, np.exp(-np.exp(center - reach)))
    # a curve never rises: what is known of one time holds for those beside it
    lower = np.maximum.accumulate(lower[:, ::-1], axis=1)[:, ::-1]
    upper = np.minimum.accumulate(upper, axis=1)
    return CurveBand(np.minimum(lower, middle), middle, np.maximum(upper, middle), level)


def given_lived(curves: Floats, at_lived: Floats) -> Floats:
    """Curves of those who are still without the event: S(t) / S(lived), 1 until then.

    Args:
        curves: (..., t) probabilities.
        at_lived: (..., 1) of the same curves at the time lived.
    """
    return np.minimum(curves / np.maximum(at_lived, EDGE), 1.0)


def first_below(times: Floats, curve: Floats, share: float = 0.5) -> float | None:
    """When a curve first falls to a share; None where it does not within the times."""
    below = np.flatnonzero(curve <= share)
    return float(times[below[0]]) if len(below) else None


def _log_hazard(curves: Floats) -> Floats:
    return np.asarray(np.log(-np.log(np.clip(curves, EDGE, 1 - EDGE))))
