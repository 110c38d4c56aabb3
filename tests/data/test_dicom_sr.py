"""Structured reports: what is written is read back, and DICOM's own checker finds no error."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicom_files import ADA, ORIENTATIONS, drawn, errors_of_dciodvfy, write_series

from data.errors import ImageError
from data.imaging import Segmentation
from data.io.dicom import read_dicom_series
from data.io.dicom_seg import write_dicom_seg
from data.io.dicom_sr import ReportedLesion, ScanReport, read_dicom_sr, write_dicom_sr
from data.lesions import Caliper, Diameters
from pipelines.sites.glioma import LABELS


def report_on(image):
    """Volumes of its labels and two lesions, one of them by hand."""
    x, y, z = (round(float(v), 3) for v in image.world(np.array([2.0, 3.0, 1.0])))

    def line(*ends):
        start, end = (tuple(round(v, 3) for v in place) for place in ends)
        return Caliper(start_ras_mm=start, end_ras_mm=end)

    def diameters(a, b):
        return Diameters(
            longest=line((x, y, z), (x + a, y, z)),
            perpendicular=line((x + 1, y - b / 2, z), (x + 1, y + b / 2, z)),
        )

    return ScanReport(
        segments={
            "Necrotic or non-enhancing core": 58.32,
            "Edema and infiltration": 3.24,
            "Enhancing tumor": 3.24,
        },
        regions={"Whole tumor": 64.8, "Tumor core": 61.56, "Enhancing tumor": 3.24},
        lesions=(
            ReportedLesion("L1", 61.56, diameters(4.5, 3.25)),
            ReportedLesion("L2", 3.24, diameters(2.125, 1.5), by_hand=True),
        ),
        targets=("PR", "RANO 2.0, enhancing: 56 % less than at baseline: at least 50 %"),
        overall=("PD", "RANO 2.0, enhancing: a new measurable lesion, as the reader says"),
    )


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("verified", ["Müller 山田^=\\", None])
def test_a_report_is_read_back_word_for_word_and_number_for_number(tmp_path, orientation, verified):
    series = write_series(tmp_path / "series", ORIENTATIONS[orientation])
    image = read_dicom_series(series)
    report = report_on(image)
    path = tmp_path / "report.dcm"
    mask = Segmentation(drawn(image), LABELS)
    write_dicom_sr(path, mask, series, ADA, report, verified_by=verified)
    assert read_dicom_sr(path) == report
    assert not errors_of_dciodvfy(path)
    made = pydicom.dcmread(path)
    assert made.VerificationFlag == ("VERIFIED" if verified else "UNVERIFIED")
    assert "Research use only" in made.SeriesDescription
    source = pydicom.dcmread(next(series.iterdir()))
    assert made.StudyInstanceUID == source.StudyInstanceUID
    assert made.PatientID == source.PatientID


def test_a_report_refers_to_the_seg_of_the_same_mask(tmp_path):
    series = write_series(tmp_path / "series", ORIENTATIONS["axial"])
    image = read_dicom_series(series)
    mask = Segmentation(drawn(image), LABELS)
    write_dicom_sr(tmp_path / "report.dcm", mask, series, ADA, report_on(image))
    write_dicom_seg(tmp_path / "mask.dcm", mask, series, ADA)
    uid = pydicom.dcmread(tmp_path / "mask.dcm").SOPInstanceUID
    report = pydicom.dcmread(tmp_path / "report.dcm")
    assert uid in str(report)
    first = report.SOPInstanceUID
    write_dicom_sr(tmp_path / "again.dcm", mask, series, ADA, report_on(image))
    assert pydicom.dcmread(tmp_path / "again.dcm").SOPInstanceUID == first
    other = replace(report_on(image), targets=None)
    write_dicom_sr(tmp_path / "again.dcm", mask, series, ADA, other)
    assert pydicom.dcmread(tmp_path / "again.dcm").SOPInstanceUID != first
    assert read_dicom_sr(tmp_path / "again.dcm").targets is None


def test_what_is_no_report_is_refused_by_name(tmp_path):
    series = write_series(tmp_path / "series", ORIENTATIONS["axial"])
    with pytest.raises(ImageError, match=r"0.dcm: is not a DICOM structured report"):
        read_dicom_sr(series / "0.dcm")
    (tmp_path / "x.dcm").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"x.dcm"):
        read_dicom_sr(tmp_path / "x.dcm")


def test_a_mask_of_one_label_is_reported_too_and_a_lesion_keeps_its_identity(tmp_path):
    uids = []
    for name in ("one", "two"):
        series = write_series(tmp_path / name, ORIENTATIONS["axial"])
        image = read_dicom_series(series)
        whole = drawn(image)
        mask = Segmentation(whole.with_array((whole.array > 0).astype(np.uint8)), LABELS)
        report = replace(report_on(image), segments={"Necrotic or non-enhancing core": 64.8})
        path = tmp_path / f"{name}.dcm"
        write_dicom_sr(path, mask, series, ADA, report)
        assert read_dicom_sr(path) == report
        assert not errors_of_dciodvfy(path)
        groups = hd.sr.srread(path).content.get_image_measurement_groups()
        uids.append({str(g.tracking_identifier): str(g.tracking_uid) for g in groups})
    assert uids[0]["L1"] == uids[1]["L1"] != uids[0]["L2"]
