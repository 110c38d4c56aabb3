"""The shipped sarcoma segmenter: the project's own small network on PET, CT and T1-weighted MR."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from typing_extensions import override

from data.errors import ImageError
from data.imaging import Volume
from models.registration import resample
from models.segmentation.base import OwnNetwork, without_specks
from models.segmentation.engine import Forward
from models.segmentation.sarcoma_net import (
    CHANNELS,
    DIVISOR,
    build_sarcoma_net,
    common_grid,
    scaled,
)

WEIGHTS = Path(__file__).parent / "weights" / "sarcoma_net.safetensors"
SMALLEST_LESION_ML = 1.0
Array = NDArray[np.float32]
Axes = tuple[int, ...]
UPRIGHT: Axes = ()
UPSIDE_DOWN: tuple[Axes, ...] = ((1,), (2,))
"""Front to back and head to feet; training showed images all ways round."""


@final
class SarcomaNet(OwnNetwork):
    """MONAI UNet at 3 mm over a part of the body that holds the tumor; any of PET, CT and T1 is enough.

    It draws where all the images reach that it is given, on the grid of the first of them.
    """

    kind: Literal["sarcoma-net"] = "sarcoma-net"
    weights: Path = WEIGHTS

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
        return ()

    @override
    def grid_of(self, images: Mapping[str, Volume]) -> str:
        return self._given(images)[0]

    @property
    @override
    def citation(self) -> str:
        return "Own network, see models/segmentation/weights/sarcoma_net.md"

    @override
    def require_sequences(self, images: Mapping[str, Volume]) -> None:
        if not self._given(images):
            raise ImageError(
                f"{self.kind} needs one of {', '.join(CHANNELS)}; this study has "
                f"{', '.join(images)}. Name its files so in study.yaml, or bring a mask"
            )

    @override
    def require(self, images: Mapping[str, Volume], brain: Volume | None) -> None:
        self.require_sequences(images)
        common_grid([images[name] for name in self._given(images)])

    @override
    def regions(self, images: Mapping[str, Volume], brain: Volume | None) -> Array:
        return self._seen(images, [(self._given(images), UPRIGHT)])[0]

    @override
    def opinions(self, images: Mapping[str, Volume], brain: Volume | None) -> tuple[Array, ...]:
        """What it draws; and from each image alone, or where there is but one, from it upside down."""
        given = self._given(images)
        others = [((name,), UPRIGHT) for name in given]
        if len(given) == 1:
            others = [(given, turned) for turned in UPSIDE_DOWN]
        return self._seen(images, [(given, UPRIGHT), *others])

    @override
    def cleaned(self, labels: NDArray[np.uint8], voxel_mm3: float) -> NDArray[np.uint8]:
        """Components under 1 mL are dropped, unless nothing would be left."""
        return without_specks(labels, voxel_mm3, SMALLEST_LESION_ML)

    @staticmethod
    def _given(images: Iterable[str]) -> tuple[str, ...]:
        return tuple(name for name in images if name in CHANNELS)

    def _seen(
        self, images: Mapping[str, Volume], looks: Iterable[tuple[tuple[str, ...], Axes]]
    ) -> tuple[Array, ...]:
        """Regions from some of the images at a time, each held some way, on the grid of the first image."""
        self.require_sequences(images)
        given = {name: images[name] for name in self._given(images)}
        grid = common_grid(given.values())
        stack = {
            name: resample(v.with_array(v.array.astype(np.float32)), grid).array
            for name, v in given.items()
        }
        forward = self.forward(build_sarcoma_net, len(CHANNELS))
        reference = images[self.grid_of(images)]
        found = []
        for names, turned in looks:
            tumor = _tumor(forward, {name: stack[name] for name in names}, turned)
            back = resample(grid.with_array(tumor), reference).array
            found.append(np.asarray(back[None].clip(0.0, 1.0), np.float32))
        return tuple(found)


def _tumor(forward: Forward, images: Mapping[str, Array], turned: Axes) -> Array:
    """Probability (i, j, k) from images on the network's grid: the mean of it and of its mirror image.

    Args:
        forward: the network.
        images: by channel, (i, j, k).
        turned: axes along which the images are held the other way round.
    """
    channels = np.flip(scaled(images), tuple(1 + axis for axis in turned))
    shape = channels.shape[1:]
    padded = np.pad(channels, [(0, 0), *((0, -n % DIVISOR) for n in shape)])[None]
    straight = expit(forward(padded)[0, 0])
    mirrored = expit(forward(padded[:, :, ::-1])[0, 0])[::-1]
    i, j, k = shape
    seen = (0.5 * (straight + mirrored))[:i, :j, :k]
    return np.ascontiguousarray(np.flip(seen, turned), np.float32)
