"""The usual way to outline a tumor on PET: everything from a share of the highest uptake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from data.imaging import Volume
from models.segmentation.base import Segmenter


@final
class SuvThreshold(Segmenter):
    """Voxels of at least 41 % of the highest SUV (Boellaard 2015, EANM guideline); the peer of networks.

    It cannot tell a tumor from a bladder, nor see a part without uptake; the PET has to be cropped to
    the tumor.
    """

    kind: Literal["suv-threshold"] = "suv-threshold"
    share: float = Field(default=0.41, gt=0, lt=1)

    @property
    @override
    def site(self) -> str:
        return "sarcoma"

    @property
    @override
    def region_names(self) -> tuple[str, ...]:
        return ("WT",)

    @property
    @override
    def requires(self) -> tuple[str, ...]:
        return ("pet",)

    @property
    @override
    def citation(self) -> str:
        return "Boellaard 2015, Eur J Nucl Med Mol Imaging 42:328 (41 % of the highest SUV)"

    @override
    def require(self, images: Mapping[str, Volume], brain: Volume | None) -> None:
        self.require_sequences(images)

    @override
    def regions(self, images: Mapping[str, Volume], brain: Volume | None) -> NDArray[np.float32]:
        self.require_sequences(images)
        uptake = images["pet"].array
        return np.asarray(uptake >= self.share * uptake.max(), np.float32)[None]
