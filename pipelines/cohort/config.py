"""``COHORT.yaml``: which studies, and within which budgets they are run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.errors import StudyError
from data.io.structured import read_model
from pipelines.steps import STEPS

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Budget(_Part):
    """What a step may take before its worker is stopped."""

    memory_gb: float = Field(default=6.0, gt=0.1, le=1024)
    minutes: float = Field(default=30.0, gt=0, le=10_000)


class StepBudget(_Part):
    """Of one step, where it differs from that of every step."""

    memory_gb: float | None = Field(default=None, gt=0.1, le=1024)
    minutes: float | None = Field(default=None, gt=0, le=10_000)


class Budgets(Budget):
    """Of every step, and of single ones."""

    steps: dict[str, StepBudget] = {}

    @model_validator(mode="after")
    def _steps_are_known(self) -> Self:
        unknown = sorted(set(self.steps) - set(STEPS))
        if unknown:
            raise ValueError(f"there is no step {unknown[0]!r}; there are {', '.join(STEPS)}")
        return self

    @property
    def most_gb(self) -> float:
        """Memory that a worker may take in any step."""
        return max(self.of(step).memory_gb for step in STEPS)

    def of(self, step: str) -> Budget:
        """Of one step."""
        own = self.steps.get(step, StepBudget())
        return Budget(
            memory_gb=own.memory_gb or self.memory_gb, minutes=own.minutes or self.minutes
        )


class CohortConfig(_Part):
    """The content of the file; paths are relative to it.

    Args:
        name: of the run, in the store.
        studies: patterns of folders with a study.yaml.
        manifest: a table with a row for each patient.
        bids: a folder in the manner of BIDS.
        dicom: patterns of folders, zips and tars, each with one patient's DICOM.
        site: of the tumor, where a study.yaml is made: of a manifest, a bids folder, or dicom.
        workers: processes; by cores and memory without.
        threads: of each worker; the cores divided among them without.
    """

    name: str = Field(pattern=NAME)
    studies: tuple[str, ...] = ()
    manifest: Path | None = None
    bids: Path | None = None
    dicom: tuple[str, ...] = ()
    site: Literal["glioma", "sarcoma", "generic"] = "glioma"
    segmenter: str | None = None
    despite_flags: bool = False
    workers: int | None = Field(default=None, ge=1, le=256)
    threads: int | None = Field(default=None, ge=1, le=256)
    budgets: Budgets = Budgets()

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if not (self.studies or self.manifest or self.bids or self.dicom):
            raise ValueError(
                "name studies, a manifest, a bids folder or dicom: where the patients are"
            )
        return self


def read_cohort_config(path: Path) -> CohortConfig:
    """A cohort's file.

    Raises:
        StudyError: no such file, or it breaks a rule.
    """
    return read_model(path, CohortConfig, StudyError)
