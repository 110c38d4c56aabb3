"""The shipped segmenter: the project's own small network, trained on synthetic tumors alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy import ndimage
from typing_extensions import override

from data.errors import WeightsError
from data.files import sha256_file
from data.imaging import Volume
from models.segmentation.base import Segmenter, brain_mask, predict_in_network_space
from models.segmentation.glioma_net import (
    DIVISOR,
    SEQUENCES,
    SPACING_MM,
    build_glioma_net,
    z_score,
)
from models.segmentation.regions import labels_of

WEIGHTS = Path(__file__).parent / "weights" / "glioma_net.safetensors"
SMALLEST_LESION_ML = 0.5


@final
class GliomaNet(Segmenter):
    """MONAI UNet at 2 mm, one shot over the whole brain, averaged with its mirror image."""

    kind: Literal["glioma-net"] = "glioma-net"
    weights: Path = WEIGHTS

    @property
    @override
    def requires(self) -> tuple[str, ...]:
        return SEQUENCES

    @property
    @override
    def citation(self) -> str:
        return "Own network, see models/segmentation/weights/MODEL_CARD.md"

    @override
    def segment(self, images: Mapping[str, Volume], brain: Volume | None) -> Volume:
        self.require(images, brain)
        reference = images[SEQUENCES[0]]
        net = _load(self.weights)

        def predict(stack: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
            scaled = np.stack([z_score(channel, inside) for channel in stack])
            batch = torch.from_numpy(np.stack([scaled, scaled[:, ::-1]]))
            with torch.inference_mode():
                straight, mirrored = torch.sigmoid(net(batch)).numpy()
            return np.asarray((straight + mirrored[:, ::-1]) / 2 * inside, np.float32)

        mask = brain_mask(brain, reference)
        regions = predict_in_network_space(
            images,
            SEQUENCES,
            mask,
            predict,
            axis_codes="RAS",
            spacing_mm=SPACING_MM,
            divisor=DIVISOR,
            reference=reference,
        )
        labels = labels_of((regions > 0.5) & (mask.array > 0))
        return reference.with_array(_without_specks(labels, reference.voxel_volume_mm3))


def _without_specks(labels: NDArray[np.uint8], voxel_mm3: float) -> NDArray[np.uint8]:
    """Components under 0.5 mL are dropped, unless nothing would be left."""
    components, count = ndimage.label(labels > 0, np.ones((3, 3, 3)))
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:] * voxel_mm3 / 1000
    small = [n + 1 for n, ml in enumerate(sizes) if ml < SMALLEST_LESION_ML]
    if len(small) == count:
        return labels
    return np.where(np.isin(components, small), 0, labels).astype(np.uint8)


def weights_sha256() -> str:
    """Digest of the shipped weights."""
    return sha256_file(WEIGHTS)


@lru_cache(maxsize=2)
def _load(path: Path) -> torch.nn.Module:
    if not path.is_file():
        raise WeightsError(f"{path}: the network's weights are missing; install the package again")
    net = build_glioma_net()
    net.load_state_dict(load_file(path))
    return net.eval()
