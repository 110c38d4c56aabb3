"""Pure view models of the follow-up: the table of lesions, the verdict in words, the course over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from app.views import COLORS, styled
from data.alignment import Alignment
from data.lesions import Point
from models.criteria.base import CATEGORY_NAMES, Criteria, Response, TargetSize
from pipelines.follow_up import FollowUp, Seen, Track

CATEGORY_COLORS = {
    "before": "gray", "baseline": "gray", "CR": "green", "PR": "green", "MR": "blue", "SD": "blue", "PD": "red",
    "NE": "gray", "non-CR/non-PD": "blue",
}  # fmt: skip
FATE_WORDS = {"merged": "merged into a larger one", "gone": "gone", "outside": "not shown"}
MM3_PER_CM3 = 1000.0


@dataclass(frozen=True)
class ShownLesion:
    """Where a lesion is, in the earlier scan's space, and what is said of it."""

    name: str
    place: Point
    what: str


def day_head(day: float) -> str:
    """Head of a scan's column."""
    return f"Day {day:g}"


def target_rows(follow_up: FollowUp, responses: Sequence[Response]) -> list[dict[str, str]]:
    """A line for each lesion, then the sum, its changes and the category; a column for each scan."""
    criteria, sizes = follow_up.criteria, follow_up.sizes()
    heads = [day_head(day) for day in follow_up.days]
    rows = []
    for track in follow_up.tracks:
        cells = [
            _cell(criteria, size, seen, track.name in case.review.reading.diameters)
            for size, seen, case in zip(sizes[track.name], track.seen, follow_up.cases, strict=True)
        ]
        rows.append(_row(track.name, _role(follow_up, track), heads, cells))
    for tracks, role in ((follow_up.new, "new?"), (follow_up.prior, "before baseline")):
        for track in tracks:
            cells = [
                ""
                if seen is None
                else f"{_candidate(seen)}, {seen.volume_mm3 / MM3_PER_CM3:.2f} mL"
                for seen in track.seen
            ]
            rows.append(_row(track.name, role, heads, cells))
    sums = [_sum(criteria, response) for response in responses]
    rows.append(_row(f"Sum of targets ({shown_unit(criteria)})", "", heads, sums))
    for name, values in (
        ("since baseline", [r.from_baseline for r in responses]),
        ("since nadir", [r.from_nadir for r in responses]),
    ):
        cells = ["" if v is None else f"{100 * v:+.0f} %" for v in values]
        rows.append(_row(name, "", heads, cells))
    rows.append(
        _row("Category", "", heads, [r.category + ("*" if r.unknown else "") for r in responses])
    )
    return rows


def _candidate(seen: Seen) -> str:
    return "candidate" if seen.fate == "followed" else "not shown at baseline"


