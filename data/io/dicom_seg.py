"""DICOM Segmentation objects to masks and back, on the grid of the series that they are about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from data.errors import ImageError
from data.imaging import Code, Label, LabelTable, Segmentation, Volume
from data.io.dicom import LPS_TO_RAS, read_dataset
from data.io.dicom_made import (
    LONGEST_TEXT,
    MAKER,
    MODEL,
    SERIES_NUMBER,
    Authorship,
    OnSeries,
    despite_the_source,
    on_series,
    release,
    write_dicom,
)

PLACED_VOXELS = 0.1
"""By how much of a voxel a header may be rounded."""


@dataclass(frozen=True)
class Segment:
    """One segment of a file: its name, what it is, and its mask (0/1)."""

    name: str
    code: Code | None
    mask: Volume

    def means(self, label: Label) -> bool:
        """Whether it is this label: by its code, else by its name or abbreviation."""
        if self.code is not None and label.code is not None:
            same = (self.code.scheme, self.code.value) == (label.code.scheme, label.code.value)
            if same:
                return True
        return self.name.strip().lower() in (label.name.lower(), label.abbreviation.lower())


def read_dicom_seg(path: Path, grid: Volume) -> tuple[Segment, ...]:
    """All segments on a grid, where slices that the file leaves out are empty.

    Args:
        path: of a DICOM SEG, binary, fractional (0.5 and more is inside) or label map.
        grid: of the series that was segmented; no voxel is interpolated.

    Raises:
        ImageError: not a SEG, damaged, or on another grid than ``grid``.
    """
    if read_dataset(path, "a segmentation is a DICOM SEG").get("Modality") != "SEG":
        raise ImageError(f"{path}: is not a DICOM SEG")
    segments = []
    try:
        read = hd.seg.segread(path)
        frame = str(read.get("FrameOfReferenceUID", "")) or None
        if (
            None not in (frame, grid.frame_of_reference_uid)
            and frame != grid.frame_of_reference_uid
        ):
            raise ValueError("it was drawn in another frame of reference")
        for number in read.segment_numbers:
            description = read.get_segment_description(number)
            volume = read.get_volume(segment_numbers=[number])
            inside = np.asarray(volume.array)[..., 0] >= 0.5
            found = Segment(
                str(description.segment_label),
                _code(description.segmented_property_type),
                _placed(inside, LPS_TO_RAS @ volume.affine, grid),
            )
            segments.append(found)
    except Exception as error:  # the reader raises whatever it likes on a damaged or foreign file
        raise ImageError(
            f"{path}: cannot be laid on the grid of the series ({' '.join(str(error).split())}); is it "
            "of this series, and complete?"
        ) from error
    return tuple(segments)


def as_label_map(path: Path, segments: tuple[Segment, ...], labels: LabelTable) -> Volume:
    """Segments as one label map; several of one label are one; where labels overlap, the later counts.

    Raises:
        ImageError: a segment that the table does not name.
    """
    by_label: dict[int, Volume] = {}
    for segment in segments:
        label = next((label for label in labels.labels if segment.means(label)), None)
        if label is None:
            known = ", ".join(f"{x.name} ({x.abbreviation})" for x in labels.labels)
            raise ImageError(
                f"{path}: the segment {segment.name!r} is none of the labels {known}; rename it, or leave "
                "it out"
            )
        known_before = by_label.get(label.value, segment.mask)
        by_label[label.value] = segment.mask.with_array(known_before.array | segment.mask.array)
    if not by_label:
        raise ImageError(f"{path}: no segment in it")
    array = np.zeros(segments[0].mask.shape, np.uint8)
    for value, mask in sorted(by_label.items()):
        array[mask.array > 0] = value
    return segments[0].mask.with_array(array)


def write_dicom_seg(
    path: Path, segmentation: Segmentation, series: Path, authorship: Authorship
) -> None:
    """A binary DICOM SEG that refers to the images of a series, one segment for each label that occurs.

    The same mask of the same series by the same hand gives the same UIDs.

    Args:
        path: of the new file.
        segmentation: on the grid of ``series``, in whatever order of axes.
        series: folder of the images that were segmented.
        authorship: who drew it.

    Raises:
        ImageError: the mask is empty, or on another grid than the series.
    """
    with despite_the_source():
        write_dicom(path, made_seg(on_series(segmentation, series), authorship))


def made_seg(laid: OnSeries, authorship: Authorship) -> hd.seg.Segmentation:
    """The object that :func:`write_dicom_seg` writes."""
    return hd.seg.Segmentation(
        source_images=laid.sources,
        pixel_array=_frames(laid.mask.array, laid.labels),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _described(label, number, authorship) for number, label in enumerate(laid.labels, 1)
        ],
        series_instance_uid=laid.uid("SEG series", authorship),
        series_number=SERIES_NUMBER,
        sop_instance_uid=laid.uid("SEG", authorship),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MODEL,
        software_versions=release(),
        device_serial_number="research use only",
        content_creator_name=authorship.person,
        content_description=authorship.description[:LONGEST_TEXT],
        series_description=authorship.title,
    )


def _placed(inside: NDArray[np.bool_], affine: NDArray[np.float64], grid: Volume) -> Volume:
    """A mask of some slices, on the whole grid; headers round, so a tenth of a voxel is let pass.

    Raises:
        ValueError: the grids do not lie on each other, or the mask goes beyond the images.
    """
    to_grid = np.linalg.inv(grid.affine) @ affine
    turn, shift = np.rint(to_grid[:3, :3]).astype(int), np.rint(to_grid[:3, 3]).astype(int)
    voxels = np.argwhere(inside)
    placed = voxels @ turn.T + shift
    exact = voxels @ to_grid[:3, :3].T + to_grid[:3, 3]
    if abs(round(float(np.linalg.det(turn)))) != 1 or (abs(placed - exact) > PLACED_VOXELS).any():
        raise ValueError("its voxels lie between those of the series")
    if (placed < 0).any() or (placed >= np.array(grid.shape)).any():
        raise ValueError("it goes beyond the images of the series")
    array = np.zeros(grid.shape, np.uint8)
    array[tuple(placed.T)] = 1
    return grid.with_array(array)


def _frames(array: NDArray[Any], labels: tuple[Label, ...]) -> NDArray[np.uint8]:
    """(slice, row, column, segment), as the images lie."""
    stacked = np.stack([array == label.value for label in labels], axis=-1)
    return np.ascontiguousarray(stacked.transpose(2, 1, 0, 3)).astype(np.uint8)


def _described(label: Label, number: int, authorship: Authorship) -> hd.seg.SegmentDescription:
    kind = label.code
    meant = codes.SCT.Neoplasm
    if kind is not None:
        meant = hd.sr.CodedConcept(kind.value, kind.scheme, kind.meaning)
    automatic = authorship.automatic
    types = hd.seg.SegmentAlgorithmTypeValues
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label.name,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=meant,
        algorithm_type=types.AUTOMATIC if automatic else types.SEMIAUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=authorship.drawn_by if automatic else f"{MAKER}, edited by a reader",
            family=codes.DCM.ArtificialIntelligence,
            version=release(),
        ),
        display_color=hd.color.CIELabColor.from_rgb(
            *(int(label.color[n : n + 2], 16) for n in (1, 3, 5))
        ),
    )


def _code(concept: Any) -> Code | None:
    try:
        return Code(scheme=concept.scheme_designator, value=concept.value, meaning=concept.meaning)
    except ValueError:  # a scheme that no label is coded in
        return None
