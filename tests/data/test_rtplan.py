"""RT plans become regimens: what the plan says, and by name what it does not."""

from __future__ import annotations

import tarfile

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from typer.testing import CliRunner

from app.cli import app
from data.errors import ImageError, RegimenError
from data.io.rtplan import read_rtplan
from data.io.structured import read_regimen


def plan(path, *, groups=((30, (1.0, 1.0)),), prescribed=60.0, brachy=0, modality="RTPLAN"):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.5"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    ds = Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    ds.Modality, ds.RTPlanLabel = modality, "GBM"
    if prescribed is not None:
        reference = Dataset()
        reference.DoseReferenceType, reference.DoseReferenceStructureType = "TARGET", "VOLUME"
        reference.TargetPrescriptionDose = prescribed
        ds.DoseReferenceSequence = Sequence([reference])
    made = []
    for count, beams in groups:
        group = Dataset()
        group.NumberOfFractionsPlanned, group.NumberOfBrachyApplicationSetups = count, brachy
        referenced = []
        for dose in beams:
            beam = Dataset()
            if dose is not None:
                beam.BeamDose = dose
            referenced.append(beam)
        group.ReferencedBeamSequence = Sequence(referenced)
        made.append(group)
    ds.FractionGroupSequence = Sequence(made)
    ds.save_as(path, enforce_file_format=True)
    return path


def test_a_plan_is_as_many_fractions_of_as_much_as_it_says(tmp_path):
    found = read_rtplan(plan(tmp_path / "p.dcm"), start_day=28)
    (course,) = found.radiotherapy
    assert (course.fractions, course.dose_per_fraction_gy, course.start_day) == (30, 2.0, 28)
    assert found.name == "Plan GBM"
    assert "60 Gy prescribed in 30; 5 a week, which the plan does not say" in found.source
    assert found.expand().total_dose_gy == pytest.approx(60)


def test_two_groups_follow_each_other_by_their_beams(tmp_path):
    path = plan(tmp_path / "p.dcm", groups=((23, (1.0, 1.0)), (7, (0.9, 0.9))))
    first, boost = read_rtplan(path).radiotherapy
    assert (first.dose_per_fraction_gy, boost.dose_per_fraction_gy) == (2.0, 1.8)
    assert boost.start_day == 35  # 23 fractions take five weeks


def test_beams_that_say_otherwise_are_told_and_a_dose_map_is_a_target(tmp_path):
    path = plan(tmp_path / "p.dcm", groups=((30, (1.5, 1.0)),))
    found = read_rtplan(path, dose="plan")
    assert "its beams sum to 75 Gy at their own points" in found.source
    assert (found.target.kind, found.target.dose, found.target.prescribed_gy) == ("map", "plan", 60)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"modality": "RTDOSE"}, "is no RTPLAN but RTDOSE"),
        ({"groups": ()}, "says nothing of fractions"),
        ({"groups": ((0, (2.0,)),)}, "does not say how many fractions"),
        ({"brachy": 1}, "is brachytherapy"),
        ({"prescribed": None, "groups": ((30, (1.0, None)),)}, "neither a dose to the target"),
        ({"prescribed": 6000.0}, "less than or equal to 30"),
    ],
)
def test_what_is_no_plan_of_fractions_is_refused(tmp_path, given, said):
    with pytest.raises(RegimenError, match=said):
        read_rtplan(plan(tmp_path / "p.dcm", **given))


def test_the_command_writes_a_regimen_that_is_read_again(tmp_path):
    path = plan(tmp_path / "p.dcm")
    words = ["study", "regimen", str(path), str(tmp_path / "r.yaml"), "--start-day", "14"]
    assert CliRunner().invoke(app, words).exit_code == 0
    regimen = read_regimen(tmp_path / "r.yaml")
    assert (len(regimen.fractions), regimen.start_day) == (30, 14)
    assert "exists already" in str(CliRunner().invoke(app, words).exception)
    (tmp_path / "x.dcm").write_bytes(b"no")
    with pytest.raises(ImageError, match=r"x.dcm: not a DICOM file"):
        read_rtplan(tmp_path / "x.dcm")


def test_a_real_plan_has_the_dose_that_its_set_is_known_for(shared, tmp_path):
    # dicompyler's breast set: 7 fractions, 14 Gy prescribed
    with tarfile.open(shared / "dicom" / "dicompyler_RTPLAN_RTDOSE_RTSTRUCT.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    (path,) = (p for p in tmp_path.rglob("*.dcm") if pydicom.dcmread(p).Modality == "RTPLAN")
    (course,) = read_rtplan(path).radiotherapy
    assert (course.fractions, course.dose_per_fraction_gy) == (7, 2.0)
