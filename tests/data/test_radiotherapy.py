"""Planned doses and structures from DICOM: where they lie, how much they are, and what is refused."""

from __future__ import annotations

import tarfile

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from data.errors import ImageError
from data.io.rtdose import read_rtdose
from data.io.rtstruct import read_rtstruct
from models.registration import resample
from models.response.dose_volume import DoseVolume
from pipelines import ingest

FRAME = "1.2.3.4"
ROWS, COLUMNS, FRAMES = 6, 5, 4


def written(path, modality: str, ds_changes) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.2"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, generate_uid()
    ds.Modality = modality
    ds_changes(ds)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)


def write_dose(path, **changes):
    """1 cGy times (100 frame + 10 row + column), on an axial grid of 2 x 3 x 4 mm (row, column, frame)."""

    def fill(ds):
        ds.FrameOfReferenceUID = FRAME
        ds.Rows, ds.Columns, ds.NumberOfFrames, ds.SamplesPerPixel = ROWS, COLUMNS, FRAMES, 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        ds.PixelSpacing = [2.0, 3.0]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [10.0, -20.0, 30.0]
        ds.GridFrameOffsetVector = [0.0, 4.0, 8.0, 12.0]
        ds.DoseUnits, ds.DoseType, ds.DoseSummationType = "GY", "PHYSICAL", "PLAN"
        ds.DoseGridScaling = 0.01
        k, j, i = np.indices((FRAMES, ROWS, COLUMNS))
        ds.PixelData = (100 * k + 10 * j + i).astype("<u2").tobytes()
        for name, value in changes.items():
            if value is None:
                delattr(ds, name)
            else:
                setattr(ds, name, value)

    written(path, changes.pop("Modality", "RTDOSE"), fill)
    return path


@pytest.mark.parametrize(
    "vector",
    [[0.0, 4.0, 8.0, 12.0], [30.0, 34.0, 38.0, 42.0]],
    ids=["offsets", "positions"],
)
def test_a_dose_is_in_gray_and_lies_where_its_tags_say(tmp_path, vector):
    dose = read_rtdose(write_dose(tmp_path / "d.dcm", GridFrameOffsetVector=vector))
    assert dose.shape == (COLUMNS, ROWS, FRAMES)
    assert dose.frame_of_reference_uid == FRAME
    assert dose.array[3, 2, 1] == pytest.approx(1.23)
    lps = np.array([10.0 + 3 * 3.0, -20.0 + 2 * 2.0, 30.0 + 4.0])
    assert dose.world(np.array([3.0, 2.0, 1.0])) == pytest.approx(lps * [-1, -1, 1])


def test_frames_listed_from_the_head_down_are_where_they_were(tmp_path):
    dose = read_rtdose(
        write_dose(tmp_path / "d.dcm", GridFrameOffsetVector=[0.0, -4.0, -8.0, -12.0])
    )
    assert dose.world(np.array([0.0, 0.0, 1.0]))[2] == pytest.approx(26.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"DoseUnits": "RELATIVE"}, "PHYSICAL in RELATIVE; export the physical dose"),
        ({"DoseType": "EFFECTIVE"}, "EFFECTIVE in GY"),
        ({"DoseSummationType": "BEAM"}, "one BEAM; export the sum"),
        ({"GridFrameOffsetVector": [0.0, 4.0, 8.0, 13.0]}, "4 to 5 mm apart"),
        ({"GridFrameOffsetVector": [0.0, 4.0]}, "2 frame offsets for 4 frames"),
        ({"DoseGridScaling": None}, "lacks DoseGridScaling"),
        ({"PixelSpacing": [2.0]}, "lacks PixelSpacing"),
        ({"ImageOrientationPatient": [1, 0, 0]}, "lacks ImageOrientationPatient"),
        (
            {
                "ImageOrientationPatient": [0, 1, 0, 0, 0, -1],
                "GridFrameOffsetVector": [30.0, 34.0, 38.0, 42.0],
            },
            "do not lie across it",
        ),
        ({"Modality": "CT"}, "is CT, not RTDOSE"),
    ],
)
def test_a_dose_that_is_not_what_it_should_be_is_refused_by_name(tmp_path, changes, said):
    with pytest.raises(ImageError, match=said) as error:
        read_rtdose(write_dose(tmp_path / "d.dcm", **changes))
    assert "d.dcm" in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("PixelSpacing", [0.0, 3.0], "is not positive"),
        ("PixelSpacing", [2.0, -3.0], "is not positive"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_by_the_name_of_its_file(tmp_path, name, value, match):
    with pytest.raises(ImageError, match=rf"d\.dcm: {name}.*{match}"):
        read_rtdose(write_dose(tmp_path / "d.dcm", **{name: value}))


def test_a_dose_in_centigray_that_says_gray_is_refused(tmp_path):
    with pytest.raises(ImageError, match="a dose is 0 to 200 Gy, this goes from 0 to 354"):
        ingest._read_dose(write_dose(tmp_path / "d.dcm", DoseGridScaling=1.0))


def test_a_truncated_dose_and_a_text_file_are_refused(tmp_path):
    path = write_dose(tmp_path / "d.dcm")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ImageError, match=r"d\.dcm.*truncated"):
        read_rtdose(path)
    path.write_text("no dose")
    with pytest.raises(ImageError, match="not a DICOM file"):
        read_rtdose(path)


