"""DICOM RTSTRUCT to masks and back; LPS is met only here and in its sisters.

Read without its series, a structure is drawn on voxels of 1 mm in the plane of its contours and as far apart as
these; contours within each other are holes (the even-odd rule), and planes without a contour between others
part a structure in two.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage
from scipy.spatial.distance import cdist
from skimage.draw import polygon2mask

from data.errors import ImageError
from data.imaging import Label, Segmentation, Volume
from data.io.dicom import LPS_TO_RAS, read_dataset
from data.io.dicom_made import (
    MAKER,
    MODEL,
    SERIES_NUMBER,
    UNICODE,
    Authorship,
    OnSeries,
    despite_the_source,
    on_series,
    release,
    write_dicom,
)

Points = NDArray[np.float64]

IN_PLANE_MM = 1.0
FLAT_MM = 0.1
"""How far a contour's points may be from one plane."""
SINGLE_MM = 3.0
"""Thickness of a structure that is drawn on one plane only."""
UNEVEN = 0.1
"""Share of the distance between planes by which one may be off."""
MOST_VOXELS = 200_000_000
OFF_SLICE = 0.1
"""Share of the distance between slices by which a contour may be off its slice."""
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
"""Contours with an inside; by either name contours within each other are holes."""
DETACHED_STUDY = "1.2.840.10008.3.1.2.3.1"
"""Retired, but what the attribute asks for: a study is referred to by its class."""
FROM_SERIES = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID", "StudyDate",
    "StudyTime", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes of patient and study that a new object has in common with its series."""


@dataclass(frozen=True)
class StructureSet:
    """Masks (0/1, each on a grid of its own) by the names of their ROIs, and ROIs that have no area."""

    structures: dict[str, Volume]
    empty: tuple[str, ...]


def read_rtstruct(path: Path) -> StructureSet:
    """All ROIs with closed planar contours.

    Raises:
        ImageError: not a DICOM structure set, damaged, without any contour, or with contours that are not
            flat or lie in planes of several directions.
    """
    drawn: dict[str, Volume] = {}
    empty = []
    for roi in _rois(path):
        mask = _drawn(path, roi.name, roi.contours, roi.frame) if roi.contours else None
        if mask is not None and mask.array.any():
            drawn[roi.name] = mask
        else:
            empty.append(roi.name)
    if not drawn:
        raise ImageError(
            f"{path}: no closed contour in it; export the structures with their contours"
        )
    return StructureSet(drawn, tuple(empty))


def read_rtstruct_on(path: Path, grid: Volume) -> dict[str, Volume]:
    """All ROIs with contours as masks (0/1) on the grid of the series that they were drawn on.

    A voxel is inside where its center is; contours within each other are holes (the even-odd rule).

    Raises:
        ImageError: as :func:`read_rtstruct`, or contours that do not lie in the slices of ``grid``.
    """
    to_voxels = np.linalg.inv(LPS_TO_RAS @ grid.affine)
    found: dict[str, Volume] = {}
    for roi in _rois(path):
        if (
            None not in (roi.frame, grid.frame_of_reference_uid)
            and roi.frame != grid.frame_of_reference_uid
        ):
            raise ImageError(
                f"{path}: {roi.name}: was drawn in another frame of reference than the scan's; give "
                "the contours that were drawn on it"
            )
        if roi.others:
            raise ImageError(
                f"{path}: {roi.name}: {roi.others} of its contours are points, open lines or of less than "
                "three points, which have no inside; close them, or leave them out"
            )
        mask = np.zeros(grid.shape, np.uint8)
        for contour in roi.contours:
            voxels = contour @ to_voxels[:3, :3].T + to_voxels[:3, 3]
            k = int(np.rint(voxels[:, 2].mean()))
            if (abs(voxels[:, 2] - k) > OFF_SLICE).any() or not 0 <= k < grid.shape[2]:
                raise ImageError(
                    f"{path}: {roi.name}: a contour lies between the slices of the series or beyond them; give "
                    "the series that it was drawn on"
                )
            mask[:, :, k] ^= polygon2mask(grid.shape[:2], voxels[:, :2]).astype(np.uint8)
        if mask.any():
            found[roi.name] = grid.with_array(mask)
    return found


def write_rtstruct(
    path: Path, segmentation: Segmentation, series: Path, authorship: Authorship
) -> None:
    """Contours of each label on every slice of a series, halfway between voxels in it and outside it.

    Args:
        path: of the new file.
        segmentation: on the grid of ``series``, in whatever order of axes.
        series: folder of the images that were segmented.
        authorship: who drew it.

    Raises:
        ImageError: the mask is empty, or on another grid than the series.
    """
    with despite_the_source():
        laid = on_series(segmentation, series)
        dataset = _described(laid, authorship)
        dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
        dataset.RTROIObservationsSequence = []
        for number, label in enumerate(laid.labels, 1):
            _add_roi(dataset, laid, number, label, authorship)
        dataset.SpecificCharacterSet = UNICODE
        write_dicom(path, dataset)


def _described(laid: OnSeries, authorship: Authorship) -> Dataset:
    """A structure set without structures: patient and study of the series, and what it refers to."""
    first, meta = laid.sources[0], FileMetaDataset()
    meta.MediaStorageSOPClassUID = RTStructureSetStorage
    meta.MediaStorageSOPInstanceUID = laid.uid("RTSTRUCT", authorship)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    for name in FROM_SERIES:
        setattr(dataset, name, first.get(name, None))
    dataset.SOPClassUID, dataset.SOPInstanceUID = (
        RTStructureSetStorage,
        meta.MediaStorageSOPInstanceUID,
    )
    if "SpecificCharacterSet" in first:
        dataset.SpecificCharacterSet = first.SpecificCharacterSet
    dataset.Modality, dataset.Manufacturer, dataset.ManufacturerModelName = "RTSTRUCT", MAKER, MODEL
    dataset.SoftwareVersions, dataset.OperatorsName = release(), authorship.person
    dataset.SeriesInstanceUID = laid.uid("RTSTRUCT series", authorship)
    dataset.SeriesNumber, dataset.InstanceNumber = SERIES_NUMBER + 1, 1
    dataset.SeriesDescription = authorship.title
    dataset.StructureSetLabel, dataset.StructureSetName = "avatar mask", authorship.title
    dataset.StructureSetDate = dataset.StructureSetTime = None
    dataset.ApprovalStatus = "UNAPPROVED"
    images = [_refers_to(source) for source in laid.sources]
    of_series, of_study, frame = Dataset(), Dataset(), Dataset()
    of_series.SeriesInstanceUID, of_series.ContourImageSequence = first.SeriesInstanceUID, images
    of_study.ReferencedSOPClassUID = DETACHED_STUDY
    of_study.ReferencedSOPInstanceUID = first.StudyInstanceUID
    of_study.RTReferencedSeriesSequence = [of_series]
    frame.FrameOfReferenceUID = first.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [of_study]
    dataset.FrameOfReferenceUID = first.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = first.get("PositionReferenceIndicator", None)
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    return dataset


def _add_roi(
    dataset: Dataset, laid: OnSeries, number: int, label: Label, authorship: Authorship
) -> None:
    roi, drawn, seen = Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ROIName = number, label.name
    roi.ReferencedFrameOfReferenceUID = laid.sources[0].FrameOfReferenceUID
    roi.ROIGenerationAlgorithm = "AUTOMATIC" if authorship.automatic else "SEMIAUTOMATIC"
    drawn.ReferencedROINumber, drawn.ContourSequence = number, []
    drawn.ROIDisplayColor = [int(label.color[n : n + 2], 16) for n in (1, 3, 5)]
    to_lps = LPS_TO_RAS @ laid.mask.affine
    for k, source in enumerate(laid.sources):
        for line in _outlines(laid.mask.array[:, :, k] == label.value):
            points = np.column_stack([line, np.full(len(line), float(k))])
            contour = Dataset()
            contour.ContourImageSequence = [_refers_to(source)]
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(points)
            placed = points @ to_lps[:3, :3].T + to_lps[:3, 3]
            contour.ContourData = [f"{v:.4f}" for v in placed.ravel()]
            drawn.ContourSequence.append(contour)
    seen.ObservationNumber = seen.ReferencedROINumber = number
    seen.RTROIInterpretedType, seen.ROIInterpreter = "GTV", authorship.person
    dataset.StructureSetROISequence.append(roi)
    dataset.ROIContourSequence.append(drawn)
    dataset.RTROIObservationsSequence.append(seen)


def _outlines(section: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Closed lines about a slice's voxels, (points, 2) in voxels, the first point not repeated.

    A hole is joined to the outline about it by a line there and back (the keyhole technique of PS3.3,
    C.8.8.6.3): readers that do not part holes from pieces would fill it.
    """
    padded = np.pad(section.astype(float), 1)
    filler = contour_generator(z=padded.T, fill_type="OuterOffset")  # x along the first axis
    found = []
    for points, offsets in zip(*filler.filled(0.5, 2.0), strict=True):
        outline, *holes = (np.asarray(points)[a : b - 1] - 1.0 for a, b in pairwise(offsets))
        for hole in holes:
            outline = _joined(outline, hole)
        found.append(outline)
    return found


