"""A real brain-tumor MR with its own mask, out of the source distribution of ``pyradiomics`` (BSD-3)."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from data.errors import SampleError
from data.files import replace_atomically
from data.imaging import Volume
from data.io.dicom import LPS_TO_RAS
from data.io.nifti import encode_nifti
from data.samples.distribution import Distribution, fetch_distribution
from data.samples.shared_cases import write_yaml

PYRADIOMICS = Distribution(
    requirement="pyradiomics==3.0.1",
    filename="pyradiomics-3.0.1.tar.gz",
    sha256="47c57f441d6cb7973fa3b2ea48d3948df78e3348e1c69e1e2ff19001601fc2f5",
    licence="BSD-3-Clause",
)
PATIENT = "public-brain1"


def write_public_study(folder: Path, cache: Path | None = None) -> Path:
    """The ``brain1`` case as a study folder.

    Raises:
        SampleError: the distribution cannot be fetched, or lacks the case.
    """
    archive = fetch_distribution(PYRADIOMICS, cache)
    with tempfile.TemporaryDirectory() as scratch:
        for part, name in (("image", "mr"), ("label", "mask")):
            member = f"pyradiomics-3.0.1/data/brain1_{part}.nrrd"
            try:
                with tarfile.open(archive) as tar:
                    stream = tar.extractfile(member)
                    content = stream.read() if stream else b""
            except (KeyError, tarfile.TarError) as error:
                raise SampleError(f"{archive}: has no {member}") from error
            path = Path(scratch, f"{part}.nrrd")
            path.write_bytes(content)
            replace_atomically(folder / f"{name}.nii.gz", encode_nifti(_read_itk(path)))
    write_yaml(
        folder / "study.yaml",
        {
            "patient_id": PATIENT,
            "site": "generic",
            "origin": "public-sample",
            "scans": [{"sequences": {"mr": "mr.nii.gz"}, "segmentation": "mask.nii.gz"}],
        },
    )
    return folder


def _read_itk(path: Path) -> Volume:
    """An ITK image (LPS) as a volume (RAS)."""
    image = sitk.ReadImage(str(path))
    direction: tuple[float, ...] = image.GetDirection()
    spacing: tuple[float, ...] = image.GetSpacing()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(direction, (3, 3)) @ np.diag(spacing)
    affine[:3, 3] = image.GetOrigin()
    array = np.ascontiguousarray(sitk.GetArrayFromImage(image).transpose(2, 1, 0))
    return Volume(array, LPS_TO_RAS @ affine)
