"""``study.yaml``: which file is which sequence, where the variants and the record are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from data.avatar import Origin
from data.errors import StudyError
from data.genomics import Build
from data.imaging import SEQUENCES
from data.io.structured import read_model


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Focus(_Part):
    """The part of the body that matters: a cube about a point, whose place the viewer tells."""

    center_ras_mm: tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    size_mm: float = Field(default=250.0, gt=20.0, le=1000.0)

    @property
    def corners(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest, RAS+ mm."""
        center = np.array(self.center_ras_mm)
        return center - self.size_mm / 2, center + self.size_mm / 2


class ScanFiles(_Part):
    """One imaging study. Paths are relative to the study folder; a folder is a DICOM series."""

    day: float = Field(default=0.0, allow_inf_nan=False)
    sequences: dict[str, Path] = Field(min_length=1)
    focus: Focus | None = Field(default=None, description="all images are cut to it")
    brain_mask: Path | None = None
    segmentation: Path | None = None

    @model_validator(mode="after")
    def _known_sequences(self) -> Self:
        unknown = sorted(set(self.sequences) - set(SEQUENCES))
        if unknown:
            raise ValueError(f"unknown sequences {unknown}; known are {', '.join(SEQUENCES)}")
        return self


class VariantFile(_Part):
    """A VCF or MAF and, where it does not say, which sample is which and of which build it is."""

    file: Path
    tumor_sample: str | None = None
    normal_sample: str | None = None
    build: Build | None = None
    capture_mb: float | None = Field(
        default=None,
        gt=0,
        le=4000,
        description="megabases that were sequenced, for mutations per Mb",
    )
    reference: Path | None = Field(
        default=None, description="FASTA of the build, for the bases beside each variant"
    )


class SegmentFile(_Part):
    """Segmented copy number: a SEG file or a table like it. It does not tell its build."""

    file: Path
    build: Build
    sample: str | None = Field(default=None, description="whose, where the file has several")
    purity: float | None = Field(default=None, gt=0, le=1, description="share of tumor cells")
    ploidy: float = Field(
        default=2.0, gt=0.5, lt=10, description="mean copies of the tumor's cells"
    )


class FusionFile(_Part):
    """Fusion calls of STAR-Fusion, Arriba, FusionCatcher or cBioPortal."""

    file: Path
    sample: str | None = Field(default=None, description="whose, where the file has several")


class PlanningFiles(_Part):
    """Radiotherapy as it was planned, in the coordinate system of the latest scan's first sequence."""

    doses: dict[str, Path] = Field(
        default_factory=dict,
        description="RTDOSE, or NIfTI in Gy, by the name that regimens call it",
    )
    structures: Path | dict[str, Path] = Field(
        default_factory=dict,
        description="an RTSTRUCT, or a NIfTI mask for each structure by its name",
    )

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        taken = sorted({"margin", "uniform"} & set(self.doses))
        if taken:
            raise ValueError(
                f"a dose is not called {taken[0]!r}, which is a kind of target; rename it"
            )
        return self

    @property
    def named(self) -> tuple[Path, ...]:
        """All files."""
        structures = self.structures
        drawn = [structures] if isinstance(structures, Path) else [*structures.values()]
        return (*self.doses.values(), *drawn)


class StudyFile(_Part):
    """The content of ``study.yaml``."""

    patient_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    site: Literal["glioma", "sarcoma", "generic"] = "glioma"
    origin: Origin = "patient"
    scans: tuple[ScanFiles, ...] = Field(min_length=1)
    variants: VariantFile | None = None
    segments: SegmentFile | None = None
    fusions: FusionFile | None = None
    record: Path | None = None
    segmenter: str | None = None
    planning: PlanningFiles = PlanningFiles()
    given: Path | None = Field(
        default=None,
        description="a regimen: the treatment since the first scan, days counted from it",
    )

    @property
    def named(self) -> tuple[Path, ...]:
        """All files and folders."""
        named = [
            p for s in self.scans for p in (*s.sequences.values(), s.brain_mask, s.segmentation)
        ]
        parts = (self.variants, self.segments, self.fusions)
        named += [part.file for part in parts if part is not None]
        named += [self.variants.reference] if self.variants else []
        named += [self.record, self.given, *self.planning.named]
        return tuple(path for path in named if path is not None)

    @model_validator(mode="after")
    def _one_build(self) -> Self:
        told = {part.build for part in (self.variants, self.segments) if part and part.build}
        if len(told) > 1:
            raise ValueError(f"variants and segments are of two builds ({', '.join(sorted(told))})")
        return self

    @model_validator(mode="after")
    def _days_differ(self) -> Self:
        days = [scan.day for scan in self.scans]
        if len(set(days)) != len(days):
            raise ValueError(f"two scans on the same day: {days}")
        return self


def read_study(folder: Path) -> StudyFile:
    """The study in ``folder``.

    Raises:
        StudyError: no study.yaml, an unknown key, or a file it names that is not there.
    """
    if folder.name == "study.yaml" and folder.is_file():
        raise StudyError(f"{folder}: give the folder, {folder.parent}, not the file in it")
    path = folder / "study.yaml"
    if not path.is_file():
        raise StudyError(
            f"{folder}: has no study.yaml; 'avatar study init {folder}' writes one to fill in"
        )
    study = read_model(path, StudyFile, StudyError)
    for item in study.named:
        if not _exists(folder / item):
            raise StudyError(f"{path}: names {item}, but there is no such file in {folder}")
    return study


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for the file system
        return False
