"""Read everything a study names, before anything is computed or stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.calls import Calls
from data.clinical import ClinicalRecord
from data.copy_number import CopyNumber
from data.errors import ImageError, VariantError
from data.files import sha256_file
from data.fusions import Fusion
from data.imaging import Segmentation, Volume
from data.io.dicom import read_dicom_series
from data.io.fusions import read_fusions
from data.io.nifti import read_nifti, read_segmentation
from data.io.reference import with_context
from data.io.rtdose import read_rtdose
from data.io.rtstruct import read_rtstruct
from data.io.segments import read_segments
from data.io.structured import read_clinical, read_regimen
from data.io.study import Focus, PlanningFiles, ScanFiles, SegmentFile, StudyFile
from data.io.variants import read_variants
from data.provenance import Source, digest_of
from data.treatment import Regimen
from models.genomics.copy_number import copy_number
from pipelines.sites.base import Site

SMALLEST_SPACING_MM, LARGEST_SPACING_MM = 0.01, 50.0
"""From micro-CT to the thickest clinical slice: anything else is a unit gone wrong."""

HIGHEST_GY = 200.0
"""No plan gives more; a larger number is in cGy."""


@dataclass(frozen=True)
class LoadedScan:
    """One imaging study in memory; sequences may be on grids of their own."""

    day: float
    sequences: dict[str, Volume]
    brain: Volume | None
    segmentation: Segmentation | None
    sources: tuple[Source, ...]
    focus: Focus | None = None
    """What all of it was cut to."""

    @property
    def key(self) -> str:
        """Digest of all its files, what each served as and what was cut out of them."""
        cut = [] if self.focus is None else [self.focus.model_dump()]
        return digest_of([s.model_dump() for s in self.sources] + [self.day] + cut)


@dataclass(frozen=True)
class LoadedPlanning:
    """Doses (Gy) and structures (0/1) by name, as :class:`data.avatar.Planning`."""

    doses: dict[str, Volume] = field(default_factory=dict)
    structures: dict[str, Volume] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    """Structures that have no area."""


@dataclass(frozen=True)
class LoadedStudy:
    """All that was read."""

    file: StudyFile
    scans: tuple[LoadedScan, ...]
    record: ClinicalRecord
    calls: Calls | None
    segments: CopyNumber | None = None
    fusions: tuple[Fusion, ...] | None = None
    given: Regimen | None = None
    planning: LoadedPlanning = LoadedPlanning()
    sources: dict[str, tuple[Source, ...]] = field(default_factory=dict)


def source_of(role: str, path: Path) -> Source:
    """Role, name and digest of a file, or of a folder's files together."""
    if path.is_dir():
        parts = sorted(p for p in path.iterdir() if p.is_file())
        digest = digest_of([[p.name, sha256_file(p)] for p in parts])
        return Source(role=role, name=f"{path.name}/ ({len(parts)} files)", sha256=digest)
    return Source(role=role, name=path.name, sha256=sha256_file(path))


def ingest(folder: Path, study: StudyFile, site: Site) -> LoadedStudy:
    """Read and check every file of a study.

    Raises:
        AvatarError: of the file's kind, naming the file and the remedy.
    """
    sources: dict[str, tuple[Source, ...]] = {}
    record = ClinicalRecord(patient_id=study.patient_id)
    if study.record is not None:
        record = read_clinical(folder / study.record, study.patient_id)
        sources["record"] = (source_of("record", folder / study.record),)
    calls = None
    if study.variants is not None:
        calls = read_variants(
            folder / study.variants.file,
            tumor_sample=study.variants.tumor_sample,
            normal_sample=study.variants.normal_sample,
            build=study.variants.build,
        )
        if study.variants.reference is not None:
            calls = with_context(calls, folder / study.variants.reference)
        sources["variants"] = (source_of("variants", folder / study.variants.file),)
        if study.variants.reference is not None:
            index = (
                folder / f"{study.variants.reference}.fai"
            )  # names and lengths; the genome is large
            sources["variants"] += (source_of("index of the reference", index),)
    segments = None
    if study.segments is not None:
        segments = _read_segments(folder / study.segments.file, study.segments, calls)
        sources["segments"] = (source_of("segments", folder / study.segments.file),)
    fusions = None
    if study.fusions is not None:
        fusions = read_fusions(folder / study.fusions.file, study.fusions.sample)
        sources["fusions"] = (source_of("fusions", folder / study.fusions.file),)
    given = None
    if study.given is not None:
        given = read_regimen(folder / study.given)
        sources["given"] = (source_of("given", folder / study.given),)
    scans = tuple(_read_scan(folder, scan, site) for scan in study.scans)
    latest = max(scans, key=lambda scan: scan.day)
    planning = _read_planning(folder, study.planning, next(iter(latest.sequences.values())))
    if study.planning.named:
        sources["planning"] = tuple(source_of("planning", folder / p) for p in study.planning.named)
    return LoadedStudy(study, scans, record, calls, segments, fusions, given, planning, sources)


def _read_segments(path: Path, told: SegmentFile, calls: Calls | None) -> CopyNumber:
    if calls is not None and calls.build not in (None, told.build):
        raise VariantError(
            f"{path}: is of {told.build} by study.yaml, the variants are of {calls.build}; lift one over"
        )
    sample, segments = read_segments(path, told.build, told.sample)
    return copy_number(segments, told.build, sample, purity=told.purity, ploidy=told.ploidy)


