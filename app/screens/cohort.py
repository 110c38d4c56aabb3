"""A run's patients together: filters, pictures of numbers, survival by group, and who is far from them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from app.cohort_views import (
    LOOKS,
    Wanted,
    categories_of,
    chosen,
    distribution_figure,
    hidden_of,
    label_of,
    labels,
    listed,
    numbers_of,
    outcomes,
    scatter_figure,
)
from app.components.keys import FieldKeys
from app.state import open_store, scan_picture
from app.survival_views import kaplan_meier_figure, risk_rows
from app.views import plain
from data.errors import AvatarError, StoreError
from models.survival.groups import by_group
from pipelines.cohort.status import runs_of
from pipelines.cohort.table import NOT_RUN, TABLE

PICTURES = 24
VIEWS = ("Scatter", "Distribution", "Survival", "Table", "Pictures")
keys = FieldKeys()
store = open_store()


@st.cache_data(show_spinner=False, max_entries=8)
def _table(path: str, changed: int) -> pd.DataFrame:
    """A run's table, read anew when it was written anew."""
    return pd.read_parquet(path)


def _open(patient: str) -> None:
    st.session_state["patient"] = patient
    st.switch_page("screens/avatar.py", query_params={"patient": patient})


def _pictures(shown: pd.DataFrame) -> None:
    """A page of slices; each opens its patient."""
    there = shown[shown["status"].eq("done")]
    pages = max(1, -(-len(there) // PICTURES))
    page = st.number_input(
        "Page", 1, pages, 1, help=keys.help("P", "Page", f"{PICTURES} of {len(there)} patients each")
    )  # fmt: skip
    part = there.iloc[(page - 1) * PICTURES : page * PICTURES]
    for start in range(0, len(part), 8):
        for cell, row in zip(
            st.columns(8), part.iloc[start : start + 8].to_dict("records"), strict=False
        ):
            with cell:
                try:
                    scan = store.get(row["avatar"]).latest_scan
                except StoreError:
                    scan = None
                picture = scan_picture(scan) if scan else None
                if picture:
                    st.image(picture)
                if st.button(
                    str(row["patient"]), key=f"picture-{row['patient']}", help="Open this patient"
                ):
                    _open(str(row["avatar"]))


def _points(shown: pd.DataFrame, axes: list[str], color: str) -> str | None:
    """Two numbers of each patient; who was clicked on."""
    left, right = st.columns(2)
    usual = [axes.index(c) if c in axes else n for n, c in enumerate(("age_years", "volume_wt_ml"))]
    x = left.selectbox(
        "Across", axes, index=usual[0], format_func=label_of,
        help=keys.help("X", "Across", "What the points lie along"),
    )  # fmt: skip
    y = right.selectbox(
        "Up", axes, index=usual[1], format_func=label_of,
        help=keys.help("Y", "Up", "What the points are as high as"),
    )  # fmt: skip
    event = st.plotly_chart(
        scatter_figure(shown, x, y, color), key="scatter", on_select="rerun", selection_mode="points"
    )  # fmt: skip
    found = event["selection"]["points"]
    st.caption(
        f"A click on a point names its patient, whom the button below opens. {hidden_of(shown, x, y)}"
    )
    return str(found[0]["customdata"][0]) if found else None


def _distribution(shown: pd.DataFrame, axes: list[str], color: str) -> None:
    usual = axes.index("volume_wt_ml") if "volume_wt_ml" in axes else 0
    of = st.selectbox(
        "Of", axes, index=usual, format_func=label_of, help=keys.help("D", "Of", "What is counted")
    )  # fmt: skip
    st.plotly_chart(distribution_figure(shown, of, color), key="distribution")
    if hidden := hidden_of(shown, of):
        st.caption(hidden)


def _survival(shown: pd.DataFrame, color: str) -> None:
    told = outcomes(shown, color)
    if told is None:
        st.info(
            "No outcome is known of these patients: their records have no follow-up and vital status."
        )
        return
    cohort, groups = told
    try:
        grouped = by_group(cohort, groups)
    except AvatarError as error:
        st.info(plain(str(error)))
        return
    st.plotly_chart(kaplan_meier_figure(grouped, cohort.unit, "death"), key="survival")
    st.table(risk_rows(cohort, grouped))
    st.caption("Kaplan-Meier with pointwise 95 % intervals; groups are exploratory.")


def _listed(shown: pd.DataFrame) -> str | None:
    """All rows; who is selected."""
    told = listed(shown)
    numbers = set(told.select_dtypes("number"))
    heads = {
        str(c): st.column_config.NumberColumn(label_of(c), format="%.1f") if c in numbers
        else st.column_config.TextColumn(label_of(c)) for c in told
    }  # fmt: skip
    whose = hash(tuple(shown["patient"]))  # a selection is of rows by number, and outlives a filter
    rows = st.dataframe(
        told, hide_index=True, key=f"rows-{whose}", on_select="rerun", selection_mode="single-row",
        height=420, column_config=heads,
    )  # fmt: skip
    found = rows["selection"]["rows"]
    return str(shown.iloc[found[0]]["patient"]) if found else None


st.subheader("Cohort")
all_runs = runs_of(store.folder)
runs = {run.name: run for run in all_runs if run.has_table}
if not runs:
    words = (
        "No cohort yet. `avatar cohort run COHORT.yaml --store STORE` makes one; `avatar cohort simulate "
        "FOLDER` writes in-silico patients to try it on."
    )
    if all_runs:
        names = ", ".join(plain(run.name) for run in all_runs)
        words = f"No table yet: it is written at the end of a run. *Runs* tells how far {names} is."
    st.info(words, icon=":material/groups:")
    st.stop()
first, second, third, fourth, fifth = st.columns((1.4, 1.4, 1, 1.2, 1.8), gap="small")
with first:
    name = st.selectbox(
        "Run", list(runs), help=keys.help("R", "Run", "Cohorts that were run in this store, the latest first")
    )  # fmt: skip
if not runs[name].is_summed_up:
    state = "is under way" if runs[name].is_running else "was not summed up"
    st.warning(
        f"The table is older than the latest run, which {state}: it does not know who was run since, or left."
    )
path = runs[name].folder / TABLE
table = _table(str(path), path.stat().st_mtime_ns)
groupings = categories_of(table)
with second:
    text = st.text_input(
        "Find", placeholder="part of an id or diagnosis", help=keys.help("F", "Find", "Patients to look at")
    )  # fmt: skip
with third:
    look = st.selectbox(
        "Look at", LOOKS, help=keys.help("L", "Look at", "Flags are of the quality gate")
    )
with fourth:
    color = st.selectbox(
        "Group by", ["", *groupings], format_func=lambda c: label_of(c) if c else "nothing",
        help=keys.help("G", "Group by", "Colors, and the groups of Kaplan-Meier"),
    )  # fmt: skip
with fifth:
    values = st.multiselect(
        "Only", sorted(labels(table, color).unique()) if color else [], disabled=not color,
        help=keys.help("O", "Only", "Of what is grouped by; all without"),
    )  # fmt: skip
shown = chosen(table, Wanted(text.strip(), color, tuple(values), look))
flagged = int(shown["flags"].notna().sum()) if "flags" in shown else 0
origins = table.get("origin", pd.Series(dtype=object))
silico = " :orange-badge[In-silico patients: no person]" if origins.eq("in-silico").any() else ""
failed, not_run = (int(shown["status"].eq(status).sum()) for status in ("failed", NOT_RUN))
outliers = int(shown["outlier"].notna().sum())
st.markdown(
    f"**{len(shown)}** of {len(table)} patients; {failed} failed, {flagged} flagged, {outliers} outliers"
    f"{f', {not_run} not run yet' if not_run else ''}.{silico}"
)
axes = numbers_of(table)
view = st.segmented_control(
    "View", VIEWS, default=VIEWS[0], required=True, label_visibility="collapsed",
    help=keys.help("V", "View", "What is shown of them"),
)  # fmt: skip
picked: str | None = None
if view == "Scatter" and len(axes) > 1:
    picked = _points(shown, axes, color)
elif view == "Distribution" and axes:
    _distribution(shown, axes, color)
elif view == "Survival":
    _survival(shown, color)
elif view == "Table":
    picked = _listed(shown)
elif view == "Pictures":
    _pictures(shown)
who = table.set_index("patient")["avatar"].get(picked) if picked else None
if st.button(
    f"Open {picked}" if who else "Open", disabled=not who, type="primary",
    help=keys.help("E", "Open", "The avatar of the point or row that is selected"),
):  # fmt: skip
    _open(str(who))
st.caption(
    f"{plain(str(Path(path)))}. Survival and times to progression are a model's; masks are automatic unless "
    "signed. Outliers: modified z-score above 3.5 within the cohort."
)
keys.listen()
