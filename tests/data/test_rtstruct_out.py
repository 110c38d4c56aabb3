"""Contours out and in: the same voxels, on the slices of the series."""

from __future__ import annotations

import tarfile

import numpy as np
import pydicom
import pytest
from dicom_files import ADA, ORIENTATIONS, drawn, errors_of_dciodvfy, write_series

from data.errors import ImageError
from data.imaging import Segmentation, Volume
from data.io.dicom import read_dicom_series
from data.io.rtstruct import read_rtstruct, read_rtstruct_on, write_rtstruct
from models.registration import resample
from models.segmentation.scores import dice
from pipelines.sites.glioma import LABELS


@pytest.fixture
def series(tmp_path):
    return write_series(tmp_path / "series", ORIENTATIONS["axial"])


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
@pytest.mark.parametrize("codes", ["LPS", "RAS", "SAL"])
def test_contours_come_back_as_the_voxels_that_they_go_about(tmp_path, orientation, codes):
    folder = write_series(tmp_path / "s", orientation)
    image = read_dicom_series(folder)
    mask = drawn(image)
    write_rtstruct(tmp_path / "rs.dcm", Segmentation(mask.reoriented(codes), LABELS), folder, ADA)
    back = read_rtstruct_on(tmp_path / "rs.dcm", image)
    assert list(back) == [label.name for label in LABELS.labels]
    for label in LABELS.labels:
        assert np.array_equal(back[label.name].array > 0, mask.array == label.value)


def test_holes_and_pieces_that_touch_at_a_corner_come_back(series, tmp_path):
    image = read_dicom_series(series)
    array = np.zeros(image.shape, np.uint8)
    array[1:6, 1:6, 2] = 2
    array[2:5, 2:5, 2] = 0  # a hole
    array[3, 3, 2] = 2  # and an island in it
    array[6, 6, 3] = array[7, 5, 3] = 2
    mask = Segmentation(image.with_array(array), LABELS)
    write_rtstruct(tmp_path / "rs.dcm", mask, series, ADA)
    back = read_rtstruct_on(tmp_path / "rs.dcm", image)["Edema and infiltration"]
    assert np.array_equal(back.array, array // 2)
    assert not errors_of_dciodvfy(tmp_path / "rs.dcm")
    made = pydicom.dcmread(tmp_path / "rs.dcm")
    (roi,) = made.ROIContourSequence
    assert (
        len(roi.ContourSequence) == 4
    )  # the hole is in its ring's contour, so that no reader fills it
    for contour in roi.ContourSequence:
        contour.ContourGeometricType = "CLOSEDPLANAR_XOR"
    made.save_as(tmp_path / "xor.dcm")
    again = read_rtstruct_on(tmp_path / "xor.dcm", image)["Edema and infiltration"]
    assert np.array_equal(again.array, array // 2)


def test_contours_without_an_inside_or_of_another_frame_are_refused(series, tmp_path):
    image = read_dicom_series(series)
    path = tmp_path / "rs.dcm"
    write_rtstruct(path, Segmentation(drawn(image), LABELS), series, ADA)
    with pytest.raises(ImageError, match="another frame of reference"):
        read_rtstruct_on(path, Volume(image.array, image.affine, "1.2.3"))
    assert read_rtstruct_on(path, Volume(image.array, image.affine))
    made = pydicom.dcmread(path)
    made.ROIContourSequence[1].ContourSequence[0].ContourGeometricType = "OPEN_PLANAR"
    made.save_as(path)
    with pytest.raises(ImageError, match="Edema and infiltration: 1 of its contours"):
        read_rtstruct_on(path, image)


def test_the_file_refers_to_its_images_and_passes_the_checks_of_dicom3tools(series, tmp_path):
    image = read_dicom_series(series)
    path = tmp_path / "rs.dcm"
    write_rtstruct(path, Segmentation(drawn(image), LABELS), series, ADA)
    made = pydicom.dcmread(path)
    sources = {str(pydicom.dcmread(p).SOPInstanceUID) for p in series.iterdir()}
    frame = made.ReferencedFrameOfReferenceSequence[0]
    told = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].ContourImageSequence
    assert {str(item.ReferencedSOPInstanceUID) for item in told} == sources
    for roi in made.ROIContourSequence:
        for contour in roi.ContourSequence:
            assert str(contour.ContourImageSequence[0].ReferencedSOPInstanceUID) in sources
    assert made.SeriesDescription.startswith("Research use only")
    assert made.ApprovalStatus == "UNAPPROVED"
    assert not errors_of_dciodvfy(path)


def test_contours_of_another_series_and_an_empty_mask_are_refused(series, tmp_path):
    image = read_dicom_series(series)
    path = tmp_path / "rs.dcm"
    empty = Segmentation(image.with_array(np.zeros(image.shape, np.uint8)), LABELS)
    with pytest.raises(ImageError, match="mask is empty"):
        write_rtstruct(path, empty, series, ADA)
    assert not path.exists()
    write_rtstruct(path, Segmentation(drawn(image), LABELS), series, ADA)
    moved = image.affine.copy()
    moved[2, 3] += 1.0
    with pytest.raises(ImageError, match="between the slices of the series or beyond"):
        read_rtstruct_on(path, Volume(image.array, moved))
    with pytest.raises(ImageError, match="between the slices of the series or beyond"):
        read_rtstruct_on(path, Volume(image.array[:, :, :2], image.affine))


@pytest.mark.parametrize("sequence", ["CT", "PET", "MR_T1"])
def test_real_contours_are_the_same_on_their_series_and_without_it(shared, tmp_path, sequence):
    archive = shared / "dicom" / "STS_003_CT_PET_MR_RTSTRUCT.tar.xz"
    if not archive.is_file():
        pytest.skip("AVATAR_SHARED has no STS_003 series")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    folder = tmp_path / "STS_003" / sequence
    (path,) = (folder / "mask").iterdir()
    image = read_dicom_series(folder / "image")
    on_series = read_rtstruct_on(path, image)
    for name, free in read_rtstruct(path).structures.items():
        laid = resample(free.with_array(free.array.astype(np.float32)), image).array >= 0.5
        assert dice(laid, on_series[name].array > 0) > 0.95, name
