"""The shipped segmenter: the project's own small network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit
from typing_extensions import override

from data.imaging import MM3_PER_ML, Volume
from models.segmentation.base import (
    Box,
    OwnNetwork,
    box_around,
    brain_mask,
    predict_in_network_space,
    without_specks,
)
from models.segmentation.engine import Forward
from models.segmentation.glioma_net import (
    COARSE,
    DIVISOR,
    REQUIRED,
    SEQUENCES,
    SPACING_MM,
    build_glioma_net,
    coarse,
    scale_of,
    scaled,
    z_score,
)
from models.segmentation.regions import CORE, ENHANCING

BUNDLE = Path(__file__).parent / "bundle"
"""The network as a MONAI bundle; see models/segmentation/bundle/docs/README.md."""
WEIGHTS = BUNDLE / "models" / "glioma_net.safetensors"
SMALLEST_LESION_ML = 0.5
SMALLEST_ENHANCING_MM3 = 30.0
"""Below it there is none, as in MSNet; networks speckle tumors that do not enhance."""
WHOLE_TUMOR_CUT = 0.15
"""Probability from which a voxel counts as tumor. Synthetic edema fades to nothing at its border, so one
half lies inside what is drawn by others; chosen for an earlier version on the two unlabelled cases against
MSNet's masks, and kept."""
CLOSE_FROM = 0.1
"""Coarse probability of whole tumor from which a voxel is looked at closely."""
NEGLIGIBLE = 0.05
"""Coarse probability under which nothing is drawn and nobody is in doubt."""
CLOSE_MARGIN_MM = 10.0
"""Kept around those voxels, in each close-up."""
Array = NDArray[np.float32]


@final
class GliomaNet(OwnNetwork):
    """MONAI UNet over the whole brain at 2 mm, then close up on the tumor at 1 mm.

    T1 and T2 are used where the study has them and are not needed.
    """

    kind: Literal["glioma-net"] = "glioma-net"
    weights: Path = WEIGHTS

    @property
    @override
    def requires(self) -> tuple[str, ...]:
        return REQUIRED

    @property
    @override
    def citation(self) -> str:
        return "Own network, see models/segmentation/bundle/docs/README.md"

    @override
    def regions(self, images: Mapping[str, Volume], brain: Volume | None) -> Array:
        return self._seen(images, brain, lambda see: [see(SEQUENCES).merged])[0]

    @override
    def opinions(self, images: Mapping[str, Volume], brain: Volume | None) -> tuple[Array, ...]:
        """What it draws; the head as it is, mirrored and close up, apart; and without T1 and T2."""

        def views(see: Callable[[Iterable[str]], Views]) -> list[Array]:
            seen = see(SEQUENCES)
            found = [seen.merged, seen.straight, seen.mirrored, seen.close]
            fewer = set(images) - set(REQUIRED)
            return found + ([see(REQUIRED).merged] if fewer & set(SEQUENCES) else [])

        return self._seen(images, brain, views)

    def _seen(
        self,
        images: Mapping[str, Volume],
        brain: Volume | None,
        views: Callable[[Callable[[Iterable[str]], Views]], list[Array]],
    ) -> tuple[Array, ...]:
        self.require(images, brain)
        reference = images[REQUIRED[0]]
        given = tuple(name for name in SEQUENCES if name in images)
        forward = self.forward(build_glioma_net, len(SEQUENCES))

        def predict(stack: Array, inside: NDArray[np.bool_]) -> Array:
            some = (slice(None, None, COARSE),) * 3
            scales = [scale_of(image[some], inside[some]) for image in stack]
            seen = coarse(stack), coarse(inside[None])[0] > 0.5

            def see(names: Iterable[str]) -> Views:
                shown = [name in names for name in given]

                def close(box: Box) -> Array:
                    parts = zip(given, stack[:, *box], scales, shown, strict=True)
                    return _channels(
                        {n: scaled(part, inside[box], by) for n, part, by, yes in parts if yes}
                    )

                parts = zip(given, seen[0], shown, strict=True)
                whole = _channels({n: z_score(part, seen[1]) for n, part, yes in parts if yes})
                return Views(forward, whole, close)

            return calibrated(np.concatenate(views(see)))

        found = predict_in_network_space(
            images,
            given,
            brain_mask(brain, reference),
            predict,
            axis_codes="RAS",
            spacing_mm=SPACING_MM,
            divisor=COARSE * DIVISOR,
            reference=reference,
        )
        return tuple(found[n : n + 3] for n in range(0, len(found), 3))

    @override
    def cleaned(self, labels: NDArray[np.uint8], voxel_mm3: float) -> NDArray[np.uint8]:
        """Components under 0.5 mL are dropped, unless nothing would be left; specks of enhancement, in a
        tumor that has no more of it, are core.
        """
        if 0 < np.count_nonzero(labels == ENHANCING) * voxel_mm3 < SMALLEST_ENHANCING_MM3:
            labels = np.where(labels == ENHANCING, CORE, labels).astype(np.uint8)
        return without_specks(labels, voxel_mm3, SMALLEST_LESION_ML)


