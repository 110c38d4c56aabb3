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
MOST_HALF_LIVES = 10.0
"""After which a thousandth is left."""
LEAST_DOSE_BQ, MOST_DOSE_BQ = 1e6, 1e10
"""Diagnostic activities are 20 to 2,000 MBq."""
CORRECTIONS = {"ATTN": "attenuation", "DECY": "decay"}


def suv_factor(folder: Path, slices: Sequence[Dataset]) -> float:
    """What to multiply a PET's values with to have them in SUV.

    Args:
        folder: to be named in errors.
        slices: headers of one series, modality PT.

    Raises:
        ImageError: the values are neither SUV nor Bq/mL, or the header lacks what it takes, or contradicts
            itself.
    """
    first = slices[0]
    unit = _one(folder, slices, "Units")
    if unit == "GML":
        kind = _one(folder, slices, "SUVType") or "BW"
        if kind != "BW":
            raise ImageError(
                f"{folder}: the PET is in SUV by {kind}, not by body weight (BW); convert it with the "
                "scanner's software"
            )
        return 1.0
    if unit != "BQML":
        raise ImageError(
            f"{folder}: the PET is in {unit or 'unknown units'}; only BQML and GML can be brought to "
            "SUV. Convert it with the scanner's software"
        )
    _require_corrections(folder, first)
    tracers = first.get("RadiopharmaceuticalInformationSequence") or [Dataset()]
    if len(tracers) > 1:
        raise ImageError(
            f"{folder}: the PET has {len(tracers)} tracers, whose activity is not told apart"
        )
    tracer = tracers[0]
    _one(folder, slices, "PatientWeight")
    weight_g = 1000.0 * _number(folder, first, "PatientWeight")
    dose_bq = _number(folder, tracer, "RadionuclideTotalDose")
    if not LEAST_DOSE_BQ <= dose_bq <= MOST_DOSE_BQ:
        raise ImageError(
            f"{folder}: a RadionuclideTotalDose of {dose_bq:g} Bq was never given to a person; it is in Bq, "
            "not MBq: correct it"
        )
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
    if waited_s > MOST_HALF_LIVES * half_life_s:
        raise ImageError(
            f"{folder}: the PET began {waited_s / half_life_s:.0f} half-lives of {half_life_s:g} s after the "
            "injection by its header, when nothing is left to see; check RadionuclideHalfLife"
        )
    return weight_g / (dose_bq * math.exp2(-waited_s / half_life_s))


def _one(folder: Path, slices: Sequence[Dataset], name: str) -> str:
    """What all slices say."""
    said = {str(dataset.get(name) or "") for dataset in slices}
    if len(said) > 1:
        listed = ", ".join(sorted(text or "nothing" for text in said))
        raise ImageError(
            f"{folder}: the PET's slices differ in {name} ({listed}); export one series"
        )
    return said.pop()


def _require_corrections(folder: Path, first: Dataset) -> None:
    done = first.get("CorrectedImage") or []
    missing = [c for c in ("ATTN", "DECY") if c not in ([done] if isinstance(done, str) else done)]
    if missing:
        lacking = " and ".join(CORRECTIONS[c] for c in missing)
        raise ImageError(
            f"{folder}: by its CorrectedImage the PET is not corrected for {lacking}, without which there is "
            "no SUV; export the corrected series"
        )


def _number(folder: Path, dataset: Dataset, name: str) -> float:
    given = dataset.get(name)
    try:
        value = float(given or 0.0)
    except (TypeError, ValueError):
        value = math.nan
    if not 0.0 < value < math.inf:
        said = "no" if given in (None, "") else f"{given} as"
        raise ImageError(
            f"{folder}: the PET's header has {said} {name}, which SUV needs; convert it with the "
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
        found = local_moment(str(whole), str(first.get("TimezoneOffsetFromUTC") or ""))
        if found is None:
            raise ImageError(
                f"{folder}: the PET's RadiopharmaceuticalStartDateTime {whole!s} cannot be laid on the "
                "clock of the scan (TimezoneOffsetFromUTC); correct one of them"
            )
        return found
    time = tracer.get("RadiopharmaceuticalStartTime")
    if not time:
        raise ImageError(f"{folder}: the PET's header does not say when its tracer was injected")
    return _joined(folder, str(first.get("SeriesDate") or ""), str(time))


def local_moment(text: str, zone: str) -> datetime | None:
    """A DICOM date and time on the clock of its study; None where it is none, or says another zone alone.

    Args:
        text: of an element DT, perhaps with an offset from UTC.
        zone: the study's offset from UTC, as ``+0100``; empty where it does not say.
    """
    try:
        moment = datetime.combine(DT(text).date(), DT(text).time(), DT(text).tzinfo)
        if moment.tzinfo is None:
            return moment
        local = datetime.strptime(zone, "%z").tzinfo
    except (TypeError, ValueError):
        return None
    return moment.astimezone(local).replace(tzinfo=None)


def _at(folder: Path, dataset: Dataset, date: str, time: str) -> datetime:
    if not dataset.get(date) or not dataset.get(time):
        raise ImageError(f"{folder}: the PET's header has no {date} or {time}, which SUV needs")
    return _joined(folder, str(dataset.get(date)), str(dataset.get(time)))


def _joined(folder: Path, date: str, time: str) -> datetime:
    try:
        return datetime.combine(DA(date), TM(time))
    except (TypeError, ValueError) as error:
        raise ImageError(
            f"{folder}: the PET's header has {date!r} and {time!r} where DICOM wants YYYYMMDD and HHMMSS; "
            "correct them"
        ) from error
