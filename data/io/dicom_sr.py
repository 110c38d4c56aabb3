"""What was measured on a scan as a DICOM structured report (TID 1500), and back.

The report refers to the DICOM SEG of the same mask by its UIDs (both are the same whenever they are made),
gives a volume for each of its segments and for each region, and for each lesion both diameters with their
ends in the patient's coordinate system.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import highdicom as hd
import numpy as np
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from data.errors import ImageError
from data.imaging import Segmentation
from data.io.dicom import LPS_TO_RAS, read_dataset
from data.io.dicom_made import (
    MAKER,
    MODEL,
    SERIES_NUMBER,
    Authorship,
    OnSeries,
    despite_the_source,
    on_series,
    person_name,
    release,
    write_dicom,
)
from data.io.dicom_seg import made_seg
from data.lesions import Caliper, Diameters, Point

DECIMALS = 3
"""Micrometers and cubic micrometers: more than any scan tells, and less than a DICOM number holds."""
REPORT_NUMBER = SERIES_NUMBER + 2
PROCEDURES = {
    "CT": hd.sr.CodedConcept("77477000", "SCT", "Computed tomography"),
    "MR": hd.sr.CodedConcept("113091000", "SCT", "Magnetic resonance imaging"),
    "PT": hd.sr.CodedConcept("82918005", "SCT", "Positron emission tomography"),
}
LONG_AXIS, SHORT_AXIS = codes.SCT.LongAxis, codes.SCT.ShortAxis
BY_HAND = hd.sr.CodedConcept("BY-HAND", "99AVATAR", "Drawn by the reader")
FOUND = hd.sr.CodedConcept("FOUND", "99AVATAR", "Found in the mask")
TARGETS, OVERALL = "Response of the targets: ", "Response: "
"""What the identifiers of both start with, before the rule that decided it."""
TargetResponse = Literal["CR", "PR", "SD", "PD"]
TARGET_RESPONSES: dict[str, Any] = {
    "CR": codes.DCM.TargetLesionCompleteResponse,
    "PR": codes.DCM.TargetLesionPartialResponse,
    "SD": codes.DCM.TargetLesionStableDisease,
    "PD": codes.DCM.TargetLesionProgressiveDisease,
}
"""DICOM has codes for these four of the targets, and none for what a whole visit says."""
TARGET_CATEGORIES: dict[str, TargetResponse] = {c: c for c in get_args(TargetResponse)}
OVERALL_RESPONSE = hd.sr.CodedConcept("OVERALL-RESPONSE", "99AVATAR", "Overall response")


@dataclass(frozen=True)
class ReportedLesion:
    """A lesion by its name; mm3 of all its pieces."""

    name: str
    volume_mm3: float
    diameters: Diameters
    by_hand: bool = False


@dataclass(frozen=True)
class ScanReport:
    """What one report says; volumes in mm3 by name.

    Args:
        segments: of each label that occurs.
        regions: of each region of the label table.
        lesions: one by one.
        targets: their response, and the criteria with the rule that decided it.
        overall: of the visit, likewise.
    """

    segments: dict[str, float]
    regions: dict[str, float]
    lesions: tuple[ReportedLesion, ...]
    targets: tuple[TargetResponse, str] | None = field(default=None)
    overall: tuple[str, str] | None = field(default=None)


def write_dicom_sr(
    path: Path,
    segmentation: Segmentation,
    series: Path,
    authorship: Authorship,
    report: ScanReport,
    *,
    verified_by: str | None = None,
) -> None:
    """A Comprehensive 3D SR on a series and the SEG that is written of the same mask.

    Args:
        path: of the new file.
        segmentation: the mask, on the grid of ``series``.
        series: folder of the images that were segmented.
        authorship: who drew the mask.
        report: what was measured.
        verified_by: the reader who has signed all of it.

    Raises:
        ImageError: the mask is empty, or on another grid; or the series names no coordinate system.
    """
    with despite_the_source():
        laid = on_series(segmentation, series)
        if laid.mask.frame_of_reference_uid is None:
            raise ImageError(
                f"{series}: names no frame of reference, in which diameters are told; write a SEG without a "
                "report"
            )
        mask = made_seg(laid, authorship)
        content = hd.sr.MeasurementReport(
            observation_context=_context(authorship),
            procedure_reported=PROCEDURES[str(laid.sources[0].Modality)],
            imaging_measurements=list(_groups(laid, mask, report)),
            title=codes.DCM.ImagingMeasurementReport,
        )
        told = repr(report)
        made = hd.sr.Comprehensive3DSR(
            evidence=[*laid.sources, mask],
            content=content[0],
            series_instance_uid=laid.uid("SR series", authorship),
            series_number=REPORT_NUMBER,
            sop_instance_uid=generate_uid("2.25.", [laid.uid("SR", authorship), told]),
            instance_number=1,
            manufacturer=MAKER,
            manufacturer_model_name=MODEL,
            software_versions=release(),
            device_serial_number="research use only",
            series_description=authorship.title,
            is_complete=True,
            is_verified=verified_by is not None,
            verifying_observer_name=person_name(verified_by) if verified_by else None,
            verifying_organization="not stated" if verified_by else None,
        )
        write_dicom(path, made)


def read_dicom_sr(path: Path) -> ScanReport:
    """What a report of :func:`write_dicom_sr` says.

    Raises:
        ImageError: not a structured report, or not of this kind.
    """
    if read_dataset(path, "a report is a DICOM SR").get("Modality") != "SR":
        raise ImageError(f"{path}: is not a DICOM structured report")
    try:
        content = hd.sr.srread(path).content
        segments = {
            str(g.tracking_identifier): _value(g, codes.SCT.Volume)
            for g in content.get_volumetric_roi_measurement_groups()
        }
        regions: dict[str, float] = {}
        lesions = []
        said: dict[str, tuple[str, str]] = {}
        for group in content.get_image_measurement_groups():
            name = str(group.tracking_identifier)
            kind = next((k for k in (TARGETS, OVERALL) if name.startswith(k)), None)
            if kind is not None:
                said[kind] = _response(group, kind), name.removeprefix(kind)
            elif group.get_measurements(LONG_AXIS):
                lesions.append(_lesion(name, group))
            else:
                regions[name] = _value(group, codes.SCT.Volume)
    except Exception as error:  # the reader raises whatever it likes on a foreign report
        raise ImageError(
            f"{path}: is no report of measurements as this project writes it ({error}); read it with the "
            "program that made it"
        ) from error
    targets = said.get(TARGETS)
    return ScanReport(
        segments,
        regions,
        tuple(lesions),
        targets=None if targets is None else (TARGET_CATEGORIES[targets[0]], targets[1]),
        overall=said.get(OVERALL),
    )


def _context(authorship: Authorship) -> hd.sr.ObservationContext:
    device = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=generate_uid("2.25.", [MAKER, release()]),
            name=MAKER,
            manufacturer_name=MAKER,
            model_name=MODEL,
        ),
    )
    person = hd.sr.ObserverContext(
        observer_type=codes.DCM.Person,
        observer_identifying_attributes=hd.sr.PersonObserverIdentifyingAttributes(
            name=authorship.person
        ),
    )
    if authorship.automatic:
        return hd.sr.ObservationContext(observer_device_context=device)
    return hd.sr.ObservationContext(observer_person_context=person, observer_device_context=device)


def _groups(laid: OnSeries, mask: hd.seg.Segmentation, report: ScanReport) -> Iterable[Any]:
    frame = str(laid.mask.frame_of_reference_uid)
    for number, label in enumerate(laid.labels, 1):
        yield hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=_tracked(laid, "segment", label.name),
            referenced_segment=_segment(laid, mask, number),
            finding_type=mask.get_segment_description(number).segmented_property_type,
            measurements=[_volume(report.segments[label.name])],
        )
    for name, volume in report.regions.items():
        yield hd.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=_tracked(laid, "region", name),
            finding_type=codes.SCT.Neoplasm,
            measurements=[_volume(volume)],
        )
    for lesion in report.lesions:
        method = BY_HAND if lesion.by_hand else FOUND
        diameters = lesion.diameters
        yield hd.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=_tracked(laid, "lesion", lesion.name),
            finding_type=codes.SCT.Lesion,
            measurements=[
                _axis(LONG_AXIS, diameters.longest, frame, method),
                _axis(SHORT_AXIS, diameters.perpendicular, frame, method),
                _volume(lesion.volume_mm3),
            ],
        )
    if report.targets is not None:
        category, rule = report.targets
        yield _judged(laid, TARGETS + rule, codes.DCM.CurrentResponse, TARGET_RESPONSES[category])
    if report.overall is not None:
        overall, rule = report.overall
        value = hd.sr.CodedConcept(overall.upper()[:16], "99AVATAR", overall)
        yield _judged(laid, OVERALL + rule, OVERALL_RESPONSE, value)


def _segment(laid: OnSeries, mask: hd.seg.Segmentation, number: int) -> hd.sr.ReferencedSegment:
    """Not by highdicom's from_segmentation, which looks past the segment of a mask that has only one."""
    series = str(laid.sources[0].SeriesInstanceUID)
    return hd.sr.ReferencedSegment(
        str(mask.SOPClassUID),
        str(mask.SOPInstanceUID),
        number,
        source_series=hd.sr.SourceSeriesForSegmentation(series),
    )


