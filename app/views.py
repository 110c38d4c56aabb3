"""Pure view models: what the screens show, computed without Streamlit."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.words import ORIGIN_WORDS
from data.avatar import Avatar, Scan
from data.imaging import LabelTable, Volume
from data.prognosis import SurvivalPrediction
from data.timeline import Event
from models.genomics.treatment_links import treatment_links

COLORS = ("#1f77a4", "#d1495b", "#4c956c", "#8d6a9f")
PREFERRED = ("t1c", "flair", "t2", "t1", "ct", "pet", "mr")


@dataclass(frozen=True)
class PatientRow:
    """One line of the patient table."""

    patient_id: str
    origin: str
    person: str
    diagnosis: str
    tumor: str
    variants: str
    survival: str


def patient_row(avatar: Avatar) -> PatientRow:
    """Key facts, unknown said as unknown."""
    record, scan = avatar.record, avatar.latest_scan
    age = "age unknown" if record.age_years is None else f"{record.age_years:.0f} y"
    person = f"{record.sex or 'sex unknown'}, {age}"
    whole = scan.measured("WT") if scan else None
    tumor = "no scan"
    if whole:
        tumor = f"{whole.volume_ml:.1f} mL" + (f", {whole.laterality}" if whole.laterality else "")
    return PatientRow(
        patient_id=avatar.patient_id,
        origin=ORIGIN_WORDS[avatar.origin],
        person=person,
        diagnosis=record.diagnosis or "diagnosis unknown",
        tumor=tumor,
        variants=_variants_in_short(avatar),
        survival=median_survival(avatar.survival),
    )


def _variants_in_short(avatar: Avatar) -> str:
    if avatar.variants is None:
        return "not sequenced"
    genes = ("IDH1", "IDH2", "EGFR", "TP53", "PTEN", "CIC", "ATRX", "BRAF")
    named = [
        f"{v.gene} {v.protein_change or ''}".strip()
        for gene in genes
        for v in avatar.variants.in_gene(gene)
    ]
    return ", ".join(named[:3]) or f"{len(avatar.variants.variants)} variants"


def median_survival(prediction: SurvivalPrediction | None) -> str:
    """Median in words."""
    if prediction is None:
        return "no prediction"
    if prediction.median_months is None:
        return f"beyond {prediction.months[-1]:.0f} months"
    return f"{prediction.median_months:.0f} months"


def measurement_rows(scan: Scan) -> list[dict[str, str]]:
    """The table of regions, with units in its heads."""
    rows = []
    for m in scan.measurements:
        size = "none"
        if m.longest_diameter_mm is not None and m.perpendicular_diameter_mm is not None:
            size = f"{m.longest_diameter_mm:.0f} x {m.perpendicular_diameter_mm:.0f}"
        rows.append(
            {
                "Region": m.name,
                "Volume (mL)": f"{m.volume_ml:.1f}",
                "Axial diameters (mm)": size,
                "Side": m.laterality or "not told",
            }
        )
    return rows


def window_of(volume: Volume) -> tuple[float, float]:
    """Display range: 1 % to 99.8 % of the voxels above zero."""
    inside = volume.array[volume.array > 0]
    if inside.size == 0:
        return float(volume.array.min()), float(volume.array.max()) + 1e-6
    low, high = np.percentile(inside, [1, 99.8])
    return (0.0, float(high)) if high - low < 1e-6 * abs(high) else (float(low), float(high))


def default_sequence(scan: Scan) -> str:
    """The sequence to look at first: on the mask's grid if there is one, then by preference."""
    same = [n for n, ref in scan.sequences.items() if ref.shape == scan.segmentation.shape]
    names = same or list(scan.sequences)
    return next((s for s in PREFERRED if s in names), names[0])


def survival_figure(prediction: SurvivalPrediction) -> go.Figure:
    """The patient's curve with its band."""
    figure = go.Figure()
    add_band(
        figure,
        prediction.months,
        prediction.survival.lower,
        prediction.survival.median,
        prediction.survival.upper,
        "survival",
        COLORS[0],
        percent=True,
    )
    figure.update_layout(
        yaxis={"title": "alive (%)", "range": [0, 100]}, xaxis={"title": "months since diagnosis"}
    )
    return styled(figure, 300)


