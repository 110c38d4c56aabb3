"""What the glioma network is trained on: synthetic heads and taught patients, numbered and repeatable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.ndimage import zoom

from data.errors import ImageError
from data.imaging import Volume
from data.samples.sri24 import load_sri24
from models.phantom.anatomy import Anatomy, vary
from models.phantom.contrast import render
from models.phantom.lesion import CAVITY, grow_lesion, seed_point
from models.phantom.patient import Patient, another
from models.segmentation.base import Segmenter, brain_mask, predict_in_network_space
from models.segmentation.glioma_net import DIVISOR, REQUIRED, SEQUENCES, SPACING_MM, z_score
from models.segmentation.regions import regions_of
from pipelines.cases import Case

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """One training example, cropped to the brain and padded to the network's multiple."""

    images: Array
    """(sequence, i, j, k), z-scored; zeros for a sequence that was left out."""
    regions: Array
    """(region, i, j, k), in [0, 1]."""


class SampleConfig(BaseModel):
    """Ranges that the samples are drawn from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    smallest_tumor_ml: float = Field(gt=0)
    largest_tumor_ml: float = Field(gt=0)
    cavity_share: float = Field(ge=0, le=1)
    second_lesion_share: float = Field(ge=0, le=1)
    views_per_head: int = Field(
        gt=0, description="renderings of each head, each with new contrasts"
    )
    pair_share: float = Field(ge=0, le=1, description="how often only T1c and FLAIR are shown")
    drop_share: float = Field(ge=0, le=1, description="otherwise, how often T1 or T2 is left out")
    taught_share: float = Field(default=0.0, ge=0, le=1, description="heads that are a patient's")
    extra_lesion_share: float = Field(
        default=0.0, ge=0, le=1, description="of those, with one more"
    )


def atlas_anatomy() -> Anatomy:
    """SRI24 at the network's spacing, cropped to the head; RAS axes."""
    atlas = load_sri24()
    maps = [_halved(v) for v in (atlas.white, atlas.grey, atlas.csf)]
    inside = np.argwhere(sum(maps) > 0.5)
    low = np.maximum(inside.min(0) - 4, 0)
    high = inside.max(0) + 5
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return Anatomy(maps[0][box], maps[1][box], maps[2][box], (SPACING_MM,) * 3)


def _halved(volume: Volume) -> Array:
    return np.asarray(zoom(volume.reoriented("RAS").array, 0.5, order=1), np.float32)


def synthetic_samples(
    anatomy: Anatomy, config: SampleConfig, seed: int, index: int
) -> list[Sample]:
    """The views of head number ``index``; the same for the same seed."""
    rng = np.random.default_rng([seed, index])
    head = vary(
        anatomy,
        rng,
        push_at=seed_point(anatomy, rng).astype(float),
        push_radius_mm=rng.uniform(15.0, 35.0),
        push_mm=rng.uniform(0.0, 8.0),
    )
    labels = _lesions(head, config, rng)
    views = []
    for _ in range(config.views_per_head):
        seen = render(head, labels, SEQUENCES, rng)
        tumor = np.where(seen.labels == CAVITY, 0, seen.labels)
        regions = regions_of(tumor).astype(np.float32)
        views.append(_sample(seen.images, regions, head.brain, config, rng))
    return views


def taught_samples(
    patients: Sequence[Patient], config: SampleConfig, seed: int, index: int
) -> list[Sample]:
    """As many views of one of the patients; each view is warped and re-scanned anew."""
    rng = np.random.default_rng([seed, index, 2])
    patient = patients[int(rng.integers(len(patients)))]
    views = []
    for _ in range(config.views_per_head):
        varied = another(
            patient,
            rng,
            lesion_share=config.extra_lesion_share,
            largest_ml=min(60.0, config.largest_tumor_ml),
        )
        views.append(_sample(varied.images, varied.regions, varied.brain, config, rng))
    return views


def is_taught(config: SampleConfig, seed: int, index: int) -> bool:
    """Whether head number ``index`` is a patient's."""
    return bool(np.random.default_rng([seed, index, 3]).random() < config.taught_share)


