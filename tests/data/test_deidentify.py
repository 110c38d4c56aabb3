"""No planted attribute is left, a study stays one study, and times keep what lies between them."""

from __future__ import annotations

import io
from datetime import datetime
from importlib import import_module

import numpy as np
import pydicom
import pytest
from dicom_files import ORIENTATIONS, write_series
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import generate_uid

from data.errors import ImageError
from data.io.deidentify import CHARACTERISTICS, PERSONAL_DATES, TABLE, Secret, deidentify
from data.io.suv import local_moment

SECRET = Secret(b"sixteen bytes or more")
NAME, DAY, CLOCK, NUMBER = "PLANTED", "19870605", "040302.111", 4711
NEVER_PLANTED = ("SOPClassUID", "TransferSyntaxUID", "PixelData")
"""Of the table nothing but what a file could not be read without."""


def table():
    return [tag for tag in import_module(TABLE).ALL_TAGS if len(tag) == 2 and tag[0] % 2 == 0]


def planted(vr):
    """A value of this kind that is known again."""
    if vr == "SQ":
        item = Dataset()
        item.PatientName, item.StudyDate, item.TextValue = NAME, DAY, NAME
        return Sequence([item])
    values = {
        "DA": DAY, "TM": CLOCK, "DT": DAY + CLOCK, "UI": "1.2.3.4711.1", "AS": "047Y",
        "UR": f"http://{NAME}.example", "AT": 0x00104711, "DS": str(NUMBER), "IS": str(NUMBER),
    }  # fmt: skip
    if vr in values:
        return values[vr]
    if vr in ("FD", "FL", "SL", "SS", "UL", "US", "SV", "UV"):
        return NUMBER
    return NAME.encode() * 2 if vr.startswith("O") or vr == "UN" else NAME


def vr_of(tag):
    """Text where the attribute is newer than the dictionary at hand."""
    return dictionary_VR(tag).split(" or ")[0] if dictionary_has_tag(tag) else "LO"


def plant(dataset, tags):
    for tag in tags:
        vr = vr_of(tag)
        if keyword_for_tag(tag) not in NEVER_PLANTED:
            dataset.add(DataElement(Tag(tag), vr, planted(vr)))


def image(tmp_path, n=0):
    folder = tmp_path / "series"
    if not folder.exists():
        write_series(folder, ORIENTATIONS["axial"])
    return pydicom.dcmread(sorted(folder.iterdir())[n])


def left(dataset):
    """Planted values that are still somewhere in it."""
    found = []
    for element in dataset.iterall():
        text = str(element.value)
        numbers = element.value if isinstance(element.value, list) else [element.value]
        if (
            NAME in text
            or NAME.encode() in (element.value if isinstance(element.value, bytes) else b"")
            or text in (DAY, CLOCK, DAY + CLOCK, "047Y", "1.2.3.4711.1", "00104711")
            or any(str(n) in (str(NUMBER), f"{NUMBER}.0") for n in numbers)
        ):
            found.append(keyword_for_tag(element.tag) or str(element.tag))
    return found


def test_of_all_attributes_of_the_standards_table_none_is_left(tmp_path):
    dataset = image(tmp_path)
    tags = [tag for tag in table() if tag[0] not in (0x0000, 0x0002, 0x0004)]
    plant(dataset, tags)
    deep = Dataset()
    plant(deep, tags)
    deeper = Dataset()
    plant(deeper, tags)
    deep.add_new(0x00280009, "AT", 0x00181063)
    deep.PixelMeasuresSequence = Sequence([deeper])
    dataset.SharedFunctionalGroupsSequence = Sequence([deep])
    for group in (0x6000, 0x6004, 0x5000):
        dataset.add_new((group, 0x0022 if group >= 0x6000 else 0x2500), "LO", NAME)
        dataset.add_new((group, 0x3000), "OW", NAME.encode() * 2)
    dataset.add_new((0x0009, 0x0010), "LO", NAME)
    dataset.add_new((0x0009, 0x1001), "LO", NAME)
    dataset.add_new((0x0011, 0x1001), "UN", NAME.encode() * 2)
    for tag in table():
        if tag[0] == 0x0002:
            dataset.file_meta.add(DataElement(Tag(tag), *_meta_value(tag)))
    dataset.Modality, dataset.PatientID = "MR", NAME
    dataset.file_meta.SourceApplicationEntityTitle = NAME
    assert len(tags) > 500
    assert len(left(dataset)) > 3 * 500
    made = deidentify(dataset, SECRET)
    assert not left(made), left(made)[:20]
    content = io.BytesIO()
    made.save_as(content, enforce_file_format=True)
    assert NAME.encode() not in content.getvalue()
    assert b"4711.1" not in content.getvalue()
    content.seek(0)
    again = pydicom.dcmread(content)
    assert left(again) == left(again.file_meta) == []
    assert np.array_equal(again.pixel_array, image(tmp_path).pixel_array)
    assert again.file_meta.MediaStorageSOPInstanceUID == again.SOPInstanceUID
    assert again.PatientIdentityRemoved == "YES"
    codes = [item.CodeValue for item in again.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113107"]


def _meta_value(tag):
    vr = vr_of(tag)
    return vr, planted(vr)


def test_a_study_stays_one_study_and_every_uid_is_another(tmp_path):
    images = [image(tmp_path, n) for n in range(6)]
    made = [deidentify(x, SECRET) for x in images]
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        (new,) = {x.get(name) for x in made}
        assert new != images[0].get(name)
    assert len({x.SOPInstanceUID for x in made}) == 6
    assert not {x.SOPInstanceUID for x in made} & {x.SOPInstanceUID for x in images}
    assert deidentify(images[0], SECRET) == made[0]
    other = deidentify(images[0], Secret(b"another key of sixteen"))
    assert other.StudyInstanceUID != made[0].StudyInstanceUID
    assert other.PatientID != made[0].PatientID
    referring = image(tmp_path, 1)
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = images[0].SOPInstanceUID
    reference.ReferencedSOPClassUID = images[0].SOPClassUID
    referring.ReferencedImageSequence = Sequence([reference])
    (item,) = deidentify(referring, SECRET).ReferencedImageSequence
    assert item.ReferencedSOPInstanceUID == made[0].SOPInstanceUID
    assert item.ReferencedSOPClassUID == images[0].SOPClassUID
    for x in made:
        assert len(x.SOPInstanceUID) <= 64


moments = st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0)
)


