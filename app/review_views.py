"""Pure view models of the worklist and of a case's record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from app.words import ORIGIN_WORDS
from data.lesions import Caliper, Diameters
from data.quality import Flag
from data.review import Review, ReviewEntry, ReviewStatus
from pipelines.review import ReviewCase

if TYPE_CHECKING:  # it imports torch, which takes seconds
    from pipelines.agreement import ReviewStatistics

ACT_WORDS = {
    "assign": "took the case",
    "save": "saved",
    "restore": "restored",
    "measure": "measured",
    "request changes": "asked for changes",
    "sign": "signed",
}


@dataclass(frozen=True)
class WorkFilter:
    """Which cases are wanted."""

    statuses: tuple[ReviewStatus, ...] = ()
    """All of them where none is named."""
    assigned_to: str | None = None
    patient: str = ""
    flagged: bool = False

    def takes(self, case: ReviewCase) -> bool:
        """Whether a case is among them."""
        return (
            (not self.statuses or case.review.status in self.statuses)
            and (self.assigned_to is None or case.review.assigned_to == self.assigned_to)
            and self.patient.lower() in case.avatar.patient_id.lower()
            and (not self.flagged or bool(case.scan.flags))
        )


def in_order(
    cases: Iterable[tuple[ReviewCase, datetime | None]], wanted: WorkFilter
) -> list[tuple[ReviewCase, datetime | None]]:
    """What is not signed comes first, the oldest in the store before younger ones; unknown age last."""

    def place(pair: tuple[ReviewCase, datetime | None]) -> tuple[object, ...]:
        case, since = pair
        stamp = float("inf") if since is None else since.timestamp()
        return case.review.status == "signed", stamp, case.avatar.patient_id, case.scan.day

    return sorted((pair for pair in cases if wanted.takes(pair[0])), key=place)


def work_row(case: ReviewCase, since: datetime | None, whole_ml: float | None) -> dict[str, object]:
    """One line of the worklist; the volume is that of the latest version."""
    return {
        "Patient": case.avatar.patient_id,
        "Origin": ORIGIN_WORDS[case.avatar.origin],
        "Scan (day)": case.scan.day,
        "Status": case.review.status,
        "Quality gate": flags_in_short(case.scan.flags),
        "Whole tumor (mL)": None if whole_ml is None else round(whole_ml, 1),
        "Assigned to": case.review.assigned_to or "nobody",
        "Version": case.review.version,
        "In the store since (UTC)": since,
        "Last touched (UTC)": case.review.last_at,
    }


def flags_in_short(flags: Sequence[Flag]) -> str:
    """Stops first."""
    ordered = sorted(flags, key=lambda flag: flag.severity != "stop")
    return (
        "; ".join(f"{flag.severity}: {flag.code.replace('-', ' ')}" for flag in ordered) or "none"
    )


def record_rows(review: Review) -> list[dict[str, object]]:
    """The log of a case, the latest first."""
    return [_record_row(entry) for entry in reversed(review.entries)]


def _record_row(entry: ReviewEntry) -> dict[str, object]:
    made = entry.mask is not None
    return {
        "When (UTC)": entry.at,
        "Reader": entry.by,
        "What": f"{ACT_WORDS[entry.act]} version {entry.version}"
        if entry.act != "assign"
        else ACT_WORDS[entry.act],
        "Looked (s)": f"{entry.seconds_viewed:.0f}" if entry.seconds_viewed else "",
        "Edited (s)": f"{entry.seconds_edited:.0f}" if entry.seconds_edited else "",
        "Voxels changed": f"{entry.voxels_changed}" if made else "",
        "Comment": entry.comment,
    }


def measures_of(review: Review, measured: Mapping[str, Diameters]) -> dict[str, Any]:
    """Lines as the editor draws them: by hand where a reader has drawn them, else as found."""
    by_hand = review.reading.diameters
    return {
        "lesions": [
            {
                "name": name,
                "by_hand": name in by_hand,
                "place": np.mean(_ends(d.longest), axis=0).tolist(),
                "diameters": {
                    "longest": _ends(d.longest),
                    "perpendicular": _ends(d.perpendicular),
                },
            }
            for name, d in {**measured, **by_hand}.items()
        ],
        "distances": [{"name": d.name, "line": _ends(d.line)} for d in review.reading.distances],
        "readings": review.readings,
    }


def _ends(caliper: Caliper) -> list[list[float]]:
    return [list(caliper.start_ras_mm), list(caliper.end_ras_mm)]


ORIGIN_OF_MASK = {
    "edited": "edited from the first mask",
    "independent": "drawn independently",
}


def statistics_rows(statistics: ReviewStatistics) -> list[dict[str, object]]:
    """First masks against signed ones, by region; edited and independent apart."""
    return [
        {
            "Signed mask": ORIGIN_OF_MASK[s.origin],
            "Region": s.region,
            "Cases": s.cases,
            "Dice, median (range)": f"{s.dice_median:.3f} ({s.dice_range[0]:.3f} to {s.dice_range[1]:.3f})",
            "HD95, median (mm)": f"{s.hd95_median_mm:.1f}",
            "Volume error, median (mL)": f"{s.volume_error_median_ml:+.2f}",
            "Lesions missed": f"{s.lesions_missed} of {s.lesions}",
        }
        for s in statistics.summaries
    ]


def agreement_rows(statistics: ReviewStatistics) -> list[dict[str, object]]:
    """Pairs of readers who signed one scan."""
    return [
        {
            "Patient": a.patient_id,
            "Scan (day)": a.day,
            "Readers": f"{a.readers[0]} (version {a.versions[0]}), {a.readers[1]} (version {a.versions[1]})",
            "How they came about": a.kinship,
            "Kappa": f"{a.kappa:.3f}",
        }
        | {f"Dice {region}": f"{value:.3f}" for region, value in a.dice.items()}
        for a in statistics.agreements
    ]


def time_words(statistics: ReviewStatistics) -> str:
    """What a signed case took."""
    if statistics.seconds_viewed_median is None or statistics.seconds_edited_median is None:
        return "No network's mask has been signed yet."
    return (
        f"{len(statistics.cases)} signed case(s); median {statistics.seconds_viewed_median:.0f} s looked at, "
        f"of these {statistics.seconds_edited_median:.0f} s edited, each over all its versions."
    )
