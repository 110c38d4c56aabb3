"""DICOM SEG out and in: the same voxels at the same place, codes that others read, and clear refusals."""

from __future__ import annotations

import tarfile
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from dicom_files import ADA, ORIENTATIONS, drawn, errors_of_dciodvfy, write_series

from data.errors import ImageError
from data.imaging import Segmentation, Volume
from data.io.dicom import read_dicom_series
from data.io.dicom_seg import as_label_map, read_dicom_seg, write_dicom_seg
from pipelines.sites.generic import LABELS as LESION
from pipelines.sites.glioma import LABELS


@pytest.fixture
def series(tmp_path):
    return write_series(tmp_path / "series", ORIENTATIONS["axial"])


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
@pytest.mark.parametrize("codes", ["LPS", "RAS", "SAL"])
def test_a_mask_comes_back_as_it_was_whatever_the_order_of_its_axes(tmp_path, orientation, codes):
    folder = write_series(tmp_path / "s", orientation)
    image = read_dicom_series(folder)
    mask = drawn(image)
    write_dicom_seg(tmp_path / "m.dcm", Segmentation(mask.reoriented(codes), LABELS), folder, ADA)
    segments = read_dicom_seg(tmp_path / "m.dcm", image)
    back = as_label_map(tmp_path / "m.dcm", segments, LABELS)
    assert back.same_grid(image)
    assert np.array_equal(back.array, mask.array)
    assert [s.code for s in segments] == [x.code for x in LABELS.labels]


def test_the_file_refers_to_its_images_and_says_by_whom_it_is(series, tmp_path):
    image = read_dicom_series(series)
    for name in ("one.dcm", "two.dcm"):
        write_dicom_seg(tmp_path / name, Segmentation(drawn(image), LABELS), series, ADA)
    one, two = (pydicom.dcmread(tmp_path / name) for name in ("one.dcm", "two.dcm"))
    assert one.SOPInstanceUID == two.SOPInstanceUID
    sources = {str(pydicom.dcmread(path).SOPInstanceUID) for path in series.iterdir()}
    told = one.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {str(item.ReferencedSOPInstanceUID) for item in told} == sources
    assert (one.PatientID, one.StudyInstanceUID) == (
        "P1",
        pydicom.dcmread(series / "0.dcm").StudyInstanceUID,
    )
    assert one.SeriesDescription.startswith("Research use only")
    assert one.ContentCreatorName.family_name == "Ada"
    types = [s.SegmentedPropertyTypeCodeSequence[0] for s in one.SegmentSequence]
    assert [(t.CodingSchemeDesignator, t.CodeValue) for t in types] == [
        ("SCT", "6574001"),
        ("SCT", "79654002"),
        ("NCIt", "C113842"),
    ]  # DICOM context group 7168
    assert {s.SegmentAlgorithmType for s in one.SegmentSequence} == {"SEMIAUTOMATIC"}
    assert len({tuple(s.RecommendedDisplayCIELabValue) for s in one.SegmentSequence}) == 3


def test_the_file_passes_the_checks_of_dicom3tools(series, tmp_path):
    image = read_dicom_series(series)
    write_dicom_seg(tmp_path / "m.dcm", Segmentation(drawn(image), LABELS), series, ADA)
    assert not errors_of_dciodvfy(tmp_path / "m.dcm")


def test_segments_of_one_label_are_one_and_another_frame_is_refused(series, tmp_path):
    image = read_dicom_series(series)
    path = tmp_path / "m.dcm"
    write_dicom_seg(path, Segmentation(drawn(image), LABELS), series, ADA)
    first, second, third = read_dicom_seg(path, image)
    same = replace(second, name=first.name, code=first.code)
    both = as_label_map(path, (first, same, third), LABELS)
    assert np.array_equal(both.array == 1, (first.mask.array | second.mask.array) > 0)
    with pytest.raises(ImageError, match="another frame of reference"):
        read_dicom_seg(path, Volume(image.array, image.affine, "1.2.3"))
    elsewhere = Volume(drawn(image).array, image.affine, "1.2.3")
    with pytest.raises(ImageError, match="another frame of reference than the scan"):
        write_dicom_seg(path, Segmentation(elsewhere, LABELS), series, ADA)


