"""What any network is trained on: numbered samples, each the same for its number and seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class Sample:
    """One training example, padded to the network's multiple."""

    images: NDArray[np.float32]
    """(channel, i, j, k), scaled as the network wants it; zeros for one that was left out."""
    regions: NDArray[np.float32]
    """(region, i, j, k), in [0, 1]."""


Source = Callable[[int], list[Sample]]
"""The samples of a number; it is sent to the processes that make them."""


class SampleConfig(BaseModel):
    """Ranges that samples are drawn from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    views: int = Field(gt=0, description="samples of each head or patient that is drawn")
