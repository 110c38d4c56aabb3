"""DICOM series (CT, MR, PET) to one :class:`data.imaging.Volume`; LPS is met only here.

Slices are sorted by position along their common normal; a missing, repeated or tilted slice is refused
by name, as is a folder with more than one series.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
import pydicom.filereader
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from data.errors import ImageError
from data.imaging import Volume
from data.io.suv import suv_factor

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
GAP_TOLERANCE = 0.01
"""Relative spread of slice gaps that is still uniform."""
ORIENTATION_TOLERANCE = 1e-3
ASIDE_MM = 0.1
"""How far a slice may lie beside the line from the first to the last; headers round."""
REQUIRED = {
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "PixelSpacing": 2,
    "SeriesInstanceUID": 1,
    "Rows": 1,
    "Columns": 1,
}
"""What places a slice, and how many values it has."""
IMAGING = ("CT", "MR", "PT")
DEFLATED = "1.2.840.10008.1.2.1.99"
LARGEST_FILE = 512 * 2**20
"""Bytes of one file, deflated or not: no slice comes near, and no more is ever taken into memory."""
LARGEST_SIDE = 8192
"""Rows and columns; the largest detectors have about 4,000."""


def read_dicom_series(folder: Path) -> Volume:
    """The one series in a folder, rescaled by slope and intercept; PET in SUV by body weight (g/mL).

    Raises:
        ImageError: no images, an unreadable or truncated file, several series, a missing, repeated or
            tilted slice, pixel data that cannot be decoded, or a PET that cannot be brought to SUV.
    """
    return volume_of(folder, read_slices(folder))


def volume_of(folder: Path, slices: list[tuple[Path, Dataset]]) -> Volume:
    """The volume of files that :func:`read_slices` read in a folder; see :func:`read_dicom_series`."""
    first = slices[0][1]
    row_cosine, column_cosine, normal = _directions(first)
    step = _slice_step(folder, slices, normal)
    array = np.stack([_pixels(path, ds) for path, ds in slices], axis=-1)
    if first.get("Modality") == "PT":
        array *= np.float32(suv_factor(folder, [ds for _, ds in slices]))
    row_mm, column_mm = (float(v) for v in first.PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0] = row_cosine * column_mm
    affine[:3, 1] = column_cosine * row_mm
    affine[:3, 2] = step
    affine[:3, 3] = _position(first if len(slices) == 1 else slices[0][1])
    frame = str(first.get("FrameOfReferenceUID", "")) or None
    return Volume(array, LPS_TO_RAS @ affine, frame)


def read_slices(folder: Path) -> list[tuple[Path, Dataset]]:
    """The files of the one series in a folder, in the order of the last axis of its volume.

    Raises:
        ImageError: no images, an unreadable or truncated file, or several series.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder}: there is no such folder")
    slices = [_read_file(path) for path in sorted(folder.iterdir()) if _is_candidate(path)]
    slices = [(path, ds) for path, ds in slices if "Rows" in ds]
    if not slices:
        raise ImageError(f"{folder}: no DICOM images in this folder")
    _require_one_series(folder, slices)
    normal = _directions(slices[0][1])[2]
    slices.sort(key=lambda s: float(np.dot(normal, _position(s[1]))))
    return slices