class Views:
    """Regions (3, i, j, k) on fine voxels, from one set of sequences seen in several ways."""

    def __init__(self, forward: Forward, whole: Array, close: Callable[[Box], Array]) -> None:
        self._forward, self._whole, self._fine = forward, whole, close
        self._straight = expit(forward(whole[None])[0])

    @property
    def straight(self) -> Array:
        """The whole brain, coarsely."""
        return _refined(self._straight)

    @property
    def mirrored(self) -> Array:
        """The same with left and right exchanged."""
        return _refined(expit(self._forward(self._whole[None, :, ::-1])[0])[:, ::-1])

    @property
    def close(self) -> Array:
        """Close up where there may be tumor; elsewhere as ``straight`` has it."""
        return self._with_close_up(1.0)

    @property
    def merged(self) -> Array:
        """The mean of coarse and close, of equal weight."""
        return self._with_close_up(0.5)

    @cached_property
    def _close_up(self) -> tuple[Box, Array] | None:
        box = _box(self._straight[0])
        return None if box is None else (box, expit(self._forward(self._fine(box)[None])[0]))

    def _with_close_up(self, share: float) -> Array:
        regions = _refined(self._straight)
        if self._close_up is not None:
            box, seen = self._close_up
            regions[:, *box] += share * (seen - regions[:, *box])
        return regions


def _refined(regions: NDArray[np.floating[Any]]) -> Array:
    """Coarse regions on fine voxels; zero far from where any of them may be."""
    fine = np.zeros((len(regions), *(COARSE * n for n in regions.shape[1:])), np.float32)
    likely = np.asarray((regions > NEGLIGIBLE).any(axis=0))
    if likely.any():
        box = box_around(likely, 2)
        part = torch.from_numpy(np.ascontiguousarray(regions[:, *box], np.float32))[None]
        seen = torch.nn.functional.interpolate(part, scale_factor=float(COARSE), mode="trilinear")
        fine[:, *(slice(COARSE * side.start, COARSE * side.stop) for side in box)] = seen[0].numpy()
    return fine


def _box(whole: NDArray[np.floating[Any]]) -> Box | None:
    """Fine voxels about the larger lesions of a coarse whole tumor, a multiple of the network's divisor a
    side; none where there is no such lesion.
    """
    components, count = ndimage.label(whole > CLOSE_FROM)
    voxel_ml = (COARSE * SPACING_MM) ** 3 / MM3_PER_ML
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:] * voxel_ml
    large = np.flatnonzero(sizes >= SMALLEST_LESION_ML) + 1
    if not len(large):
        return None
    margin = round(CLOSE_MARGIN_MM / (COARSE * SPACING_MM))
    found = box_around(np.isin(components, large), margin, DIVISOR // COARSE)
    i, j, k = (slice(COARSE * side.start, COARSE * side.stop) for side in found)
    return i, j, k


def _channels(scaled: Mapping[str, Array]) -> Array:
    """All the network's channels, zeros where a sequence is not shown."""
    shape = next(iter(scaled.values())).shape
    channels = np.zeros((len(SEQUENCES), *shape), np.float32)
    for name, image in scaled.items():
        channels[SEQUENCES.index(name)] = image
    return channels


def calibrated(regions: Array) -> Array:
    """Odds of whole tumor (every third region) moved so that one half is where the cut is."""
    odds = (1.0 - WHOLE_TUMOR_CUT) / WHOLE_TUMOR_CUT
    moved = regions[::3] * odds
    regions[::3] = moved / (moved + 1.0 - regions[::3])
    return regions
