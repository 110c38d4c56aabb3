"""Batches in progress and done: how far, what failed and why; cancel, go on, try again."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import streamlit as st

from app.state import open_store
from app.views import plain
from app.words import clock
from data.errors import AvatarError
from pipelines.cohort.status import BY_JOBS, NO_JOBS, RunState, cancel, go_on, run_state, runs_of

COLORS = {
    "running": "blue",
    "stopping": "orange",
    "stopped": "orange",
    "was cut off": "red",
    BY_JOBS: "blue",
    NO_JOBS: "orange",
}
SECONDS = 2.0
store = open_store().folder


def _when(run: RunState) -> str:
    """When something was last told, in the clock of this machine, and how long it took by then."""
    told, today = run.progress, datetime.now().astimezone().date()
    try:
        at = datetime.fromisoformat(str(told["at"])).astimezone()
    except (KeyError, ValueError):
        return ""
    day = "" if at.date() == today else f"{at:%Y-%m-%d} "
    took = clock(float(told.get("seconds", 0.0)))
    if run.is_running:
        return f":gray[for {took}]"
    return f":gray[{day}{at:%H:%M %Z}, after {took}]"


def _one(run: RunState) -> None:
    told = run.progress
    color = "green" if run.state.startswith("finished") else COLORS.get(run.state, "gray")
    head, buttons = st.columns((3, 2), vertical_alignment="center")
    total, done, failed = (int(told.get(key, 0)) for key in ("total", "done", "failed"))
    head.markdown(f"**{plain(run.name)}** :{color}-badge[{run.state}] {_when(run)}")
    pace = ""
    at_work = run.is_running or run.state == BY_JOBS
    if at_work and done + failed:
        each = max(float(told["seconds"]), 1e-9) / (done + failed)
        pace = f"; {60 / each:.1f} patients a minute, about {clock(each * (total - done - failed))} left"
    kept_failed = int(told.get("kept_failed", 0))
    kept = f"{told.get('kept', 0)} kept as they were" + (
        f", {kept_failed} of them failed before" if kept_failed else ""
    )
    words = f"{done} done, {failed} failed of {total}; {kept}{pace}"
    if run.is_looking:
        words = f"Looking at what has changed: {done} of {total} patients"
    st.progress(run.share, words)

    with buttons:
        first, second, third = st.columns(3)
        if first.button("Cancel", key=f"cancel-{run.name}", disabled=run.state != "running",
                        help="Finishes the patients in hand, then ends; it can be gone on with"):  # fmt: skip
            try:
                cancel(run)
                st.rerun()
            except AvatarError as error:
                st.error(plain(str(error)))
        again = False
        if second.button("Go on", key=f"on-{run.name}", disabled=at_work,
                         help="Runs who is not done, or whose inputs changed"):  # fmt: skip
            again = _started(run, retry_failed=False)
        if third.button("Retry failed", key=f"retry-{run.name}", disabled=at_work or not failed + kept_failed,
                        help="Also those whose input was to blame"):  # fmt: skip
            again = _started(run, retry_failed=True)
        if again:
            st.rerun()
    if run.state in (BY_JOBS, NO_JOBS):
        st.caption(
            "Planned for another engine, such as Snakemake: what its jobs have finished is counted, and it is "
            "stopped there. The time above is the last patient's."
        )
    if told.get("running"):
        st.caption(
            "In hand: " + ", ".join(f"{plain(p)} ({step})" for p, step in told["running"].items())
        )
    steps, failures, log = st.tabs(["Steps", f"Failures ({failed + kept_failed})", "Log"])
    with steps:
        counts, spent = told.get("steps", {}), told.get("step_seconds", {})
        rows = [
            {"step": s, "computed": n, "seconds each": round(spent.get(s, 0.0) / n, 2)}
            for s, n in counts.items()
        ]
        if rows:
            st.dataframe(rows, hide_index=True)
        else:
            st.caption("No step was computed yet: all that is done was in the store.")
    with failures:
        found = pd.DataFrame(told.get("failures", []), columns=["patient", "what, and what to do"])
        if found.empty:
            st.caption("Nobody has failed.")
        else:
            st.dataframe(
                found, hide_index=True, column_config={"what, and what to do": {"width": "large"}}
            )
    with log:
        if refused := run.started:
            st.caption("What the last start from this page said")
            st.code(refused, language=None)
        st.code(run.log or "nothing yet", language=None, height=260)


def _started(run: RunState, *, retry_failed: bool) -> bool:
    try:
        go_on(run, store, retry_failed=retry_failed)
    except AvatarError as error:
        st.error(plain(str(error)))
        return False
    return True


@st.fragment(run_every=SECONDS)
def _live(name: str) -> None:
    with st.container(border=True):
        _one(run_state(store / "runs" / name))


st.subheader("Runs")
runs = runs_of(store)
if not runs:
    words = "Nothing was run in batch yet. `avatar cohort run COHORT.yaml --store STORE` does."
    st.info(words, icon=":material/play_circle:")
for run in runs[:10]:
    _live(run.name)
if len(runs) > 10:
    st.caption(f"{len(runs) - 10} older runs are in {plain(str(store / 'runs'))}.")
