"""What the glioma network is trained on: synthetic heads and taught patients, numbered and repeatable.

Each is seen in one of two ways, as in inference: the whole brain on coarse voxels, or a close-up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from data.errors import ImageError
from data.samples.sri24 import load_sri24
from models.phantom.anatomy import Anatomy, coarsened, vary
from models.phantom.contrast import render
from models.phantom.lesion import CAVITY, grow_lesion, seed_point
from models.phantom.patient import Patient, another
from models.segmentation.base import (
    Box,
    Segmenter,
    box_around,
    brain_mask,
    predict_in_network_space,
)
from models.segmentation.glioma_net import (
    COARSE,
    DIVISOR,
    REQUIRED,
    SEQUENCES,
    SPACING_MM,
    coarse,
    z_score,
)
from models.segmentation.regions import regions_of
from pipelines.cases import Case
from pipelines.samples import Sample, SampleConfig

Array = NDArray[np.float32]
CLOSE_VOXELS = (64, 104)
"""Sides of a close-up; drawn anew for each axis."""
EDGE_VOXELS = 8
"""Cut off a close-up once it has been warped, since there is nothing beyond its edge to warp in."""
LARGEST_CLOSE_ML = 90.0
WHOLE_BRAIN_ML = 1500.0
"""Of an adult with its fluid; a close-up is scaled as if the rest of the brain were there too."""


class Heads(NamedTuple):
    """Where synthetic heads come from."""

    whole: Anatomy
    close: Anatomy


class Patients(NamedTuple):
    """Real heads, each on coarse and on fine voxels."""

    whole: Sequence[Patient]
    close: Sequence[Patient]


class GliomaSamples(SampleConfig):
    """Ranges that the samples are drawn from."""

    kind: Literal["glioma"] = "glioma"
    smallest_tumor_ml: float = Field(gt=0)
    largest_tumor_ml: float = Field(gt=0)
    cavity_share: float = Field(ge=0, le=1)
    second_lesion_share: float = Field(ge=0, le=1)
    pair_share: float = Field(ge=0, le=1, description="how often only T1c and FLAIR are shown")
    drop_share: float = Field(ge=0, le=1, description="otherwise, how often T1 or T2 is left out")
    close_share: float = Field(ge=0, le=1, description="heads that are seen in a close-up")
    taught_share: float = Field(default=0.0, ge=0, le=1, description="heads that are a patient's")
    extra_lesion_share: float = Field(
        default=0.0, ge=0, le=1, description="of those, with one more"
    )


@dataclass(frozen=True)
class GliomaSource:
    """Samples of synthetic heads and, where the config asks for a share of them, of patients."""

    config: GliomaSamples
    seed: int
    patients: Sequence[Patient] = field(default=(), repr=False)

    def __call__(self, index: int) -> list[Sample]:
        """The views of head number ``index``; the same for the same seed."""
        if is_taught(self.config, self.seed, index):
            return taught_samples(self._patients, self.config, self.seed, index)
        return synthetic_samples(atlas_heads(), self.config, self.seed, index)

    @cached_property
    def _patients(self) -> Patients:
        return heads_of(self.patients)


@lru_cache(maxsize=1)
def atlas_heads() -> Heads:
    """SRI24, cropped to the head; RAS axes."""
    atlas = load_sri24()
    white, grey, csf = (
        np.asarray(v.reoriented("RAS").array, np.float32)
        for v in (atlas.white, atlas.grey, atlas.csf)
    )
    fine = Anatomy(white, grey, csf, (SPACING_MM,) * 3)
    fine = fine.cut(box_around(fine.brain, 4 * COARSE))
    return Heads(coarsened(fine, COARSE), fine)


def heads_of(patients: Sequence[Patient]) -> Patients:
    """Patients as ``patient_of`` makes them, on coarse voxels too."""
    return Patients([_coarse(patient) for patient in patients], patients)


def _coarse(patient: Patient) -> Patient:
    even = tuple(slice(0, n // COARSE * COARSE) for n in patient.brain.shape)
    fine = patient.cut((even[0], even[1], even[2]))
    maps = (coarse(m) for m in (fine.anatomy.white, fine.anatomy.grey, fine.anatomy.csf))
    white, grey, csf = maps
    return Patient(
        {name: coarse(image) for name, image in fine.images.items()},
        coarse(fine.regions),
        Anatomy(white, grey, csf, (COARSE * SPACING_MM,) * 3),
        coarse(fine.brain) > 0.5,
    )


def synthetic_samples(heads: Heads, config: GliomaSamples, seed: int, index: int) -> list[Sample]:
    """The views of head number ``index``; the same for the same seed."""
    rng = np.random.default_rng([seed, index])
    close = is_close(config, seed, index)
    anatomy = heads.whole
    if close:
        centers = np.argwhere(heads.close.white > 0.6)
        center = centers[rng.integers(len(centers))]
        anatomy = heads.close.cut(_close_box(heads.close.shape, center, rng))
    head = vary(
        anatomy,
        rng,
        push_at=seed_point(anatomy, rng).astype(float),
        push_radius_mm=rng.uniform(15.0, 35.0),
        push_mm=rng.uniform(0.0, 8.0),
    )
    largest_ml = (
        min(LARGEST_CLOSE_ML, config.largest_tumor_ml) if close else config.largest_tumor_ml
    )
    labels = _lesions(head, config, largest_ml, rng)
    views = []
    for _ in range(config.views):
        seen = render(head, labels, SEQUENCES, rng)
        tumor = np.where(seen.labels == CAVITY, 0, seen.labels)
        regions = regions_of(tumor).astype(np.float32)
        views.append(_sample(seen.images, regions, head.brain, config, rng, close=close))
    return views


def taught_samples(
    patients: Patients, config: GliomaSamples, seed: int, index: int
) -> list[Sample]:
    """As many views of one of the patients; each view is warped and re-scanned anew."""
    rng = np.random.default_rng([seed, index, 2])
    close = is_close(config, seed, index)
    chosen = patients.close if close else patients.whole
    patient = chosen[int(rng.integers(len(chosen)))]
    if close:
        tumor = np.argwhere(patient.regions[0] > 0.5)
    views = []
    for _ in range(config.views):
        seen = patient
        if close:
            center = tumor[rng.integers(len(tumor))]
            seen = patient.cut(_close_box(patient.anatomy.shape, center, rng))
        varied = another(
            seen,
            rng,
            lesion_share=config.extra_lesion_share,
            largest_ml=min(60.0, config.largest_tumor_ml),
        )
        views.append(_sample(varied.images, varied.regions, varied.brain, config, rng, close=close))
    return views


def is_taught(config: GliomaSamples, seed: int, index: int) -> bool:
    """Whether head number ``index`` is a patient's."""
    return bool(np.random.default_rng([seed, index, 3]).random() < config.taught_share)


