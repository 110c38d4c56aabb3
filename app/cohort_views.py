"""The cohort page's table, filters and figures."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.survival_views import PALETTE
from app.views import styled
from data.cohort import Cohort
from pipelines.cohort.table import BEYOND

ALL = "All"
UNKNOWN = "not known"
UNITS = {
    "age_years": "years",
    "kps": "%",
    "mutations_per_mb": "per megabase",
    "peak_mb": "MB",
    "seconds": "s",
    "scan_day": "days since diagnosis",
    "first_scan_day": "days since diagnosis",
}
REGIONS = {
    "volume_wt_ml": "whole tumor",
    "volume_tc_ml": "tumor core",
    "volume_et_ml": "enhancing tumor",
}
PROGRESSION = "progression_days_"
PROBABILITIES = {
    "survival_probability_12_months": "alive at 12 months (model, probability)",
    "survival_probability_12_months_low": "alive at 12 months (model, probability, from)",
    "survival_probability_12_months_high": "alive at 12 months (model, probability, to)",
}
CATEGORIES = (
    "diagnosis",
    "sex",
    "grade",
    "laterality",
    "origin",
    "segmenter",
    "status",
    "vital_status",
)
MOST_GROUPS = 8
"""In one picture; rarer ones are put together."""
SHOWN = (
    "patient", "status", "diagnosis", "age_years", "sex", "grade", "volume_wt_ml", "volume_et_ml",
    "survival_median_months", f"{BEYOND}survival_median_months", "flags", "outlier", "error",
)  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What of a cohort is looked at.

    Args:
        text: part of an id or of the diagnosis.
        category: a column, and which of its values; all without.
        look: only patients with flags or outliers, or only failed ones.
    """

    text: str = ""
    category: str = ""
    values: tuple[str, ...] = ()
    look: str = ALL


LOOKS = (ALL, "Flagged", "Outliers", "Failed")


def chosen(table: pd.DataFrame, wanted: Wanted) -> pd.DataFrame:
    """The rows that are wanted."""
    keep = pd.Series(True, table.index)
    if wanted.text:
        words = table["patient"].astype(str) + " " + labels(table, "diagnosis")
        keep &= words.str.contains(wanted.text, case=False, regex=False)
    if wanted.category and wanted.values:
        keep &= labels(table, wanted.category).isin(wanted.values)
    columns = {"Flagged": "flags", "Outliers": "outlier"}
    if wanted.look in columns:
        name = columns[wanted.look]
        keep &= table[name].notna() if name in table else False
    if wanted.look == "Failed":
        keep &= table["status"].eq("failed")
    return table[keep]


def labels(table: pd.DataFrame, column: str) -> pd.Series:
    """A category's words, what is not known told as such."""
    if column not in table:
        return pd.Series(UNKNOWN, table.index)
    return table[column].astype(object).where(table[column].notna(), UNKNOWN).astype(str)


def listed(table: pd.DataFrame) -> pd.DataFrame:
    """What the page's table shows: blanks where there are no words."""
    rows = table[
        [c for c in SHOWN if c in table and (not c.startswith(BEYOND) or table[c].notna().any())]
    ].copy()
    for column in rows.select_dtypes("object"):
        rows[column] = rows[column].fillna("")
    return rows


def hidden_of(table: pd.DataFrame, *axes: str) -> str:
    """How many patients have no point, in words, and how many of them since a model's months or days end."""
    known = table[list(axes)].notna().all(axis=1)
    missing = int((~known).sum())
    if not missing:
        return ""
    ends = [f"{BEYOND}{axis}" for axis in axes if f"{BEYOND}{axis}" in table]
    beyond = int(table[ends].notna().any(axis=1).sum())
    words = f"{missing} of {len(table)} have no point: not known"
    return f"{words}, or beyond the end of the model's time ({beyond})." if beyond else f"{words}."


def numbers_of(table: pd.DataFrame) -> list[str]:
    """Columns that can be an axis."""
    found = table.select_dtypes("number")
    return [str(c) for c in found if found[c].notna().any() and not str(c).startswith(BEYOND)]


