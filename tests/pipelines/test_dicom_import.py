"""Series picked from folders and archives: real sets come in with the right geometry and without the person."""

from __future__ import annotations

import tarfile
import zipfile

import numpy as np
import pydicom
import pytest
import yaml
from dicom_files import two_series

from data.errors import ImageError, StudyError
from data.io.deidentify import Secret
from data.io.dicom import read_dicom_series
from pipelines.dicom_import import guessed, opened, take, user_secret

SECRET = Secret(b"sixteen bytes or more", keep_characteristics=True)


def packed(folder, kind):
    if kind == "folder":
        return folder
    path = folder.with_suffix(f".{kind}")
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.rglob("*"):
                archive.write(file, file.relative_to(folder))
    else:
        with tarfile.open(path, "w:xz") as archive:
            archive.add(folder, folder.name)
    return path


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.xz"])
def test_series_are_listed_and_those_picked_are_a_study(tmp_path, kind):
    source = packed(two_series(tmp_path), kind)
    told = []
    with opened(source, lambda done, of: told.append((done, of))) as found:
        summaries = [series.summary for series in found.series]
        assert [s.description for s in summaries] == ["AX T1 POST GD", "AX FLAIR"]
        assert [s.images for s in summaries] == [6, 6]
        assert summaries[0].size == "7 x 9, 1.20 x 0.90 mm"
        assert guessed(found.series)["flair"] == 2
        assert not found.damaged
        study = take(found, {"t1c": 1, "flair": 2}, tmp_path / "study", secret=SECRET)
    assert told[-1][0] == told[-1][1]
    given = yaml.safe_load((study / "study.yaml").read_text())
    assert given["scans"] == [{"sequences": {"t1c": "t1c", "flair": "flair"}}]
    assert given["patient_id"] == SECRET.pseudonym("P1")
    for name in ("t1c", "flair"):
        assert read_dicom_series(study / name).shape == (9, 7, 6)
        assert b"Doe" not in b"".join(p.read_bytes() for p in (study / name).iterdir())


@pytest.mark.parametrize(
    ("picked", "said"),
    [
        ({}, "no series was picked"),
        ({"t1c": 5}, "there is no series 5; there are 1 to 2"),
        ({"t9": 1}, "'t9' is no sequence"),
    ],
)
def test_what_cannot_be_picked_is_said_and_nothing_is_written(tmp_path, picked, said):
    with opened(two_series(tmp_path)) as found, pytest.raises(StudyError, match=said):
        take(found, picked, tmp_path / "study", secret=None)
    assert not (tmp_path / "study").exists()


def test_a_damaged_file_is_named_and_only_left_out_when_that_is_asked_for(tmp_path):
    folder = two_series(tmp_path)
    path = folder / "a" / "5.dcm"
    path.write_bytes(path.read_bytes()[:400])
    with opened(folder) as found:
        assert any("5.dcm" in sentence for sentence in found.damaged)
        with pytest.raises(ImageError, match="--despite-damaged"):
            take(found, {"t1c": 1}, tmp_path / "study", secret=None)
        take(found, {"t1c": 1}, tmp_path / "study", secret=None, despite_damaged=True)
    assert read_dicom_series(tmp_path / "study" / "t1c").shape == (9, 7, 5)


def test_series_of_two_patients_are_no_study(tmp_path):
    folder = two_series(tmp_path)
    for path in (folder / "a" / "deep").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PatientID = "P2"
        dataset.save_as(path)
    with opened(folder) as found, pytest.raises(StudyError, match="of 2 patients"):
        take(found, {"t1c": 1, "flair": 2}, tmp_path / "study", secret=None)


def test_a_folder_without_images_and_a_file_that_is_no_archive_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    for source, said in (
        (tmp_path, "no CT, MR or PET"),
        (tmp_path / "notes.txt", "no folder, zip"),
    ):
        with pytest.raises(ImageError, match=said), opened(source):
            pass


def test_the_key_of_a_user_is_made_once_and_for_nobody_else_to_read(tmp_path, monkeypatch):
    monkeypatch.delenv("AVATAR_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    first = user_secret()
    (key,) = tmp_path.rglob("*.key")
    assert key.stat().st_mode & 0o777 == 0o600
    assert user_secret() == first
    assert len(first.key) == 32
    (tmp_path / "bad").write_text("no key")
    with pytest.raises(StudyError, match="bad: is no key"):
        user_secret(tmp_path / "bad")


SETS = {
    "STS_003_CT_PET_MR_RTSTRUCT": {"ct": "CT", "pet": "PT", "t1": "MR"},
    "STS_001_MR_T2FS_raw_RTSTRUCT": {"t2": "MR"},
}


@pytest.mark.parametrize("name", SETS)
def test_a_real_set_comes_in_as_it_was_but_for_the_person(shared, tmp_path, name):
    source = shared / "dicom" / f"{name}.tar.xz"
    with opened(source) as found:
        picked = guessed(found.series)
        assert set(picked) == set(SETS[name])
        take(found, picked, tmp_path / "plain", secret=None)
        take(found, picked, tmp_path / "clean", secret=SECRET)
        patient = found.series[0].summary.patient
    for sequence in picked:
        plain, clean = (
            read_dicom_series(tmp_path / which / sequence) for which in ("plain", "clean")
        )
        assert np.array_equal(
            clean.array, plain.array
        )  # of a PET: SUV, which times and weight decide
        assert np.array_equal(clean.affine, plain.affine)
        assert clean.frame_of_reference_uid != plain.frame_of_reference_uid
        for path in (tmp_path / "clean" / sequence).iterdir():
            assert patient.encode() not in path.read_bytes()