def add_band(
    figure: go.Figure,
    x: tuple[float, ...],
    low: list[float] | tuple[float, ...],
    mid: list[float] | tuple[float, ...],
    high: list[float] | tuple[float, ...],
    name: str,
    color: str,
    *,
    percent: bool = False,
) -> None:
    """A curve and the area between its lower and upper one."""
    k = 100.0 if percent else 1.0
    red, green, blue = (int(color[n : n + 2], 16) for n in (1, 3, 5))
    fill = f"rgba({red},{green},{blue},0.18)"
    edge = {"width": 0}
    figure.add_scatter(x=x, y=[k * v for v in low], line=edge, showlegend=False, hoverinfo="skip")
    figure.add_scatter(
        x=x, y=[k * v for v in high], line=edge, fill="tonexty", fillcolor=fill,
        name=f"{name}, 90 % band", hoverinfo="skip",
    )  # fmt: skip
    figure.add_scatter(x=x, y=[k * v for v in mid], line={"color": color, "width": 2.5}, name=name)


def timeline_figure(avatar: Avatar) -> go.Figure:
    """Events as marks on the days since diagnosis, bars to their end; a drug tells what is known of it."""
    events = avatar.timeline.events
    told: dict[Event, list[str]] = {}
    for link in treatment_links(events, avatar.interpretations):
        said = f"{link.alteration}: {link.support.statement.effect} ({link.support.tier})"
        told.setdefault(link.event, []).append(said)
    kinds = list(dict.fromkeys(e.kind for e in events))
    figure = go.Figure()
    for n, kind in enumerate(kinds):
        chosen = [e for e in events if e.kind == kind]
        color = ("#1f77a4", "#4c956c", "#d1495b", "#8d6a9f")[n % 4]
        for event in chosen:
            if event.end_day is not None:
                figure.add_scatter(
                    x=[event.day, event.end_day], y=[kind, kind], mode="lines", hoverinfo="skip",
                    line={"color": color, "width": 5}, opacity=0.35,
                )  # fmt: skip
        figure.add_scatter(
            x=[e.day for e in chosen],
            y=[kind] * len(chosen),
            mode="markers+text",
            text=[f"  {e.text}" for e in chosen],
            textposition="top right",
            marker={"size": 11, "color": color},
            hovertext=["<br>".join((_when(e), *told.get(e, ()))) for e in chosen],
            hoverinfo="text",
        )
    last = max((e.day if e.end_day is None else e.end_day for e in events), default=0)
    figure.update_layout(
        showlegend=False,
        xaxis={"title": "days since diagnosis", "range": [-0.03 * last - 5, 1.35 * last + 30]},
        yaxis={"autorange": "reversed"},
    )
    return styled(figure, 90 + 38 * max(1, len(kinds)))


def _when(event: Event) -> str:
    until = "" if event.end_day is None else f" to {event.end_day:.0f}"
    return f"day {event.day:.0f}{until}: {event.text}"


def styled(figure: go.Figure, height: int) -> go.Figure:
    """The look that all figures share."""
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="x unified" if height > 250 else "closest",
    )
    return figure


def colormap_of(labels: LabelTable) -> dict[str, list[int] | list[str]]:
    """A label colormap as NiiVue takes it."""
    shown = [(0, 0, 0)] + [
        (int(x.color[1:3], 16), int(x.color[3:5], 16), int(x.color[5:7], 16)) for x in labels.labels
    ]
    return {
        "R": [c[0] for c in shown],
        "G": [c[1] for c in shown],
        "B": [c[2] for c in shown],
        "A": [0] + [255] * len(labels.labels),
        "I": [0] + [x.value for x in labels.labels],
        "labels": ["background"] + [x.name for x in labels.labels],
    }


def plain(text: str) -> str:
    """Text that somebody typed, for markdown: shown as it is."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:])", r"\\\1", text)


def start_point(scan: Scan) -> NDArray[np.float64] | None:
    """Where the viewer's crosshair starts: inside the tumor, RAS mm."""
    for m in scan.measurements:
        if m.centroid_ras_mm is not None:
            return np.array(m.centroid_ras_mm)
    return None