def _judged(laid: OnSeries, identifier: str, name: Any, value: Any) -> Any:
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(laid, "response", identifier),
        qualitative_evaluations=[hd.sr.QualitativeEvaluation(name, value)],
    )


def _tracked(laid: OnSeries, kind: str, name: str) -> hd.sr.TrackingIdentifier:
    """The same for the same lesion of a patient in every study."""
    patient = str(laid.sources[0].get("PatientID", "")) or str(laid.sources[0].StudyInstanceUID)
    return hd.sr.TrackingIdentifier(
        uid=generate_uid("2.25.", [patient, kind, name]), identifier=name
    )


def _volume(mm3: float) -> hd.sr.Measurement:
    return hd.sr.Measurement(codes.SCT.Volume, round(mm3, DECIMALS), codes.UCUM.CubicMillimeter)


def _axis(name: Any, line: Caliper, frame: str, method: Any) -> hd.sr.Measurement:
    ends = np.array([line.start_ras_mm, line.end_ras_mm]) @ LPS_TO_RAS[:3, :3]
    return hd.sr.Measurement(
        name,
        round(line.length_mm, DECIMALS),
        codes.UCUM.Millimeter,
        method=method,
        referenced_coordinates=[
            hd.sr.CoordinatesForMeasurement3D(
                graphic_type=hd.sr.GraphicTypeValues3D.POLYLINE,
                graphic_data=ends,
                frame_of_reference_uid=frame,
            )
        ],
    )