def _sample(
    images: Mapping[str, Array],
    regions: Array,
    brain: NDArray[np.bool_],
    config: SampleConfig,
    rng: np.random.Generator,
) -> Sample:
    scaled = np.zeros((len(SEQUENCES), *brain.shape), np.float32)
    for n, shown in enumerate(shown_sequences(config, rng)):
        if shown:
            scaled[n] = z_score(images[SEQUENCES[n]], brain)
    return fitted(scaled, regions, brain)


def patient_of(case: Case, teacher: Segmenter | None) -> Patient:
    """A case at the network's spacing, taught by its reference or, where it has none, by a teacher.

    Raises:
        ImageError: it lacks one of the network's sequences, or nobody can teach it.
    """
    missing = [name for name in SEQUENCES if name not in case.images]
    if missing:
        raise ImageError(f"{case.name} has no {', '.join(missing)}; a taught case has all of them")
    reference = case.images[SEQUENCES[0]]
    mask = brain_mask(case.brain, reference)
    if case.reference is not None:
        regions = regions_of(case.reference.volume.array).astype(np.float32)
    elif teacher is None:
        raise ImageError(f"{case.name} has no reference and there is no teacher to draw one")
    else:
        regions = teacher.regions(case.images, case.brain)
    atlas = load_sri24()
    channels = {name: case.images[name] for name in SEQUENCES}
    channels |= {f"region {n}": reference.with_array(region) for n, region in enumerate(regions)}
    channels |= {"white": atlas.white, "grey": atlas.grey, "csf": atlas.csf}
    seen: dict[str, Array] = {}

    def keep(stack: Array, inside: NDArray[np.bool_]) -> Array:
        seen.update(zip(channels, stack, strict=True))
        seen["brain"] = inside.astype(np.float32)
        return np.zeros((1, *inside.shape), np.float32)

    predict_in_network_space(
        channels,
        tuple(channels),
        mask,
        keep,
        axis_codes="RAS",
        spacing_mm=SPACING_MM,
        reference=reference,
    )
    brain = seen["brain"] > 0.5
    healthy = brain & (seen["region 0"] < 0.05)
    images = {name: seen[name] / np.median(seen[name][healthy]) * brain for name in SEQUENCES}
    anatomy = Anatomy(seen["white"], seen["grey"], seen["csf"], (SPACING_MM,) * 3)
    taught = np.stack([seen[f"region {n}"] for n in range(len(regions))]) * brain
    return Patient(images, taught, anatomy, brain)


def _lesions(head: Anatomy, config: SampleConfig, rng: np.random.Generator) -> NDArray[np.uint8]:
    def one(largest_ml: float) -> NDArray[np.uint8]:
        log_ml = rng.uniform(np.log(config.smallest_tumor_ml), np.log(largest_ml))
        cavity = bool(rng.random() < config.cavity_share)
        volume = 1000.0 * float(np.exp(log_ml))
        start = seed_point(head, rng)
        return grow_lesion(head, start, rng, visible_volume_mm3=volume, cavity=cavity).labels

    labels = one(config.largest_tumor_ml)
    if rng.random() < config.second_lesion_share:
        labels = np.maximum(labels, one(min(20.0, config.largest_tumor_ml)))
    return labels


def shown_sequences(config: SampleConfig, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which of ``SEQUENCES`` a sample shows; the required ones always."""
    optional = len(SEQUENCES) - len(REQUIRED)
    if rng.random() < config.pair_share:
        extra = np.zeros(optional, bool)
    else:
        extra = rng.random(optional) >= config.drop_share
    return np.concatenate([np.ones(len(REQUIRED), bool), extra])


def fitted(images: Array, regions: Array, brain: NDArray[np.bool_]) -> Sample:
    """Cropped to the brain and two voxels, then padded with zeros to the network's multiple."""
    inside = np.argwhere(brain)
    low = np.maximum(inside.min(0) - 2, 0)
    high = np.minimum(inside.max(0) + 3, brain.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    pad = [(0, 0), *((0, -(b - a) % DIVISOR) for a, b in zip(low, high, strict=True))]
    cut = (slice(None), *box)
    return Sample(np.pad(images[cut], pad), np.pad(regions[cut], pad))
