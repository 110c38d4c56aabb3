"""DICOM RTSTRUCT to masks on grids of their own; LPS is met only here and in its sisters.

A structure is drawn on voxels of 1 mm in the plane of its contours and as far apart as these; contours within
each other are holes (PS3.3 A.19.1.3: the even-odd rule, as keyhole-free writers mean it).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from skimage.draw import polygon2mask

from data.errors import ImageError
from data.imaging import Volume
from data.io.dicom import LPS_TO_RAS, read_dataset

Points = NDArray[np.float64]

IN_PLANE_MM = 1.0
FLAT_MM = 0.1
"""How far a contour's points may be from one plane."""
SINGLE_MM = 3.0
"""Thickness of a structure that is drawn on one plane only."""
MOST_VOXELS = 200_000_000


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
    dataset = read_dataset(path, "structures are an RTSTRUCT, or NIfTI masks by their names")
    if dataset.get("Modality") != "RTSTRUCT":
        raise ImageError(
            f"{path}: is {dataset.get('Modality', 'a file without a modality')}, not RTSTRUCT"
        )
    rois = {int(roi.ROINumber): roi for roi in dataset.get("StructureSetROISequence", [])}
    drawn: dict[str, Volume] = {}
    empty = []
    for item in dataset.get("ROIContourSequence", []):
        roi = rois.get(int(item.ReferencedROINumber))
        if roi is None:
            raise ImageError(
                f"{path}: contours of ROI {item.ReferencedROINumber}, which it does not name"
            )
        name = str(roi.get("ROIName", "")).strip() or f"ROI {roi.ROINumber}"
        frame = str(roi.get("ReferencedFrameOfReferenceUID", "")) or None
        contours = _contours(path, name, item)
        if contours:
            drawn[name] = _drawn(path, name, contours, frame)
        else:
            empty.append(name)
    if not drawn:
        raise ImageError(
            f"{path}: no closed contour in it; export the structures with their contours"
        )
    return StructureSet(drawn, tuple(empty))


def _contours(path: Path, name: str, item: Dataset) -> list[Points]:
    """Closed ones, (points, 3) in LPS mm."""
    found = []
    for contour in item.get("ContourSequence", []):
        if contour.get("ContourGeometricType") != "CLOSED_PLANAR":
            continue
        flat = np.array(contour.ContourData, float)
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
    heights = np.array([points[:, 2].mean() for points in placed])
    levels = np.unique(np.round(heights, 1))
    step = float(np.diff(levels).min()) if len(levels) > 1 else SINGLE_MM
    every = np.concatenate(placed)
    low = every.min(0)[:2] - IN_PLANE_MM
    size = np.ceil((every.max(0)[:2] + IN_PLANE_MM - low) / IN_PLANE_MM).astype(int) + 1
    count = round(float(np.ptp(heights)) / step) + 3  # an empty plane on either side
    if int(size[0]) * int(size[1]) * count > MOST_VOXELS:
        raise ImageError(f"{path}: {name}: larger than a body; check the unit of its contours")
    mask = np.zeros((int(size[0]), int(size[1]), count), np.uint8)
    bottom = heights.min() - step
    for points, height in zip(placed, heights, strict=True):
        inside = polygon2mask(mask.shape[:2], (points[:, :2] - low) / IN_PLANE_MM)
        mask[:, :, round((height - bottom) / step)] ^= inside.astype(np.uint8)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = axes[:, 0] * IN_PLANE_MM, axes[:, 1] * IN_PLANE_MM
    affine[:3, 2] = axes[:, 2] * step
    affine[:3, 3] = axes @ np.array([*low, bottom])
    return Volume(mask, LPS_TO_RAS @ affine, frame)


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
