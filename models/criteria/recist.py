"""RECIST 1.1: the sum of longest diameters, short axes for lymph nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, final

from typing_extensions import override

from models.criteria.base import (
    Category,
    Criteria,
    Response,
    TargetSize,
    Verdict,
    Visit,
    change,
    reaches,
    said,
)
from models.measurement import SectionBy

PARTIAL = 0.30
PROGRESSION = 0.20
LEAST_GROWTH_MM = 5.0
MEASURABLE_MM = 10.0
MEASURABLE_NODE_MM = 15.0
NORMAL_NODE_MM = 10.0
CONFIRMED_DAYS = 28.0


@final
class Recist(Criteria):
    """Eisenhauer 2009, Eur J Cancer 45:228, doi:10.1016/j.ejca.2008.10.026, tables 1 and 2.

    A partial response that a second scan four weeks on has confirmed holds until progression, as its authors
    answer (recist.eortc.org, questions on changing measurements).
    """

    kind: Literal["recist"] = "recist"
    name: ClassVar[str] = "RECIST 1.1"
    unit: ClassVar[str] = "mm"
    citation: ClassVar[str] = "Eisenhauer 2009, doi:10.1016/j.ejca.2008.10.026"
    most_targets: ClassVar[int] = 5
    usual_targets: ClassVar[int] = 2  # of one organ; masks do not name organs
    section: ClassVar[SectionBy] = "longest"

    @override
    def size(self, target: TargetSize) -> float:
        return target.perpendicular_mm if target.is_node else target.longest_mm

    @override
    def is_gone(self, target: TargetSize) -> bool:
        return self.size(target) < NORMAL_NODE_MM if target.is_node else self.size(target) == 0

    @override
    def is_measurable(self, target: TargetSize, slices: int, slice_mm: float) -> bool:
        least = MEASURABLE_NODE_MM if target.is_node else MEASURABLE_MM
        return self.size(target) >= max(least, 2 * slice_mm)

    @override
    def judge_targets(self, burden: float, visit: Visit, baseline: float, nadir: float) -> Verdict:
        grown, growth = change(burden, nadir), burden - nadir
        enough = reaches(growth, LEAST_GROWTH_MM)
        gone = all(self.is_gone(target) for target in visit.targets)
        if gone and not visit.not_measured:
            nodes = " and nodes are below 10 mm" if any(t.is_node for t in visit.targets) else ""
            return Verdict("CR", f"every target is gone{nodes}")
        if enough and (grown is None or reaches(grown, PROGRESSION)):
            more = "from nothing" if grown is None else f"{said(grown)} than the smallest sum"
            return Verdict("PD", f"{growth:.0f} mm {more}: at least 20 % and 5 mm")
        shrunk = -(change(burden, baseline) or 0.0)
        if reaches(shrunk, PARTIAL):
            return Verdict("PR", f"{said(-shrunk)} than at baseline: at least 30 %")
        if grown is not None and reaches(grown, PROGRESSION):
            return Verdict("SD", f"{said(grown)} than the smallest sum, but less than 5 mm")
        return Verdict("SD", "neither 30 % less than baseline nor 20 % more than the smallest sum")

    @override
    def judge(self, visit: Visit, targets: Verdict, before: Sequence[Response]) -> Verdict:
        if visit.new_lesion == "yes":
            return Verdict("PD", "a new lesion")
        if visit.non_target == "progressed":
            return Verdict("PD", "unequivocal progression of lesions that are not measured")
        back = _came_back(visit, before)
        if back:
            return Verdict("PD", f"{back} after a complete response")
        if targets.category == "CR" and visit.non_target in ("present", "unknown"):
            if not visit.targets:
                return Verdict("non-CR/non-PD", "lesions that are not measured are still there")
            return Verdict("PR", "every target is gone, lesions that are not measured are not")
        if targets.category == "SD" and _confirmed(before):
            return Verdict("PR", f"{targets.reason}; a confirmed partial response holds")
        return targets

    @override
    def without_targets(self, visit: Visit) -> Verdict:
        if visit.non_target == "gone":
            return Verdict("CR", "all lesions that were too small to measure are gone")
        if visit.non_target == "none":
            return Verdict("NE", "there was no lesion at baseline: only a new one can be judged")
        if visit.non_target == "unknown":
            return Verdict("NE", "nothing was large enough to measure, and the rest was not judged")
        return Verdict("non-CR/non-PD", "nothing was large enough to measure at baseline")

    @override
    def open_questions(self, visit: Visit, category: Category) -> tuple[str, ...]:
        if category == "PD":
            return ()
        return tuple(
            question
            for question, is_open in (
                ("whether there is a new lesion", visit.new_lesion == "unknown"),
                ("lesions that are not measured", visit.non_target == "unknown"),
            )
            if is_open
        )


def _came_back(visit: Visit, before: Sequence[Response]) -> str | None:
    """What is there again although all was gone at a visit before (recist.eortc.org, lesions that reappear)."""
    if not any(response.category == "CR" for response in before):
        return None
    if any(t.longest_mm > 0 and not t.is_node for t in visit.targets):
        return "a target is back"
    return "lesions that are not measured are back" if visit.non_target == "present" else None


def _confirmed(before: Sequence[Response]) -> bool:
    """Whether a response was seen twice, four weeks apart, and no progression since."""
    begun: float | None = None
    confirmed = False
    for response in before:
        if response.category in ("PR", "CR"):
            begun = response.day if begun is None else begun
            confirmed = confirmed or response.day - begun >= CONFIRMED_DAYS
        elif response.category == "PD":
            begun, confirmed = None, False
        elif response.category == "SD":
            begun = None
    return confirmed
