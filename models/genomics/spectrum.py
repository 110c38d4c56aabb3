"""SBS96: substitutions of a pyrimidine between its neighbours, and a fit of known signatures to them.

The order is that of COSMIC's tables: by exchange (C>A, C>G, C>T, T>A, T>C, T>G), then the base before, then the
base after (Alexandrov 2013, doi:10.1038/nature12477).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from data.burden import Exposure, SignatureFit
from data.calls import Calls

BASES = "ACGT"
EXCHANGES = ("C>A", "C>G", "C>T", "T>A", "T>C", "T>G")
CHANNELS = tuple(f"{a}[{x}]{b}" for x in EXCHANGES for a in BASES for b in BASES)
_CODE = np.full(256, -1, np.int64)
_CODE[np.frombuffer(BASES.encode(), np.uint8)] = np.arange(4)
_CODE[np.frombuffer(BASES.lower().encode(), np.uint8)] = np.arange(4)
_EXCHANGE = np.full((4, 4), -1, np.int64)
for _number, _name in enumerate(EXCHANGES):
    _EXCHANGE[BASES.index(_name[0]), BASES.index(_name[2])] = _number


def exchanges(calls: Calls) -> NDArray[np.int64]:
    """Of each call the exchange (0 to 5, by :data:`EXCHANGES`); -1 where it is no substitution of one base."""
    return _exchange(_first(calls, "reference"), _first(calls, "alternate"))


def channels(calls: Calls) -> NDArray[np.int64]:
    """Of each call its channel (0 to 95); -1 of what is no substitution of one base, or without neighbours.

    A context whose middle is not the reference base is of another build or place: unknown.
    """
    reference, alternate = _first(calls, "reference"), _first(calls, "alternate")
    before, middle, after = _neighbours(calls)
    exchange = _exchange(reference, alternate)
    flipped = (reference == 0) | (reference == 2)
    left = np.where(flipped, 3 - after, before)
    right = np.where(flipped, 3 - before, after)
    placed = (exchange >= 0) & (before >= 0) & (after >= 0) & (middle == reference)
    return np.where(placed, 16 * exchange + 4 * left + right, -1)


def counts(found: NDArray[np.int64], of: int) -> NDArray[np.int64]:
    """How often each number below ``of`` is there."""
    return np.bincount(found[found >= 0], minlength=of)


def _exchange(reference: NDArray[np.int64], alternate: NDArray[np.int64]) -> NDArray[np.int64]:
    known = (reference >= 0) & (alternate >= 0) & (reference != alternate)
    flipped = (reference == 0) | (reference == 2)
    one = np.where(flipped, 3 - reference, reference)
    other = np.where(flipped, 3 - alternate, alternate)
    return np.where(known, _EXCHANGE[np.where(known, one, 0), np.where(known, other, 0)], -1)


def _first(calls: Calls, column: str) -> NDArray[np.int64]:
    """The code of a column's only base, -1 where it has another length."""
    texts = np.asarray(calls.table[column].to_pandas(), dtype="S2")
    raw = texts.view(np.uint8).reshape(len(texts), 2)
    return np.where(raw[:, 1] == 0, _CODE[raw[:, 0]], -1)


def _neighbours(calls: Calls) -> tuple[NDArray[np.int64], ...]:
    """Codes of the base before, at and after each call; -1 where they are not told."""
    texts = calls.texts("context")
    told = np.array([t if isinstance(t, str) else "" for t in texts], dtype="S11")
    raw = told.view(np.uint8).reshape(len(told), 11)
    return tuple(_CODE[raw[:, n]] for n in (4, 5, 6))


def fit(
    spectrum: NDArray[np.int64],
    signatures: NDArray[np.float64],
    names: tuple[str, ...],
    *,
    draws: int = 200,
    seed: int = 0,
) -> SignatureFit:
    """Non-negative least squares of signatures to a spectrum, with the multinomial bootstrap.

    Args:
        spectrum: 96 counts.
        signatures: 96 by k, each column summing to 1.
        names: of the k signatures.
        draws: of the bootstrap.
        seed: of the draws.

    Raises:
        ValueError: an empty spectrum, or signatures of another shape.
    """
    total = int(spectrum.sum())
    if total == 0 or signatures.shape != (len(CHANNELS), len(names)):
        raise ValueError(f"{total} substitutions, signatures of shape {signatures.shape}")
    weights = nnls(signatures, spectrum / total)[0]
    random = np.random.default_rng(seed)
    drawn = random.multinomial(total, spectrum / total, size=draws) / total
    shares = np.array([_shares(nnls(signatures, row)[0]) for row in drawn])
    low, high = np.percentile(shares, (2.5, 97.5), axis=0)
    made = signatures @ weights
    norm = np.linalg.norm(made) * np.linalg.norm(spectrum)
    exposures = [
        Exposure(signature=name, share=share, low=a, high=b)
        for name, share, a, b in zip(names, _shares(weights), low, high, strict=True)
    ]
    return SignatureFit(
        exposures=tuple(sorted(exposures, key=lambda e: -e.share)),
        cosine=float(made @ spectrum / norm) if norm else 0.0,
        substitutions=total,
    )


def _shares(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    total = weights.sum()
    return weights / total if total else weights
