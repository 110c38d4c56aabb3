"""How a tumor has responded: visits in, a category out, with the rule that decided it.

A category needs more than sizes. It is given on what is known, and with it stands what is not known and
could still change it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from data.reading import Clinical, NewLesion, NonTarget, Steroids
from models.measurement import SectionBy

Category = Literal["before", "baseline", "CR", "PR", "MR", "SD", "PD", "NE", "non-CR/non-PD"]
CATEGORY_NAMES: dict[Category, str] = {
    "before": "Before baseline",
    "baseline": "Baseline",
    "CR": "Complete response",
    "PR": "Partial response",
    "MR": "Minor response",
    "SD": "Stable disease",
    "PD": "Progressive disease",
    "NE": "Not evaluable",
    "non-CR/non-PD": "Neither complete response nor progression",
}


class TargetSize(BaseModel):
    """A target lesion on one scan; zeros where it is gone."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lesion: str
    longest_mm: float = Field(ge=0)
    perpendicular_mm: float = Field(ge=0)
    volume_mm3: float = Field(ge=0)
    is_node: bool = Field(default=False, description="a lymph node, measured by its short axis")

    @property
    def product_mm2(self) -> float:
        """Both diameters multiplied."""
        return self.longest_mm * self.perpendicular_mm


class Visit(BaseModel):
    """What is known at one scan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    day: float = Field(allow_inf_nan=False)
    targets: tuple[TargetSize, ...]
    not_measured: tuple[str, ...] = Field(
        default=(), description="targets that this scan does not show or nobody could measure"
    )
    non_target: NonTarget = "none"
    new_lesion: NewLesion = "no"
    steroids: Steroids = "unknown"
    clinical: Clinical = "unknown"
    days_since_radiotherapy: float | None = Field(
        default=None, ge=0, description="since its last fraction; None where there was none before"
    )


class Response(BaseModel):
    """The category at one visit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    day: float
    burden: float | None = Field(description="sum over the targets, in the criteria's unit")
    from_baseline: float | None = Field(default=None, description="change, as a share of baseline")
    nadir: float | None = Field(default=None, description="smallest sum at any earlier visit")
    from_nadir: float | None = None
    targets: Category = Field(description="of the measured lesions alone")
    targets_reason: str = Field(default="", description="the rule that decided on the targets")
    category: Category
    reason: str = Field(description="the rule that decided it")
    unknown: tuple[str, ...] = Field(default=(), description="what could still change the category")
    confirmation: str = Field(default="", description="what later scans made of it")
    held: bool | None = Field(
        default=None,
        description="whether a later scan confirmed it; None where none was asked or is there",
    )
    progressed_on: float | None = Field(
        default=None, description="day of the first progression before this visit that stands"
    )

    @property
    def provisos(self) -> tuple[str, ...]:
        """Sentences on what the category is worth: later scans, earlier progression, what is not known."""
        said = []
        if self.confirmation:
            said.append(f"{self.confirmation[0].upper()}{self.confirmation[1:]}.")
        if self.progressed_on is not None:
            said.append(f"After progression on day {self.progressed_on:g}.")
        if self.unknown:
            said.append(f"Provisional, not known: {'; '.join(self.unknown)}.")
        return tuple(said)


@dataclass(frozen=True)
class Verdict:
    """A category and the rule that decided it."""

    category: Category
    reason: str


