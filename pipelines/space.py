"""The twin in space of one avatar: its visible tumor on a grid of its own, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data.avatar import Planning, Scan
from data.clinical import Markers
from data.errors import RegimenError
from data.imaging import MM3_PER_ML, Volume
from data.prognosis import VolumeForecast
from data.store import AvatarStore
from data.treatment import Regimen
from models.growth.field import Domain
from models.growth.visible import VisibleTumor, infiltration_mm, signed_distance_mm
from models.inference.prior import PLAIN, ResponseOptions, TwinPrior
from models.registration import resample
from models.simulation import Trajectory, summary
from models.spatial import (
    SpatialTwin,
    draw_spatial_twin,
    grow_member,
    simulate_in_space,
)
from models.tissue import GREY, WHITE
from pipelines.threads import threads

Mask = NDArray[np.bool_]
Map = NDArray[np.float32]
NOTHING_PLANNED = Planning()
SHOWN_MM = 2.0
"""Voxels that the density is shown on."""
ENSEMBLE_MM = 3.0
"""Voxels that the members of an ensemble grow on; volumes differ by a few percent (benchmarks/twin.py)."""
MARGIN_MM = 4.0
"""About the brain."""
LEAST_ENHANCING_ML = 0.2
"""Less enhancement is specks, not an edge."""
IN_SPACE = "reaction-diffusion"
"""Kind of the growth law of the twin in space."""
SEED = 20260101
"""One seed for all regimens of a patient, so that two regimens meet the same members."""
MEMBERS = 100
SAVED = 52
"""Times that volumes are kept until the horizon."""
PREVIEWED = 26
SHOWN = 24
"""Times after the scan that the density is shown at."""


@dataclass(frozen=True)
class TumorInSpace:
    """A scan's tumor on the twin's grid.

    Args:
        visible: its edges and where cells can go.
        grid: where the grid is in the patient; the array is the tissue map's nearest value.
        edges_mm: the infiltration length that its two edges tell; none where it shows one only.
    """

    visible: VisibleTumor
    grid: Volume
    edges_mm: float | None


def tumor_in_space(
    store: AvatarStore,
    scan: Scan,
    prior: TwinPrior,
    *,
    voxel_mm: float,
    planning: Planning = NOTHING_PLANNED,
) -> TumorInSpace:
    """Bring a scan's mask and tissue, and the doses planned on it, to the twin's grid.

    Raises:
        RegimenError: the scan has no tissue map, or no tumor.
    """
    if scan.tissue is None:
        raise RegimenError(
            "this scan has no tissue map, so nothing can grow in it: provenance says why; run the study "
            "again when that is mended"
        )
    tissue, labels = store.volume(scan.tissue), store.volume(scan.segmentation)
    whole, core = (np.isin(labels.array, scan.labels.region(r).values) for r in ("WT", "TC"))
    enhancing = np.isin(labels.array, scan.labels.region("ET").values)
    ml = np.count_nonzero(enhancing) * labels.voxel_volume_mm3 / MM3_PER_ML
    found = tumor_on_grid(
        tissue,
        whole,
        core if ml >= LEAST_ENHANCING_ML else None,
        grey_share=prior.invasion.grey_share.median,
        voxel_mm=voxel_mm,
    )
    planned = {n: resample(store.volume(ref), found.grid) for n, ref in planning.doses.items()}
    doses = {name: np.asarray(dose.array, np.float32) for name, dose in planned.items()}
    return replace(found, visible=replace(found.visible, doses_gy=doses))


def told_of(scans: tuple[Scan, ...]) -> list[object]:
    """What of the scans a twin rests on: the same, the same twin."""
    return [
        [
            s.day,
            [m.model_dump(mode="json") for m in s.measurements],
            s.segmentation.sha256,
            s.tissue and s.tissue.sha256,
        ]
        for s in scans
    ]


def tumor_on_grid(
    tissue: Volume, whole: Mask, core: Mask | None, *, grey_share: float, voxel_mm: float
) -> TumorInSpace:
    """Bring masks and tissue to a grid of cubes.

    Args:
        tissue: 1 CSF, 2 grey, 3 white matter; 0 outside.
        whole: (i, j, k) what FLAIR shows, on the tissue's grid.
        core: what the enhancing edge encloses; none for a tumor that does not enhance.
        grey_share: diffusivity of grey matter as a share of white's.
        voxel_mm: edge of the cubes.

    Raises:
        RegimenError: there is no tumor.
    """
    if not whole.any():
        raise RegimenError("the scan shows no tumor: nothing to grow")
    box = _box((tissue.array > 0) | whole, tissue.spacing_mm)
    tissue, whole = tissue.cut(box), whole[box]
    grid = _grid(tissue, voxel_mm)
    grey, white = (_share(tissue, grid, value) for value in (GREY, WHITE))
    total = grey + white
    mobility = (white + grey_share * grey) / np.maximum(total, 1e-6)
    domain = Domain(np.where(total > 0.5, mobility, 0.0).astype(np.float32), grid.spacing_mm)
    edge, edges_mm = None, None
    if core is not None:
        edge = _distance(tissue, grid, core[box])
        inner, outer = (np.count_nonzero(m) * tissue.voxel_volume_mm3 for m in (core[box], whole))
        if inner < outer:
            edges_mm = infiltration_mm(inner, outer)
    return TumorInSpace(
        VisibleTumor.on(domain, _distance(tissue, grid, whole), edge), grid, edges_mm
    )


def spatial_twin_of(
    tumor: TumorInSpace,
    prior: TwinPrior,
    markers: Markers,
    *,
    members: int = MEMBERS,
    options: ResponseOptions = PLAIN,
) -> SpatialTwin:
    """The prior ensemble around a tumor."""
    return draw_spatial_twin(
        prior,
        tumor.visible,
        tumor.edges_mm,
        markers,
        members=members,
        rng=np.random.default_rng(SEED),
        options=options,
    )


def forecast_in_space(
    twin: SpatialTwin,
    regimen: Regimen,
    prior: TwinPrior,
    *,
    on_member: Callable[[int, int], None] = lambda done, total: None,
) -> VolumeForecast:
    """Forecast to the prior's horizon of the region that the class is followed by; kept too where a course
    ends, since the fewest cells are left there.
    """
    ends = [day for day in regimen.course_ends if day < prior.horizon_days]
    result = simulate_in_space(
        twin,
        regimen,
        saves=np.union1d(np.linspace(0.0, prior.horizon_days, SAVED + 1), ends),
        threads=threads(),
        on_member=on_member,
    )
    return summary(
        result.regions[twin.followed],
        regimen,
        twin.response,
        prior,
        model="in space",
        growth=IN_SPACE,
        region=twin.followed,
        seed=SEED,
        cells=result.cells,
    )


def preview_in_space(
    twin: SpatialTwin, regimen: Regimen, prior: TwinPrior
) -> tuple[Trajectory, Trajectory]:
    """The median member's volume and cells, without a band: for while a regimen is being edited."""
    found = simulate_in_space(
        twin.median_member,
        regimen,
        saves=np.linspace(0.0, prior.horizon_days, PREVIEWED + 1),
    )
    return found.regions[twin.followed], found.cells


