"""Pure view models of the survival and the research page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from app.views import COLORS, add_band, styled
from data.clinical import ClinicalRecord
from data.cohort import Cohort
from data.prognosis import DAYS_PER_MONTH, Driver, SurvivalPrediction
from models.survival.calibration import AtHorizon, DecisionCurve
from models.survival.families.registry import FAMILIES
from models.survival.groups import GroupCurve, Grouped
from pipelines.joint_survival import JointSurvival
from pipelines.patient_survival import LANDMARKS, Alike, Asked

RISK_TIMES = 6
PALETTE = (*COLORS, "#e08e45", "#5b8e7d", "#7a6f9b", "#b56576")


def outcome_of(record: ClinicalRecord) -> tuple[float, str] | None:
    """What became of a patient, in months since diagnosis, where the record tells it."""
    if record.followup_days is None or record.vital_status is None:
        return None
    months = record.followup_days / DAYS_PER_MONTH
    return months, f"{'died' if record.vital_status == 'dead' else 'alive'} at {months:.0f} months"


def patient_figure(
    told: SurvivalPrediction, neighbors: GroupCurve | None, outcome: tuple[float, str] | None
) -> go.Figure:
    """A patient's curve with its band, patients like this one, and what became of this one."""
    figure = go.Figure()
    band = told.survival
    curves = (band.lower, band.median, band.upper)
    add_band(figure, told.months, *curves, "this patient (model)", COLORS[0], percent=True)
    if neighbors is not None:
        figure.add_scatter(
            x=neighbors.times, y=100 * neighbors.survival, name=f"{neighbors.patients} patients like this one",
            line={"color": COLORS[1], "width": 1.8, "shape": "hv", "dash": "dot"},
        )  # fmt: skip
    if told.lived_months > 0:
        figure.add_vrect(
            x0=0, x1=told.lived_months, fillcolor="#888", opacity=0.12, line_width=0,
            annotation_text="lived", annotation_position="top left",
        )  # fmt: skip
    if outcome is not None and outcome[0] <= told.months[-1]:
        figure.add_vline(
            x=outcome[0], line={"color": "#444", "dash": "dash", "width": 1.2},
            annotation_text=outcome[1], annotation_position="top right",
        )  # fmt: skip
    figure.update_layout(
        yaxis={"title": "alive (%)", "range": [0, 105]},
        xaxis={"title": "months since diagnosis", "range": [0, told.months[-1]]},
    )
    return styled(figure, 400)


def seen_words(asked: Asked, similar: Alike | None) -> str:
    """Whether a patient was among those of the fit, as far as it is known."""
    if asked.was_left_out:
        return ", who was left out of the fit"
    if similar is not None and similar.has_patient:
        return ", who was AMONG those of the fit: the curve has seen it"
    return ""


def landmark_rows(told: SurvivalPrediction) -> list[dict[str, str]]:
    """Survival at times, with the band."""
    rows = []
    for month in LANDMARKS:
        if not told.lived_months < month <= told.months[-1]:
            continue
        low, middle, high = (
            np.interp(month, told.months, curve)
            for curve in (told.survival.lower, told.survival.median, told.survival.upper)
        )
        rows.append(
            {
                "Months": f"{month:g}",
                "Alive (%)": f"{100 * middle:.0f}",
                "90 % band (%)": f"{100 * low:.0f} to {100 * high:.0f}",
            }
        )
    return rows


def median_words(told: SurvivalPrediction) -> str:
    """The median with its band."""

    def words(month: float | None) -> str:
        return f"beyond {told.months[-1]:.0f}" if month is None else f"{month:.0f}"

    return f"{words(told.median_months)} months ({words(told.median_low)} to {words(told.median_high)})"


