"""The avatar: all that is known of one patient's tumor, with the origin of every part.

Start reading here. An :class:`Avatar` is immutable, validated and plain JSON; volumes are held by the
store and named by the digest of their file.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from data.burden import MutationBurden
from data.clinical import ClinicalRecord
from data.copy_number import CopyNumber
from data.diagnosis import Diagnosis
from data.evidence import Interpretation, KnowledgeSource
from data.fusions import Fusion
from data.genomics import VariantSet
from data.imaging import LabelTable, TumorVolume
from data.prognosis import Calibration, SurvivalPrediction, VolumeForecast
from data.provenance import Provenance
from data.quality import Flag
from data.timeline import Timeline

Origin = Literal["patient", "in-silico", "public-sample"]


class VolumeRef(BaseModel):
    """A stored volume: the sha256 of its file and the grid it is on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    frame_of_reference_uid: str | None = None


class TableRef(BaseModel):
    """A stored table: the sha256 of its file and how many rows it has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    rows: int = Field(ge=0)


class Scan(BaseModel):
    """One imaging study: its sequences, the mask and what was measured on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    day: float = Field(description="days since diagnosis")
    sequences: dict[str, VolumeRef] = Field(min_length=1)
    segmentation: VolumeRef
    labels: LabelTable
    segmenter: str
    given: bool = Field(description="the mask came with the study instead of from a network")
    measurements: tuple[TumorVolume, ...]
    flags: tuple[Flag, ...] = ()
    tissue: VolumeRef | None = Field(
        default=None, description="1 CSF, 2 grey, 3 white matter on the mask's grid"
    )
    disagreement: VolumeRef | None = Field(
        default=None,
        description="between opinions on the mask, in percent of the most there can be",
    )
    agreement: dict[str, float] = Field(
        default_factory=dict, description="mean Dice between opinions, by region"
    )
    signed_by: str | None = Field(default=None, description="the reader whose mask it is now")
    unreviewed: VolumeRef | None = Field(
        default=None, description="the mask as it was before a reader's took its place"
    )

    def measured(self, region: str) -> TumorVolume | None:
        """The measurement of one region, by its abbreviation."""
        return next((m for m in self.measurements if m.region == region), None)


class Planning(BaseModel):
    """Radiotherapy as it was planned, by name: doses in Gy, and structures (0/1) each on a grid of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    doses: dict[str, VolumeRef] = Field(default_factory=dict)
    structures: dict[str, VolumeRef] = Field(default_factory=dict)


class Avatar(BaseModel):
    """A patient's digital twin as far as it is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    patient_id: str
    site: str
    origin: Origin
    record: ClinicalRecord
    prior_class: str
    diagnosis: Diagnosis | None = Field(
        default=None, description="integrated, where the site has a table for it"
    )
    scans: tuple[Scan, ...] = ()
    planning: Planning = Planning()
    variants: VariantSet | None = Field(
        default=None, description="those in genes that something is known of; all are in ``calls``"
    )
    calls: TableRef | None = Field(default=None, description="every call, by data.calls.SCHEMA")
    burden: MutationBurden | None = None
    copy_number: CopyNumber | None = None
    fusions: tuple[Fusion, ...] | None = Field(
        default=None, description="None where RNA was not looked at; empty where none was found"
    )
    interpretations: tuple[Interpretation, ...] = ()
    knowledge: tuple[KnowledgeSource, ...] = Field(
        default=(), description="what the interpretations rest on"
    )
    survival: SurvivalPrediction | None = None
    calibration: Calibration | None = None
    forecasts: tuple[VolumeForecast, ...] = ()
    timeline: Timeline = Timeline()
    provenance: tuple[Provenance, ...] = ()

    def to_json(self) -> str:
        """Canonical JSON: the same avatar gives the same bytes."""
        return self.model_dump_json(indent=1)

    @classmethod
    def from_json(cls, text: str) -> Avatar:
        """Read what :meth:`to_json` wrote."""
        return cls.model_validate_json(text)

    @property
    def is_behind_its_masks(self) -> bool:
        """Whether calibration and forecasts were computed before a mask was signed."""
        steps = [part.step for part in self.provenance]
        computed = [n for n, step in enumerate(steps) if step in ("calibrate", "simulate")]
        signed = [n for n, step in enumerate(steps) if step == "review"]
        return bool(computed and signed) and max(signed) > max(computed)

    @property
    def latest_scan(self) -> Scan | None:
        """The last scan by day."""
        return max(self.scans, key=lambda s: s.day, default=None)
