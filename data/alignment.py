"""How a later scan lies on an earlier one, and whether that can be trusted."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

Rows = tuple[tuple[float, float, float, float], ...]


class Alignment(BaseModel):
    """A linear transform from an earlier scan's space to a later one's (RAS+ mm), with its checks."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rows: Rows = Field(description="(4, 4): a place in the earlier scan to that in the later one")
    kind: Literal["rigid", "affine"]
    sequence: str = Field(description="that both were registered by")
    turned_degrees: float
    moved_mm: float = Field(ge=0, description="of the middle of what is imaged")
    stretched_percent: float = Field(description="change of volume; 0 where rigid")
    mismatch_mm: float = Field(ge=0, description="from there and back again, mean over the patient")
    correlation: float = Field(description="of brightness in the patient, registered")
    correlation_before: float = Field(description="the same as the scans were given")
    overlap: float = Field(ge=0, le=1, description="share of the earlier patient that both show")
    doubts: tuple[str, ...] = ()

    @field_validator("rows")
    @classmethod
    def _is_four_by_four(cls, rows: Rows) -> Rows:
        if len(rows) != 4:
            raise ValueError(f"a transform has four rows, got {len(rows)}")
        return rows

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(4, 4), earlier space to later space."""
        return np.array(self.rows)
