"""Out of a PACS without the person, and results back into it: against Debian's Orthanc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import orthanc
import pydicom
import pytest
import yaml
from dicom_files import ADA, ORIENTATIONS, drawn, write_series
from typer.testing import CliRunner

from app.cli import app
from data.errors import PacsError
from data.imaging import Segmentation
from data.io.dicom import read_dicom_series
from data.io.dicom_seg import as_label_map, read_dicom_seg, write_dicom_seg
from data.io.dicom_sr import ScanReport, read_dicom_sr, write_dicom_sr
from data.io.dicomweb import Pacs
from data.io.rtstruct import read_rtstruct_on, write_rtstruct
from pipelines.sites.glioma import LABELS

pytestmark = pytest.mark.xdist_group("pacs")

REPORT = ScanReport(
    segments={
        "Necrotic or non-enhancing core": 58.32,
        "Edema and infiltration": 3.24,
        "Enhancing tumor": 3.24,
    },
    regions={"Whole tumor": 64.8},
    lesions=(),
)


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    """What came of a radiologist's errands, by name, and the folder that they were done in."""
    if why := orthanc.why_not():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("pacs")
    series = write_series(folder / "series", ORIENTATIONS["oblique"])
    for path in series.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.AccessionNumber, dataset.StudyDate, dataset.StudyTime = "A17", "20240229", "101500"
        dataset.SeriesDescription = "T1 post Gd"
        dataset.save_as(path)
    mask = Segmentation(drawn(read_dicom_series(series)), LABELS)
    results = folder / "results"
    write_dicom_seg(results / "seg.dcm", mask, series, ADA)
    write_rtstruct(results / "rtstruct.dcm", mask, series, ADA)
    write_dicom_sr(results / "sr.dcm", mask, series, ADA, REPORT, verified_by="Ada")
    script = Path(orthanc.__file__)
    subprocess.run(
        [*orthanc.apart(), sys.executable, str(script), str(folder)],
        check=True,
        timeout=600,
        cwd=script.parents[1],
        env={**os.environ, "PYTHONPATH": str(script.parents[1])},
    )
    return folder, json.loads((folder / "results.json").read_text())


def test_series_are_listed_by_patient_and_by_accession(pacs):
    _, told = pacs
    for name in ("list", "accession"):
        code, said, _ = told[name]
        assert code == 0
        (series,) = json.loads(said)
        assert (series["patient"], series["accession"], series["images"]) == ("P1", "A17", 6)
        assert (series["modality"], series["description"]) == ("MR", "T1 post Gd")


@pytest.mark.parametrize(
    ("errand", "said"),
    [
        ("no user", "wants a user"),
        ("nobody", "holds no CT, MR or PET of PatientID P2"),
        ("wildcard", "wildcards would bring the images of others"),
        ("exists", "exists already"),
        ("no series", "there is no series 7"),
    ],
)
def test_what_goes_wrong_is_a_sentence(pacs, errand, said):
    folder, told = pacs
    code, _, error = told[errand]
    assert code == 2
    assert said in " ".join(error.split())
    assert "Traceback" not in error
    assert not (folder / "none").exists()


def test_a_pulled_study_has_no_person_in_it_and_is_the_same_images(pacs):
    folder, told = pacs
    assert [told[name][0] for name in ("push", "pull", "again", "kept")] == [0] * 4
    original = read_dicom_series(folder / "series")
    pulled = folder / "pulled"
    volume = read_dicom_series(pulled / "t1c")
    assert np.array_equal(volume.array, original.array)
    assert np.allclose(volume.affine, original.affine)
    assert volume.frame_of_reference_uid != original.frame_of_reference_uid
    study = yaml.safe_load((pulled / "study.yaml").read_text())
    assert study["patient_id"].startswith("PSEUDO-")
    for path in pulled.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        content = content.replace(study["patient_id"].encode(), b"")
        for personal in (b"Doe", b"A17", b"20240229", b"P1 "):
            assert personal not in content, path
    first, again = (pydicom.dcmread(folder / f / "t1c" / "00001.dcm") for f in ("pulled", "again"))
    assert first == again  # the same pseudonyms and UIDs, since the key is the same
    kept = pydicom.dcmread(folder / "kept" / "t1c" / "00001.dcm")
    assert (kept.PatientID, kept.AccessionNumber) == ("P1", "A17")


def test_results_arrive_and_come_back_as_they_were_sent(pacs):
    folder, told = pacs
    code, said, _ = told["results"]
    assert (code, "keeps 3 file(s)" in said) == (0, True)
    back, sent = folder / "back", folder / "results"
    image = read_dicom_series(folder / "series")
    mask = drawn(image)
    segments = read_dicom_seg(back / "SEG.dcm", image)
    assert np.array_equal(as_label_map(back / "SEG.dcm", segments, LABELS).array, mask.array)
    contours = read_rtstruct_on(back / "RTSTRUCT.dcm", image)
    assert np.array_equal(contours["Enhancing tumor"].array > 0, mask.array == 3)
    assert read_dicom_sr(back / "SR.dcm") == REPORT
    for name in ("SEG", "RTSTRUCT", "SR"):
        sent_ = pydicom.dcmread(sent / f"{name.lower()}.dcm")
        came = pydicom.dcmread(back / f"{name}.dcm")
        assert came.SOPInstanceUID == sent_.SOPInstanceUID
        assert (
            came.StudyInstanceUID
            == pydicom.dcmread(next((folder / "series").iterdir())).StudyInstanceUID
        )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://pacs", "is no web address"),
        ("pacs.example", "is no web address"),
        ("http://127.0.0.1:9/dicom-web", "nobody answers there"),
    ],
)
def test_a_pacs_that_is_none_is_refused(url, said):
    done = CliRunner().invoke(app, ["pacs", "list", "--url", url, "--patient", "P1"])
    assert isinstance(done.exception, PacsError)
    assert said in str(done.exception)


def test_a_user_without_a_password_and_a_question_without_a_patient_are_refused(monkeypatch):
    monkeypatch.delenv("AVATAR_PACS_PASSWORD", raising=False)
    with pytest.raises(PacsError, match="put the password of ada into AVATAR_PACS_PASSWORD"):
        Pacs("https://pacs.example/dicom-web", "ada")
    with pytest.raises(PacsError, match="a patient id or an accession number"):
        Pacs("https://pacs.example/dicom-web").series()