def read_dataset(path: Path, hint: str, *, pixels: bool = True) -> Dataset:
    """One DICOM file, or all of it but its pixels.

    Raises:
        ImageError: it is none, with a hint at what is wanted, or damaged.
    """
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "there is no such file"
        raise ImageError(f"{path}: {what}; {hint}")
    try:
        _require_sane_size(path)
        return pydicom.dcmread(path, stop_before_pixels=not pixels)
    except InvalidDicomError as error:
        raise ImageError(f"{path}: not a DICOM file; {hint}") from error
    except ImageError:
        raise
    except Exception as error:  # a damaged file makes pydicom raise whatever it likes
        raise ImageError(f"{path}: truncated or damaged ({error}); copy it again") from error


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its name or by its first bytes."""
    if path.suffix.lower() == ".dcm" or not path.is_file():
        return path.suffix.lower() == ".dcm"
    with path.open("rb") as file:
        file.seek(128)
        return file.read(4) == b"DICM"


def _require_sane_size(path: Path) -> None:
    """A small file may blow up to any size: measured before it is taken in."""
    size = path.stat().st_size
    if size > 256:
        with path.open("rb") as file:
            file.seek(128)
            if file.read(4) == b"DICM":
                meta = pydicom.filereader.read_file_meta_info(path)
                if meta.get("TransferSyntaxUID") == DEFLATED:
                    file.seek(144 + int(meta.FileMetaInformationGroupLength))
                    size = _inflated(file)
    if size > LARGEST_FILE:
        raise ImageError(
            f"{path}: is {size / 2**20:.0f} MiB or more large, and one slice is at most "
            f"{LARGEST_FILE // 2**20} MiB; it is no slice of a series, or made to fill the memory"
        )


def _inflated(file: BinaryIO) -> int:
    """Bytes that a deflated rest of a file comes to, counted as far as the limit."""
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while size <= LARGEST_FILE and (chunk := inflater.unconsumed_tail or file.read(2**16)):
        size += len(inflater.decompress(chunk, 2**20))
    return size


def _read_file(path: Path) -> tuple[Path, Dataset]:
    dataset = read_dataset(path, "keep only the series here")
    if dataset.get("Modality") in IMAGING and "PixelData" not in dataset:
        raise ImageError(f"{path}: has no pixel data, so it is truncated; copy it again")
    if "Rows" in dataset:
        for name, count in REQUIRED.items():
            value = dataset.get(name)
            found = 0 if value in (None, "") else np.size(value)
            if found != count:
                raise ImageError(
                    f"{path}: {name} has {found} value(s) instead of {count}, so the slice cannot be "
                    "placed in the patient; export the series again"
                )
        for name in ("ImagePositionPatient", "ImageOrientationPatient"):
            if not np.isfinite(numbers_of(path, dataset, name)).all():
                raise ImageError(
                    f"{path}: {name} is {dataset.get(name)}, so the slice cannot be placed in the "
                    "patient; export the series again"
                )
        if not (numbers_of(path, dataset, "PixelSpacing") > 0).all():  # nor NaN
            raise ImageError(f"{path}: PixelSpacing {dataset.PixelSpacing} is not positive")
    return path, dataset


def _rescale(path: Path, dataset: Dataset, name: str) -> float:
    """0 where it is not given."""
    return 0.0 if dataset.get(name) in (None, "") else float(numbers_of(path, dataset, name)[0])


def numbers_of(path: Path, dataset: Dataset, name: str) -> NDArray[np.float64]:
    """Values of an attribute.

    Raises:
        ImageError: they are text, as with a decimal comma.
    """
    try:
        return np.atleast_1d(np.array(dataset.get(name), np.float64))
    except (TypeError, ValueError) as error:
        raise ImageError(
            f"{path}: {name} is {dataset.get(name)!r}, which is no number; export it again"
        ) from error


def _is_candidate(path: Path) -> bool:
    """A file that may be a slice: not hidden, not the index of a medium."""
    return path.is_file() and not path.name.startswith(".") and path.name != "DICOMDIR"


def _directions(dataset: Dataset) -> tuple[NDArray[np.float64], ...]:
    """Unit vectors (LPS) along a row, down a column, and from slice to slice."""
    row, column = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
    return row, column, np.cross(row, column)


def _position(dataset: Dataset) -> NDArray[np.float64]:
    return np.array(dataset.ImagePositionPatient, np.float64)


def _require_one_series(folder: Path, slices: list[tuple[Path, Dataset]]) -> None:
    groups: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for _, ds in slices:
        orientation = tuple(np.round(np.array(ds.ImageOrientationPatient, float), 3) + 0.0)
        spacing = tuple(round(float(v), 4) for v in ds.PixelSpacing)
        whose = (str(ds.get("PatientID", "")), str(ds.get("FrameOfReferenceUID", "")))
        grid = (orientation, spacing, int(ds.Rows), int(ds.Columns))
        key = (str(ds.SeriesInstanceUID), whose, grid)
        groups[key].append(f"{ds.get('Modality', '?')} {ds.get('SeriesDescription', '')}".strip())
    if len(groups) > 1:
        listed = "; ".join(f"{names[0]} ({len(names)} files)" for names in groups.values())
        raise ImageError(
            f"{folder}: {len(groups)} series in one folder: {listed}. Give each a folder of its own"
        )


def _slice_step(
    folder: Path, slices: list[tuple[Path, Dataset]], normal: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The LPS vector from one slice to the next; mm."""
    if len(slices) == 1:
        thickness = float(slices[0][1].get("SliceThickness", 0) or 0)
        if thickness <= 0:
            raise ImageError(f"{folder}: one slice without a SliceThickness has no volume")
        return normal * thickness
    positions = np.array([_position(ds) for _, ds in slices])
    along = positions @ normal
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    repeated = np.flatnonzero(gaps < 1e-3)
    if len(repeated):
        a, b = slices[repeated[0]][0].name, slices[repeated[0] + 1][0].name
        raise ImageError(f"{folder}: {a} and {b} lie at the same position; remove one of them")
    wide = np.flatnonzero(np.abs(gaps - usual) > GAP_TOLERANCE * usual)
    if len(wide):
        n = int(wide[0])
        raise ImageError(
            f"{folder}: a slice is missing between {slices[n][0].name} (at {along[n]:.1f} mm) and "
            f"{slices[n + 1][0].name} (at {along[n + 1]:.1f} mm): the gap is {gaps[n]:.2f} mm where "
            f"{usual:.2f} mm is usual; export the whole series again"
        )
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    tilt = np.linalg.norm(step / np.linalg.norm(step) - normal)
    if tilt > ORIENTATION_TOLERANCE * 10:
        raise ImageError(f"{folder}: the gantry is tilted; convert it with a tilt correction first")
    aside = positions - positions[0]
    direction = step / np.linalg.norm(step)
    aside = np.linalg.norm(aside - np.outer(aside @ direction, direction), axis=1)
    if aside.max() > ASIDE_MM:
        n = int(np.argmax(aside))
        raise ImageError(
            f"{folder}: {slices[n][0].name} lies {aside[n]:.1f} mm beside the line of the other slices; "
            "export the whole series again"
        )
    return np.asarray(step, np.float64)


def _pixels(path: Path, dataset: Dataset) -> NDArray[np.float32]:
    """One slice as (column, row), i.e. (i, j), in the units of the rescale."""
    sides = int(dataset.Rows), int(dataset.Columns), int(dataset.get("NumberOfFrames", 1) or 1)
    if max(sides[:2]) > LARGEST_SIDE or min(sides) < 1 or sides[2] > 1:
        raise ImageError(
            f"{path}: says it has {sides[0]} x {sides[1]} pixels in {sides[2]} frame(s); a slice has one "
            f"frame and at most {LARGEST_SIDE} pixels a side (enhanced multi-frame is not read yet)"
        )
    try:
        stored = dataset.pixel_array
    except Exception as error:  # decoders raise whatever they like
        raise ImageError(
            f"{path}: the pixel data cannot be decoded ({error}); the file is truncated or its "
            "transfer syntax is not supported"
        ) from error
    if stored.ndim != 2:
        raise ImageError(f"{path}: {stored.ndim}-D pixel data; a slice of a series is grey")
    slope = _rescale(path, dataset, "RescaleSlope") or 1.0
    intercept = _rescale(path, dataset, "RescaleIntercept")
    return np.asarray(stored.T.astype(np.float32) * slope + intercept, np.float32)
