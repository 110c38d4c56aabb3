"""The shipped segmenter: the project's own small network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit
from typing_extensions import override

from data.imaging import Volume
from models.segmentation.base import Network, brain_mask, predict_in_network_space
from models.segmentation.engine import Engine, Forward, Precision, engine_in_use, forward_of
from models.segmentation.glioma_net import (
    COARSE,
    DIVISOR,
    REQUIRED,
    SEQUENCES,
    SPACING_MM,
    build_glioma_net,
    coarse,
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
CLOSE_MARGIN_MM = 10.0
"""Kept around those voxels, in each close-up."""
Array = NDArray[np.float32]
Box = tuple[slice, slice, slice]


@final
class GliomaNet(Network):
    """MONAI UNet over the whole brain at 2 mm and its mirror image, then close up on the tumor at 1 mm.

    T1 and T2 are used where the study has them and are not needed.
    """

    kind: Literal["glioma-net"] = "glioma-net"
    weights: Path = WEIGHTS
    engine: Engine = "openvino"
    precision: Precision = "f32"

    @property
    @override
    def requires(self) -> tuple[str, ...]:
        return REQUIRED

    @property
    @override
    def settings(self) -> dict[str, str]:
        return super().settings | {"engine": engine_in_use(self.engine)}

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
        forward = forward_of(
            build_glioma_net, self.weights, len(SEQUENCES), self.engine, self.precision
        )

        def predict(stack: Array, inside: NDArray[np.bool_]) -> Array:
            fine = _scaled(stack, inside, given)
            whole = _scaled(coarse(stack), coarse(inside) > 0.5, given)

            def see(names: Iterable[str]) -> Views:
                shown = [n for n, name in enumerate(SEQUENCES) if name in names]
                return _views(forward, _only(whole, shown), _only(fine, shown))

            return np.asarray(np.concatenate(views(see)) * inside, np.float32)

        mask = brain_mask(brain, reference)
        found = predict_in_network_space(
            images,
            given,
            mask,
            predict,
            axis_codes="RAS",
            spacing_mm=SPACING_MM,
            divisor=COARSE * DIVISOR,
            reference=reference,
        )
        found *= mask.array > 0
        return tuple(calibrated(found[n : n + 3]) for n in range(0, len(found), 3))

    @override
    def cleaned(self, labels: NDArray[np.uint8], voxel_mm3: float) -> NDArray[np.uint8]:
        """Components under 0.5 mL are dropped, unless nothing would be left; specks of enhancement, in a
        tumor that has no more of it, are core.
        """
        if 0 < np.count_nonzero(labels == ENHANCING) * voxel_mm3 < SMALLEST_ENHANCING_MM3:
            labels = np.where(labels == ENHANCING, CORE, labels).astype(np.uint8)
        components, count = ndimage.label(labels > 0, np.ones((3, 3, 3)))
        sizes = np.bincount(components.ravel(), minlength=count + 1)[1:] * voxel_mm3 / 1000
        small = [n + 1 for n, ml in enumerate(sizes) if ml < SMALLEST_LESION_ML]
        if len(small) == count:
            return labels
        return np.where(np.isin(components, small), 0, labels).astype(np.uint8)


@dataclass(frozen=True)
class Views:
    """Regions (3, i, j, k) on fine voxels, from one set of sequences seen in three ways."""

    straight: Array
    """The whole brain, coarsely."""
    mirrored: Array
    """The same with left and right exchanged."""
    close: Array
    """Close up where there may be tumor; elsewhere as ``straight`` and ``mirrored`` have it."""
    merged: Array


def _views(forward: Forward, whole: Array, fine: Array) -> Views:
    straight = _refined(expit(forward(whole[None])[0]))
    mirrored = _refined(expit(forward(whole[None, :, ::-1])[0])[:, ::-1])
    coarsely = np.asarray((straight + mirrored) / 2, np.float32)
    close, merged = coarsely.copy(), coarsely.copy()
    box = _box(coarsely[0])
    if box is not None:
        close[:, *box] = expit(forward(fine[None, :, *box])[0])
        merged[:, *box] = (close[:, *box] + coarsely[:, *box]) / 2
    return Views(straight, mirrored, close, merged)


def _refined(regions: NDArray[np.floating[Any]]) -> Array:
    """Coarse regions on fine voxels."""
    tensor = torch.from_numpy(np.ascontiguousarray(regions, np.float32))[None]
    fine = torch.nn.functional.interpolate(tensor, scale_factor=float(COARSE), mode="trilinear")
    return np.asarray(fine[0].numpy(), np.float32)


def _box(whole: Array) -> Box | None:
    """About the larger lesions, a multiple of the network's divisor a side; none where there is none."""
    components, count = ndimage.label(whole > CLOSE_FROM)
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:] * SPACING_MM**3 / 1000.0
    large = np.flatnonzero(sizes >= SMALLEST_LESION_ML) + 1
    if not len(large):
        return None
    inside = np.argwhere(np.isin(components, large))
    margin = round(CLOSE_MARGIN_MM / SPACING_MM)
    low = np.maximum(inside.min(0) - margin, 0)
    high = np.minimum(inside.max(0) + margin + 1, whole.shape)
    sides = np.minimum(-(-(high - low) // DIVISOR) * DIVISOR, whole.shape)
    low = np.minimum(low, np.array(whole.shape) - sides)
    i, j, k = (slice(int(a), int(a + n)) for a, n in zip(low, sides, strict=True))
    return i, j, k


def _scaled(stack: Array, inside: NDArray[np.bool_], given: tuple[str, ...]) -> Array:
    """All the network's channels, zeros where a sequence is not given."""
    scaled = np.zeros((len(SEQUENCES), *inside.shape), np.float32)
    for image, name in zip(stack, given, strict=True):
        scaled[SEQUENCES.index(name)] = z_score(image, inside)
    return scaled


def _only(scaled: Array, shown: list[int]) -> Array:
    kept = np.zeros_like(scaled)
    kept[shown] = scaled[shown]
    return kept


def calibrated(regions: Array) -> Array:
    """Odds of whole tumor moved so that one half is where the cut is; the others as they are."""
    odds = (1.0 - WHOLE_TUMOR_CUT) / WHOLE_TUMOR_CUT
    whole = regions[0] * odds / (regions[0] * odds + 1.0 - regions[0])
    return np.concatenate([whole[None], regions[1:]]).astype(np.float32)
