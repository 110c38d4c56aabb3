"""What the sarcoma network is trained on: random windows of real patients, numbered and repeatable.

The files are crops about the tumor, so that their size and middle alone tell where it is. A window that
is drawn anew each time, and only where every shown image reaches, tells much less of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from data.errors import ImageError
from data.imaging import Volume
from models.phantom.anatomy import random_warp
from models.phantom.noise import smooth_noise
from models.registration import resample
from models.segmentation.sarcoma_net import CHANNELS, DIVISOR, SPACING_MM, common_grid, scaled
from pipelines.cases import Case
from pipelines.samples import Sample, SampleConfig

Array = NDArray[np.float32]
EMPTY_WINDOWS = 0.1
"""Share of the windows that need not hold any tumor."""
LEAST_TUMOR = 0.25
"""Of the tumor, in each of the others."""
LENGTHENED = 1.2
"""By how much at most a side of a window is longer or shorter than its size says."""
TRIES = 20


class SarcomaSamples(SampleConfig):
    """Ranges that the samples are drawn from."""

    kind: Literal["sarcoma"] = "sarcoma"
    smallest_side: float = Field(gt=0, le=1, description="of a window, as a share of the image's")
    largest_side: float = Field(gt=0, le=1.2, description="over 1, more windows are whole")
    single_share: float = Field(ge=0, le=1, description="how often one image alone is shown")
    drop_share: float = Field(ge=0, le=1, description="otherwise, how often each is left out")


@dataclass(frozen=True)
class SarcomaPatient:
    """One patient's images and masks on the network's lattice, each where it was acquired."""

    name: str
    images: Mapping[str, Volume]
    """By channel."""
    tumors: Mapping[str, Volume]
    """By channel, in [0, 1]: the expert's outline as it was brought to that image."""


def sarcoma_patient_of(case: Case) -> SarcomaPatient:
    """A case as it is taught.

    Raises:
        ImageError: it has none of the network's images, or one of them has no reference.
    """
    given = [name for name in CHANNELS if name in case.images]
    if not given:
        raise ImageError(f"{case.name} has none of {', '.join(CHANNELS)}")
    images, tumors = {}, {}
    for name in given:
        if name not in case.references:
            raise ImageError(f"{case.name}: its {name} has no reference to teach from")
        image, tumor = case.images[name], case.references[name].volume
        grid = common_grid([image])
        images[name] = resample(image.with_array(image.array.astype(np.float32)), grid)
        whole = (tumor.array > 0).astype(np.float32)
        tumors[name] = resample(tumor.with_array(whole), grid)
    return SarcomaPatient(case.name, images, tumors)


@dataclass(frozen=True)
class SarcomaSource:
    """Samples of some patients."""

    config: SarcomaSamples
    seed: int
    patients: Sequence[SarcomaPatient] = field(repr=False)

    def __call__(self, index: int) -> list[Sample]:
        """The views of patient number ``index``; the same for the same seed."""
        rng = np.random.default_rng([self.seed, index])
        patient = self.patients[int(rng.integers(len(self.patients)))]
        return [self._sample(patient, rng) for _ in range(self.config.views)]

    def _sample(self, patient: SarcomaPatient, rng: np.random.Generator) -> Sample:
        names = self._shown(list(patient.images), rng)
        grid = common_grid([patient.images[name] for name in names])
        tumor = _on(patient.tumors[names[0]], grid)
        for _ in range(TRIES):
            window = self._window(grid.shape, rng)
            if rng.random() < EMPTY_WINDOWS or tumor[window].sum() > LEAST_TUMOR * tumor.sum():
                break
        shape = tuple(side.stop - side.start for side in window)
        source = random_warp((shape[0], shape[1], shape[2]), (SPACING_MM,) * 3, rng)
        source += np.array([side.start for side in window], np.float32)[:, None, None, None]
        images = {}
        for name in names:
            seen = _sampled(_on(patient.images[name], grid), source)
            images[name] = _VARIED[name](seen, rng)
        regions = _sampled(tumor, source)[None]
        turned = tuple(slice(None, None, int(rng.choice([1, -1]))) for _ in range(3))
        pad = [(0, 0), *((0, -n % DIVISOR) for n in shape)]
        channels = np.pad(scaled(images)[:, *turned], pad)
        return Sample(channels, np.pad(regions[:, *turned], pad))

    def _shown(self, given: list[str], rng: np.random.Generator) -> list[str]:
        """Some of the images, in an order drawn anew; the first has the outline."""
        order = [given[i] for i in rng.permutation(len(given))]
        if rng.random() < self.config.single_share:
            return order[:1]
        kept = rng.random(len(order)) >= self.config.drop_share
        return [n for n, k in zip(order, kept, strict=True) if k] or order[:1]

    def _window(
        self, shape: tuple[int, int, int], rng: np.random.Generator
    ) -> tuple[slice, slice, slice]:
        config = self.config
        size = rng.uniform(config.smallest_side, config.largest_side)
        share = np.minimum(size * rng.uniform(1 / LENGTHENED, LENGTHENED, 3), 1.0)
        sides = np.maximum(np.rint(share * shape), np.minimum(shape, DIVISOR)).astype(int)
        low = rng.integers(0, np.array(shape) - sides + 1)
        i, j, k = (slice(int(a), int(a + n)) for a, n in zip(low, sides, strict=True))
        return i, j, k


def _on(volume: Volume, grid: Volume) -> Array:
    """The part of a volume on the lattice that a grid of the same lattice covers."""
    low = np.rint((grid.affine[:3, 3] - volume.affine[:3, 3]) / SPACING_MM).astype(int)
    i, j, k = (slice(int(a), int(a + n)) for a, n in zip(low, grid.shape, strict=True))
    return np.asarray(volume.array[i, j, k], np.float32)


def _sampled(image: Array, source: Array) -> Array:
    return np.asarray(
        ndimage.map_coordinates(image, source, order=1, mode="nearest", output=np.float32)
    )


def _pet(image: Array, rng: np.random.Generator) -> Array:
    """Another dose, another scanner's resolution, noise that grows with the counts."""
    seen = ndimage.gaussian_filter(image, rng.uniform(0.0, 1.0)) * np.exp(rng.normal(0.0, 0.15))
    grain = ndimage.gaussian_filter(rng.standard_normal(image.shape, np.float32), 0.8)
    noise = rng.uniform(0.0, 0.3) * np.sqrt(np.clip(seen, 0.0, None)) * grain
    return np.asarray(np.clip(seen + noise, 0.0, None), np.float32)


def _ct(image: Array, rng: np.random.Generator) -> Array:
    """Noise, a scanner that is off by some HU."""
    grain = ndimage.gaussian_filter(rng.standard_normal(image.shape, np.float32), 0.6)
    return np.asarray(image + rng.normal(0.0, 8.0) + rng.uniform(0.0, 25.0) * grain, np.float32)


def _t1(image: Array, rng: np.random.Generator) -> Array:
    """Coil sensitivity, another contrast, noise."""
    top = max(float(np.quantile(image, 0.99)), 1e-3)
    bias = np.exp(rng.uniform(0.0, 0.25) * smooth_noise(image.shape, rng.uniform(12.0, 30.0), rng))
    seen = np.clip(image / top * bias, 1e-4, None) ** rng.uniform(0.75, 1.3)
    grain = rng.standard_normal(image.shape, np.float32)
    return np.asarray(seen + rng.uniform(0.0, 0.05) * grain, np.float32)


_VARIED = {"pet": _pet, "ct": _ct, "t1": _t1}
