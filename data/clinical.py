"""The clinical record: what is known of the person, three-state where an assay may be missing."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from data.timeline import Timeline

Presence = Literal["present", "absent", "untested"]
"""An assay's answer. Untested is an answer of its own, never a guess."""


class Markers(BaseModel):
    """Assays that decide class, prognosis and response in diffuse glioma."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    idh_mutation: Presence = "untested"
    codeletion_1p19q: Presence = "untested"
    mgmt_methylation: Presence = "untested"
    tert_promoter_mutation: Presence = "untested"
    gain7_loss10: Presence = "untested"
    egfr_amplification: Presence = "untested"
    atrx_loss: Presence = Field(
        default="untested", description="lost on immunohistochemistry, or mutated"
    )
    cdkn2a_homozygous_deletion: Presence = "untested"
    h3_k27_altered: Presence = Field(
        default="untested", description="H3 K27M, or K27me3 lost on immunohistochemistry"
    )
    h3_g34_mutation: Presence = "untested"
    necrosis: Presence = Field(default="untested", description="under the microscope")
    microvascular_proliferation: Presence = "untested"


class ReportedAlteration(BaseModel):
    """What an assay said of something that a list of small variants cannot hold.

    ``gene`` of a signature is TMB-H or MSI-H.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gene: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$")
    kind: Literal["amplification", "deletion", "fusion", "promoter methylation", "signature"]
    partner: str | None = Field(default=None, description="of a fusion")
    result: Presence
    method: str = Field(default="", description="the assay, as IHC, FISH or an RNA panel")


class ClinicalRecord(BaseModel):
    """One patient's record. ``None`` and ``untested`` mean not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    patient_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    age_years: float | None = Field(default=None, ge=0, le=120, description="age at diagnosis")
    sex: Literal["female", "male"] | None = None
    diagnosis: str | None = None
    grade: Literal[1, 2, 3, 4] | None = Field(default=None, description="histological CNS grade")
    location: Literal["midline", "hemispheric"] | None = Field(
        default=None,
        description="of a glioma: thalamus, brain stem, spinal cord and so on, or a hemisphere",
    )
    kps: int | None = Field(default=None, ge=0, le=100, description="Karnofsky performance status")
    height_cm: float | None = Field(default=None, gt=30, lt=260)
    weight_kg: float | None = Field(default=None, gt=1, lt=400)
    followup_days: float | None = Field(default=None, ge=0)
    vital_status: Literal["alive", "dead"] | None = None
    markers: Markers = Markers()
    reported: tuple[ReportedAlteration, ...] = ()
    timeline: Timeline = Timeline()

    @property
    def body_surface_m2(self) -> float | None:
        """Mosteller 1987 (N Engl J Med 317:1098); None where height or weight is not known."""
        if self.height_cm is None or self.weight_kg is None:
            return None
        return float((self.height_cm * self.weight_kg / 3600.0) ** 0.5)
