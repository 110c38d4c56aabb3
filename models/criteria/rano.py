"""RANO 2.0 for gliomas: the sum of products of perpendicular diameters, or of volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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

MEASURABLE_MM = 10.0
MEASURABLE_SLICES = 2
THICK_SLICE_MM = 5.0
CONFIRMED_DAYS = 28.0
EARLY_DAYS = 84.0
"""Within twelve weeks of radiotherapy what looks like progression may be its effect."""


@dataclass(frozen=True)
class Thresholds:
    """Decreases from baseline and the increase from nadir that part the categories; shares."""

    partial: float
    progression: float
    minor: float | None = None


PRODUCTS = Thresholds(partial=0.50, progression=0.25)
PRODUCTS_NON_ENHANCING = Thresholds(partial=0.50, progression=0.25, minor=0.25)
VOLUMES = Thresholds(partial=0.65, progression=0.40)
"""What 50 % and 25 % of a product are of a ball's volume; no limit of a minor response in volume is used
since none could be confirmed.
"""


class _Rano(Criteria):
    citation: ClassVar[str] = "RANO 2.0: Wen 2023, doi:10.1200/JCO.23.01059"
    most_targets: ClassVar[int] = 3
    usual_targets: ClassVar[int] = 3
    after_radiotherapy: ClassVar[bool] = True
    thresholds: ClassVar[Thresholds]

    @override
    def size(self, target: TargetSize) -> float:
        return target.product_mm2

    @override
    def is_measurable(self, target: TargetSize, slices: int, slice_mm: float) -> bool:
        least = 2 * slice_mm if slice_mm > THICK_SLICE_MM else MEASURABLE_MM
        shorter = min(target.longest_mm, target.perpendicular_mm)
        return shorter >= least and slices >= MEASURABLE_SLICES

    @override
    def judge_targets(self, burden: float, visit: Visit, baseline: float, nadir: float) -> Verdict:
        limits = self.thresholds
        if burden == 0 and not visit.not_measured:
            return Verdict("CR", "every target is gone")
        grown = change(burden, nadir)
        if grown is None:
            if any(self.is_measurable(t, MEASURABLE_SLICES, 0.0) for t in visit.targets):
                return Verdict("PD", "a target that was gone is back and measurable")
            return Verdict("SD", "a target that was gone is back, too small to measure")
        if reaches(grown, limits.progression):
            least = f"at least {100 * limits.progression:.0f} %"
            return Verdict("PD", f"{said(grown)} than the smallest sum: {least}")
        shrunk = -(change(burden, baseline) or 0.0)
        if reaches(shrunk, limits.partial):
            least = f"at least {100 * limits.partial:.0f} %"
            return Verdict("PR", f"{said(-shrunk)} than at baseline: {least}")
        if limits.minor is not None and reaches(shrunk, limits.minor):
            between = f"{100 * limits.minor:.0f} to {100 * limits.partial:.0f} %"
            return Verdict("MR", f"{said(-shrunk)} than at baseline: {between}")
        most = 100 * (limits.partial if limits.minor is None else limits.minor)
        return Verdict(
            "SD",
            f"neither {most:.0f} % less than baseline nor {100 * limits.progression:.0f} % more than "
            "the smallest sum",
        )

    @override
    def judge(self, visit: Visit, targets: Verdict, before: Sequence[Response]) -> Verdict:
        if visit.new_lesion == "yes":
            return Verdict("PD", "a new measurable lesion, as the reader says")
        if visit.non_target == "progressed":
            return Verdict("PD", "lesions that are not measured have clearly grown")
        if visit.clinical == "worse":
            return Verdict("PD", "clearly worse clinically, with no other cause")
        if targets.category in ("PD", "NE"):
            return targets
        if visit.steroids == "more":
            return Verdict(
                "NE", f"{targets.reason}, but on more corticosteroids than at baseline: observe"
            )
        if targets.category == "CR" and visit.targets:
            if visit.non_target in ("present", "unknown"):
                return Verdict("PR", "every target is gone, lesions that are not measured are not")
            if visit.steroids in ("less", "same"):
                return Verdict("PR", "every target is gone, but on corticosteroids")
        return targets

    @override
    def confirmed(self, responses: Sequence[Response]) -> tuple[Response, ...]:
        return tuple(
            _confirmed(r, responses[n + 1 :], responses[:n]) for n, r in enumerate(responses)
        )

    @override
    def without_targets(self, visit: Visit) -> Verdict:
        return Verdict("SD", "nothing was large enough to measure at baseline: at best stable")

    @override
    def open_questions(self, visit: Visit, category: Category) -> tuple[str, ...]:
        early = visit.days_since_radiotherapy
        if category == "PD":
            if early is None or early > EARLY_DAYS or visit.clinical == "worse":
                return ()
            return (
                f"confirmation by a later scan: {early:.0f} days after radiotherapy it may be its effect",
            )
        return tuple(
            question
            for question, is_open in (
                ("whether there is a new lesion", visit.new_lesion == "unknown"),
                ("lesions that are not measured", visit.non_target == "unknown"),
                ("corticosteroids", visit.steroids == "unknown"),
                ("clinical status", visit.clinical == "unknown"),
            )
            if is_open
        )


GOOD = ("CR", "PR", "MR")


def _confirmed(
    response: Response, later: Sequence[Response], before: Sequence[Response]
) -> Response:
    """A first response, and a progression that may be radiotherapy's effect, want a scan four weeks on."""
    early = response.category == "PD" and bool(response.unknown)
    first = response.category in GOOD and not any(r.category == response.category for r in before)
    if not early and not first:
        return response
    again = next((r for r in later if r.day - response.day >= CONFIRMED_DAYS), None)
    if again is None:
        asked = f"confirmation by a scan {CONFIRMED_DAYS:.0f} days on"
        unknown = response.unknown if early else (*response.unknown, asked)
        return response.model_copy(update={"unknown": unknown})
    held = again.category == "PD" if early else _as_good(again.category, response.category)
    word = "confirmed" if held else "not confirmed"
    told = f"{word} on day {again.day:g}" + ("" if held else f" ({again.category})")
    unknown = () if early else response.unknown
    return response.model_copy(update={"unknown": unknown, "confirmation": told, "held": held})


def _as_good(now: Category, then: Category) -> bool:
    return now in GOOD and GOOD.index(now) <= GOOD.index(then)


@final
class RanoEnhancing(_Rano):
    """Contrast-enhancing disease, bidimensional."""

    kind: Literal["rano-enhancing"] = "rano-enhancing"
    name: ClassVar[str] = "RANO 2.0, enhancing"
    unit: ClassVar[str] = "mm²"
    thresholds: ClassVar[Thresholds] = PRODUCTS


@final
class RanoNonEnhancing(_Rano):
    """Disease that does not enhance, on T2 or FLAIR, bidimensional; it has a minor response."""

    kind: Literal["rano-non-enhancing"] = "rano-non-enhancing"
    name: ClassVar[str] = "RANO 2.0, non-enhancing"
    unit: ClassVar[str] = "mm²"
    thresholds: ClassVar[Thresholds] = PRODUCTS_NON_ENHANCING


@final
class RanoVolume(_Rano):
    """Either, by volume."""

    kind: Literal["rano-volume"] = "rano-volume"
    name: ClassVar[str] = "RANO 2.0, by volume"
    unit: ClassVar[str] = "mm³"
    thresholds: ClassVar[Thresholds] = VOLUMES

    @override
    def size(self, target: TargetSize) -> float:
        return target.volume_mm3
