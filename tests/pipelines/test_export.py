"""A case goes out as DICOM: mask, contours and report of one version say the same."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pydicom
import pytest
from avatars import put_avatar, scan_of
from dicom_files import ORIENTATIONS, errors_of_dciodvfy, write_series

from data.errors import ReviewError
from data.io.dicom import read_dicom_series
from data.io.dicom_seg import as_label_map, read_dicom_seg
from data.io.dicom_sr import read_dicom_sr
from data.io.rtstruct import read_rtstruct_on
from data.lesions import Caliper, Diameters
from data.reading import Reading
from data.store import AvatarStore
from pipelines.export import export_dicom
from pipelines.review import find_case, keep_reading, save_version, sign
from pipelines.sites.glioma import LABELS

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


@pytest.fixture
def series(tmp_path):
    return write_series(tmp_path / "series", ORIENTATIONS["oblique"])


@pytest.fixture
def store(series, tmp_path):
    image = read_dicom_series(series)
    array = np.zeros(image.shape, np.uint8)
    array[1:5, 1:5, 1:4] = 2
    array[2:5, 2:5, 2:4] = 3
    mask = image.with_array(array)
    with AvatarStore(tmp_path / "store") as opened:
        scan = scan_of(opened, image, mask, segmenter="glioma-net: a network", given=False)
        put_avatar(opened, "P1", scan)
        yield opened


def edited(store):
    case = find_case(store, "P1")
    mask = store.volume(case.mask())
    array = np.array(mask.array)
    array[1, 1, 1] = 0
    save_version(store, case, mask.with_array(array), base=case.review.version, by="Ada", at=NOW)
    return find_case(store, "P1")


def test_what_was_measured_and_signed_goes_out_with_who_did_it(store, series, tmp_path):
    edited(store)
    line = {"start_ras_mm": (0, 0, 0), "end_ras_mm": (4, 0, 0)}
    across = {"start_ras_mm": (1, -1, 0), "end_ras_mm": (1, 1, 0)}
    by_hand = Diameters(longest=Caliper(**line), perpendicular=Caliper(**across))
    keep_reading(
        store, find_case(store, "P1"), Reading(diameters={"L1": by_hand}), by="Ada", at=NOW
    )
    sign(store, find_case(store, "P1"), version=1, by="Ada", at=NOW)
    case = find_case(store, "P1")
    files = {kind: tmp_path / f"{kind}.dcm" for kind in ("seg", "rtstruct", "sr")}
    for kind, path in files.items():
        export_dicom(store, case, None, series, path, kind=kind)
        assert not errors_of_dciodvfy(path)
        assert "signed by Ada" in pydicom.dcmread(path).SeriesDescription
    mask = store.volume(case.mask())
    grid = read_dicom_series(series)
    segments = read_dicom_seg(files["seg"], grid)
    assert np.array_equal(as_label_map(files["seg"], segments, LABELS).array, mask.array)
    contours = read_rtstruct_on(files["rtstruct"], grid)
    assert np.array_equal(contours["Enhancing tumor"].array > 0, mask.array == 3)
    report = read_dicom_sr(files["sr"])
    voxel = grid.voxel_volume_mm3
    assert report.regions["Whole tumor"] == pytest.approx((mask.array > 0).sum() * voxel)
    assert report.segments["Enhancing tumor"] == pytest.approx((mask.array == 3).sum() * voxel)
    (lesion,) = report.lesions
    assert (lesion.name, lesion.by_hand, lesion.diameters) == ("L1", True, by_hand)
    assert report.targets is report.overall is None  # a baseline
    made = pydicom.dcmread(files["sr"])
    assert made.VerificationFlag == "VERIFIED"
    assert str(made.VerifyingObserverSequence[0].VerifyingObserverName).startswith("Ada")


def test_an_unsigned_mask_says_so_and_a_report_is_of_the_latest_version(store, series, tmp_path):
    case = edited(store)
    export_dicom(store, case, 0, series, tmp_path / "first.dcm")
    assert "automatic mask, not signed" in pydicom.dcmread(tmp_path / "first.dcm").SeriesDescription
    export_dicom(store, case, 1, series, tmp_path / "sr.dcm", kind="sr")
    assert pydicom.dcmread(tmp_path / "sr.dcm").VerificationFlag == "UNVERIFIED"
    with pytest.raises(ReviewError, match="measured on the latest version, 1; version 0 has none"):
        export_dicom(store, case, 0, series, tmp_path / "old.dcm", kind="sr")
    assert not (tmp_path / "old.dcm").exists()
    with pytest.raises(ReviewError, match="no version 5"):
        export_dicom(store, case, 5, series, tmp_path / "none.dcm")


def test_a_report_of_scans_of_which_one_is_not_signed_is_not_verified(store, series, tmp_path):
    """The category is of all of them."""
    avatar = store.get("P1")
    (scan,) = avatar.scans
    earlier = scan.model_copy(update={"day": -30.0})
    store.put(avatar.model_copy(update={"scans": (earlier, scan)}))
    sign(store, find_case(store, "P1"), version=0, by="Ben", at=NOW)
    export_dicom(store, find_case(store, "P1"), 0, series, tmp_path / "one.dcm", kind="sr")
    assert pydicom.dcmread(tmp_path / "one.dcm").VerificationFlag == "UNVERIFIED"
    sign(store, find_case(store, "P1", -30.0), version=0, by="Ben", at=NOW)
    export_dicom(store, find_case(store, "P1"), 0, series, tmp_path / "both.dcm", kind="sr")
    assert pydicom.dcmread(tmp_path / "both.dcm").VerificationFlag == "VERIFIED"


def test_a_report_is_verified_by_who_signed_it_unless_something_was_measured_since(
    store, series, tmp_path
):
    edited(store)  # by Ada
    sign(store, find_case(store, "P1"), version=1, by="Ben", at=NOW)
    export_dicom(store, find_case(store, "P1"), 1, series, tmp_path / "sr.dcm", kind="sr")
    made = pydicom.dcmread(tmp_path / "sr.dcm")
    assert str(made.VerifyingObserverSequence[0].VerifyingObserverName) == "Ben^"
    keep_reading(store, find_case(store, "P1"), Reading(clinical="worse"), by="Eve", at=NOW)
    export_dicom(store, find_case(store, "P1"), 1, series, tmp_path / "since.dcm", kind="sr")
    assert pydicom.dcmread(tmp_path / "since.dcm").VerificationFlag == "UNVERIFIED"
