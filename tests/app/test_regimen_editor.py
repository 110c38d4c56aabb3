"""The editor shows whatever a regimen file may say, and leaves it as it is until somebody changes it."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from app.regimen_editor import SCHEDULE, _course, _is_whole, _line
from data.errors import RegimenError
from data.io.structured import parse_plan
from data.treatment import DrugCourse, RegimenPlan
from pipelines.config import regimen_names, regimen_plan

UNUSUAL = RegimenPlan.model_validate(
    {
        "name": "Far from usual",
        "surgery": [{"day": 3, "extent": 0.955, "margin_mm": 5}],
        "target": {"kind": "margin", "region": "WT", "margin_mm": 47.5},
        "radiotherapy": [
            {"fractions": 68, "dose_per_fraction_gy": 1.237, "start_day": 10, "per_day": 3,
             "hours_apart": 5, "missed": [6, 7]},
            {"fractions": 1, "dose_per_fraction_gy": 12.0, "start_day": 200},
        ],
        "delay_days": 120.5,
    }
)  # fmt: skip


def page(plan: str) -> None:
    import streamlit as st

    from app.regimen_editor import edit_plan
    from data.treatment import RegimenPlan

    given = RegimenPlan.model_validate_json(plan)
    st.session_state["edited"] = edit_plan("A", {"x": given}, "x").model_dump_json()


def edited(app: AppTest) -> RegimenPlan:
    assert not app.exception
    return RegimenPlan.model_validate_json(app.session_state["edited"])


PAINTED = RegimenPlan.model_validate(
    {
        "name": "Painted",
        "target": {"kind": "map", "dose": "boost", "prescribed_gy": 61.3},
        "radiotherapy": [{"fractions": 30, "dose_per_fraction_gy": 2.0, "start_day": 28}],
    }
)


@pytest.mark.parametrize(
    "plan", [UNUSUAL, PAINTED, *map(regimen_plan, regimen_names())], ids=lambda plan: plan.name
)
def test_a_regimen_that_nobody_changes_stays_as_it_is(plan):
    app = AppTest.from_function(page, args=(plan.model_dump_json(),), default_timeout=30).run()
    assert edited(app) == plan


def test_the_target_changes_between_margin_brain_and_map():
    app = AppTest.from_function(page, args=(PAINTED.model_dump_json(),), default_timeout=30).run()
    target = next(s for s in app.selectbox if s.label.startswith("Target"))
    assert target.options == ["margin about the core", "all of the head", "dose map boost"]
    app = target.set_value("uniform").run()
    assert edited(app).target.kind == "uniform"
    app = next(s for s in app.selectbox if s.label.startswith("Target")).set_value("margin").run()
    assert edited(app).target.margin_mm == 15.0


def schedule(**changes) -> dict:
    line = {name: None for name in SCHEDULE}
    return line | {"drug": "temozolomide", "start_day": 28.0, "days_per_cycle": 5.0} | changes


def test_a_line_of_the_schedule_is_a_course_and_one_that_was_only_begun_is_none():
    line = schedule(dose_mg_m2=150.0, cycles=6.0, every_days=28.0, pause_below=0.4)
    assert _is_whole(line)
    course = DrugCourse.model_validate(_course(line))
    assert (course.days_per_cycle, course.cycles, course.dose_mg_m2) == (5, 6, 150.0)
    assert course.adaptive.pause_below == 0.4
    assert course.adaptive.resume_from == 1.0
    assert DrugCourse.model_validate(_course(schedule(dose_mg=40.0))).adaptive is None
    for begun in (
        schedule(),
        schedule(drug=None, dose_mg=1.0),
        schedule(dose_mg=1, start_day=None),
    ):
        assert not _is_whole(begun)
    known = regimen_plan("adaptive-temozolomide").drugs[0]
    assert DrugCourse.model_validate(_course(_line(known) | {"dose_mg": None})) == known


def test_a_change_is_taken_and_the_rest_is_kept():
    app = AppTest.from_function(page, args=(UNUSUAL.model_dump_json(),), default_timeout=30).run()
    next(s for s in app.slider if s.label.startswith("Fractions")).set_value(60).run()
    found = edited(app)
    assert found.name == "Far from usual (edited)"
    assert found.radiotherapy[0].fractions == 60
    assert found.target == UNUSUAL.target
    assert found.radiotherapy[1:] == UNUSUAL.radiotherapy[1:]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"name: [", "not valid YAML"),
        (b"name: a\nname: b", "written twice"),
        (b"- 1", "expected 'key: value'"),
        (b"name: a\ntarget: {kind: map}", "map"),
        (
            b"name: a\nradiotherapy: [{fractions: 2, dose_per_fraction_gy: -1, start_day: 0}]",
            "dose",
        ),
        (b"#" * 1_000_001, "not a hand-written file"),
        (b"\xff\xfe", "not valid YAML"),
    ],
)
def test_an_uploaded_regimen_that_breaks_a_rule_is_one_sentence_that_names_it(text, said):
    with pytest.raises(RegimenError, match=said) as caught:
        parse_plan(text, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ")
