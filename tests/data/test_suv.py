from __future__ import annotations

import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from data.errors import ImageError
from data.io.dicom import read_dicom_series
from data.io.suv import suv_factor

WEIGHT_KG, DOSE_BQ, HALF_LIFE_S = 70.0, 350e6, 6586.2
FOLDER = Path("pet")


def header(tracer=None, **changes) -> Dataset:
    """A PET that began an hour after the injection."""
    injected = Dataset()
    facts = {
        "RadiopharmaceuticalStartTime": "090000.00",
        "RadionuclideTotalDose": DOSE_BQ,
        "RadionuclideHalfLife": HALF_LIFE_S,
    } | (tracer or {})
    for name, value in facts.items():
        if value is not None:
            setattr(injected, name, value)
    dataset = Dataset()
    facts = {
        "Units": "BQML",
        "CorrectedImage": ["ATTN", "DECY", "SCAT"],
        "PatientWeight": WEIGHT_KG,
        "DecayCorrection": "START",
        "SeriesDate": "20260301",
        "SeriesTime": "100000.00",
        "AcquisitionDate": "20260301",
        "AcquisitionTime": "100500.00",
        "RadiopharmaceuticalInformationSequence": Sequence([injected]),
    } | changes
    for name, value in facts.items():
        if value is not None:
            setattr(dataset, name, value)
    return dataset


def test_the_dose_decays_from_injection_to_the_start_of_the_scan():
    expected = WEIGHT_KG * 1000 / (DOSE_BQ * 0.5 ** (3600 / HALF_LIFE_S))
    assert suv_factor(FOLDER, [header()]) == pytest.approx(expected)


def test_a_dose_spread_evenly_over_the_body_is_one():
    """350 MBq in 70 L, measured at once: 5,000 Bq/mL are SUV 1 (1 mL weighs 1 g)."""
    at_once = header({"RadiopharmaceuticalStartTime": "100000.00"})
    assert 5000 * suv_factor(FOLDER, [at_once]) == pytest.approx(1.0)


def test_a_series_stamped_after_its_acquisition_counts_from_the_earliest_slice():
    late = {"SeriesTime": "150000.00"}
    slices = [header(AcquisitionTime=time, **late) for time in ("101000.00", "100000.00")]
    assert suv_factor(FOLDER, slices) == pytest.approx(suv_factor(FOLDER, [header()]))


def test_values_corrected_to_the_injection_are_not_corrected_again():
    factor = suv_factor(FOLDER, [header(DecayCorrection="ADMIN")])
    assert factor == pytest.approx(WEIGHT_KG * 1000 / DOSE_BQ)


def test_values_in_suv_stay_what_they_are():
    assert suv_factor(FOLDER, [header(Units="GML", PatientWeight=None)]) == 1.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Units": "CNTS"}, "in CNTS"),
        ({"Units": None}, "unknown units"),
        ({"PatientWeight": None}, "no PatientWeight"),
        ({"PatientWeight": 0.0}, "0.0 as PatientWeight"),
        ({"DecayCorrection": "NONE"}, "DecayCorrection is NONE"),
        ({"AcquisitionTime": None}, "no AcquisitionDate or AcquisitionTime"),
        ({"SeriesTime": "080000", "AcquisitionTime": "080000"}, r"began -1\.0 h after"),
        ({"RadiopharmaceuticalInformationSequence": None}, "no RadionuclideTotalDose"),
        ({"tracer": {"RadionuclideHalfLife": None}}, "no RadionuclideHalfLife"),
        ({"tracer": {"RadiopharmaceuticalStartTime": None}}, "when its tracer was injected"),
    ],
)
def test_what_the_header_does_not_say_is_not_guessed(changes, said):
    with pytest.raises(ImageError, match=f"pet: .*{said}"):
        suv_factor(FOLDER, [header(**changes)])


@pytest.mark.slow
def test_a_real_whole_body_pet_in_becquerel_is_read_in_suv(shared, tmp_path):
    archive = shared / "dicom" / "QIN-HEADNECK-01-0139_PET_SEG.tar.xz"
    if not archive.is_file():
        pytest.skip("AVATAR_SHARED has no QIN-HEADNECK PET")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    pet = read_dicom_series(tmp_path / "QIN-HEADNECK-01-0139" / "image")
    assert pet.shape == (168, 168, 545)
    body = pet.array[pet.array > 0.1]
    assert 0.3 < np.median(body) < 1.5
    assert 20 < pet.array.max() < 150


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Units": "GML", "SUVType": "LBM"}, "SUV by LBM"),
        ({"CorrectedImage": ["DECY"]}, "not corrected for attenuation"),
        ({"CorrectedImage": None}, "not corrected for attenuation and decay"),
        ({"tracer": {"RadionuclideTotalDose": 350}}, "350 Bq was never given"),
        ({"tracer": {"RadionuclideHalfLife": 76}}, "47 half-lives of 76 s"),
        ({"PatientWeight": [70.0, 71.0]}, "as PatientWeight"),
        ({"SeriesTime": "10:00:00"}, "where DICOM wants YYYYMMDD"),
        ({"SeriesDate": "2026-03-01"}, "where DICOM wants YYYYMMDD"),
        (
            {"tracer": {"RadiopharmaceuticalStartDateTime": "20260301090000+0000"}},
            "clock of the scan",
        ),
    ],
)
def test_a_header_that_contradicts_itself_or_a_body_is_refused(changes, said):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of values that are not DICOM's
        dataset = header(**changes)
    with pytest.raises(ImageError, match=f"pet: .*{said}"):
        suv_factor(FOLDER, [dataset])


def test_slices_that_differ_and_two_tracers_are_refused():
    with pytest.raises(ImageError, match="slices differ in PatientWeight"):
        suv_factor(FOLDER, [header(), header(PatientWeight=80.0)])
    two = header()
    two.RadiopharmaceuticalInformationSequence.append(Dataset())
    with pytest.raises(ImageError, match="has 2 tracers"):
        suv_factor(FOLDER, [two])


def test_an_injection_in_another_zone_is_laid_on_the_clock_of_the_scan():
    tracer = {"RadiopharmaceuticalStartDateTime": "20260301080000+0000"}
    zoned = header(tracer, TimezoneOffsetFromUTC="+0100")
    assert suv_factor(FOLDER, [zoned]) == pytest.approx(suv_factor(FOLDER, [header()]))
