"""DICOM RTDOSE to a :class:`data.imaging.Volume` in Gy; LPS is met only here and in its sisters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from data.errors import ImageError
from data.imaging import Volume
from data.io.dicom import GAP_TOLERANCE, LPS_TO_RAS, numbers_of, read_dataset

WHOLE = ("PLAN", "MULTI_PLAN", "PLAN_OVERVIEW")
"""Dose summation types that are all of a treatment, not a part of it."""


def read_rtdose(path: Path) -> Volume:
    """The dose (i, j, k) in Gy of a whole plan.

    Frames may be listed by their offset from the first or by their position (PS3.3 C.8.8.3.2).

    Raises:
        ImageError: not a DICOM dose, truncated, relative or biological instead of physical Gy, of one beam
            or fraction only, without what places it, or with frames unevenly apart.
    """
    dataset = _read(path)
    units, kind = str(dataset.get("DoseUnits", "")), str(dataset.get("DoseType", ""))
    if units != "GY" or kind != "PHYSICAL":
        raise ImageError(
            f"{path}: its dose is {kind or 'of no type'} in {units or 'no unit'}; export the physical dose "
            "in Gy"
        )
    summed = str(dataset.get("DoseSummationType", ""))
    if summed not in WHOLE:
        raise ImageError(
            f"{path}: it is the dose of one {summed or 'unnamed part'}; export the sum of the plan"
        )
    row, column = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(row, column)
    offsets, first = _offsets(path, dataset, normal)
    affine = np.eye(4)
    row_mm, column_mm = (float(v) for v in dataset.PixelSpacing)
    affine[:3, 0], affine[:3, 1] = row * column_mm, column * row_mm
    affine[:3, 2], affine[:3, 3] = normal * offsets, first
    try:
        stored = np.atleast_3d(dataset.pixel_array)
    except Exception as error:  # decoders raise whatever they like
        raise ImageError(
            f"{path}: the dose cannot be decoded ({error}); the file is truncated"
        ) from error
    dose = stored.transpose(2, 1, 0).astype(np.float64) * float(dataset.DoseGridScaling)
    frame = str(dataset.get("FrameOfReferenceUID", "")) or None
    return Volume(dose.astype(np.float32), LPS_TO_RAS @ affine, frame)


def _read(path: Path) -> Dataset:
    dataset = read_dataset(path, "a dose is an RTDOSE or a NIfTI in Gy")
    if dataset.get("Modality") != "RTDOSE":
        raise ImageError(
            f"{path}: is {dataset.get('Modality', 'a file without a modality')}, not RTDOSE"
        )
    needed = (
        "PixelData", "DoseGridScaling", "GridFrameOffsetVector", "ImagePositionPatient",
        "ImageOrientationPatient", "PixelSpacing",
    )  # fmt: skip
    missing = [name for name in needed if dataset.get(name) in (None, "")]
    counts = ("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("PixelSpacing", 2)
    missing += [n for n, count in counts if n not in missing and np.size(dataset.get(n)) != count]
    if missing:
        raise ImageError(f"{path}: lacks {', '.join(missing)}; export the dose again")
    for name in needed[1:]:
        if not np.isfinite(numbers_of(path, dataset, name)).all():
            raise ImageError(f"{path}: {name} is {dataset.get(name)}; export the dose again")
    if not (numbers_of(path, dataset, "PixelSpacing") > 0).all():
        raise ImageError(f"{path}: PixelSpacing {dataset.PixelSpacing} is not positive")
    return dataset


def _offsets(
    path: Path, dataset: Dataset, normal: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Signed mm from one frame to the next along the normal, and where the first lies (LPS)."""
    position = np.array(dataset.ImagePositionPatient, float)
    vector = np.atleast_1d(np.array(dataset.GridFrameOffsetVector, float))
    if len(vector) != int(dataset.get("NumberOfFrames", 1)) or len(vector) < 2:
        raise ImageError(
            f"{path}: {len(vector)} frame offsets for {dataset.get('NumberOfFrames', 1)} frames; a dose "
            "needs two or more of each, as many"
        )
    gaps = np.diff(vector)
    if np.ptp(gaps) > GAP_TOLERANCE * abs(float(np.median(gaps))) or not gaps.all():
        raise ImageError(
            f"{path}: its frames lie {abs(gaps).min():g} to {abs(gaps).max():g} mm apart; export the dose "
            "on an even grid"
        )
    step = float((vector[-1] - vector[0]) / (len(vector) - 1))
    if abs(vector[0]) > 1e-6:  # positions along z instead of offsets
        if abs(normal[2]) < 1.0 - GAP_TOLERANCE:
            raise ImageError(
                f"{path}: its frames are listed by a position along the body, but do not lie across it; export "
                "the dose on an axial grid"
            )
        step *= float(np.sign(normal[2]))
    return step, position