def _read_scan(folder: Path, scan: ScanFiles, site: Site) -> LoadedScan:
    paths = {name: folder / path for name, path in scan.sequences.items()}
    sequences = {name: _read_image(path) for name, path in paths.items()}
    sources = [source_of(name, path) for name, path in paths.items()]
    first = next(iter(sequences))
    for name, volume in sequences.items():
        if not _overlap(volume, sequences[first]):
            raise ImageError(
                f"{paths[name]}: does not overlap the {first} scan in the patient; the two are not of "
                "one study, or not in one coordinate system"
            )
    brain = segmentation = None
    if scan.brain_mask is not None:
        path = folder / scan.brain_mask
        brain = read_nifti(path)
        _require_grid(path, brain, first, sequences[first])
        sources.append(source_of("brain mask", path))
    if scan.segmentation is not None:
        path = folder / scan.segmentation
        segmentation = read_segmentation(path, site.labels, site.label_aliases)
        _require_grid(path, segmentation.volume, first, sequences[first])
        sources.append(source_of("mask", path))
    if scan.focus is not None:
        low, high = scan.focus.corners
        for name, volume in sequences.items():
            try:
                sequences[name] = volume.within(low, high)
            except ImageError as error:
                raise ImageError(f"{paths[name]}: {error}: move the focus in study.yaml") from error
        brain = brain and brain.within(low, high)
        if segmentation is not None:
            segmentation = Segmentation(segmentation.volume.within(low, high), segmentation.labels)
    return LoadedScan(scan.day, sequences, brain, segmentation, tuple(sources), scan.focus)


def _read_planning(folder: Path, files: PlanningFiles, scan: Volume) -> LoadedPlanning:
    doses = {name: _read_dose(folder / path) for name, path in files.doses.items()}
    paths = {name: folder / path for name, path in files.doses.items()}
    left_out: tuple[str, ...] = ()
    if isinstance(files.structures, Path):
        read = read_rtstruct(folder / files.structures)
        structures, left_out = read.structures, read.empty
        paths |= dict.fromkeys(structures, folder / files.structures)
    else:
        structures = {name: _read_mask(folder / path) for name, path in files.structures.items()}
        paths |= {name: folder / path for name, path in files.structures.items()}
    planning = LoadedPlanning(doses, structures, left_out)
    require_place(planning, scan, paths)
    return planning


def require_place(planning: LoadedPlanning, scan: Volume, paths: Mapping[str, Path]) -> None:
    """Check that doses and structures lie in a scan's coordinate system, as far as it can be told.

    Raises:
        ImageError: another frame of reference, or no overlap with the scan.
    """
    for name, volume in (planning.doses | planning.structures).items():
        frames = volume.frame_of_reference_uid, scan.frame_of_reference_uid
        if (None not in frames and frames[0] != frames[1]) or not _overlap(volume, scan):
            raise ImageError(
                f"{paths[name]}: {name} is not in the coordinate system of the latest scan's first sequence; "
                "register it to that in the planning system and export it again"
            )


def _read_dose(path: Path) -> Volume:
    dose = _read_image(path) if path.name.endswith((".nii", ".nii.gz")) else read_rtdose(path)
    if dose.array.min() < 0 or dose.array.max() > HIGHEST_GY:
        raise ImageError(
            f"{path}: a dose is 0 to {HIGHEST_GY:g} Gy, this goes from {dose.array.min():g} to "
            f"{dose.array.max():g}; give it in Gy"
        )
    return dose


def _read_mask(path: Path) -> Volume:
    mask = _read_image(path)
    if not np.isin(mask.array, (0, 1)).all() or not mask.array.any():
        raise ImageError(f"{path}: a structure is a mask of 0 and 1 that is not empty")
    return mask.with_array(mask.array.astype(np.uint8))


def _require_grid(path: Path, mask: Volume, first: str, scan: Volume) -> None:
    if not mask.same_grid(scan):
        raise ImageError(
            f"{path}: the mask has shape {mask.shape}, the {first} scan {scan.shape}, or their affines "
            "differ; a mask must be on the grid of the study's first sequence"
        )


def _overlap(one: Volume, other: Volume) -> bool:
    """Whether the boxes around two volumes meet in the patient."""
    (low_a, high_a), (low_b, high_b) = _extent(one), _extent(other)
    return bool((low_a <= high_b).all() and (low_b <= high_a).all())


def _extent(volume: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ends = [(-0.5, n - 0.5) for n in volume.shape]
    corners = volume.world(np.array(list(product(*ends))))
    return corners.min(0), corners.max(0)


def _read_image(path: Path) -> Volume:
    try:
        volume = read_dicom_series(path) if path.is_dir() else read_nifti(path)
        if volume.array.dtype.kind == "f" and volume.array.dtype != np.float32:
            with np.errstate(over="ignore"):
                volume = volume.with_array(volume.array.astype(np.float32))
    except ImageError as error:
        if str(error).startswith(str(path)):
            raise
        raise ImageError(f"{path}: {error}; export it again") from error
    smallest, largest = min(volume.spacing_mm), max(volume.spacing_mm)
    if smallest < SMALLEST_SPACING_MM or largest > LARGEST_SPACING_MM:
        raise ImageError(
            f"{path}: voxels of {' x '.join(f'{v:g}' for v in volume.spacing_mm)} mm; a scan has "
            f"{SMALLEST_SPACING_MM:g} to {LARGEST_SPACING_MM:g} mm, so check the unit of its affine"
        )
    return volume
