"""The Simulate page's front of radiotherapy plans: search, look, pick one, compare it as a regimen."""

from __future__ import annotations

import hashlib

import plotly.graph_objects as go
import streamlit as st

from app.solves import background, show_progress
from app.state import open_store
from app.views import COLORS, styled
from data.avatar import Avatar
from data.treatment import RegimenPlan
from pipelines.plan import (
    METRICS,
    MOST_LEAST_GY,
    UNITS,
    FrontPlan,
    PlanFront,
    as_regimen,
    plan_front,
)


def front_section(avatar: Avatar, base: RegimenPlan, key: str) -> None:
    """Draw the section.

    Args:
        avatar: whose tumor.
        base: whose target is irradiated and whose drugs and surgery stay.
        key: of patient and base; another one forgets the front.
    """
    measure, doses, risk, start = st.columns((2, 2, 2, 1), vertical_alignment="bottom")
    metric = measure.selectbox("Toxicity measured as", METRICS, index=1)
    least, cap = doses.slider("Dose of a fraction (Gy)", 0.0, 8.0, (1.0, 4.0), 0.5)
    worst = risk.slider(
        "Judged by the worst (%)", 5, 100, 20, 5,
        help="Control is the mean over this share of the members, the worst ones (superquantile).",
    )  # fmt: skip
    asked = f"front:{key}:{metric}:{least}:{cap}:{worst}"
    cannot = cap < max(0.5, least) or least > MOST_LEAST_GY
    if start.button("Search", type="primary", disabled=cannot):
        st.session_state["front"] = asked
    running = st.session_state.get("front-running")
    if running not in (None, asked) and (stale := background().find(running)) is not None:
        stale.cancel()
    if st.session_state.get("front") != asked:
        st.caption(
            f"Weekly doses in place of the radiotherapy of {base.name}: for each budget of toxicity the plan "
            "that controls longest. The search takes some seconds."
        )
        return
    job = background().want(
        asked,
        lambda report: plan_front(
            avatar,
            open_store(),
            base,
            metric=metric,
            cap_gy=cap,
            least_gy=least,
            level=1.0 - max(worst, 1) / 100.0,
            on_point=report,
        ),
    )
    st.session_state["front-running"] = None if job.finished else asked
    if not job.finished:
        show_progress(
            {asked: job},
            "Searching plans",
            "cancel-front",
            lambda: st.session_state.pop("front", None),
        )
    elif job.error is not None:
        st.error(str(job.error))
    else:
        _front(job.result, base)


def _front(front: PlanFront, base: RegimenPlan) -> None:
    event = st.plotly_chart(
        front_figure(front), key="front-figure", on_select="rerun", selection_mode="points"
    )
    points = event["selection"]["points"] if event else []
    chosen = points[0]["point_index"] if points and points[0]["curve_number"] == 0 else None
    st.caption(
        f"In silico, {front.members} members (seed {front.seed}). Control: mean of the worst "
        f"{100 * (1 - front.level):.0f} %, from the first fraction until the tumor's edge is where 1.40 times "
        "the volume puts it; without drugs and invasion, and with the plain response in space whatever is "
        "chosen under Model. This search knows no reason to hurry, so plans put dose off to late weeks. No "
        "plan is the answer: every one trades control for toxicity."
    )
    if chosen is None:
        st.info("Click a point to see its doses and to compare it.", icon=":material/touch_app:")
        return
    picked = front.plans[chosen]
    st.markdown(f"**{plan_words(picked, front)}**")
    fractions = f"{front.least_gy:g} to {front.cap_gy:g} Gy"
    name = f"{picked.total_gy:.1f} Gy by {front.metric}, {fractions}, on {base.name}"
    if st.button(
        "Compare as a regimen",
        help="Adds it to the regimens and solves it in space as the last one.",
    ):
        regimen = as_regimen(picked, base, name)
        digest = hashlib.sha256(regimen.model_dump_json().encode()).hexdigest()[:8]
        st.session_state.setdefault("own", {})[f"plan {digest}"] = regimen
        st.session_state["picked-plan"] = f"plan {digest}"
        st.rerun()


def plan_words(plan: FrontPlan, front: PlanFront) -> str:
    """Doses week by week, and both objectives with their units."""
    doses = ", ".join(f"{dose:.2f}" for dose in plan.doses_gy)
    cost = (
        f"{100 * plan.toxicity:.2g} % brain necrosis"
        if front.metric == "NTCP"
        else f"{front.metric} {plan.toxicity:.1f} Gy"
    )
    total = f"({plan.total_gy:.1f} Gy)"
    return f"{doses} Gy a fraction, week by week {total}: control {plan.control_days:.0f} d, {cost}"


def front_figure(front: PlanFront) -> go.Figure:
    """Control against toxicity, the usual course beside the front."""
    percent = front.metric == "NTCP"
    scale = 100.0 if percent else 1.0
    figure = go.Figure()
    figure.add_scatter(
        x=[scale * p.toxicity for p in front.plans],
        y=[p.control_days for p in front.plans],
        mode="lines+markers",
        marker={"size": 12, "color": COLORS[0]},
        line={"color": COLORS[0], "width": 1},
        name=f"plans of {front.least_gy:g} to {front.cap_gy:g} Gy",
        customdata=[[p.total_gy] for p in front.plans],
        hovertemplate="%{x:.3g}, %{y:.0f} d, %{customdata[0]:.1f} Gy in all<extra></extra>",
    )
    figure.add_scatter(
        x=[scale * front.standard.toxicity],
        y=[front.standard.control_days],
        mode="markers",
        marker={"size": 13, "symbol": "x", "color": COLORS[1]},
        name="2 Gy every day",
    )
    unit = "% brain necrosis" if percent else UNITS[front.metric]
    figure.update_layout(
        xaxis={"title": f"{front.metric} ({unit})", "type": "log" if percent else "linear"},
        yaxis={"title": "control (d), in silico"},
        clickmode="event+select",
    )
    styled(figure, 320)
    return figure.update_layout(hovermode="closest")
