"""A regimen as the board's widgets edit it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from data.treatment import DrugCourse, MapTarget, MarginTarget, RegimenPlan, UniformTarget

MOST_FRACTIONS = 40
TARGETS = {"margin": "margin about the core", "uniform": "all of the head"}
START_DAY = 28.0
"""Of radiotherapy that is added to a regimen without any."""
SURGERY_DAY = 7.0


def edit_plan(
    letter: str, plans: dict[str, RegimenPlan], default: str, *, maps: Sequence[str] = ()
) -> RegimenPlan:
    """Pick a regimen and change its surgery, radiotherapy and drugs.

    Args:
        letter: which of the regimens that are compared.
        plans: to pick from, by key.
        default: key of the one that is picked at first.
        maps: names of the patient's dose maps.

    Raises:
        pydantic.ValidationError: what was chosen breaks a rule.
    """
    st.session_state.setdefault(f"regimen-{letter}", default)
    picked = st.selectbox(
        f"Regimen {letter}",
        list(plans),
        format_func=lambda n: plans[n].name,
        key=f"regimen-{letter}",
    )
    plan = plans[picked]
    key = f"{letter}-{picked}"
    changes: dict[str, Any] = {
        "radiotherapy": _radiotherapy(letter, key, plan),
        "target": _target(letter, key, plan, maps),
        "surgery": _surgery(letter, key, plan),
        "drugs": _drugs(letter, key, plan),
    }
    delay = st.slider(
        f"Delay {letter} (days)",
        0, _end(90, plan.delay_days), round(plan.delay_days), 1, key=f"delay-{key}",
        help="Of radiotherapy and drugs; surgery stays.",
    )  # fmt: skip
    changes["delay_days"] = _kept(delay, plan.delay_days, 0.5)
    given = plan.model_dump() | changes
    edited = RegimenPlan.model_validate(given)
    if edited != plan:
        edited = edited.model_copy(update={"name": f"{plan.name} (edited)"[:80]})
    return edited


def _radiotherapy(letter: str, key: str, plan: RegimenPlan) -> list[dict[str, Any]]:
    known = plan.radiotherapy[0] if plan.radiotherapy else None
    dose_known = known.dose_per_fraction_gy if known else 0.0
    count = known.fractions if known else 0
    dose = st.slider(
        f"Dose per fraction {letter} (Gy)",
        0.0, float(_end(8, dose_known)), dose_known, 0.1, key=f"dose-{key}",
    )  # fmt: skip
    number = st.slider(
        f"Fractions {letter}",
        0, _end(MOST_FRACTIONS, count), count, 1, key=f"fractions-{key}",
    )  # fmt: skip
    twice, missed = st.columns(2)
    per_day = twice.selectbox(
        f"Per day {letter}", (1, 2, 3, 4), index=known.per_day - 1 if known else 0,
        key=f"perday-{key}", help="Six hours apart unless the regimen says otherwise.",
    )  # fmt: skip
    lost = missed.text_input(
        f"Missed {letter}",
        ", ".join(str(n) for n in known.missed) if known else "",
        key=f"missed-{key}",
        placeholder="e.g. 6, 7",
        help="Numbers of fractions that were not given; as many are added at the end.",
    )
    rest = [course.model_dump() for course in plan.radiotherapy[1:]]
    if not (number and dose):
        return rest
    changed = {
        "fractions": number,
        "dose_per_fraction_gy": _kept(dose, dose_known, 0.05),
        "per_day": per_day,
        "missed": tuple(word.strip() for word in lost.split(",") if word.strip()),
    }
    first = known.model_dump() if known else {"start_day": START_DAY}
    return [first | changed, *rest]


def _kept(shown: float, given: float, step: float) -> float:
    """What the plan says, where a slider's steps are too coarse to show it exactly."""
    return given if abs(shown - given) <= step + 1e-9 else float(shown)


def _end(usual: int, given: float) -> int:
    """Where a slider ends: farther out for a plan that goes farther."""
    return max(usual, int(np.ceil(given)))


