"""Several segmenters as one: their mean is the mask, their spread is the doubt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializeAsAny
from typing_extensions import override

from data.imaging import Volume
from models.segmentation.base import Segmenter

Array = NDArray[np.float32]


@final
class Ensemble(Segmenter):
    """The mean of its members' regions, on the grid of the T1c; needs what all of them need."""

    kind: Literal["ensemble"] = "ensemble"
    members: tuple[SerializeAsAny[Segmenter], ...] = Field(min_length=1)

    @property
    @override
    def requires(self) -> tuple[str, ...]:
        named = [name for member in self.members for name in member.requires]
        return tuple(dict.fromkeys(named))

    @property
    @override
    def citation(self) -> str:
        return "; ".join(member.citation for member in self.members)

    @property
    @override
    def settings(self) -> dict[str, str]:
        listed: dict[str, str] = {"kind": self.kind}
        for member in self.members:
            listed |= {f"{member.kind} {k}": v for k, v in member.settings.items() if k != "kind"}
        return listed

    @override
    def regions(self, images: Mapping[str, Volume], brain: Volume | None) -> Array:
        return self.merged(self.opinions(images, brain))

    @override
    def opinions(self, images: Mapping[str, Volume], brain: Volume | None) -> tuple[Array, ...]:
        self.require(images, brain)
        return tuple(member.regions(images, brain) for member in self.members)

    @override
    def merged(self, opinions: tuple[Array, ...]) -> Array:
        return np.asarray(np.mean(opinions, axis=0), np.float32)
