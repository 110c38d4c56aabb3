"""Planned doses and structures into the store, with a look at whether they can be this patient's."""

from __future__ import annotations

from data.avatar import Planning, Scan
from data.errors import ImageError
from data.provenance import Provenance, Source, versions_of
from data.store import AvatarStore
from models.registration import resample
from pipelines.ingest import LoadedPlanning
from pipelines.steps import StepReport, Watch


def keep_planning(
    store: AvatarStore,
    loaded: LoadedPlanning,
    scan: Scan,
    sources: tuple[Source, ...],
    watch: Watch,
) -> tuple[Planning, tuple[Provenance, ...]]:
    """Keep what was planned.

    Args:
        store: where it goes.
        loaded: as it was read.
        scan: the latest one, in whose space it is.
        sources: files that it came from.
        watch: told what was kept.

    Raises:
        ImageError: a dose that leaves all of the tumor without any.
    """
    if not (loaded.doses or loaded.structures):
        return Planning(), ()
    mask = store.volume(scan.segmentation)
    for name, dose in loaded.doses.items():
        inside = resample(dose, mask).array[mask.array > 0]
        if inside.size and not inside.any():
            raise ImageError(
                f"the dose map {name!r} gives this tumor nothing: it is not in the coordinate system of the "
                "latest scan's first sequence; register it to that and export it again"
            )
    planning = Planning(
        doses={name: store.put_volume(dose) for name, dose in sorted(loaded.doses.items())},
        structures={name: store.put_volume(m) for name, m in sorted(loaded.structures.items())},
    )
    highest = [f"{name} (to {float(d.array.max()):.1f} Gy)" for name, d in loaded.doses.items()]
    said = f"doses: {', '.join(highest) or 'none'}; structures: {', '.join(planning.structures) or 'none'}"
    if loaded.left_out:
        said += f"; without an area: {', '.join(loaded.left_out)}"
    watch(StepReport("planning", said, False))
    kept = Provenance(
        step="planning",
        method="contours drawn on voxels of 1 mm and as far apart as they are; doses as they are",
        sources=sources,
        versions=versions_of("pydicom", "numpy", "scikit-image"),
        note=said,
    )
    return planning, (kept,)