AXIAL = np.eye(3)


def circle(radius, z, center=(0.0, 0.0), turn=AXIAL, points=120):
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    flat = np.stack(
        [
            center[0] + radius * np.cos(angle),
            center[1] + radius * np.sin(angle),
            np.full(points, z),
        ],
        1,
    )
    return flat @ turn.T


def write_structures(path, rois: dict[str, list[np.ndarray]]):
    def fill(ds):
        ds.StructureSetROISequence, ds.ROIContourSequence = [], []
        for number, (name, contours) in enumerate(rois.items(), 1):
            roi, drawn = Dataset(), Dataset()
            roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, FRAME
            drawn.ReferencedROINumber, drawn.ContourSequence = number, []
            for points in contours:
                contour = Dataset()
                contour.ContourGeometricType = "CLOSED_PLANAR"
                contour.NumberOfContourPoints = len(points)
                contour.ContourData = [f"{v:.4f}" for v in points.ravel()]
                drawn.ContourSequence.append(contour)
            ds.StructureSetROISequence.append(roi)
            ds.ROIContourSequence.append(drawn)

    written(path, "RTSTRUCT", fill)
    return path


TILT = 0.4
TURNED = np.array([[1, 0, 0], [0, np.cos(TILT), -np.sin(TILT)], [0, np.sin(TILT), np.cos(TILT)]])


@pytest.mark.parametrize(
    "turn", [np.eye(3), TURNED, np.eye(3)[[1, 2, 0]]], ids=["axial", "tilted", "sagittal"]
)
def test_a_cylinder_has_its_volume_and_center_whatever_its_plane(tmp_path, turn):
    contours = [circle(20.0, z, (5.0, -8.0), turn) for z in np.arange(0.0, 30.0, 3.0)]
    found = read_rtstruct(write_structures(tmp_path / "s.dcm", {"GTV": contours}))
    mask = found.structures["GTV"]
    assert mask.frame_of_reference_uid == FRAME
    volume = mask.array.sum() * mask.voxel_volume_mm3
    assert volume == pytest.approx(np.pi * 20.0**2 * 30.0, rel=0.01)
    center = mask.world(np.argwhere(mask.array > 0).mean(0))
    assert center == pytest.approx(np.array([5.0, -8.0, 13.5]) @ turn.T * [-1, -1, 1], abs=0.3)


@pytest.mark.parametrize("bottom", [0.0, -54.15, -112.35, -101.45, 7.05])
def test_two_lesions_on_the_same_planes_have_their_volumes_wherever_these_lie(tmp_path, bottom):
    heights = bottom + 3.0 * np.arange(10)
    contours = [circle(20.0, z, points=120) for z in heights]
    contours += [circle(5.0, z, (40.0, 0.0), points=97) for z in heights]
    mask = read_rtstruct(write_structures(tmp_path / "s.dcm", {"GTV": contours})).structures["GTV"]
    assert mask.shape[2] == 12
    volume = mask.array.sum() * mask.voxel_volume_mm3
    assert volume == pytest.approx(np.pi * (20.0**2 + 5.0**2) * 30.0, rel=0.02)


def test_planes_without_a_contour_part_a_structure_and_uneven_ones_are_refused(tmp_path):
    def drawn(*heights):
        contours = [circle(20.0, z) for z in heights]
        return read_rtstruct(write_structures(tmp_path / "s.dcm", {"x": contours})).structures["x"]

    parted = drawn(0.0, 3.0, 6.0, 15.0, 18.0, 21.01)
    assert parted.array.any((0, 1)).tolist() == [0, 1, 1, 1, 0, 0, 1, 1, 1, 0]
    for heights in ((0.0, 3.0, 6.0, 12.0, 18.0, 24.0, 30.0), (0.0, 1.0, 2.5, 3.5)):
        with pytest.raises(ImageError, match=r"x: its contours are .* mm apart"):
            drawn(*heights)


