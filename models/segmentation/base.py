"""The one interface of everything that draws a mask, and the space handling that all networks share."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    DivisiblePadd,
    Invertd,
    Orientationd,
    ResampleToMatch,
    Spacingd,
)
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import ndimage
from typing_extensions import override

from data.errors import ImageError
from data.files import sha256_file
from data.imaging import MM3_PER_ML, Volume
from models.segmentation.engine import (
    Engine,
    Forward,
    Precision,
    engine_in_use,
    forward_of,
    precision_in_use,
)
from models.segmentation.regions import REGIONS, labels_of
from models.segmentation.scores import dice

MARGIN_VOXELS = 5
"""Of the scan, kept around the brain; cropping comes first, since resampling costs by the voxel."""
Box = tuple[slice, slice, slice]
Predict = Callable[[NDArray[np.float32], NDArray[np.bool_]], NDArray[np.float32]]
"""(sequence, i, j, k) images and (i, j, k) brain to (region, i, j, k) probabilities."""


@dataclass(frozen=True, eq=False)
class Examined:
    """A mask with what several opinions say about it."""

    labels: Volume
    """uint8: for a glioma 0 to 3, for another tumor 0 or 1."""
    opinions: tuple[NDArray[np.float32], ...]
    """Probabilities (region, i, j, k) each, on the grid of the labels; at least one."""
    names: tuple[str, ...] = REGIONS
    """Of the regions."""

    @cached_property
    def disagreement(self) -> Volume | None:
        """Standard deviation between opinions in percent of the largest there can be (uint8, 0 to 100).

        The largest over the regions; ``None`` where there is only one opinion.
        """
        if len(self.opinions) < 2:
            return None
        spread = np.zeros(self.labels.shape, np.float32)
        for region in zip(*self.opinions, strict=True):
            np.maximum(spread, np.std(region, axis=0), out=spread)
        return self.labels.with_array(np.rint(200.0 * spread).astype(np.uint8))

    @cached_property
    def agreement(self) -> dict[str, float]:
        """Mean Dice between opinions, two at a time, by region; empty where there is only one."""
        found: dict[str, float] = {}
        if len(self.opinions) < 2:
            return found
        for n, name in enumerate(self.names):
            masks = [opinion[n] > 0.5 for opinion in self.opinions]
            found[name] = float(np.mean([dice(a, b) for a, b in combinations(masks, 2)]))
        return found


class Segmenter(BaseModel, ABC):
    """Draws a tumor on images that are in one patient space; a glioma, unless a member says otherwise.

    A member names the sequences it cannot do without; its labels are on the grid of the first of them.
    What is said of a brain here is for those that look at brains.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str

    @property
    @abstractmethod
    def requires(self) -> tuple[str, ...]:
        """Sequences it needs, the reference grid first."""

    @property
    @abstractmethod
    def citation(self) -> str:
        """The work to cite for its masks."""

    @property
    def site(self) -> str:
        """The tumor site that its labels are of."""
        return "glioma"

    @property
    def region_names(self) -> tuple[str, ...]:
        """What it tells apart, each inside the one before it."""
        return REGIONS

    def grid_of(self, images: Mapping[str, Volume]) -> str:
        """The sequence whose grid its labels are on, of images that it takes."""
        return self.requires[0]

    @property
    def settings(self) -> dict[str, str]:
        """What decides its masks, for the provenance."""
        return {k: str(v) for k, v in self.model_dump(mode="json").items()}

    @abstractmethod
    def regions(self, images: Mapping[str, Volume], brain: Volume | None) -> NDArray[np.float32]:
        """Probabilities (region, i, j, k) of ``region_names``, in [0, 1].

        They are on the grid of ``images[self.grid_of(images)]``; 0 or 1 from a member that has no
        more to say.

        Args:
            images: by sequence; all in one patient space.
            brain: non-zero inside the brain; where absent, voxels above zero are the brain.

        Raises:
            ImageError: a required sequence is missing, or there is no brain.
        """

    def opinions(
        self, images: Mapping[str, Volume], brain: Volume | None
    ) -> tuple[NDArray[np.float32], ...]:
        """Regions as seen in several ways, so that they can disagree; here, in one way only."""
        return (self.regions(images, brain),)

    def merged(self, opinions: tuple[NDArray[np.float32], ...]) -> NDArray[np.float32]:
        """The regions that the mask is made of; equal to ``regions`` of the same images."""
        return opinions[0]

    def cleaned(self, labels: NDArray[np.uint8], voxel_mm3: float) -> NDArray[np.uint8]:
        """Labels without what this member is known to find by mistake; here, all of them."""
        return labels

    @final
    def segment(self, images: Mapping[str, Volume], brain: Volume | None) -> Volume:
        """Labels (uint8) on the grid of ``images[self.grid_of(images)]``; see ``regions``."""
        return self._labels(self.regions(images, brain), images[self.grid_of(images)])

    @final
    def examine(self, images: Mapping[str, Volume], brain: Volume | None) -> Examined:
        """The mask of ``segment`` and where opinions on it differ."""
        return self.judged(self.opinions(images, brain), images[self.grid_of(images)])

    @final
    def judged(self, opinions: tuple[NDArray[np.float32], ...], grid: Volume) -> Examined:
        """The mask that opinions add up to, on their grid, and where they differ."""
        return Examined(self._labels(self.merged(opinions), grid), opinions, self.region_names)

    def _labels(self, regions: NDArray[np.float32], reference: Volume) -> Volume:
        labels = self.cleaned(labels_of(regions > 0.5), reference.voxel_volume_mm3)
        return reference.with_array(labels)

    def require(self, images: Mapping[str, Volume], brain: Volume | None) -> None:
        """Refuse a study that lacks a needed sequence or has nothing to look at.

        Raises:
            ImageError: naming what is missing or wrong.
        """
        self.require_sequences(images)
        brain_mask(brain, images[self.requires[0]])

    def require_sequences(self, images: Mapping[str, Volume]) -> None:
        """Refuse a study that lacks a needed sequence.

        Raises:
            ImageError: naming those that are missing.
        """
        missing = [name for name in self.requires if name not in images]
        if missing:
            raise ImageError(
                f"{self.kind} needs {', '.join(self.requires)}; this study has no "
                f"{', '.join(missing)}. Add it to study.yaml, choose another segmenter, or bring a mask"
            )


