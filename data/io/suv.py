"""PET in becquerel per millilitre to standardized uptake values by body weight (g/mL).

After the pseudocode of the Quantitative Imaging Biomarkers Alliance, "vendor-neutral" (QIBA FDG-PET/CT
profile, appendix E). What the header does not say is not guessed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.valuerep import DA, DT, TM

from data.errors import ImageError

LONGEST_UPTAKE_S = 12 * 3600.0
"""From injection to scan; anything longer is a clock or a date gone wrong."""


def suv_factor(folder: Path, slices: Sequence[Dataset]) -> float:
    """What to multiply a PET's values with to have them in SUV.

    Args:
        folder: to be named in errors.
        slices: headers of one series, modality PT.

    Raises:
        ImageError: the values are neither SUV nor Bq/mL, or the header lacks what it takes.
    """
    first = slices[0]
    unit = str(first.get("Units", ""))
    if unit == "GML":
        return 1.0
    if unit != "BQML":
        raise ImageError(
            f"{folder}: the PET is in {unit or 'unknown units'}; only BQML and GML can be brought to "
            "SUV. Convert it with the scanner's software"
        )
    tracer = (first.get("RadiopharmaceuticalInformationSequence") or [Dataset()])[0]
    weight_g = 1000.0 * _number(folder, first, "PatientWeight")
    dose_bq = _number(folder, tracer, "RadionuclideTotalDose")
    correction = str(first.get("DecayCorrection", ""))
    if correction == "ADMIN":
        return weight_g / dose_bq
    if correction != "START":
        raise ImageError(
            f"{folder}: the PET's DecayCorrection is {correction or 'not given'}; START or ADMIN is "
            "needed for SUV. Convert it with the scanner's software"
        )
    half_life_s = _number(folder, tracer, "RadionuclideHalfLife")
    waited_s = (_scan_start(folder, slices) - _injection(folder, first, tracer)).total_seconds()
    if not 0.0 <= waited_s <= LONGEST_UPTAKE_S:
        raise ImageError(
            f"{folder}: the PET began {waited_s / 3600:.1f} h after the injection by its header; check "
            "SeriesTime and RadiopharmaceuticalStartTime"
        )
    return weight_g / (dose_bq * math.exp2(-waited_s / half_life_s))


def _number(folder: Path, dataset: Dataset, name: str) -> float:
    value = float(dataset.get(name) or 0.0)
    if not value > 0.0:
        raise ImageError(
            f"{folder}: the PET's header has no {name}, which SUV needs; convert it with the "
            "scanner's software, or export it again with its header whole"
        )
    return value


def _scan_start(folder: Path, slices: Sequence[Dataset]) -> datetime:
    """When the values were corrected for decay to: the series' start, unless it was stamped later."""
    first = slices[0]
    series = _at(folder, first, "SeriesDate", "SeriesTime")
    acquired = min(_at(folder, ds, "AcquisitionDate", "AcquisitionTime") for ds in slices)
    return min(series, acquired)


def _injection(folder: Path, first: Dataset, tracer: Dataset) -> datetime:
    whole = tracer.get("RadiopharmaceuticalStartDateTime")
    if whole:
        return datetime.combine(DT(str(whole)).date(), DT(str(whole)).time())
    time = tracer.get("RadiopharmaceuticalStartTime")
    if not time:
        raise ImageError(f"{folder}: the PET's header does not say when its tracer was injected")
    return _joined(str(first.SeriesDate), str(time))


def _at(folder: Path, dataset: Dataset, date: str, time: str) -> datetime:
    if not dataset.get(date) or not dataset.get(time):
        raise ImageError(f"{folder}: the PET's header has no {date} or {time}, which SUV needs")
    return _joined(str(dataset.get(date)), str(dataset.get(time)))


def _joined(date: str, time: str) -> datetime:
    return datetime.combine(DA(date), TM(time))
