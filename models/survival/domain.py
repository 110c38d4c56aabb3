"""Whether a patient is like those that a model was fitted to; who is not gets no number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FEWER_PER_COLUMN = 5
"""Patients for each column below which their spread says nothing of who is unlike them; a choice."""
UNLIKE = "the covariates together are unlike those of every patient of the fit"


def beyond(name: str, value: float, low: float, high: float) -> str:
    """Outside the fit's range."""
    return f"{name} is {value:g}, the fit's patients had {low:g} to {high:g}"


def always_known(name: str) -> str:
    """A gap that the fit never saw."""
    return f"{name} is not known, and was of every patient of the fit"


def never_seen(name: str, level: str, levels: Sequence[str]) -> str:
    """A level that the fit never saw."""
    return f"{name} is {level}, which no patient of the fit had (there were {', '.join(levels)})"


def precision_of(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(k, k) inverse of the covariance of columns (n, k); zeros where patients are few for the columns."""
    n, k = x.shape
    if k == 0 or n < FEWER_PER_COLUMN * k:
        return np.zeros((k, k))
    return np.asarray(np.linalg.pinv(np.atleast_2d(np.cov(x, rowvar=False)), hermitian=True))


def distances(x: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) squared Mahalanobis distances of centered columns (n, k)."""
    return np.asarray(np.einsum("ij,jk,ik->i", x, precision, x))
