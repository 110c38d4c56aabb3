"""Segmented copy number as SEG files and tables hold it: sample, chromosome, start, end, log2 ratio."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.errors import EmptyDataError, ParserError, ParserWarning

from data.copy_number import Segment
from data.errors import VariantError
from data.files import UNREADABLE
from data.genome import CHROMOSOMES, length_of, plain
from data.genomics import Build

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "sample": ("id", "sample", "'id", "sampleid", "tumor_sample_barcode", "gdc_aliquot"),
    "chromosome": ("chrom", "chromosome", "chr"),
    "start": ("loc.start", "start", "start_position"),
    "end": ("loc.end", "end", "end_position"),
    "log2": ("seg.mean", "segment_mean", "log2", "mean", "log2ratio"),
}
"""Names in use, in lower case."""
MAX_BYTES = 500_000_000
FARTHEST = 12.0
"""A log2 ratio beyond is a copy number, or an error."""
JUDGED, MOST_OFF = 1e9, 2.0
"""Bases of the autosomes from which on ratios have to be 1 on average, but for so many times."""


def read_segments(
    path: Path, build: Build, sample: str | None = None
) -> tuple[str, tuple[Segment, ...]]:
    """The sample's name and its segments on chromosomes 1 to 22, X and Y.

    Args:
        path: SEG or tab-separated, plain or gzipped.
        build: which it is of: such files do not tell.
        sample: whose, where the file has several.

    Raises:
        VariantError: no such file, columns that are missing, a value that cannot be, positions of another
            build, or a sample that is not told.
    """
    if not path.is_file():
        raise VariantError(f"{path}: there is no such file")
    if path.stat().st_size > MAX_BYTES:
        raise VariantError(f"{path}: is larger than {MAX_BYTES:,} bytes; give one tumor's segments")
    frame = _frame(path)
    if frame.empty:
        raise VariantError(f"{path}: has a header and no segment; export it again")
    named = frame["sample"].unique()
    chosen = [name for name in named if sample is None or name == sample]
    if len(chosen) != 1:
        asked = "none is named" if sample is None else f"{sample!r} is not one of them"
        raise VariantError(
            f"{path}: has {len(named)} samples and {asked}; set segments.sample in study.yaml to one of "
            f"{', '.join(map(str, named[:4]))}" + (" ..." if len(named) > 4 else "")
        )
    own = frame[frame["sample"] == chosen[0]]
    own = own[own["chromosome"].isin(CHROMOSOMES)]
    _check(path, own, build)
    rows = own[["chromosome", "start", "end", "log2"]].itertuples(index=False)
    return str(chosen[0]), tuple(
        Segment(chromosome=c, start=int(a), end=int(b), log2=float(v)) for c, a, b, v in rows
    )


def _frame(path: Path) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ParserWarning)  # of a row that is longer than the header
            frame = pd.read_csv(path, sep="\t", comment="#", dtype=str, index_col=False)
    except (*UNREADABLE, ParserError, ParserWarning, EmptyDataError, ValueError) as error:
        raise VariantError(f"{path}: is no table of segments ({error}); export it again") from error
    names = {str(name).strip().lower(): name for name in frame.columns}
    found = {k: next((names[n] for n in known if n in names), None) for k, known in COLUMNS.items()}
    missing = [name for name, column in found.items() if column is None]
    if missing:
        raise VariantError(
            f"{path}: has no column for {', '.join(missing)}; a SEG file has ID, chrom, loc.start, loc.end, "
            "num.mark and seg.mean"
        )
    frame = pd.DataFrame({name: frame[column] for name, column in found.items()})
    frame["chromosome"] = frame["chromosome"].astype(str).map(plain)
    for name in ("start", "end", "log2"):
        frame[name] = pd.to_numeric(frame[name], errors="coerce")
    return frame


def _check(path: Path, own: pd.DataFrame, build: Build) -> None:
    ends = own["chromosome"].map(lambda c: length_of(c, build) or 0).astype(float)
    for wrong, rule in (
        (~np.isfinite(own["log2"]), "its mean is no number"),
        (
            own["log2"].abs() > FARTHEST,
            f"its mean is beyond {FARTHEST:g}; log2 ratios are wanted, no copies",
        ),
        (~(own["start"] >= 1) | ~(own["end"] >= own["start"]), "it has no valid start and end"),
        (own["end"] > ends, f"it ends beyond its chromosome in {build}, so it is of another build"),
    ):
        if wrong.any():
            row = own[wrong].iloc[0]
            raise VariantError(
                f"{path}: the segment {row['chromosome']}:{row['start']:.0f}-{row['end']:.0f} is not valid "
                f"({rule}); correct the file, or its build in study.yaml"
            )
    if own.empty:
        raise VariantError(f"{path}: has no segment on chromosomes 1 to 22, X or Y")
    autosomes = own[~own["chromosome"].isin(["X", "Y"])]
    lengths = (autosomes["end"] - autosomes["start"] + 1.0).to_numpy()
    if lengths.sum() > JUDGED:
        mean = float(np.average(2.0 ** autosomes["log2"].to_numpy(), weights=lengths))
        if not 1 / MOST_OFF < mean < MOST_OFF:
            raise VariantError(
                f"{path}: its segments are {mean:.1f} times the sample's mean on average, as copies would be; "
                "log2 ratios to that mean are wanted"
            )