def _value(group: Any, name: Any) -> float:
    (measurement,) = group.get_measurements(name)
    return float(measurement.value)


def _lesion(name: str, group: Any) -> ReportedLesion:
    lines, methods = {}, set()
    for axis in (LONG_AXIS, SHORT_AXIS):
        (measurement,) = group.get_measurements(axis)
        methods.add(str(measurement.method.value))
        (coordinates,) = measurement.referenced_coordinates
        start, end = (_point(p) for p in coordinates.value @ LPS_TO_RAS[:3, :3])
        lines[axis] = Caliper(start_ras_mm=start, end_ras_mm=end)
    return ReportedLesion(
        name,
        _value(group, codes.SCT.Volume),
        Diameters(longest=lines[LONG_AXIS], perpendicular=lines[SHORT_AXIS]),
        by_hand=methods == {BY_HAND.value},
    )


def _response(group: Any, kind: str) -> str:
    if kind == OVERALL:
        (said,) = group.get_qualitative_evaluations(OVERALL_RESPONSE)
        return str(said.value.meaning)
    (said,) = group.get_qualitative_evaluations(codes.DCM.CurrentResponse)
    return next(category for category, code in TARGET_RESPONSES.items() if said.value == code)


def _point(place: Sequence[float]) -> Point:
    x, y, z = (round(float(v), DECIMALS) for v in place)
    return x, y, z