def is_close(config: GliomaSamples, seed: int, index: int) -> bool:
    """Whether head number ``index`` is seen in a close-up."""
    return bool(np.random.default_rng([seed, index, 4]).random() < config.close_share)


def _close_box(
    shape: tuple[int, int, int], center: NDArray[np.int64], rng: np.random.Generator
) -> Box:
    """About a point, which may lie anywhere in the middle half of it; inside the volume."""
    sides = rng.integers(*CLOSE_VOXELS, 3) + 2 * EDGE_VOXELS
    low = center - np.rint(sides * rng.uniform(0.25, 0.75, 3)).astype(int)
    low = np.maximum(np.minimum(low, np.array(shape) - sides), 0)
    i, j, k = (slice(int(a), int(a + n)) for a, n in zip(low, sides, strict=True))
    return i, j, k


def _sample(
    images: Mapping[str, Array],
    regions: Array,
    brain: NDArray[np.bool_],
    config: GliomaSamples,
    rng: np.random.Generator,
    *,
    close: bool,
) -> Sample:
    over = None
    if close:  # as large a share of tumor as a whole brain would have
        share = np.count_nonzero(brain) * SPACING_MM**3 / (1000.0 * WHOLE_BRAIN_ML)
        over = brain & ((regions[0] < 0.5) | (rng.random(brain.shape, np.float32) < share))
    scaled = np.zeros((len(SEQUENCES), *brain.shape), np.float32)
    for n, shown in enumerate(shown_sequences(config, rng)):
        if shown:
            scaled[n] = z_score(images[SEQUENCES[n]], brain, over)
    if close:
        inner = (slice(EDGE_VOXELS, -EDGE_VOXELS),) * 3
        scaled, regions, brain = scaled[:, *inner], regions[:, *inner], brain[inner]
    return fitted(scaled, regions, brain)


def patient_of(case: Case, teacher: Segmenter | None) -> Patient:
    """A case on the network's fine voxels, taught by its reference or, where it has none, by a teacher.

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
    return Patient(images, taught, anatomy, brain, case.name)


def _lesions(
    head: Anatomy, config: GliomaSamples, largest_ml: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    def one(largest_ml: float) -> NDArray[np.uint8]:
        log_ml = rng.uniform(np.log(config.smallest_tumor_ml), np.log(largest_ml))
        cavity = bool(rng.random() < config.cavity_share)
        volume = 1000.0 * float(np.exp(log_ml))
        start = seed_point(head, rng)
        return grow_lesion(head, start, rng, visible_volume_mm3=volume, cavity=cavity).labels

    labels = one(largest_ml)
    if rng.random() < config.second_lesion_share:
        labels = np.maximum(labels, one(min(20.0, largest_ml)))
    return labels


def shown_sequences(config: GliomaSamples, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which of ``SEQUENCES`` a sample shows; the required ones always."""
    optional = len(SEQUENCES) - len(REQUIRED)
    if rng.random() < config.pair_share:
        extra = np.zeros(optional, bool)
    else:
        extra = rng.random(optional) >= config.drop_share
    return np.concatenate([np.ones(len(REQUIRED), bool), extra])


def fitted(images: Array, regions: Array, brain: NDArray[np.bool_]) -> Sample:
    """Cropped to the brain and two voxels, then padded with zeros to the network's multiple."""
    box = box_around(brain, 2)
    pad = [(0, 0), *((0, -(side.stop - side.start) % DIVISOR) for side in box)]
    return Sample(np.pad(images[:, *box], pad), np.pad(regions[:, *box], pad))
