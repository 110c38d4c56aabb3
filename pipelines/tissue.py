"""Where cells can go in a patient's head: grey matter, white matter and CSF of a scan."""

from __future__ import annotations

import numpy as np

from data.avatar import VolumeRef
from data.errors import ImageError, SampleError
from data.imaging import Segmentation, Volume
from data.provenance import Provenance, Source, versions_of
from data.samples.sri24 import load_sri24
from data.store import AvatarStore
from models.registration import centers_on_each_other, register, resample, shrunk
from models.segmentation.base import brain_mask
from models.tissue import tissue_map
from pipelines.steps import StepReport, StepResult, Watch, remembered

TOLD_BY = ("t1", "t1c", "t2", "flair")
"""Sequences that tell tissue; the atlas is registered to the first that is there."""

ATLAS_SHRUNK = 2
"""Times that the atlas's voxels of 1 mm are made larger for the registration."""


class TissueResult(StepResult):
    """A tissue map on the mask's grid, or why there is none."""

    tissue: VolumeRef | None
    provenance: Provenance

    @property
    def volumes(self) -> tuple[VolumeRef, ...]:
        """The map."""
        return (self.tissue,) if self.tissue else ()


def tissue_step(
    store: AvatarStore,
    day: float,
    sequences: dict[str, Volume],
    brain: Volume | None,
    segmentation: Segmentation,
    sources: tuple[Source, ...],
    watch: Watch,
) -> TissueResult:
    """The tissue map of one scan; without the atlas, or a brain in the scan, there is none and it says so.

    Args:
        store: where the map goes.
        day: of the scan.
        sequences: in one space.
        brain: 0/1 on the mask's grid; none where the scan says it by being zero elsewhere.
        segmentation: the tumor.
        sources: files that all this came from.
        watch: told what was done.
    """

    def make() -> TissueResult:
        try:
            found, note = _tissue(sequences, brain, segmentation), "CSF {}, grey {}, white {} mL"
        except (ImageError, SampleError, ValueError) as error:
            return TissueResult(
                tissue=None,
                provenance=_provenance(sources, f"No tissue map, so no growth in space: {error}"),
            )
        ml = np.bincount(found.array.ravel(), minlength=4)[1:4] * found.voxel_volume_mm3 / 1000.0
        return TissueResult(
            tissue=store.put_volume(found),
            provenance=_provenance(sources, note.format(*(f"{v:.0f}" for v in ml))),
        )

    key = [
        {name: volume.content_sha256 for name, volume in sorted(sequences.items())},
        segmentation.volume.content_sha256,
        brain and brain.content_sha256,
    ]
    result, reused = remembered(
        store, "tissue", key, TissueResult, make, keep=lambda made: made.tissue is not None
    )
    watch(StepReport(f"tissue (day {day:g})", result.provenance.note, reused))
    return result


def _tissue(
    sequences: dict[str, Volume], brain: Volume | None, segmentation: Segmentation
) -> Volume:
    grid = segmentation.volume
    named = [name for name in TOLD_BY if name in sequences]
    if not named:
        raise ImageError(f"none of {', '.join(TOLD_BY)} is in the scan")
    images = [
        sequences[n] if sequences[n].same_grid(grid) else resample(sequences[n], grid)
        for n in named
    ]
    inside = brain_mask(brain, images[0])
    tumor = grid.array > 0
    atlas = load_sri24()
    skull = atlas.t1.with_array((atlas.t1.array > 0).astype(np.uint8))
    matrix = register(
        images[0],
        shrunk(atlas.t1, ATLAS_SHRUNK),
        kind="affine",
        starts=[np.eye(4), centers_on_each_other(inside, skull)],
        fixed_mask=(inside.array > 0) & ~tumor,
    )
    maps = [resample(m, images[0], matrix).array for m in (atlas.csf, atlas.grey, atlas.white)]
    return grid.with_array(
        tissue_map(
            [image.array for image in images],
            inside.array > 0,
            maps,
            tumor=tumor,
            spacing_mm=grid.spacing_mm,
        )
    )


def _provenance(sources: tuple[Source, ...], note: str) -> Provenance:
    return Provenance(
        step="tissue",
        method=(
            "SRI24 atlas registered to the scan (affine, mutual information), then a mixture of the scan's "
            "own intensities under the atlas's probabilities"
        ),
        sources=sources,
        versions=versions_of("SimpleITK", "scipy", "numpy"),
        note=note,
    )
