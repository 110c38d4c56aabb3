from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

from data.errors import ImageError
from data.io.dicom import LPS_TO_RAS, read_dicom_series

ROWS, COLUMNS, SLICES = 6, 5, 4
TILTED_ROW = (np.cos(0.3), np.sin(0.3), 0.0)
TILTED_COLUMN = (-np.sin(0.3), np.cos(0.3), 0.0)


def write_series(folder, *, skip=(), twice=(), series="1.2.3", compress=False):
    """A CT whose value is 100 k + 10 row + column, in a plane turned by 0.3 rad; files unsorted."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(SLICES):
        if k in skip:
            continue
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        meta.MediaStorageSOPInstanceUID = generate_uid()
        ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, generate_uid()
        ds.SeriesInstanceUID, ds.Modality, ds.FrameOfReferenceUID = series, "CT", "1.9"
        ds.Rows, ds.Columns, ds.SamplesPerPixel = ROWS, COLUMNS, 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.PixelSpacing = [0.8, 0.5]
        ds.ImageOrientationPatient = [*TILTED_ROW, *TILTED_COLUMN]
        ds.ImagePositionPatient = [1.0, 2.0, 3.0 + 2.5 * k]
        ds.RescaleSlope, ds.RescaleIntercept = 2, -1000
        values = 100 * k + 10 * np.arange(ROWS)[:, None] + np.arange(COLUMNS)[None]
        ds.PixelData = values.astype("<i2").tobytes()
        if compress:
            ds.compress(RLELossless)
        for n in range(2 if k in twice else 1):
            ds.save_as(folder / f"{series}-{(7 * k) % 5}-{n}.dcm", enforce_file_format=True)
    return folder


@pytest.mark.parametrize("compress", [False, True])
def test_a_series_is_sorted_rescaled_and_placed_in_ras(tmp_path, compress):
    volume = read_dicom_series(write_series(tmp_path / "s", compress=compress))
    assert volume.shape == (COLUMNS, ROWS, SLICES)
    assert volume.frame_of_reference_uid == "1.9"
    i, j, k = 3, 2, 1
    assert volume.array[i, j, k] == 2 * (100 * k + 10 * j + i) - 1000
    lps = np.array([1.0, 2.0, 3.0 + 2.5 * k])
    lps = lps + 0.5 * i * np.array(TILTED_ROW) + 0.8 * j * np.array(TILTED_COLUMN)
    expected = (LPS_TO_RAS @ [*lps, 1.0])[:3]
    assert volume.world(np.array([i, j, k], float)) == pytest.approx(expected)


def test_a_missing_slice_is_refused_by_the_names_of_its_neighbours(tmp_path):
    with pytest.raises(ImageError, match=r"missing between 1\.2\.3-2-0\.dcm .* and 1\.2\.3-1-0"):
        read_dicom_series(_series_with_a_gap(tmp_path))


def _series_with_a_gap(tmp_path):
    folder = write_series(tmp_path / "s", skip=(2,))
    # Two gaps of 2.5 mm make the usual one; add a slice below the first.
    ds = pydicom.dcmread(folder / "1.2.3-0-0.dcm")
    for n in (1, 2):
        ds.ImagePositionPatient = [1.0, 2.0, 3.0 - 2.5 * n]
        ds.save_as(folder / f"below-{n}.dcm")
    return folder


def test_a_repeated_slice_is_refused(tmp_path):
    with pytest.raises(ImageError, match="same position"):
        read_dicom_series(write_series(tmp_path / "s", twice=(1,)))


def test_two_series_in_one_folder_are_refused_with_their_counts(tmp_path):
    write_series(tmp_path / "s")
    with pytest.raises(ImageError, match="2 series in one folder"):
        read_dicom_series(write_series(tmp_path / "s", series="9.9"))


def test_a_truncated_file_is_refused_by_name(tmp_path):
    folder = write_series(tmp_path / "s")
    victim = folder / "1.2.3-2-0.dcm"
    victim.write_bytes(victim.read_bytes()[:-20])
    with pytest.raises(ImageError, match=r"1\.2\.3-2-0\.dcm"):
        read_dicom_series(folder)


@pytest.mark.parametrize(
    "tag", [b"\x28\x00\x30\x00DS", b"\x20\x00\x32\x00DS"], ids=["spacing", "position"]
)
def test_a_decimal_comma_is_refused_by_name(tmp_path, tag):
    folder = write_series(tmp_path / "s")
    victim = folder / "1.2.3-2-0.dcm"
    content = bytearray(victim.read_bytes())
    at = content.index(tag) + len(tag) + 2
    place = content.index(b".", at, at + 24)
    content[place : place + 1] = b","
    victim.write_bytes(content)
    with pytest.raises(ImageError, match=r"1\.2\.3-2-0\.dcm: \w+ is .*, which is no number"):
        read_dicom_series(folder)


def test_something_else_in_the_folder_is_refused_by_name(tmp_path):
    folder = write_series(tmp_path / "s")
    (folder / "notes.txt").write_text("hello")
    with pytest.raises(ImageError, match=r"notes\.txt.*not a DICOM"):
        read_dicom_series(folder)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ImageError, match="no DICOM images"):
        read_dicom_series(tmp_path)


def test_a_real_mr_series_agrees_with_simpleitk(shared, tmp_path):
    import tarfile
    from collections import defaultdict

    import SimpleITK as sitk

    with tarfile.open(shared / "dicom" / "STS_001_MR_T2FS_raw_RTSTRUCT.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    groups = defaultdict(list)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            ds = pydicom.dcmread(path, stop_before_pixels=True)
            if ds.get("Modality") == "MR":
                groups[ds.SeriesInstanceUID].append(path)
    files = max(groups.values(), key=len)
    folder = tmp_path / "one-series"
    folder.mkdir()
    for path in files:
        path.rename(folder / path.name)
    ours = read_dicom_series(folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    theirs = reader.Execute()
    array = sitk.GetArrayFromImage(theirs).transpose(2, 1, 0)
    assert ours.shape == array.shape
    assert np.array_equal(ours.array, array)
    corner = np.array(ours.shape) - 1
    lps = theirs.TransformIndexToPhysicalPoint([int(c) for c in corner])
    assert ours.world(corner.astype(float)) == pytest.approx((LPS_TO_RAS @ [*lps, 1])[:3], abs=0.05)


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("ImagePositionPatient", []),
        ("ImagePositionPatient", [1, 2]),
        ("ImageOrientationPatient", [1, 0, 0]),
        ("ImagePositionPatient", ["1", "nan", "3"]),
        ("PixelSpacing", []),
        ("PixelSpacing", [0, 0]),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR DS")
def test_a_tag_that_cannot_place_a_slice_is_refused_by_name(tmp_path, tag, value):
    folder = write_series(tmp_path / "s")
    victim = folder / "1.2.3-2-0.dcm"
    ds = pydicom.dcmread(victim)
    setattr(ds, tag, value)
    ds.save_as(victim)
    with pytest.raises(ImageError, match=rf"1\.2\.3-2-0\.dcm: {tag}"):
        read_dicom_series(folder)


def test_a_slice_beside_the_others_is_refused_by_name(tmp_path):
    folder = write_series(tmp_path / "s")
    victim = folder / "1.2.3-2-0.dcm"
    ds = pydicom.dcmread(victim)
    ds.ImagePositionPatient[0] += 20
    ds.save_as(victim)
    with pytest.raises(ImageError, match=r"1\.2\.3-2-0\.dcm lies 20\.0 mm beside the line"):
        read_dicom_series(folder)


def test_a_file_cut_before_its_pixels_is_refused_by_name(tmp_path):
    folder = write_series(tmp_path / "s")
    victim = folder / "1.2.3-2-0.dcm"
    ds = pydicom.dcmread(victim)
    del ds.PixelData
    ds.save_as(victim)
    with pytest.raises(ImageError, match=r"1\.2\.3-2-0\.dcm: has no pixel data"):
        read_dicom_series(folder)


def test_slices_of_two_patients_are_two_series(tmp_path):
    folder = write_series(tmp_path / "s")
    ds = pydicom.dcmread(folder / "1.2.3-2-0.dcm")
    ds.PatientID = "somebody else"
    ds.save_as(folder / "1.2.3-2-0.dcm")
    with pytest.raises(ImageError, match="2 series"):
        read_dicom_series(folder)


def test_files_that_a_file_manager_leaves_are_passed_over(tmp_path):
    folder = write_series(tmp_path / "s")
    (folder / ".DS_Store").write_bytes(b"x")
    assert read_dicom_series(folder).shape[2] == SLICES
