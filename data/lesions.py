"""Lesions one by one, and the calipers that were laid on them. Places are RAS+ mm."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

Point = tuple[float, float, float]
MOST_OFF_PERPENDICULAR_DEGREES = 10.0
"""What a hand may be off when it draws the second diameter."""


class Caliper(BaseModel):
    """A straight line between two points of the patient."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    start_ras_mm: Point
    end_ras_mm: Point

    @property
    def length_mm(self) -> float:
        """How long it is."""
        return float(np.linalg.norm(np.subtract(self.end_ras_mm, self.start_ras_mm)))


class Diameters(BaseModel):
    """The longest diameter of a lesion in one plane and the longest one perpendicular to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    longest: Caliper
    perpendicular: Caliper

    @model_validator(mode="after")
    def _cross_at_right_angles(self) -> Self:
        lines = [
            np.subtract(c.end_ras_mm, c.start_ras_mm) for c in (self.longest, self.perpendicular)
        ]
        first, second = (float(np.linalg.norm(line)) for line in lines)
        if not (first > 0 and second > 0):
            raise ValueError("a diameter has a length: draw it from one edge to the other")
        off = abs(
            90.0 - np.degrees(np.arccos(np.clip(lines[0] @ lines[1] / first / second, -1, 1)))
        )
        if off > MOST_OFF_PERPENDICULAR_DEGREES:
            raise ValueError(
                f"the two diameters are {off:.0f} degrees off a right angle; draw the second one across "
                "the first"
            )
        if second > first * 1.001:
            raise ValueError(
                f"the second diameter ({second:.1f} mm) is longer than the first ({first:.1f} mm); draw "
                "the longest one first"
            )
        return self

    @property
    def product_mm2(self) -> float:
        """Both multiplied, as the bidimensional criteria want it."""
        return self.longest.length_mm * self.perpendicular.length_mm


class Lesion(BaseModel):
    """One connected piece of a tumor."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    volume_mm3: float = Field(gt=0)
    centroid_ras_mm: Point
    slices: int = Field(ge=1, description="axial slices that it is seen on")
    slice_mm: float = Field(gt=0, description="from one axial slice to the next")
    diameters: Diameters