def test_a_contour_inside_another_is_a_hole(tmp_path):
    contours = [circle(r, z) for z in (0.0, 3.0, 6.0) for r in (20.0, 10.0)]
    mask = read_rtstruct(write_structures(tmp_path / "s.dcm", {"ring": contours})).structures[
        "ring"
    ]
    volume = mask.array.sum() * mask.voxel_volume_mm3
    assert volume == pytest.approx(np.pi * (20.0**2 - 10.0**2) * 9.0, rel=0.02)


def test_a_structure_without_contours_is_named_and_the_others_are_read(tmp_path):
    found = read_rtstruct(
        write_structures(
            tmp_path / "s.dcm",
            {"none": [], "dot": [circle(0.2, 0.0, (0.4, 0.4))], "one": [circle(9.0, 0.0)]},
        )
    )
    assert found.empty == ("none", "dot")
    assert list(found.structures) == ["one"]


@pytest.mark.parametrize(
    ("rois", "said"),
    [
        ({"x": []}, "no closed contour"),
        ({"x": [circle(9.0, 0.0), circle(9.0, 3.0, turn=TURNED)]}, "planes of one direction"),
        ({"x": [circle(9e4, 0.0)]}, "larger than a body"),
    ],
)
def test_structures_that_cannot_be_drawn_are_refused(tmp_path, rois, said):
    with pytest.raises(ImageError, match=said):
        read_rtstruct(write_structures(tmp_path / "s.dcm", rois))


@pytest.fixture(scope="module")
def breast(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rt")
    with tarfile.open(shared / "dicom" / "dicompyler_RTPLAN_RTDOSE_RTSTRUCT.tar.xz") as tar:
        tar.extractall(folder, filter="data")
    return folder / "rt_breast"


def test_a_real_plan_gives_its_tumor_bed_the_prescribed_dose_and_its_heart_little(breast):
    dose = read_rtdose(breast / "rtdose.dcm")
    assert dose.shape == (194, 129, 98)
    assert dose.spacing_mm == pytest.approx((2.5, 2.5, 3.0))
    plan = pydicom.dcmread(breast / "rtplan.dcm")
    prescribed = float(plan.DoseReferenceSequence[0].TargetPrescriptionDose)
    found = read_rtstruct(breast / "rtss.dcm")
    assert set(found.empty) == {"Areola"}
    inside = {
        n: resample(dose, found.structures[n]).array[found.structures[n].array > 0]
        for n in ("Tumor Bed", "Heart")
    }
    bed, heart = DoseVolume(inside["Tumor Bed"]), DoseVolume(inside["Heart"])
    assert bed.mean_gy == pytest.approx(prescribed, rel=0.03)
    assert bed.dose_to(0.98) > 0.95 * prescribed
    # dicompyler-core, tests/test_dvhcalc.py, structure 5: 440.2 mL, at most 3.09 Gy, 0.6474 Gy on average.
    assert heart.highest_gy == pytest.approx(3.09, abs=0.02)
    assert heart.mean_gy == pytest.approx(0.6474, abs=0.005)
    mask = found.structures["Heart"]
    assert mask.array.sum() * mask.voxel_volume_mm3 / 1000 == pytest.approx(440.2, rel=0.01)


def test_a_real_tumor_has_the_volume_of_its_mask_in_the_published_crops(shared, tmp_path):
    """The same tumor drawn on T2 and copied to the T1 that the NIfTI mask is on."""
    from data.io.nifti import read_nifti

    with tarfile.open(shared / "dicom" / "STS_001_MR_T2FS_raw_RTSTRUCT.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    (path,) = (
        p for p in tmp_path.rglob("*.dcm")
        if pydicom.dcmread(p, stop_before_pixels=True).get("Modality") == "RTSTRUCT"
    )  # fmt: skip
    mask = read_rtstruct(path).structures["GTV_Mass"]
    drawn = read_nifti(shared / "sarcoma" / "STS_001" / "MR_T1_gtv.nii.gz")
    volumes = [(m.array > 0.5).sum() * m.voxel_volume_mm3 for m in (mask, drawn)]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.01)