class Network(Segmenter):
    """A segmenter with trained weights in one file."""

    weights: Path

    @property
    def taught_from(self) -> tuple[str, ...]:
        """Real cases that the weights were taught from, as the record of their training names them."""
        record = self.weights.with_suffix(".training.json")
        if not record.is_file():
            return ()
        return tuple(json.loads(record.read_text()).get("taught_from", ()))

    @property
    @override
    def settings(self) -> dict[str, str]:
        chosen = self.model_dump(mode="json", exclude={"weights"})
        return {k: str(v) for k, v in chosen.items()} | {
            "weights_sha256": sha256_file(self.weights)
        }


class OwnNetwork(Network):
    """A network that this project trained; OpenVINO runs it, or torch."""

    engine: Engine = "openvino"
    precision: Precision = "bf16"

    @property
    @override
    def settings(self) -> dict[str, str]:
        engine = engine_in_use(self.engine)
        precision = precision_in_use(engine, self.precision)
        return super().settings | {"engine": engine, "precision": precision}

    def forward(self, build: Callable[[], torch.nn.Module], channels: int) -> Forward:
        """The network, ready to run."""
        return forward_of(build, self.weights, channels, self.engine, self.precision)


def brain_mask(brain: Volume | None, reference: Volume) -> Volume:
    """A 0/1 volume on the reference grid.

    Raises:
        ImageError: the mask is on another grid, or there is no brain at all.
    """
    if brain is not None:
        if not brain.same_grid(reference):
            raise ImageError(
                f"the brain mask has shape {brain.shape}, the scan {reference.shape}: both must be "
                "on the same grid"
            )
        inside = brain.array > 0.5
    else:
        inside = reference.array > 0
    if np.count_nonzero(inside) * reference.voxel_volume_mm3 < 1e5:
        raise ImageError("less than 100 mL of the scan is brain: check the sequence and the mask")
    if brain is None and inside.mean() > 0.6:
        raise ImageError(
            "the scan is not skull-stripped (more than 60 % of its voxels are above zero); give a "
            "brain_mask in study.yaml"
        )
    return reference.with_array(inside.astype(np.uint8))


