"""Tables of mutational signatures, laid out as COSMIC's: a row for each of 96 channels, a column for each."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.errors import ParserError

from data.errors import VariantError

TOLERANCE = 0.01
"""How far a signature's sum may be from 1."""
MAX_BYTES = 10_000_000


@dataclass(frozen=True)
class SignatureTable:
    """Signatures in the order of ``channels``, 96 by k; each sums to 1."""

    names: tuple[str, ...]
    values: NDArray[np.float64]


def read_signatures(path: Path, channels: tuple[str, ...]) -> SignatureTable:
    """A table with the channels (``A[C>A]A``) in its first column, tab- or comma-separated.

    Raises:
        VariantError: no such table, other channels, or columns that are no distributions.
    """
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise VariantError(
            f"{path}: there is no such file, or it is too large for a table of signatures"
        )
    try:
        frame = pd.read_csv(path, sep=None, engine="python", comment="#", index_col=0)
        frame = frame.astype(float)
    except (ParserError, csv.Error, UnicodeDecodeError, ValueError, OSError) as error:
        raise VariantError(f"{path}: is no table of signatures ({error})") from error
    odd = sorted(set(channels) ^ set(map(str, frame.index)))
    if odd or frame.index.has_duplicates:
        told = f"; {', '.join(odd[:3])} and so on do not fit" if odd else ""
        raise VariantError(
            f"{path}: the first column has to name each of 96 channels once (A[C>A]A){told}"
        )
    values = frame.loc[list(channels)].to_numpy()
    wrong = [
        name
        for name, column in zip(frame.columns, values.T, strict=True)
        if not (np.isfinite(column).all() and (column >= 0).all())
        or abs(column.sum() - 1) > TOLERANCE
    ]
    if wrong or not len(frame.columns):
        raise VariantError(
            f"{path}: {', '.join(map(str, wrong)) or 'no column'} is no distribution; each signature has to be "
            "non-negative and sum to 1"
        )
    return SignatureTable(tuple(map(str, frame.columns)), values / values.sum(0))