@dataclass(frozen=True)
class DensitySeries:
    """The median member's cells over time: (day, i, j, k) as :func:`density_code`, on a grid."""

    days: tuple[float, ...]
    frames: NDArray[np.uint8]
    grid: Volume


def density_in_space(
    twin: SpatialTwin, tumor: TumorInSpace, regimen: Regimen, prior: TwinPrior
) -> DensitySeries:
    """Where the median member's cells are from the scan to the horizon.

    Args:
        twin: the ensemble, on any grid.
        tumor: the same tumor on the grid that is wanted.
        regimen: what is done.
        prior: of the class.
    """
    days = np.linspace(0.0, prior.horizon_days, SHOWN + 1)
    frames: list[NDArray[np.uint8]] = []
    middle = replace(twin.median_member, tumor=tumor.visible)
    grow_member(
        middle, 0, regimen, saves=days, on_save=lambda day, u: frames.append(density_code(u))
    )
    return DensitySeries(tuple(days.tolist()), np.stack(frames), tumor.grid)


def density_code(u: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Cell fraction as a byte, 50 a decade: 250 is all that a voxel can carry, 50 a ten-thousandth, 0 less
    than a hundred-thousandth.
    """
    coded = 250.0 + 50.0 * np.log10(np.maximum(u, 1e-9))
    return np.asarray(np.clip(np.rint(coded), 0, 250), np.uint8)


def _box(inside: Mask, spacing_mm: tuple[float, float, float]) -> tuple[slice, slice, slice]:
    found = ndimage.find_objects(inside.astype(np.uint8))[0]
    i, j, k = (
        slice(max(0, side.start - n), side.stop + n)
        for side, n in zip(found, (int(np.ceil(MARGIN_MM / s)) for s in spacing_mm), strict=True)
    )
    return i, j, k


def _grid(volume: Volume, voxel_mm: float) -> Volume:
    """Cubes of ``voxel_mm`` that fill the same box."""
    ratio = voxel_mm / np.array(volume.spacing_mm)
    shape = np.ceil(np.array(volume.shape) / ratio).astype(int)
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, :3] * ratio
    affine[:3, 3] = volume.world((ratio - 1.0) / 2.0)
    return Volume(np.zeros(tuple(shape), np.uint8), affine, volume.frame_of_reference_uid)


def _share(tissue: Volume, grid: Volume, value: int) -> Map:
    """Share of each voxel of the grid that is a tissue."""
    sigma = np.maximum(np.array(grid.spacing_mm) / np.array(tissue.spacing_mm) - 1.0, 0.0) / 3.0
    smooth = ndimage.gaussian_filter((tissue.array == value).astype(np.float32), sigma)
    return np.asarray(resample(tissue.with_array(smooth), grid).array)


def _distance(place: Volume, grid: Volume, mask: Mask) -> Map:
    signed = signed_distance_mm(mask, place.spacing_mm)
    return np.asarray(resample(place.with_array(signed), grid).array)