def _joined(outline: NDArray[np.float64], hole: NDArray[np.float64]) -> NDArray[np.float64]:
    """One closed line, by way of the two points that are nearest to each other."""
    apart = cdist(outline, hole)
    a, b = np.unravel_index(int(np.argmin(apart)), apart.shape)
    around = np.roll(hole, -int(b), axis=0)
    return np.concatenate([outline[: a + 1], around, around[:1], outline[a:]])


def _refers_to(source: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (
        source.SOPClassUID,
        source.SOPInstanceUID,
    )
    return item


@dataclass(frozen=True)
class _Roi:
    """One named structure as it is in the file."""

    name: str
    frame: str | None
    contours: list[Points]
    others: int
    """Contours that have no inside: points and open lines."""


def _rois(path: Path) -> list[_Roi]:
    dataset = read_dataset(path, "structures are an RTSTRUCT, or NIfTI masks by their names")
    if dataset.get("Modality") != "RTSTRUCT":
        raise ImageError(
            f"{path}: is {dataset.get('Modality', 'a file without a modality')}, not RTSTRUCT"
        )
    named = {
        str(roi.get("ROINumber", "")): roi for roi in dataset.get("StructureSetROISequence", [])
    }
    found: dict[str, _Roi] = {}
    for item in dataset.get("ROIContourSequence", []):
        number = str(item.get("ReferencedROINumber", ""))
        if number not in named:
            raise ImageError(
                f"{path}: contours of ROI {number or 'without a number'}, which it does not name"
            )
        roi = named[number]
        name = str(roi.get("ROIName", "")).strip() or f"ROI {number}"
        name = f"{name} (ROI {number})" if name in found else name
        frame = str(roi.get("ReferencedFrameOfReferenceUID", "")) or None
        contours = _contours(path, name, item)
        others = len(item.get("ContourSequence", [])) - len(contours)
        found[name] = _Roi(name, frame, contours, others)
    return list(found.values())


def _contours(path: Path, name: str, item: Dataset) -> list[Points]:
    """Closed ones, (points, 3) in LPS mm."""
    found = []
    for contour in item.get("ContourSequence", []):
        if contour.get("ContourGeometricType") not in CLOSED:
            continue
        flat = np.array(contour.get("ContourData") or [], float)
        if flat.size % 3 or not np.isfinite(flat).all():
            raise ImageError(
                f"{path}: {name}: a contour of {flat.size} numbers is no list of points"
            )
        points = flat.reshape(-1, 3)
        if len(points) >= 3:
            found.append(points)
    return found


def _drawn(path: Path, name: str, contours: list[Points], frame: str | None) -> Volume:
    axes = _axes(max(contours, key=len))
    placed = [contour @ axes for contour in contours]  # across, along, and above the plane; mm
    if any(np.ptp(points[:, 2]) > 2 * FLAT_MM for points in placed):
        raise ImageError(
            f"{path}: {name}: its contours do not lie in planes of one direction; export it as drawn on "
            "one series"
        )
    levels, planes = _levels(np.array([points[:, 2].mean() for points in placed]))
    gaps = np.diff(levels)
    step = float(np.median(gaps)) if len(gaps) else SINGLE_MM
    apart = gaps / step
    if (np.abs(apart - np.round(apart)) > UNEVEN).any() or (apart < 0.5).any():
        raise ImageError(
            f"{path}: {name}: its contours are {gaps.min():g} to {gaps.max():g} mm apart; export it with "
            "one on every slice"
        )
    layers = np.concatenate([[0], np.cumsum(np.round(apart).astype(int))])
    every = np.concatenate(placed)
    low = every.min(0)[:2] - IN_PLANE_MM
    size = np.ceil((every.max(0)[:2] + IN_PLANE_MM - low) / IN_PLANE_MM).astype(int) + 1
    count = int(layers[-1]) + 3  # an empty plane on either side
    if int(size[0]) * int(size[1]) * count > MOST_VOXELS:
        raise ImageError(f"{path}: {name}: larger than a body; check the unit of its contours")
    mask = np.zeros((int(size[0]), int(size[1]), count), np.uint8)
    bottom = float(levels[0]) - step
    for points, plane in zip(placed, planes, strict=True):
        inside = polygon2mask(mask.shape[:2], (points[:, :2] - low) / IN_PLANE_MM)
        mask[:, :, layers[plane] + 1] ^= inside.astype(np.uint8)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = axes[:, 0] * IN_PLANE_MM, axes[:, 1] * IN_PLANE_MM
    affine[:3, 2] = axes[:, 2] * step
    affine[:3, 3] = axes @ np.array([*low, bottom])
    return Volume(mask, LPS_TO_RAS @ affine, frame)


def _levels(heights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Heights of the planes, ascending, and which of them each contour lies in."""
    order = np.argsort(heights)
    planes = np.empty(len(heights), np.intp)
    planes[order] = np.concatenate([[0], np.cumsum(np.diff(heights[order]) > 2 * FLAT_MM)])
    levels = np.array([heights[planes == n].mean() for n in range(planes.max() + 1)])
    return levels, planes


def _axes(points: Points) -> NDArray[np.float64]:
    """Columns: two directions in a contour's plane and its normal; LPS."""
    _, _, directions = np.linalg.svd(points - points.mean(0), full_matrices=False)
    normal = directions[2]
    if abs(normal).max() > 1.0 - 1e-6:  # along an axis of the patient, as nearly always
        normal = np.round(normal)
    normal *= np.sign(normal[np.argmax(abs(normal))])
    across = np.eye(3)[(int(np.argmax(abs(normal))) + 1) % 3]
    across = across - normal * (across @ normal)
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(normal, across), normal], axis=1)