def joint_figure(found: Sequence[JointSurvival]) -> go.Figure:
    """In-silico survival under regimens, beside the survival model that knows of none."""
    figure = go.Figure()
    for one, color in zip(found, _colors(len(found)), strict=True):
        band = one.joint
        edges = (band.lower[0].tolist(), band.middle[0].tolist(), band.upper[0].tolist())
        add_band(figure, tuple(one.months), *edges, one.regimen, color, percent=True)
    figure.add_scatter(
        x=found[0].months, y=100 * found[0].alone, name="without the twin",
        line={"color": "#555", "dash": "dash", "width": 1.5},
    )  # fmt: skip
    figure.update_layout(
        yaxis={"title": "alive (%), in silico", "range": [0, 105]},
        xaxis={"title": "months since the scan"},
    )
    return styled(figure, 400)


def joint_rows(found: Sequence[JointSurvival]) -> list[dict[str, str]]:
    """One line a regimen."""

    def words(month: float | None, end: float) -> str:
        return f"beyond {end:.0f}" if month is None else f"{month:.0f}"

    rows = []
    for one in found:
        end = float(one.months[-1])
        low, middle, high = (words(month, end) for month in one.progression_months)
        row = {
            "Regimen": one.regimen,
            "Months to progression (90 % of members)": f"{middle} ({low} to {high})",
            "Median survival (months)": words(one.median_months, end),
        }
        for month in (12, 24):
            at = int(np.searchsorted(one.months, month))
            value, least, most = (
                100 * c[0, at] for c in (one.joint.middle, one.joint.lower, one.joint.upper)
            )
            row[f"Alive at {month} months (%, 90 % band)"] = (
                f"{value:.0f} ({least:.0f} to {most:.0f})"
            )
        rows.append(row)
    return rows


def driver_figure(drivers: Sequence[Driver]) -> go.Figure:
    """Each covariate's factor on the hazard, the strongest on top: right of 1 shortens survival."""
    shown = list(reversed(drivers))
    figure = go.Figure()
    figure.add_scatter(
        x=[d.hazard_ratio for d in shown],
        y=[f"{d.name}: {d.value}" for d in shown],
        mode="markers",
        marker={
            "size": 11, "color": [COLORS[1] if d.hazard_ratio > 1 else COLORS[2] for d in shown],
        },
        error_x={
            "type": "data", "symmetric": False, "array": [d.high - d.hazard_ratio for d in shown],
            "arrayminus": [d.hazard_ratio - d.low for d in shown], "color": "#999", "thickness": 1.4,
        },
        hovertext=[f"{d.hazard_ratio:.2f} ({d.low:.2f} to {d.high:.2f})" for d in shown],
        hoverinfo="text+y",
    )  # fmt: skip
    figure.add_vline(x=1, line={"color": "#666", "width": 1})
    low, high = min(d.low for d in shown), max(d.high for d in shown)
    figure.update_layout(
        showlegend=False,
        xaxis={
            "type": "log", "title": "factor on the hazard of death, 90 % band", "range": _log_range(low, high),
            "tickvals": [0.1, 0.2, 0.5, 1, 2, 5, 10], "ticktext": ["0.1", "0.2", "0.5", "1", "2", "5", "10"],
        },
        yaxis={"automargin": True},
    )  # fmt: skip
    return styled(figure, 90 + 30 * len(shown))


def _log_range(low: float, high: float) -> list[float]:
    return [float(np.log10(min(low, 0.45))), float(np.log10(max(high, 2.2)))]


def kaplan_meier_figure(grouped: Grouped, unit: str, event: str) -> go.Figure:
    """Curves of groups with their 95 % intervals."""
    figure = go.Figure()
    for curve, color in zip(grouped.curves, _colors(len(grouped.curves)), strict=True):
        red, green, blue = (int(color[n : n + 2], 16) for n in (1, 3, 5))
        edge = {"width": 0, "shape": "hv"}
        for y, fill in ((curve.lower, None), (curve.upper, "tonexty")):
            figure.add_scatter(
                x=curve.times, y=100 * y, line=edge, fill=fill, showlegend=False, hoverinfo="skip",
                fillcolor=f"rgba({red},{green},{blue},0.14)",
            )  # fmt: skip
        figure.add_scatter(
            x=curve.times, y=100 * curve.survival,
            name=f"{curve.name} ({curve.patients}, {curve.events} events)",
            line={"color": color, "width": 2.2, "shape": "hv"},
        )  # fmt: skip
    figure.update_layout(
        yaxis={"title": f"without {event} (%)", "range": [0, 105]}, xaxis={"title": unit}
    )
    return styled(figure, 420)


