"""DICOM series that tests make on the spot."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from data.io.dicom_made import Authorship

ADA = Authorship(drawn_by="Ada", automatic=False, description="mask version 1, signed by Ada")

ORIENTATIONS = {
    "axial": [1, 0, 0, 0, 1, 0],
    "coronal": [1, 0, 0, 0, 0, -1],
    "oblique": [0.8, 0.6, 0, 0, 0, -1],
}


def write_series(folder, orientation, count=6):
    """MR slices of 9 x 7 voxels, 0.9 x 1.2 x 3 mm."""
    folder.mkdir()
    row, column = np.array(orientation, float).reshape(2, 3)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for k in range(count):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        meta.MediaStorageSOPInstanceUID = generate_uid()
        ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = (
            meta.MediaStorageSOPClassUID,
            meta.MediaStorageSOPInstanceUID,
        )
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.Modality, ds.PatientID, ds.PatientName = "MR", "P1", "Doe^Jo"
        ds.PatientBirthDate = ds.PatientSex = ds.StudyDate = ds.StudyTime = ""
        ds.AccessionNumber = ds.StudyID = ds.ReferringPhysicianName = ds.Manufacturer = ""
        ds.SeriesNumber, ds.InstanceNumber, ds.PositionReferenceIndicator = 1, k + 1, ""
        ds.Rows, ds.Columns, ds.SamplesPerPixel = 7, 9, 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        ds.PixelSpacing, ds.SliceThickness = [1.2, 0.9], 3
        ds.ImageOrientationPatient = list(orientation)
        ds.ImagePositionPatient = [
            float(v) for v in np.array([4, -6, 9]) + 3 * k * np.cross(row, column)
        ]
        ds.PixelData = np.full((7, 9), 50 + k, "<u2").tobytes()
        ds.save_as(folder / f"{k}.dcm", enforce_file_format=True)
    return folder


def two_series(tmp_path):
    """T1c and FLAIR of one patient and a text file, in folders of any depth."""
    folder = tmp_path / "dump"
    folder.mkdir()
    for name, words in (("a", "AX T1 POST GD"), ("b", "AX FLAIR")):
        series = write_series(folder / name, ORIENTATIONS["axial"])
        for path in series.iterdir():
            dataset = pydicom.dcmread(path)
            dataset.SeriesDescription, dataset.SeriesNumber = words, 7 if name == "b" else 3
            dataset.save_as(path)
    shutil.move(folder / "b", folder / "a" / "deep")
    (folder / "notes.txt").write_text("hello")
    return folder


def drawn(image):
    """Three labels on its grid."""
    array = np.zeros(image.shape, np.uint8)
    array[1:4, 2:5, 1:3] = 1
    array[5, 1, 2] = 3
    array[0, 0, -1] = 2
    return image.with_array(array)


def errors_of_dciodvfy(path):
    """What dicom3tools finds wrong with a file; the test is skipped where it is not installed."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed; 'make system' installs Debian's dicom3tools")
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    assert done.stderr, "it says at least which kind of object it is"
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]