@pytest.mark.parametrize("missing", ["FrameOfReferenceUID", "StudyInstanceUID"])
def test_a_series_that_cannot_be_referred_to_is_refused(series, tmp_path, missing):
    image = read_dicom_series(series)
    for path in series.iterdir():
        dataset = pydicom.dcmread(path)
        delattr(dataset, missing)
        dataset.save_as(path)
    with pytest.raises(ImageError, match=r"frame of reference|StudyInstanceUID"):
        write_dicom_seg(tmp_path / "m.dcm", Segmentation(drawn(image), LABELS), series, ADA)


def test_what_cannot_be_a_mask_of_the_series_is_refused_by_name(series, tmp_path):
    image = read_dicom_series(series)
    mask = drawn(image)
    path = tmp_path / "m.dcm"
    empty = Segmentation(image.with_array(np.zeros(image.shape, np.uint8)), LABELS)
    with pytest.raises(ImageError, match="mask is empty"):
        write_dicom_seg(path, empty, series, ADA)
    other = Segmentation(Volume(mask.array[1:], mask.affine), LABELS)
    with pytest.raises(ImageError, match="give the series that was segmented"):
        write_dicom_seg(path, other, series, ADA)
    assert not path.exists()
    write_dicom_seg(path, Segmentation(mask, LABELS), series, ADA)
    moved = image.affine.copy()
    moved[:3, 3] += image.affine[:3, 0] * 0.4
    with pytest.raises(ImageError, match="between those of the series"):
        read_dicom_seg(path, Volume(image.array, moved))
    with pytest.raises(ImageError, match="beyond the images"):
        read_dicom_seg(path, Volume(image.array[:, :, :2], image.affine))
    with pytest.raises(ImageError, match="is not a DICOM SEG"):
        read_dicom_seg(series / "0.dcm", image)
    with pytest.raises(
        ImageError, match=r"'Necrotic or non-enhancing core' is none of the labels Lesion"
    ):
        as_label_map(path, read_dicom_seg(path, image), LESION)
    content = path.read_bytes()
    for cut in (200, len(content) // 2, len(content) - 40):
        (tmp_path / "cut.dcm").write_bytes(content[:cut])
        with pytest.raises(ImageError, match=r"cut\.dcm"):
            read_dicom_seg(tmp_path / "cut.dcm", image)


def test_a_real_segmentation_of_eleven_lesions_lies_on_its_pet(shared, tmp_path):
    archive = shared / "dicom" / "QIN-HEADNECK-01-0139_PET_SEG.tar.xz"
    if not archive.is_file():
        pytest.skip("AVATAR_SHARED has no QIN-HEADNECK PET")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    folder = tmp_path / "QIN-HEADNECK-01-0139"
    pet = read_dicom_series(folder / "image")
    segments = read_dicom_seg(folder / "mask" / "mask.dcm", pet)
    assert [s.name for s in segments] == ["Neoplasm, Primary"] + ["Neoplasm, Secondary"] * 10
    stored = pydicom.dcmread(folder / "mask" / "mask.dcm")
    frames = stored.pixel_array
    of_frames = stored.PerFrameFunctionalGroupsSequence
    numbers = [int(f.SegmentIdentificationSequence[0].ReferencedSegmentNumber) for f in of_frames]
    heights = [float(f.PlanePositionSequence[0].ImagePositionPatient[2]) for f in of_frames]
    for number, segment in enumerate(segments, start=1):
        own = np.flatnonzero(np.array(numbers) == number)
        assert segment.mask.array.sum() == frames[own].sum()
        inside = pet.array[segment.mask.array > 0]
        assert inside.mean() > 3 * np.median(
            pet.array[pet.array > 0.1]
        )  # lesions take up the tracer
        for n in own[:: max(1, len(own) // 3)]:
            k = round((heights[n] - pet.affine[2, 3]) / pet.affine[2, 2])
            assert np.array_equal(segment.mask.array[:, :, k].T, frames[n])