def risk_rows(cohort: Cohort, grouped: Grouped) -> list[dict[str, str]]:
    """Numbers at risk, the median and its interval, of each group."""
    last = float(cohort.time.max())
    step = _nice(last / RISK_TIMES)
    times = np.arange(0, last, step)

    def words(time: float | None) -> str:
        return "not reached" if time is None else f"{time:.4g}"

    return [
        {"Group": curve.name}
        | {
            f"at {time:g}": str(count)
            for time, count in zip(times, curve.at_risk(cohort, mask, times.tolist()), strict=True)
        }
        | {
            f"Median, {cohort.unit} (95 %)": f"{words(curve.median[0])} ({words(curve.median[1])} to "
            f"{words(curve.median[2])})"
        }
        for curve, mask in zip(grouped.curves, grouped.masks, strict=True)
    ]


def _nice(step: float) -> float:
    """1, 2 or 5 times a power of ten, not below a step."""
    power = 10.0 ** np.floor(np.log10(step))
    return float(next(power * n for n in (1, 2, 5, 10) if power * n >= step * (1 - 1e-9)))


def calibration_figure(told: dict[str, tuple[np.ndarray, AtHorizon]], horizon: str) -> go.Figure:
    """Observed against predicted probability of the event, smoothed; the diagonal is right."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], line={"color": "#999", "dash": "dash", "width": 1}, name="right", hoverinfo="skip"
    )  # fmt: skip
    for kind, (predicted, at) in told.items():
        order = np.argsort(predicted)
        figure.add_scatter(
            x=predicted[order], y=at.smoothed[order], name=f"{kind} (ICI {at.ici:.3f})",
            line={"color": _color_of(kind), "width": 2},
        )  # fmt: skip
    figure.update_layout(
        xaxis={"title": f"predicted probability by {horizon}", "range": [0, 1]},
        yaxis={"title": "observed", "range": [0, 1]},
    )
    figure = styled(figure, 380)
    return figure.update_layout(hovermode="closest")


def decision_figure(told: dict[str, DecisionCurve], horizon: str) -> go.Figure:
    """Net benefit of acting above a risk, for each model, for all and for nobody."""
    figure = go.Figure()
    first = next(iter(told.values()))
    figure.add_scatter(
        x=first.thresholds, y=first.everyone, name="all", line={"color": "#999", "dash": "dot"}
    )
    figure.add_scatter(
        x=first.thresholds, y=np.zeros(len(first.thresholds)), name="nobody",
        line={"color": "#555", "dash": "dash"},
    )  # fmt: skip
    for kind, curve in told.items():
        line = {"color": _color_of(kind), "width": 2}
        figure.add_scatter(x=curve.thresholds, y=curve.model, name=kind, line=line)
    top = max(float(first.everyone.max()), *(float(curve.model.max()) for curve in told.values()))
    figure.update_layout(
        xaxis={"title": f"risk by {horizon} above which one would act"},
        yaxis={"title": "net benefit per patient", "range": [-0.25 * max(top, 0.04), 1.1 * max(top, 0.04)]},
    )  # fmt: skip
    return styled(figure, 380)


def _colors(count: int) -> list[str]:
    return [PALETTE[n % len(PALETTE)] for n in range(count)]


def _color_of(kind: str) -> str:
    """A family's own, in every figure."""
    return PALETTE[list(FAMILIES).index(kind) % len(PALETTE)]
