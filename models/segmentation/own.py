"""The shipped segmenter: the project's own small network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit
from typing_extensions import override

from data.imaging import Volume
from models.segmentation.base import Network, brain_mask, predict_in_network_space
from models.segmentation.engine import Engine, Precision, engine_in_use, forward_of
from models.segmentation.glioma_net import (
    DIVISOR,
    REQUIRED,
    SEQUENCES,
    SPACING_MM,
    build_glioma_net,
    z_score,
)

BUNDLE = Path(__file__).parent / "bundle"
"""The network as a MONAI bundle; see models/segmentation/bundle/docs/README.md."""
WEIGHTS = BUNDLE / "models" / "glioma_net.safetensors"
SMALLEST_LESION_ML = 0.5
WHOLE_TUMOR_CUT = 0.15
"""Probability from which a voxel counts as tumor. Synthetic edema fades to nothing at its border, so one
half lies inside what is drawn by others; chosen on the two unlabelled cases against MSNet's masks."""
Array = NDArray[np.float32]
View = Callable[[Iterable[str]], list[Array]]
"""The names of the sequences shown, to regions: averaged, as the head is, and mirrored."""


@final
class GliomaNet(Network):
    """MONAI UNet at 2 mm, one shot over the whole brain, averaged with its mirror image.

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
        return self._seen(images, brain, lambda view: view(images)[:1])[0]

    @override
    def opinions(self, images: Mapping[str, Volume], brain: Volume | None) -> tuple[Array, ...]:
        """What it draws; the head as it is and mirrored, apart; and without T1 and T2, where given."""

        def views(view: View) -> list[Array]:
            fewer = set(images) - set(REQUIRED)
            return view(images) + (view(REQUIRED)[:1] if fewer & set(SEQUENCES) else [])

        return self._seen(images, brain, views)

    def _seen(
        self,
        images: Mapping[str, Volume],
        brain: Volume | None,
        views: Callable[[View], list[Array]],
    ) -> tuple[Array, ...]:
        self.require(images, brain)
        reference = images[REQUIRED[0]]
        given = tuple(name for name in SEQUENCES if name in images)
        forward = forward_of(
            build_glioma_net, self.weights, len(SEQUENCES), self.engine, self.precision
        )

        def predict(stack: Array, inside: NDArray[np.bool_]) -> Array:
            scaled = {n: z_score(c, inside) for n, c in zip(given, stack, strict=True)}
            nothing = np.zeros(inside.shape, np.float32)

            def view(names: Iterable[str]) -> list[Array]:
                shown = [scaled[n] if n in scaled and n in names else nothing for n in SEQUENCES]
                straight = expit(forward(np.stack(shown)[None])[0])
                mirrored = expit(forward(np.stack(shown)[None, :, ::-1])[0])[:, ::-1]
                return [(straight + mirrored) / 2, straight, mirrored]

            return np.asarray(np.concatenate(views(view)) * inside, np.float32)

        mask = brain_mask(brain, reference)
        found = predict_in_network_space(
            images,
            given,
            mask,
            predict,
            axis_codes="RAS",
            spacing_mm=SPACING_MM,
            divisor=DIVISOR,
            reference=reference,
        )
        found *= mask.array > 0
        return tuple(_calibrated(found[n : n + 3]) for n in range(0, len(found), 3))

    @override
    def cleaned(self, labels: NDArray[np.uint8], voxel_mm3: float) -> NDArray[np.uint8]:
        """Components under 0.5 mL are dropped, unless nothing would be left."""
        components, count = ndimage.label(labels > 0, np.ones((3, 3, 3)))
        sizes = np.bincount(components.ravel(), minlength=count + 1)[1:] * voxel_mm3 / 1000
        small = [n + 1 for n, ml in enumerate(sizes) if ml < SMALLEST_LESION_ML]
        if len(small) == count:
            return labels
        return np.where(np.isin(components, small), 0, labels).astype(np.uint8)


def _calibrated(regions: Array) -> Array:
    """Odds of whole tumor moved so that one half is where the cut is; the others as they are."""
    odds = (1.0 - WHOLE_TUMOR_CUT) / WHOLE_TUMOR_CUT
    whole = regions[0] * odds / (regions[0] * odds + 1.0 - regions[0])
    return np.concatenate([whole[None], regions[1:]]).astype(np.float32)