class Criteria(BaseModel, ABC):
    """Criteria of response: which sum is followed and what its changes mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    name: ClassVar[str]
    unit: ClassVar[str]
    citation: ClassVar[str]
    most_targets: ClassVar[int]
    usual_targets: ClassVar[int]
    section: ClassVar[SectionBy] = "product"
    """In which section of a lesion its diameters are told."""
    after_radiotherapy: ClassVar[bool] = False
    """Whether baseline is the first scan after radiotherapy, where that was given since the first one."""

    @abstractmethod
    def size(self, target: TargetSize) -> float:
        """What of a target goes into the sum."""

    def is_gone(self, target: TargetSize) -> bool:
        """Whether nothing is left of a lesion that counts as one."""
        return target.longest_mm == 0

    @abstractmethod
    def is_measurable(self, target: TargetSize, slices: int, slice_mm: float) -> bool:
        """Whether a lesion may be a target at baseline; seen on so many slices, so far apart."""

    @abstractmethod
    def judge_targets(self, burden: float, visit: Visit, baseline: float, nadir: float) -> Verdict:
        """What the targets alone say."""

    @abstractmethod
    def judge(self, visit: Visit, targets: Verdict, before: Sequence[Response]) -> Verdict:
        """What the visit says, from its targets and all else that counts."""

    @abstractmethod
    def without_targets(self, visit: Visit) -> Verdict:
        """Where there was nothing to measure at baseline."""

    @abstractmethod
    def open_questions(self, visit: Visit, category: Category) -> tuple[str, ...]:
        """What is not known at a visit and could change its category."""

    def confirmed(self, responses: Sequence[Response]) -> tuple[Response, ...]:
        """With what later visits made of each; nothing where the criteria ask for no confirmation."""
        return tuple(responses)

    def assess(self, visits: Sequence[Visit]) -> tuple[Response, ...]:
        """The response at every visit; the first is baseline.

        Changes count from baseline downwards and upwards from nadir, the smallest sum at any earlier visit at
        which all targets were measured.

        Raises:
            ValueError: no visits, not in order of their days, or other lesions at one of them.
        """
        _require_one_set(visits)
        first = visits[0]
        baseline = self._sum(first)
        responses = [
            Response(
                day=first.day,
                burden=baseline,
                targets="baseline",
                category="baseline",
                reason="what later scans are compared with",
            )
        ]
        nadir = baseline
        for visit in visits[1:]:
            responses.append(self._response(visit, baseline, nadir, responses))
            if not visit.not_measured:
                nadir = min(nadir, self._sum(visit))
        return _after_progression(self.confirmed(responses))

    def _sum(self, visit: Visit) -> float:
        return sum(self.size(target) for target in visit.targets)

    def _response(
        self, visit: Visit, baseline: float, nadir: float, before: Sequence[Response]
    ) -> Response:
        burden, complete = self._sum(visit), not visit.not_measured
        if not visit.targets and complete:
            targets = self.without_targets(visit)
        else:
            targets = self.judge_targets(burden, visit, baseline, nadir)
        if not complete and targets.category != "PD":
            targets = Verdict("NE", f"{', '.join(visit.not_measured)} not measured")
        verdict = self.judge(visit, targets, before)
        return Response(
            day=visit.day,
            burden=burden if complete else None,
            from_baseline=change(burden, baseline) if complete else None,
            nadir=nadir,
            from_nadir=change(burden, nadir) if complete else None,
            targets=targets.category,
            targets_reason=targets.reason,
            category=verdict.category,
            reason=verdict.reason,
            unknown=self.open_questions(visit, verdict.category),
        )


def _after_progression(responses: Sequence[Response]) -> tuple[Response, ...]:
    """What comes after a progression that stands is told as such."""
    day: float | None = None
    told = []
    for response in responses:
        told.append(response.model_copy(update={"progressed_on": day}))
        if day is None and response.category == "PD" and not response.unknown:
            day = None if response.held is False else response.day
    return tuple(told)


def change(now: float, then: float) -> float | None:
    """As a share of what it was; None from nothing."""
    return None if then == 0 else now / then - 1.0


ROUNDING = 1e-9
"""A decrease of exactly 30 % is one of 30 %, whatever floating point makes of 0.7."""


def reaches(value: float, threshold: float) -> bool:
    """Whether a value is at a threshold or beyond it."""
    return value >= threshold - ROUNDING


def said(share: float) -> str:
    """A change in words, as a share."""
    return f"{abs(100 * share):.0f} % {'less' if share < 0 else 'more'}"


def _require_one_set(visits: Sequence[Visit]) -> None:
    if not visits:
        raise ValueError("there is no visit to assess")
    if visits[0].not_measured:
        raise ValueError("at baseline every target is measured; what cannot be is no target")
    days = [visit.day for visit in visits]
    if any(b <= a for a, b in pairwise(days)):
        raise ValueError(f"visits are in order of their days, got {days}")
    names = [sorted([t.lesion for t in v.targets] + list(v.not_measured)) for v in visits]
    for visit, named in zip(visits, names, strict=True):
        if named != names[0]:
            raise ValueError(
                f"day {visit.day:g}: targets are {named}, at baseline {names[0]}; a target stays one at "
                "every visit"
            )