def _target(letter: str, key: str, plan: RegimenPlan, maps: Sequence[str]) -> dict[str, Any]:
    known = plan.target
    now = known.dose if isinstance(known, MapTarget) else known.kind
    kinds = ["margin", "uniform", *maps]
    kinds += [] if now in kinds else [now]
    picked = st.selectbox(
        f"Target {letter}", kinds, index=kinds.index(now), key=f"target-{key}",
        format_func=lambda kind: TARGETS.get(kind, f"dose map {kind}"),
        help="Dose maps are the patient's, under 'planning' in study.yaml.",
    )  # fmt: skip
    if picked == "uniform":
        return UniformTarget().model_dump()
    if picked != "margin":
        total = plan.expand().total_dose_gy or 60.0
        given = known.prescribed_gy if isinstance(known, MapTarget) else total
        prescribed = st.number_input(
            f"Of the map, {letter}: prescribed (Gy)", 0.1, 200.0, given, 1.0, key=f"prescribed-{key}",
            help="Where the map has this dose, all of each fraction arrives.",
        )  # fmt: skip
        return MapTarget(dose=picked, prescribed_gy=prescribed).model_dump()
    target = known if isinstance(known, MarginTarget) else MarginTarget()
    margin = st.slider(
        f"Margin about the core {letter} (mm)", 0, 50, round(target.margin_mm), 1,
        key=f"margin-{key}",
        help=f"Clinical target volume; {target.setup_mm:g} mm more are planned; the dose falls off outside.",
    )  # fmt: skip
    return target.model_dump() | {"margin_mm": _kept(margin, target.margin_mm, 0.5)}


def _surgery(letter: str, key: str, plan: RegimenPlan) -> list[dict[str, Any]]:
    known = plan.surgery[0] if plan.surgery else None
    extent = st.slider(
        f"Resection {letter} (% of the core)",
        0, 100, round(100 * known.extent) if known else 0, 1, key=f"resection-{key}",
        help=f"On day {known.day if known else SURGERY_DAY:g}.",
    )  # fmt: skip
    if not extent:
        return []
    first = known.model_dump() if known else {"day": SURGERY_DAY}
    share = _kept(extent / 100.0, known.extent if known else 0.0, 0.005)
    return [first | {"extent": share}, *(r.model_dump() for r in plan.surgery[1:])]


def _drugs(letter: str, key: str, plan: RegimenPlan) -> list[dict[str, Any]]:
    names = sorted({course.drug for course in plan.drugs})
    left_out = {
        name
        for name in names
        if not st.toggle(
            f"{name.capitalize()} {letter}",
            value=True,
            key=f"{name}-{key}",
            help="Off leaves out all of its cycles.",
        )
    }
    table = pd.DataFrame([_line(course) for course in plan.drugs], columns=list(SCHEDULE))
    table = table.astype({name: float for name in SCHEDULE if name != "drug"})
    with st.expander(f"Drug schedule {letter}"):
        changed = st.data_editor(
            table, num_rows="dynamic", hide_index=True, column_config=SCHEDULE, key=f"drugs-{key}"
        )
        st.caption(
            "Days from the scan; a line counts once drug, start, days and one dose are there. Adaptive cycles "
            "pause below, and resume from, a share of the volume before the first one."
        )
    lines = [
        {str(name): None if pd.isna(value) else value for name, value in line.items()}
        for line in changed.to_dict("records")
    ]
    return [_course(line) for line in lines if _is_whole(line) and line["drug"] not in left_out]


SCHEDULE: dict[str, Any] = {
    "drug": st.column_config.TextColumn("Drug"),
    "dose_mg_m2": st.column_config.NumberColumn("mg/m² a day", min_value=0.0),
    "dose_mg": st.column_config.NumberColumn("or mg a day", min_value=0.0),
    "start_day": st.column_config.NumberColumn("First day", min_value=0.0),
    "days_per_cycle": st.column_config.NumberColumn("Days a cycle", min_value=1, step=1),
    "cycles": st.column_config.NumberColumn("Cycles", min_value=1, step=1, default=1),
    "every_days": st.column_config.NumberColumn("Every (days)", min_value=1.0, default=28),
    "pause_below": st.column_config.NumberColumn("Pause below", min_value=0.0, max_value=1.0),
    "resume_from": st.column_config.NumberColumn("Resume from", min_value=0.0, max_value=2.0),
}
"""Columns of the table of drugs: what a course holds, with its rule for adaptive cycles laid flat."""
ADAPTIVE = ("pause_below", "resume_from")


def _line(course: DrugCourse) -> dict[str, Any]:
    held = course.model_dump()
    return held | (held.pop("adaptive") or {})


def _is_whole(line: dict[str, Any]) -> bool:
    needed = line["drug"] and None not in (line["start_day"], line["days_per_cycle"])
    return bool(needed) and (line["dose_mg_m2"] is not None or line["dose_mg"] is not None)


def _course(line: dict[str, Any]) -> dict[str, Any]:
    rule = {name: line[name] for name in ADAPTIVE if line[name] is not None}
    held = {k: v for k, v in line.items() if k not in ADAPTIVE and v is not None}
    return held | {"adaptive": rule or None}
