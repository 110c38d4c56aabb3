"""Scans as the networks see them: whole heads are registered, stripped and stood upright first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from data.avatar import VolumeRef
from data.imaging import MM3_PER_ML, Volume
from data.provenance import Provenance, versions_of
from data.samples.sri24 import load_sri24
from data.store import AvatarStore
from models.segmentation.base import Examined, Segmenter
from models.segmentation.head import Upright, shows_whole_head, stand_upright
from pipelines.ingest import LoadedScan
from pipelines.steps import StepReport, StepResult, Watch, remembered

STRIPPED_MR = ("t1", "t1c", "t2", "flair")
STRIPPED_BY = ("t1c", "t1")
"""What a brain can be found in, the better one first."""


class HeadResult(StepResult):
    """Where the sequences of a whole head belong, and where its brain is."""

    affines: dict[str, list[list[float]]]
    """Of each sequence, laid on the first one."""
    brain: VolumeRef
    """0/1 on the upright grid."""
    reference_brain: VolumeRef
    """0/1 on the grid of the first sequence."""
    provenance: Provenance

    @property
    def volumes(self) -> tuple[VolumeRef, ...]:
        """Both masks."""
        return self.brain, self.reference_brain


@dataclass(frozen=True)
class Seen:
    """A scan as the networks see it: skull-stripped and in one space."""

    scan: LoadedScan
    upright: Upright | None = None
    """Where the scan was a whole head; masks then go back to its first sequence."""

    @property
    def images(self) -> Mapping[str, Volume]:
        """By sequence."""
        return self.upright.images if self.upright else without_negatives(self.scan)

    @property
    def brain(self) -> Volume | None:
        """0/1; none where the scan says it by being zero elsewhere."""
        return self.upright.brain if self.upright else self.scan.brain

    def examined(self, segmenter: Segmenter) -> Examined:
        """A mask on the scan's own grid, and what opinions say about it."""
        opinions = segmenter.opinions(self.images, self.brain)
        if self.upright is None:
            return segmenter.judged(opinions, self.images[segmenter.grid_of(self.images)])
        back = tuple(self.upright.returned(opinion) for opinion in opinions)
        return segmenter.judged(back, self.upright.reference)


def seen_by_networks(
    store: AvatarStore, scan: LoadedScan, watch: Watch
) -> tuple[Seen, tuple[Provenance, ...]]:
    """What a network sees of a scan; of a whole head, with its sequences laid on each other.

    Raises:
        ImageError: a whole head in which no brain is found, or whose sequences do not belong together.
        SampleError: a whole head, and the atlas that it is stood up by cannot be had.
    """
    first = next((name for name in STRIPPED_BY if name in scan.sequences), None)
    if scan.segmentation is not None or scan.brain is not None or first is None:
        return Seen(scan), ()
    if not shows_whole_head(scan.sequences[first]):
        return Seen(scan), ()
    order = [first, *(name for name in scan.sequences if name != first)]
    heads = {name: scan.sequences[name] for name in order if name in STRIPPED_MR}
    made: list[Upright] = []

    def make() -> HeadResult:
        upright = stand_upright(heads, load_sri24().t1)
        made.append(upright)
        return HeadResult(
            affines={name: v.affine.tolist() for name, v in upright.aligned.items()},
            brain=store.put_volume(upright.brain),
            reference_brain=store.put_volume(upright.reference_brain),
            provenance=_provenance(scan, upright),
        )

    result, reused = remembered(store, "head", scan.key, HeadResult, make)
    if made:
        upright = made[0]
    else:
        aligned = {
            name: Volume(v.array, np.array(result.affines[name]), v.frame_of_reference_uid)
            for name, v in heads.items()
        }
        brains = store.volume(result.reference_brain), store.volume(result.brain)
        upright = Upright(aligned, *brains)
    watch(StepReport(f"stand upright (day {scan.day:g})", result.provenance.note, reused))
    moved = replace(scan, sequences=upright.aligned, brain=upright.reference_brain)
    return Seen(moved, upright), (result.provenance,)


def _provenance(scan: LoadedScan, upright: Upright) -> Provenance:
    brain = upright.brain
    ml = np.count_nonzero(brain.array) * brain.voxel_volume_mm3 / MM3_PER_ML
    first, *others = upright.aligned
    moves = {}
    for name in others:
        degrees, mm = upright.movement(name, scan.sequences[name])
        moves[name] = f"{degrees:.1f} degrees, {mm:.1f} mm"
    said = "; ".join(f"{name} moved by {move}" for name, move in moves.items())
    return Provenance(
        step="stand upright",
        method=(
            "brain by deepbet; sequences rigidly registered to the first and the head to the SRI24 atlas, "
            "by mutual information (SimpleITK)"
        ),
        sources=scan.sources,
        settings={"first": first, **moves},
        versions=versions_of("deepbet", "SimpleITK", "torch", "numpy"),
        note=f"Whole head: brain of {ml:.0f} mL found in the {first}"
        + (f"; {said}" if said else ""),
    )


def without_negatives(scan: LoadedScan) -> dict[str, Volume]:
    """MR without the small negative voxels that resampling leaves, so that above zero means brain.

    A scan with a brain mask of its own keeps its values: it may be z-scored.
    """
    if scan.brain is not None:
        return dict(scan.sequences)
    return {
        name: v.with_array(np.clip(v.array, 0, None)) if name in STRIPPED_MR else v
        for name, v in scan.sequences.items()
    }
