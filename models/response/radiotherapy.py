"""Linear-quadratic response and the doses that compare regimens.

Fowler, Br J Radiol 1989;62:679 (BED); EQD2 after Withers 1983. Doses in Gy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def surviving_fraction(
    dose_gy: ArrayLike, alpha: ArrayLike, alpha_beta_gy: ArrayLike
) -> NDArray[Any]:
    """exp(-(alpha d + beta d^2)) with beta = alpha / (alpha/beta); alpha in 1/Gy."""
    d, a = np.asarray(dose_gy, float), np.asarray(alpha, float)
    return np.asarray(np.exp(-a * d * (1.0 + d / np.asarray(alpha_beta_gy, float))))


def bed_gy(fraction_doses_gy: ArrayLike, alpha_beta_gy: float) -> float:
    """Biologically effective dose: the sum of d (1 + d / (alpha/beta))."""
    d = np.asarray(fraction_doses_gy, float)
    return float(np.sum(d * (1.0 + d / alpha_beta_gy)))


def eqd2_gy(fraction_doses_gy: ArrayLike, alpha_beta_gy: float) -> float:
    """Dose in 2-Gy fractions of the same effect: BED / (1 + 2 / (alpha/beta))."""
    return bed_gy(fraction_doses_gy, alpha_beta_gy) / (1.0 + 2.0 / alpha_beta_gy)
