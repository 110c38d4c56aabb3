"""Scans and masks: voxel arrays that know where they are in the patient.

Frame: every affine maps voxel indices (i, j, k) to **RAS+ millimetres** (+x right, +y anterior, +z
superior). DICOM and ITK are LPS and are converted at the
border, in :mod:`data.io`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Literal

import numpy as np
from nibabel.orientations import (
    aff2axcodes,
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.errors import ImageError

Array = NDArray[Any]
FloatArray = NDArray[np.floating[Any]]

MM3_PER_ML = 1000.0
AFFINE_TOLERANCE_MM = 1e-3
"""Two affines closer than this in every entry are the same grid."""


SEQUENCES: tuple[str, ...] = ("t1", "t1c", "t2", "flair", "ct", "pet", "mr")
"""What a file in a study may be: T1, contrast-enhanced T1, T2, FLAIR, CT, PET, other MR."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3-D image on a regular grid.

    Args:
        array: shape (i, j, k), finite numbers.
        affine: (4, 4) voxel index to RAS+ mm.
        frame_of_reference_uid: DICOM's name for the patient coordinate system, where one is known.

    Raises:
        ImageError: not 3-D, an axis without voxels, a NaN or infinite voxel, or a singular affine.
    """

    array: Array
    affine: NDArray[np.float64]
    frame_of_reference_uid: str | None = None

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        affine = np.array(self.affine, dtype=np.float64)
        if array.ndim != 3 or 0 in array.shape:
            raise ImageError(
                f"a volume needs three axes with at least one voxel each, got shape {array.shape}"
            )
        if array.dtype.kind not in "iuf":
            raise ImageError(f"a volume needs real numbers, got {array.dtype}")
        if np.issubdtype(array.dtype, np.inexact) and not np.isfinite(array).all():
            bad = int(np.size(array) - np.isfinite(array).sum())
            raise ImageError(f"{bad} of {array.size} voxels are NaN or infinite")
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise ImageError(f"an affine is a finite 4x4 matrix, got {affine.tolist()}")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9 or not np.array_equal(
            affine[3], [0.0, 0.0, 0.0, 1.0]
        ):
            raise ImageError(f"the affine cannot be inverted: {affine.tolist()}")
        array = array.view()
        array.setflags(write=False)
        affine.setflags(write=False)
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "affine", affine)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Volume)
            and self.frame_of_reference_uid == other.frame_of_reference_uid
            and np.array_equal(self.affine, other.affine)
            and self.array.dtype == other.array.dtype
            and np.array_equal(self.array, other.array)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have no stable hash; use content_sha256

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (i, j, k)."""
        i, j, k = self.array.shape
        return i, j, k

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edge lengths along (i, j, k) in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm3 (also right for a sheared grid)."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def axis_codes(self) -> str:
        """Where each axis points, e.g. ``LPS``: the nearest anatomical directions."""
        return "".join(str(code) for code in aff2axcodes(self.affine))

    @cached_property
    def content_sha256(self) -> str:
        """Digest of voxels, type, shape, affine and frame: the same image, the same name."""
        digest = hashlib.sha256()
        digest.update(f"{self.array.dtype.str}{self.shape}{self.frame_of_reference_uid}".encode())
        digest.update(self.affine.tobytes())
        digest.update(np.ascontiguousarray(self.array).tobytes())
        return digest.hexdigest()

    def same_grid(self, other: Volume) -> bool:
        """Whether both have the same shape and, within tolerance, the same affine."""
        return self.shape == other.shape and bool(
            np.allclose(self.affine, other.affine, rtol=0.0, atol=AFFINE_TOLERANCE_MM)
        )

    def with_array(self, array: Array) -> Volume:
        """Another image on this grid.

        Raises:
            ImageError: ``array`` has another shape.
        """
        if np.shape(array) != self.shape:
            raise ImageError(
                f"an array of shape {np.shape(array)} is not on a grid of {self.shape}"
            )
        return Volume(array, self.affine, self.frame_of_reference_uid)

    def reoriented(self, axis_codes: str) -> Volume:
        """The same image with its axes flipped and permuted to e.g. ``RAS`` or ``LPS``; no voxel is
        interpolated and world coordinates stay what they were.
        """
        here = io_orientation(self.affine)
        there = axcodes2ornt(tuple(axis_codes))
        transform = ornt_transform(here, there)
        array = apply_orientation(np.asarray(self.array), transform)
        affine = self.affine @ inv_ornt_aff(transform, self.shape)
        return Volume(np.ascontiguousarray(array), affine, self.frame_of_reference_uid)

    def cut(self, box: tuple[slice, slice, slice]) -> Volume:
        """The part in a box of voxels, where it was in the patient; a view, no copy."""
        affine = self.affine.copy()
        affine[:3, 3] = self.world(np.array([side.start or 0 for side in box], float))
        return Volume(self.array[box], affine, self.frame_of_reference_uid)

    def within(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> Volume:
        """The part between two corners of the patient's space (RAS+ mm); a view, no copy.

        Of a grid that is oblique to the body, the smallest box of voxels that holds all of that part.

        Raises:
            ImageError: no voxel center lies there.
        """
        inverse = np.linalg.inv(self.affine)
        corners = np.array(list(product(*zip(low, high, strict=True))))
        indices = corners @ inverse[:3, :3].T + inverse[:3, 3]
        first = np.maximum(np.ceil(indices.min(0) - 1e-6), 0).astype(int)
        last = np.minimum(np.floor(indices.max(0) + 1e-6), np.array(self.shape) - 1).astype(int)
        if (last < first).any():
            raise ImageError(
                f"the image has nothing between {np.round(low, 1).tolist()} and "
                f"{np.round(high, 1).tolist()} mm (RAS)"
            )
        i, j, k = (slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))
        return self.cut((i, j, k))

    def world(self, indices: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """RAS+ mm of voxel indices; shape (..., 3) to (..., 3)."""
        mapped = np.asarray(indices, np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]
        return np.asarray(mapped, np.float64)


def common_box(volumes: Iterable[Volume]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest corner (RAS+ mm) of where all volumes have voxel centers; low may be above high."""
    low, high = np.full(3, -np.inf), np.full(3, np.inf)
    for volume in volumes:
        corners = volume.world(np.array(list(product(*((0, n - 1) for n in volume.shape))), float))
        low, high = np.maximum(low, corners.min(0)), np.minimum(high, corners.max(0))
    return low, high


class Code(BaseModel):
    """A term of a terminology, as DICOM writes it: SCT is SNOMED CT, NCIt the NCI Thesaurus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scheme: Literal["SCT", "NCIt", "DCM"]
    value: str = Field(min_length=1, max_length=16)
    meaning: str = Field(min_length=1, max_length=64)


class Label(BaseModel):
    """One value of a label map, with the name a person reads and the code that machines exchange."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: int = Field(gt=0, lt=65536)
    name: str = Field(min_length=1)
    abbreviation: str = Field(min_length=1)
    color: str = Field(pattern=r"^#[0-9a-f]{6}$")
    code: Code | None = None


class Region(BaseModel):
    """A clinically named union of labels, such as the tumor core."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    abbreviation: str = Field(min_length=1)
    values: tuple[int, ...] = Field(min_length=1)


class LabelTable(BaseModel):
    """Which number means what in a site's label maps, and which regions they add up to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    labels: tuple[Label, ...] = Field(min_length=1)
    regions: tuple[Region, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _values_are_unique_and_known(self) -> LabelTable:
        values = [label.value for label in self.labels]
        if len(set(values)) != len(values):
            raise ValueError(f"label values repeat: {values}")
        unknown = {v for region in self.regions for v in region.values} - set(values)
        if unknown:
            raise ValueError(f"regions name labels that are not in the table: {sorted(unknown)}")
        return self

    @property
    def values(self) -> frozenset[int]:
        """The label values without background (0)."""
        return frozenset(label.value for label in self.labels)

    def region(self, abbreviation: str) -> Region:
        """The region with this abbreviation.

        Raises:
            ImageError: the table has none of that name.
        """
        for region in self.regions:
            if region.abbreviation == abbreviation:
                return region
        known = ", ".join(r.abbreviation for r in self.regions)
        raise ImageError(f"{self.name} has no region {abbreviation!r}; it has {known}")


@dataclass(frozen=True)
class Segmentation:
    """An integer label map together with the table that names its numbers.

    Raises:
        ImageError: the map is not integer, or holds a value the table does not name.
    """

    volume: Volume
    labels: LabelTable

    def __post_init__(self) -> None:
        if not np.issubdtype(self.volume.array.dtype, np.integer):
            raise ImageError(
                f"a label map holds integers, got {self.volume.array.dtype}: round it first"
            )
        found = {int(v) for v in np.unique(self.volume.array)} - {0}
        unknown = sorted(found - self.labels.values)
        if unknown:
            raise ImageError(
                f"label values {unknown} are not in the table {self.labels.name!r}, "
                f"which names {sorted(self.labels.values)}"
            )

    def mask(self, region: str) -> NDArray[np.bool_]:
        """Voxels of a region, by its abbreviation; shape as the volume."""
        return np.isin(self.volume.array, self.labels.region(region).values)


class TumorVolume(BaseModel):
    """What was measured on one region of a segmentation.

    Volumes are mm3; diameters mm in the axial slice where the product is largest; the centroid is
    RAS+ mm. ``None`` where the region is empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: str
    name: str
    volume_mm3: float = Field(ge=0, allow_inf_nan=False)
    voxels: int = Field(ge=0)
    longest_diameter_mm: float | None = Field(default=None, ge=0)
    perpendicular_diameter_mm: float | None = Field(default=None, ge=0)
    axial_position_mm: float | None = None
    centroid_ras_mm: tuple[float, float, float] | None = None
    laterality: Literal["left", "right", "midline"] | None = None

    @property
    def volume_ml(self) -> float:
        """Volume in mL."""
        return self.volume_mm3 / MM3_PER_ML
