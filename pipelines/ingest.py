"""Read everything a study names, before anything is computed or stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data.clinical import ClinicalRecord
from data.errors import ImageError
from data.files import sha256_file
from data.genomics import VariantSet
from data.imaging import Segmentation, Volume
from data.io.dicom import read_dicom_series
from data.io.nifti import read_nifti, read_segmentation
from data.io.structured import read_clinical
from data.io.study import ScanFiles, StudyFile
from data.io.vcf import read_vcf
from data.provenance import Source, digest_of
from pipelines.sites.base import Site


@dataclass(frozen=True)
class LoadedScan:
    """One imaging study in memory; sequences may be on grids of their own."""

    day: float
    sequences: dict[str, Volume]
    brain: Volume | None
    segmentation: Segmentation | None
    sources: tuple[Source, ...]

    @property
    def key(self) -> str:
        """Digest of all its files."""
        return digest_of([s.model_dump() for s in self.sources] + [self.day])


@dataclass(frozen=True)
class LoadedStudy:
    """All that was read."""

    file: StudyFile
    scans: tuple[LoadedScan, ...]
    record: ClinicalRecord
    variants: VariantSet | None
    sources: dict[str, tuple[Source, ...]] = field(default_factory=dict)


def source_of(path: Path) -> Source:
    """Name and digest of a file, or of a folder's files together."""
    if path.is_dir():
        parts = sorted(p for p in path.iterdir() if p.is_file())
        digest = digest_of([[p.name, sha256_file(p)] for p in parts])
        return Source(name=f"{path.name}/ ({len(parts)} files)", sha256=digest)
    return Source(name=path.name, sha256=sha256_file(path))


def ingest(folder: Path, study: StudyFile, site: Site) -> LoadedStudy:
    """Read and check every file of a study.

    Raises:
        AvatarError: of the file's kind, naming the file and the remedy.
    """
    sources: dict[str, tuple[Source, ...]] = {}
    record = ClinicalRecord(patient_id=study.patient_id)
    if study.record is not None:
        record = read_clinical(folder / study.record, study.patient_id)
        sources["record"] = (source_of(folder / study.record),)
    variants = None
    if study.variants is not None:
        variants = read_vcf(
            folder / study.variants.file,
            tumor_sample=study.variants.tumor_sample,
            normal_sample=study.variants.normal_sample,
        )
        sources["variants"] = (source_of(folder / study.variants.file),)
    scans = tuple(_read_scan(folder, scan, site) for scan in study.scans)
    return LoadedStudy(study, scans, record, variants, sources)


def _read_scan(folder: Path, scan: ScanFiles, site: Site) -> LoadedScan:
    paths = {name: folder / path for name, path in scan.sequences.items()}
    sequences = {name: _read_image(path) for name, path in paths.items()}
    sources = [source_of(path) for path in paths.values()]
    brain = segmentation = None
    if scan.brain_mask is not None:
        brain = read_nifti(folder / scan.brain_mask)
        sources.append(source_of(folder / scan.brain_mask))
    if scan.segmentation is not None:
        path = folder / scan.segmentation
        segmentation = read_segmentation(path, site.labels, site.label_aliases)
        first = next(iter(sequences))
        if not segmentation.volume.same_grid(sequences[first]):
            raise ImageError(
                f"{path}: the mask has shape {segmentation.volume.shape}, the {first} scan "
                f"{sequences[first].shape}, or their affines differ; a mask must be on the grid of "
                "the study's first sequence"
            )
        sources.append(source_of(path))
    return LoadedScan(scan.day, sequences, brain, segmentation, tuple(sources))


def _read_image(path: Path) -> Volume:
    volume = read_dicom_series(path) if path.is_dir() else read_nifti(path)
    if volume.array.dtype.kind == "f" and volume.array.dtype != np.float32:
        return volume.with_array(volume.array.astype(np.float32))
    return volume