def categories_of(table: pd.DataFrame) -> list[str]:
    """Columns that can be colors and groups."""
    names = [c for c in CATEGORIES if c in table]
    names += [str(c) for c in table if str(c).startswith("marker_")]
    return [c for c in names if labels(table, c).nunique() > 1]


def label_of(column: Hashable) -> str:
    """A column's name for people, with its unit."""
    name = str(column)
    region = name.removeprefix("first_")
    if region in REGIONS:
        return f"{REGIONS[region]}{'' if region == name else ', first scan'} (mL)"
    if name in PROBABILITIES:
        return PROBABILITIES[name]
    if name.startswith(BEYOND):
        return f"{label_of(name.removeprefix(BEYOND))}: beyond"
    if name.startswith(PROGRESSION):
        return f"progression under {name.removeprefix(PROGRESSION)} (days, in silico)"
    words = name.removeprefix("marker_")
    for end, of in (("_ml", "mL"), ("_months", "months"), ("_days", "days"), ("_years", "years")):
        if words.endswith(end):
            return f"{words.removesuffix(end).replace('_', ' ')} ({of})"
    unit = UNITS.get(name)
    return words.replace("_", " ") + (f" ({unit})" if unit else "")


def groups_of(table: pd.DataFrame, column: str) -> pd.Series:
    """Names of groups, the commonest first; rare ones together."""
    told = labels(table, column)
    common = told.value_counts().index[:MOST_GROUPS]
    return told.where(told.isin(common), "others")


def scatter_figure(table: pd.DataFrame, x: str, y: str, color: str) -> go.Figure:
    """A point for each patient; a click on one tells who it is (``customdata``)."""
    figure = go.Figure()
    for name, part, shade in _parts(table, color):
        figure.add_scattergl(
            x=part[x], y=part[y], mode="markers", name=f"{name} ({len(part)})", customdata=part[["patient"]],
            marker={"size": 7, "color": shade, "opacity": 0.75},
            hovertemplate="%{customdata[0]}<br>"
            f"{label_of(x)} %{{x:.4g}}<br>{label_of(y)} %{{y:.4g}}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        xaxis={"title": label_of(x)}, yaxis={"title": label_of(y)}, dragmode="select"
    )
    return styled(figure, 420)


def distribution_figure(table: pd.DataFrame, column: str, color: str) -> go.Figure:
    """Histograms of groups, on top of each other."""
    figure = go.Figure()
    for name, part, shade in _parts(table, color):
        figure.add_histogram(x=part[column], name=f"{name} ({len(part)})", marker={"color": shade})
    figure.update_layout(
        barmode="stack", xaxis={"title": label_of(column)}, yaxis={"title": "patients"}, bargap=0.03
    )
    return styled(figure, 420)


def _parts(table: pd.DataFrame, color: str) -> list[tuple[str, pd.DataFrame, str]]:
    told = groups_of(table, color) if color else pd.Series("patients", table.index)
    names: Sequence[str] = told.value_counts().index.tolist()
    return [(n, table[told.eq(n)], PALETTE[k % len(PALETTE)]) for k, n in enumerate(names)]


def outcomes(table: pd.DataFrame, color: str) -> tuple[Cohort, np.ndarray] | None:
    """Patients whose outcome is known, and their groups; None where there are none."""
    if not {"followup_months", "vital_status"} <= set(table):
        return None
    known = table[table["followup_months"].gt(0) & table["vital_status"].notna()]
    if known.empty:
        return None
    event = known["vital_status"].eq("dead").to_numpy().astype(np.int64)
    groups = groups_of(known, color) if color else pd.Series("patients", known.index)
    cohort = Cohort(
        name="cohort", ids=known["patient"].to_numpy(object), covariates=known[["followup_months"]],
        time=known["followup_months"].to_numpy(float), event=event, unit="months",
    )  # fmt: skip
    return cohort, groups.replace(UNKNOWN, None).to_numpy(object)
