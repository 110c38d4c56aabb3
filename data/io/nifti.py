"""NIfTI files, read to and written from :class:`data.imaging.Volume`; both are RAS+."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from data.errors import ImageError
from data.imaging import LabelTable, Segmentation, Volume

HEADER_BYTES = 2**24
"""Room for the header and its extensions."""
MAX_VOXELS = 2**30
"""A header that asks for more is a mistake or an attack: 1024 cubed."""
UNITS = {1: "meters", 3: "micrometers"}
"""Codes of NIfTI for lengths that are no millimeters."""


def read_nifti(path: Path) -> Volume:
    """One 3-D image.

    Raises:
        ImageError: no such file, not NIfTI, damaged, not 3-D, without an affine, or with a NaN.
    """
    if not path.is_file():
        raise ImageError(f"{path}: is no file; name a .nii or .nii.gz file")
    try:
        image = nib.load(path)
    except Exception as error:  # a damaged header makes nibabel raise whatever it likes
        raise ImageError(f"{path}: not a readable NIfTI file ({error}); export it again") from error
    if not isinstance(image, nib.Nifti1Image | nib.Nifti2Image):
        raise ImageError(f"{path}: this is {type(image).__name__}, not NIfTI; convert it first")
    if not (int(image.header["qform_code"]) or int(image.header["sform_code"])):
        raise ImageError(
            f"{path}: the header has no affine (qform and sform codes are 0), so left and right are "
            "unknown; export the image again with its orientation"
        )
    unit = UNITS.get(int(image.header["xyzt_units"]) & 7)
    if unit is not None:
        raise ImageError(f"{path}: its header gives {unit}; export it again in mm")
    kind = image.header.get_data_dtype()
    if kind.kind not in "iufb":
        raise ImageError(
            f"{path}: its voxels are {kind}, not numbers; export it again in gray values"
        )
    size = int(np.prod([max(1, n) for n in image.shape], dtype=np.float64))
    if size > MAX_VOXELS:
        raise ImageError(
            f"{path}: the header asks for {size} voxels; at most {MAX_VOXELS} are read"
        )
    try:
        _check_length(path, int(image.dataobj.offset), size * kind.itemsize)
        array = np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ImageError(f"{path}: truncated or damaged ({error}); copy it again") from error
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    try:
        return Volume(array, np.asarray(image.affine))
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def _check_length(path: Path, offset: int, voxel_bytes: int) -> None:
    """Whether all voxels are there, before memory is taken for them.

    A gzipped file is read to its end, where its checksum is; nibabel stops at the last voxel.
    """
    if path.suffix != ".gz":
        if path.stat().st_size < offset + voxel_bytes:
            raise ValueError("it ends before the last voxel")
        return
    most, seen = voxel_bytes + HEADER_BYTES, 0
    with gzip.open(path) as stream:
        while chunk := stream.read(1 << 20):
            seen += len(chunk)
            if seen > most:
                raise ValueError("it goes on after the last voxel")
    if seen < offset + voxel_bytes:
        raise ValueError("it ends before the last voxel")


def read_segmentation(path: Path, labels: LabelTable, aliases: Mapping[int, int]) -> Segmentation:
    """A label map; values are rounded (0.9999 is 1) and renamed by ``aliases`` first.

    Raises:
        ImageError: as :func:`read_nifti`, or a value that the table does not name.
    """
    volume = read_nifti(path)
    rounded = np.rint(volume.array)
    if np.abs(rounded - volume.array).max() > 0.01:
        raise ImageError(f"{path}: a label map holds whole numbers; this looks like an image")
    array = rounded.astype(np.int64)
    for given, meant in aliases.items():
        array[rounded == given] = meant
    try:
        checked = Segmentation(volume.with_array(array), labels)
    except ImageError as error:
        raise ImageError(f"{path}: {error}; rename its values or choose another site") from error
    return Segmentation(checked.volume.with_array(array.astype(np.uint8)), labels)


def encode_nifti(volume: Volume) -> bytes:
    """Gzipped NIfTI bytes, the same for the same volume (no time stamp)."""
    array = np.asarray(volume.array)
    if array.dtype == np.bool_ or array.dtype == np.int64:
        array = array.astype(np.int32)
    image = nib.Nifti1Image(array, volume.affine)
    image.header.set_xyzt_units("mm", "sec")
    return gzip.compress(image.to_bytes(), compresslevel=3, mtime=0)


def encode_series(grid: Volume, frames: NDArray[np.uint8]) -> bytes:
    """Gzipped 4-D NIfTI bytes of frames (time, i, j, k) on one grid."""
    image = nib.Nifti1Image(np.ascontiguousarray(np.moveaxis(frames, 0, -1)), grid.affine)
    image.header.set_xyzt_units("mm", "sec")
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)


def decode_nifti(content: bytes) -> Volume:
    """What :func:`encode_nifti` wrote (the affine in single precision, as NIfTI has it)."""
    image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
    return Volume(np.asanyarray(image.dataobj), np.asarray(image.affine))