@given(first=moments, second=moments, patient=st.text("ABC123", min_size=1, max_size=8))
def test_all_times_of_a_patient_move_by_the_same_span(tmp_path_factory, first, second, patient):
    folder = tmp_path_factory.getbasetemp() / "moved"
    folder.mkdir(exist_ok=True)
    dataset = image(folder)
    dataset.PatientID = patient
    dataset.StudyDate, dataset.StudyTime = f"{first:%Y%m%d}", f"{first:%H%M%S}"
    dataset.AcquisitionDate, dataset.AcquisitionTime = f"{second:%Y%m%d}", f"{second:%H%M%S}"
    dataset.AcquisitionDateTime = f"{second:%Y%m%d%H%M%S}"
    made = deidentify(dataset, SECRET)

    def at(what):
        return datetime.strptime(made.get(f"{what}Date") + made.get(f"{what}Time"), "%Y%m%d%H%M%S")

    assert at("Acquisition") - at("Study") == second - first
    assert first - at("Study") == SECRET.shift(patient)
    assert datetime.strptime(made.AcquisitionDateTime, "%Y%m%d%H%M%S") == at("Acquisition")
    assert 1 <= SECRET.shift(patient).days <= 3650


def test_patients_move_by_spans_of_their_own():
    assert len({SECRET.shift(f"P{n}") for n in range(200)}) == 200
    assert len({SECRET.pseudonym(f"P{n}") for n in range(200)}) == 200


def test_what_suv_needs_stays_when_it_is_asked_for(tmp_path):
    dataset = image(tmp_path)
    dataset.PatientWeight, dataset.PatientSex, dataset.PatientBirthDate = 71, "F", "19500101"
    removed = deidentify(dataset, SECRET)
    assert all(not removed.get(name) for name in (*CHARACTERISTICS, *PERSONAL_DATES))
    kept = deidentify(dataset, Secret(SECRET.key, keep_characteristics=True))
    assert (kept.PatientWeight, kept.PatientSex) == (71, "F")
    assert not kept.PatientBirthDate
    assert kept.DeidentificationMethodCodeSequence[-1].CodeValue == "113108"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"BurnedInAnnotation": "YES"}, "may show a name in its picture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "may show a name in its picture"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "may show a name"),
        ({"Modality": "SR"}, "is SR; only CT, MR, PT"),
        ({"Modality": "US"}, "is US; only"),
        ({"PatientID": ""}, "has no PatientID"),
    ],
)
def test_what_cannot_be_cleaned_is_not_taken_in(tmp_path, change, said):
    dataset = image(tmp_path)
    for name, value in change.items():
        setattr(dataset, name, value)
    with pytest.raises(ImageError, match=said):
        deidentify(dataset, SECRET)


def test_sequences_within_sequences_without_end_are_refused(tmp_path):
    dataset = image(tmp_path)
    inner = Dataset()
    for _ in range(40):
        outer = Dataset()
        outer.PixelMeasuresSequence = Sequence([inner])
        inner = outer
    dataset.SharedFunctionalGroupsSequence = Sequence([inner])
    with pytest.raises(ImageError, match="nested more than 20 deep"):
        deidentify(dataset, SECRET)


def test_a_date_that_is_none_is_not_kept_and_a_short_key_is_refused(tmp_path):
    dataset = image(tmp_path)
    dataset.add(DataElement(0x00080020, "DA", "", already_converted=True))
    dataset["StudyDate"]._value = "Jo Doe born"
    assert deidentify(dataset, SECRET).StudyDate == ""
    assert generate_uid() != SECRET.uid("1.2.3")
    assert SECRET.uid("") == ""
    with pytest.raises(ValueError, match="at least 16 bytes"):
        Secret(b"short")


@given(
    key=st.binary(min_size=16, max_size=32),
    clock=st.sampled_from(["000500", "091010.50", "235959"]),
)
def test_an_injection_with_a_time_alone_stays_as_long_before_the_scan(key, clock):
    pet = Dataset()
    pet.Modality, pet.PatientID = "PT", "P1"
    pet.SOPClassUID, pet.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.128", generate_uid()
    pet.SeriesDate, pet.SeriesTime = "20260301", "235959.50"
    tracer = Dataset()
    tracer.RadiopharmaceuticalStartTime = clock
    pet.RadiopharmaceuticalInformationSequence = Sequence([tracer])
    made = deidentify(pet, Secret(key))
    (moved,) = made.RadiopharmaceuticalInformationSequence
    scan = local_moment(made.SeriesDate + made.SeriesTime, "")
    injected = local_moment(moved.RadiopharmaceuticalStartDateTime, "")
    before = local_moment(f"20260301{clock}", "")
    assert scan - injected == local_moment("20260301235959.50", "") - before
    assert not pet.RadiopharmaceuticalInformationSequence[0].get("RadiopharmaceuticalStartDateTime")