def predict_in_network_space(
    images: Mapping[str, Volume],
    order: tuple[str, ...],
    brain: Volume,
    predict: Predict,
    *,
    axis_codes: Literal["RAS", "LPS"],
    spacing_mm: float,
    divisor: int = 1,
    crop: bool = True,
    reference: Volume,
) -> NDArray[np.float32]:
    """Bring scans to a network's space, run it, and bring its probabilities back exactly.

    They are zero outside the brain. Unless ``crop`` is off, only the brain's box is looked at. Every
    sequence is put on the reference grid *before* they are stacked, because ``Invertd`` undoes only what
    happened to the stack. Returns (region, i, j, k) on the reference grid.
    """
    scaled = not np.allclose(reference.spacing_mm, spacing_mm, atol=1e-3)
    box: Box = (slice(None), slice(None), slice(None))
    if crop:
        box = box_around(brain.array > 0, MARGIN_VOXELS, 1 if scaled else divisor)
    near = reference.cut(box)
    stack = [
        v.cut(box).array if v.same_grid(reference) else _on_grid(v, near)
        for v in (images[name] for name in order)
    ]
    stack.append(brain.array[box])
    image = MetaTensor(
        torch.from_numpy(np.stack(stack).astype(np.float32, copy=False)),
        affine=torch.from_numpy(np.array(near.affine)),
    )
    steps: list[Any] = [Orientationd("image", axcodes=axis_codes, labels=None)]
    if scaled:
        steps.append(Spacingd("image", pixdim=(spacing_mm,) * 3, mode="bilinear"))
    if divisor > 1:
        steps.append(DivisiblePadd("image", k=divisor))
    there = Compose(steps)
    prepared = there({"image": image})
    array = prepared["image"].numpy()
    inside = array[-1] > 0.5
    regions = predict(array[:-1], inside)
    prepared["regions"] = MetaTensor(
        torch.from_numpy(regions), affine=prepared["image"].affine.clone()
    )
    back = Invertd(
        keys="regions", transform=there, orig_keys="image", nearest_interp=False, to_tensor=True
    )
    returned = back(prepared)["regions"]
    if tuple(returned.shape[1:]) != near.shape or not np.allclose(
        returned.affine.numpy(), near.affine, atol=1e-3
    ):
        raise AssertionError("the mask did not come back to the scan's grid")
    whole = np.zeros((len(returned), *reference.shape), np.float32)
    np.multiply(returned.numpy(), brain.array[box] > 0, out=whole[:, *box])
    return whole


def box_around(mask: NDArray[np.bool_], margin: int = 0, multiple: int = 1) -> Box:
    """The box of a mask that is not empty and that many voxels about it, inside the array.

    Its sides are multiples of ``multiple`` where the array is large enough.
    """
    sides = []
    for axis, n in enumerate(mask.shape):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        low, high = max(int(inside[0]) - margin, 0), min(int(inside[-1]) + 1 + margin, n)
        size = min(-(-(high - low) // multiple) * multiple, n)
        low = min(low, n - size)
        sides.append(slice(low, low + size))
    i, j, k = sides
    return i, j, k


def without_specks(
    labels: NDArray[np.uint8], voxel_mm3: float, smallest_ml: float
) -> NDArray[np.uint8]:
    """Labels (i, j, k) without components under a volume, unless nothing would be left."""
    if not labels.any():
        return labels
    box = box_around(labels > 0)
    components, count = ndimage.label(labels[box] > 0, np.ones((3, 3, 3)))
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:] * voxel_mm3 / MM3_PER_ML
    small = np.flatnonzero(sizes < smallest_ml) + 1
    if 0 < len(small) < count:
        labels = labels.copy()
        labels[box][np.isin(components, small)] = 0
    return labels


def _on_grid(volume: Volume, reference: Volume) -> NDArray[np.float32]:
    tensor = torch.from_numpy(np.array(volume.array, np.float32))[None]
    target = MetaTensor(
        torch.zeros(1, *reference.shape), affine=torch.from_numpy(np.array(reference.affine))
    )
    moving = MetaTensor(tensor, affine=torch.from_numpy(np.array(volume.affine)))
    resampled: MetaTensor = ResampleToMatch(mode="bilinear", padding_mode="zeros")(moving, target)
    return np.asarray(resampled.as_tensor()[0].numpy(), np.float32)