def _row(name: str, role: str, heads: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    return {"Lesion": name, "Is": role} | dict(zip(heads, cells, strict=True))


def _role(follow_up: FollowUp, track: Track) -> str:
    if track.name in follow_up.targets:
        return "target, node" if track.name in follow_up.reading.nodes else "target"
    return "other" if track.name in follow_up.measurable else "too small"


def _cell(criteria: Criteria, size: TargetSize, seen: Seen | None, by_hand: bool) -> str:
    if not by_hand and seen is not None and not seen.pieces:
        return FATE_WORDS.get(seen.fate, seen.fate)
    hand = " by hand" if by_hand else ""
    pieces = len(seen.pieces) if seen is not None else 0
    apart = f" in {pieces} pieces" if pieces > 1 and not by_hand else ""
    if shown_unit(criteria) == "mL":
        return f"{size.volume_mm3 / MM3_PER_CM3:.2f} mL{apart}"
    return f"{size.longest_mm:.1f} x {size.perpendicular_mm:.1f} mm{apart}{hand}"


def shown_unit(criteria: Criteria) -> str:
    """Unit of a sum as it is shown."""
    return "mL" if criteria.unit == "mm³" else criteria.unit


def _sum(criteria: Criteria, response: Response) -> str:
    if response.category == "before":
        return ""
    return "not measured" if response.burden is None else _burden(criteria, response.burden)


def _burden(criteria: Criteria, burden: float) -> str:
    if shown_unit(criteria) == "mL":
        return f"{burden / MM3_PER_CM3:.2f}"
    return f"{burden:.0f}"


def verdict(response: Response, criteria: Criteria) -> str:
    """The category of one scan and the rule that decided it, as markdown."""
    color = CATEGORY_COLORS[response.category]
    short = "" if response.category in ("before", "baseline") else f" ({response.category})"
    words = f":{color}-badge[{CATEGORY_NAMES[response.category]}{short}]"
    said = f"**Day {response.day:g}** {words} by {criteria.name}: {response.reason}."
    return " ".join([said, *(f"*{more}*" for more in response.provisos)])


def candidates_words(follow_up: FollowUp, n: int) -> str | None:
    """What a reader has to decide on a scan: candidates for new lesions, where nobody has."""
    seen = ((t.name, t.seen[n]) for t in follow_up.new)
    named = [f"{name} ({s.volume_mm3 / MM3_PER_CM3:.2f} mL)" for name, s in seen if s is not None]
    if not named or follow_up.cases[n].review.reading.new_lesion != "unknown":
        return None
    return f":orange-badge[New lesion?] {', '.join(named)}: say below whether it is one."


def alignment_words(found: Alignment) -> str:
    """What registration did, and whether to trust it."""
    return (
        f"Registered by {found.sequence.upper()} ({found.kind}): turned {found.turned_degrees:.1f} degrees, "
        f"moved {found.moved_mm:.1f} mm; there and back {found.mismatch_mm:.1f} mm off; correlation "
        f"{found.correlation_before:.2f} to {found.correlation:.2f}; {100 * found.overlap:.0f} % of the "
        "earlier scan is shown by both."
    )


def lesion_stops(follow_up: FollowUp, n: int, earlier: int) -> list[ShownLesion]:
    """Where to look: new lesions of scan ``n`` first, then all others, in the space of an earlier scan."""
    stops = []
    new = [t for t in follow_up.new if t.seen[n] is not None]
    for track in (*new, *follow_up.tracks):
        seen = track.seen[n]
        first = track.seen[follow_up.baseline]
        what = "candidate for a new lesion" if seen is not None and track in new else ""
        if seen is None or not seen.pieces:
            if first is None:
                continue
            place = _moved(follow_up, follow_up.baseline, earlier, first.pieces[0].centroid_ras_mm)
            what = FATE_WORDS.get(seen.fate if seen else "outside", "")
        else:
            place = _moved(follow_up, n, earlier, seen.pieces[0].centroid_ras_mm)
            what = what or f"{seen.volume_mm3 / MM3_PER_CM3:.1f} mL on day {follow_up.days[n]:g}"
        stops.append(ShownLesion(track.name, place, what))
    return stops


def _moved(follow_up: FollowUp, source: int, target: int, place: Point) -> Point:
    """A place of one scan in the space of another, by way of the baseline."""
    there = [
        np.eye(4) if a is None else a.alignment.matrix
        for a in (follow_up.aligned[source], follow_up.aligned[target])
    ]
    x, y, z, _ = there[1] @ np.linalg.inv(there[0]) @ np.append(place, 1.0)
    return float(x), float(y), float(z)


def course_figure(
    days: Sequence[float],
    volumes_ml: Mapping[str, Sequence[float]],
    responses: Sequence[Response],
    criteria: Criteria,
) -> go.Figure:
    """Volume of each region over time, and the sum of the targets with its categories."""
    figure = go.Figure()
    for n, (region, values) in enumerate(volumes_ml.items()):
        figure.add_scatter(
            x=list(days), y=list(values), name=f"{region} (mL)", mode="lines+markers",
            line={"color": COLORS[n % len(COLORS)]},
        )  # fmt: skip
    scale = MM3_PER_CM3 if shown_unit(criteria) == "mL" else 1.0
    known = [r for r in responses if r.burden is not None]
    figure.add_scatter(
        x=[r.day for r in known],
        y=[(r.burden or 0.0) / scale for r in known],
        text=[r.category for r in known],
        name=f"sum of targets ({shown_unit(criteria)})",
        mode="lines+markers+text",
        textposition="top center",
        cliponaxis=False,
        line={"color": "#333333", "dash": "dot"},
        yaxis="y2",
    )
    figure.update_layout(
        xaxis={"title": "days since diagnosis"},
        yaxis={"title": "volume (mL)", "rangemode": "tozero"},
        yaxis2={
            "title": f"sum of targets ({shown_unit(criteria)})", "overlaying": "y", "side": "right",
            "rangemode": "tozero", "showgrid": False,
        },
    )  # fmt: skip
    return styled(figure, 320)
