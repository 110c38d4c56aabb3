"""DICOM RTSTRUCT to masks on grids of their own; LPS is met only here and in its sisters.

A structure is drawn on voxels of 1 mm in the plane of its contours and as far apart as these; contours within
each other are holes (the even-odd rule), and planes without a contour between others part a structure in two.
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
UNEVEN = 0.1
"""Share of the distance between planes by which one may be off."""
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
    rois = {
        str(roi.get("ROINumber", "")): roi for roi in dataset.get("StructureSetROISequence", [])
    }
    drawn: dict[str, Volume] = {}
    empty = []
    for item in dataset.get("ROIContourSequence", []):
        number = str(item.get("ReferencedROINumber", ""))
        if number not in rois:
            raise ImageError(
                f"{path}: contours of ROI {number or 'without a number'}, which it does not name"
            )
        roi = rois[number]
        name = str(roi.get("ROIName", "")).strip() or f"ROI {number}"
        name = f"{name} (ROI {number})" if name in drawn or name in empty else name
        frame = str(roi.get("ReferencedFrameOfReferenceUID", "")) or None
        contours = _contours(path, name, item)
        mask = _drawn(path, name, contours, frame) if contours else None
        if mask is not None and mask.array.any():
            drawn[name] = mask
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
