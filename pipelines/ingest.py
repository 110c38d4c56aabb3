"""Read everything a study names, before anything is computed or stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.clinical import ClinicalRecord
from data.errors import ImageError
from data.files import sha256_file
from data.genomics import VariantSet
from data.imaging import Segmentation, Volume
from data.io.dicom import read_dicom_series
from data.io.nifti import read_nifti, read_segmentation
from data.io.structured import read_clinical, read_regimen
from data.io.study import Focus, ScanFiles, StudyFile
from data.io.vcf import read_vcf
from data.provenance import Source, digest_of
from data.treatment import Regimen
from pipelines.sites.base import Site

SMALLEST_SPACING_MM, LARGEST_SPACING_MM = 0.01, 50.0
"""From micro-CT to the thickest clinical slice: anything else is a unit gone wrong."""


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
class LoadedStudy:
    """All that was read."""

    file: StudyFile
    scans: tuple[LoadedScan, ...]
    record: ClinicalRecord
    variants: VariantSet | None
    given: Regimen | None = None
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
    variants = None
    if study.variants is not None:
        variants = read_vcf(
            folder / study.variants.file,
            tumor_sample=study.variants.tumor_sample,
            normal_sample=study.variants.normal_sample,
        )
        sources["variants"] = (source_of("variants", folder / study.variants.file),)
    given = None
    if study.given is not None:
        given = read_regimen(folder / study.given)
        sources["given"] = (source_of("given", folder / study.given),)
    scans = tuple(_read_scan(folder, scan, site) for scan in study.scans)
    return LoadedStudy(study, scans, record, variants, given, sources)


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
        named = str(error).startswith(str(path))
        raise error if named else ImageError(f"{path}: {error}; export it again") from error
    smallest, largest = min(volume.spacing_mm), max(volume.spacing_mm)
    if smallest < SMALLEST_SPACING_MM or largest > LARGEST_SPACING_MM:
        raise ImageError(
            f"{path}: voxels of {' x '.join(f'{v:g}' for v in volume.spacing_mm)} mm; a scan has "
            f"{SMALLEST_SPACING_MM:g} to {LARGEST_SPACING_MM:g} mm, so check the unit of its affine"
        )
    return volume
