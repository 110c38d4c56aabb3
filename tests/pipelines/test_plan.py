"""Fronts of plans for one avatar: nothing beats them, they go on where they stopped, and become regimens."""

from __future__ import annotations

import shutil
from itertools import pairwise

import numpy as np
import pytest

from data.errors import RegimenError
from data.store import AvatarStore
from data.treatment import RegimenPlan
from models.growth.visible import ENHANCING_EDGE, FLAIR_EDGE
from models.policy.front import longest_control
from pipelines.config import regimen_plan, twin_prior
from pipelines.plan import METRICS, STANDARD_GY, FrontPlan, as_regimen, edge_problem, plan_front
from pipelines.simulate import simulate_avatar
from pipelines.space import spatial_twin_of, tumor_in_space

GROUP = pytest.mark.xdist_group("plan")
STUPP = regimen_plan("stupp")


@pytest.fixture(scope="module")
def run(small_case, tmp_path_factory):
    folder = shutil.copytree(small_case / "store", tmp_path_factory.mktemp("plan") / "store")
    with AvatarStore(folder) as store:
        yield store, store.get("P1")


@pytest.mark.slow
@GROUP
@pytest.mark.parametrize("metric", METRICS)
def test_a_front_rises_keeps_its_caps_and_is_not_beaten_by_the_usual_course(run, metric):
    store, avatar = run
    front = plan_front(avatar, store, STUPP, metric=metric, cap_gy=3.0, points=4)
    assert front.plans
    for less, more in pairwise(front.plans):
        assert less.toxicity < more.toxicity
        assert less.control_days < more.control_days
    for plan in front.plans:
        assert all(0.999 <= dose <= 3.001 for dose in plan.doses_gy)
        if plan.toxicity <= front.standard.toxicity:
            continue
        assert plan.control_days >= front.standard.control_days * (1 - 1e-6)
    assert front.standard.doses_gy == (STANDARD_GY,) * 6
    assert front.standard.total_gy == 60.0


@pytest.mark.slow
@GROUP
def test_a_search_that_was_stopped_goes_on_and_the_same_seed_finds_the_same_front(run, monkeypatch):
    store, avatar = run
    searched: list[float] = []

    def watched(*arguments, **others):
        searched.append(others["budget"])
        return longest_control(*arguments, **others)

    monkeypatch.setattr("pipelines.plan.longest_control", watched)
    rest = {"metric": "BED3", "cap_gy": 3.0, "points": 4, "seed": 2}  # no other test's points

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plan_front(avatar, store, STUPP, **rest, on_point=stop)
    assert len(searched) == 2
    front = plan_front(avatar, store, STUPP, **rest)
    assert len(searched) == len(set(searched)) > 2
    assert plan_front(avatar, store, STUPP, **rest) == front
    assert len(searched) == len(set(searched))


@pytest.mark.slow
@GROUP
def test_a_plan_becomes_a_regimen_that_is_solved_in_space(run):
    store, avatar = run
    plan = FrontPlan(doses_gy=(1.0, 1.0, 0.0, 2.5, 2.5, 3.0), control_days=1.0, toxicity=1.0)
    made = as_regimen(plan, STUPP, "mine")
    assert [(c.fractions, c.dose_per_fraction_gy, c.start_day) for c in made.radiotherapy] == [
        (10, 1.0, 28.0),
        (10, 2.5, 49.0),
        (5, 3.0, 63.0),
    ]
    assert made.drugs == STUPP.drugs
    assert made.target == STUPP.target
    assert made.expand().total_dose_gy == pytest.approx(plan.total_gy)
    found = simulate_avatar(avatar, made.expand(), store)
    assert found.model == "in space"
    assert found.total_dose_gy == pytest.approx(50.0)


@pytest.mark.slow
@GROUP
def test_the_planned_density_starts_below_the_edge_s_and_progresses_at_it(run):
    store, avatar = run
    prior = twin_prior(avatar.prior_class)
    tumor = tumor_in_space(store, avatar.latest_scan, prior, voxel_mm=3.0)
    twin = spatial_twin_of(tumor, prior, avatar.record.markers, members=20)
    problem = edge_problem(twin, None, level=0.0, weeks=6)
    outside = np.where(tumor.visible.region_mm("WT") > 0, 0.5, 1.0)
    spared = edge_problem(twin, outside, level=0.0, weeks=6)
    assert problem.relative_dose == 1.0
    assert 0.5 <= spared.relative_dose < 0.8
    edge = {"WT": FLAIR_EDGE, "TC": ENHANCING_EDGE}[twin.followed]
    start = problem.twin.volume_mm3
    assert ((start > 0) & (start < edge)).all()
    (day,) = problem.progression_days(np.zeros((1, 6)))[:, 0]
    rho, u = twin.proliferation[0], start[0]
    grown = 1 / (1 + (1 / u - 1) * np.exp(-rho * day))
    assert grown == pytest.approx(edge, rel=1e-6)


@pytest.mark.slow
@GROUP
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cap_gy": 40.0}, "the largest fraction"),
        ({"cap_gy": float("nan")}, "the largest fraction"),
        ({"level": 1.0}, "the level of the superquantile"),
        ({"weeks": 0}, "weeks: 0 was given"),
        ({"points": 1}, "points of the front"),
        ({"least_gy": -1.0}, "the smallest fraction"),
    ],
)
def test_numbers_that_cannot_be_are_refused_by_their_rule(run, changes, said):
    store, avatar = run
    with pytest.raises(RegimenError, match=said):
        plan_front(avatar, store, STUPP, **({"metric": "BED3", "cap_gy": 3.0} | changes))


@pytest.mark.slow
@GROUP
def test_a_patient_without_space_is_refused_and_says_why(run):
    store, avatar = run
    bare = avatar.latest_scan.model_copy(update={"tissue": None})
    with pytest.raises(RegimenError, match="no tissue map"):
        plan_front(
            avatar.model_copy(update={"scans": (bare,)}), store, STUPP, metric="BED3", cap_gy=3.0
        )


def test_a_base_without_radiotherapy_gets_it_from_the_usual_day():
    plan = FrontPlan(doses_gy=(2.0, 2.0), control_days=1.0, toxicity=1.0)
    (course,) = as_regimen(plan, RegimenPlan(name="nothing"), "x").radiotherapy
    assert (course.fractions, course.start_day) == (10, 28.0)
