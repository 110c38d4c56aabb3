"""Every survival family: curves are curves, order says nothing, and what cannot be used is refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import CoxPHFitter
from lifelines.exceptions import ConvergenceError
from sksurv.linear_model import CoxPHSurvivalAnalysis

from data.cohort import Cohort, refuse_shared
from data.errors import CohortError
from models.survival.families.aft import LAWS, AcceleratedFailureTime
from models.survival.families.cox import Cox
from models.survival.families.coxnet import Coxnet, partial_likelihood
from models.survival.families.forest import Forest
from models.survival.families.kaplan_meier import KaplanMeier
from models.survival.families.registry import FAMILIES
from models.survival.families.stack import Stack, brier_weights
from models.survival.scores import event_grid, structured
from pipelines.evaluate_survival import cross_validate

QUICK = {"stack": lambda: Stack((KaplanMeier(), Cox(), Forest(trees=10)), folds=3)}
"""The stack with fewer members, since all are tried on their own."""


def made(seed=0, n=160, gaps=True):
    """Exponential times, hazard by age and a group, some of it not known; some seen last before."""
    rng = np.random.default_rng(seed)
    age = rng.normal(60, 10, n)
    group = rng.choice(["a", "b", "c"], n)
    hazard = np.exp(0.05 * (age - 60) + 0.8 * (group == "b")) / 20
    time, last = rng.exponential(1 / hazard), rng.uniform(5, 60, n)
    frame = pd.DataFrame({"age": age, "noise": rng.normal(size=n), "group": pd.Categorical(group)})
    if gaps:
        frame.loc[::7, "age"] = np.nan
        frame.loc[3::11, "group"] = np.nan
    ids = np.array([f"P{i:04d}" for i in range(n)], object)
    return Cohort("made", ids, frame, np.minimum(time, last), (time <= last).astype(int), "months")


def fitted(kind, cohort):
    return QUICK.get(kind, FAMILIES[kind])().fit(cohort, rng=np.random.default_rng(1))


@pytest.fixture(scope="module", params=list(FAMILIES))
def model(request):
    return fitted(request.param, made())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_curves_start_at_one_and_never_rise(model, seed, shares):
    times = np.array([0.0, *shares]) * model.domain_[1]
    curves = model.predict_survival(made(seed, 20).covariates, times)
    assert curves.shape == (20, len(times))
    assert (curves >= 0).all()
    assert (curves <= 1).all()
    assert curves[:, 0] == pytest.approx(1)
    assert (np.diff(curves[:, np.argsort(times)], axis=1) <= 1e-12).all()


def test_the_order_of_patients_and_columns_says_nothing(model):
    cohort, other = made(), made(5, 30)
    rng = np.random.default_rng(3)
    turned = cohort.take(rng.permutation(len(cohort))).with_columns(["group", "noise", "age"])
    again = fitted(model.kind, turned)
    times = np.linspace(0, model.domain_[1] * 0.9, 12)
    before = model.predict_survival(other.covariates, times)
    after = again.predict_survival(other.covariates[["noise", "group", "age"]], times)
    assert after == pytest.approx(before, abs=1e-9)
    order = rng.permutation(len(other))
    assert model.predict_survival(other.covariates.iloc[order], times) == pytest.approx(
        before[order]
    )


def test_times_beyond_what_was_followed_are_refused(model):
    with pytest.raises(CohortError, match=r"tells 0 to .* which its patients were followed"):
        model.predict_survival(made(1, 5).covariates, np.array([model.domain_[1] * 1.01]))


def test_a_level_never_seen_and_a_covariate_that_is_gone_are_refused_by_name(model):
    new = made(1, 5).covariates.assign(group=pd.Categorical(["a", "b", "z", "a", "b"]))
    with pytest.raises(CohortError, match="group is z, which no patient of the fit had"):
        model.predict_survival(new, np.array([1.0]))
    with pytest.raises(CohortError, match="noise is missing"):
        model.predict_survival(new.drop(columns="noise"), np.array([1.0]))


def test_older_patients_and_the_worse_group_have_the_higher_risk(model):
    people = pd.DataFrame({
        "age": [45.0, 75.0, 60.0, 60.0], "noise": [0.0] * 4, "group": pd.Categorical(["a", "a", "a", "b"]),
    })  # fmt: skip
    risk = model.predict_risk(people)
    if model.kind == "Kaplan-Meier":
        assert np.ptp(risk) == 0  # everyone has the same curve
        return
    assert risk[1] > risk[0]
    assert risk[3] > risk[2] or model.kind == "Coxnet"  # which may leave the group out


def test_a_level_of_one_patient_stops_no_fold():
    cohort = made(gaps=False)
    rare = cohort.covariates["group"].cat.add_categories("rare")
    rare.iloc[7] = "rare"
    frame = cohort.covariates.assign(group=rare)
    odd = Cohort("odd", cohort.ids, frame, cohort.time, cohort.event, "months")
    found = cross_validate(odd, {"Cox": Cox, "stack": QUICK["stack"]}, folds=4)
    assert found["Cox"].mean("uno") > 0.55
    assert np.isfinite(found["stack"].at_own_time).all()


@pytest.mark.parametrize(
    ("family", "inside", "error"),
    [
        (Cox, "models.survival.families.cox.CoxPHFitter.fit", ConvergenceError("test")),
        (
            AcceleratedFailureTime,
            "models.survival.families.aft.WeibullAFTFitter.fit",
            ConvergenceError("test"),
        ),
        (
            Coxnet,
            "models.survival.families.coxnet.CoxnetSurvivalAnalysis.fit",
            ArithmeticError("test"),
        ),
    ],
)
def test_a_model_that_does_not_converge_says_so(family, inside, error, monkeypatch):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(inside, fails)
    if family is AcceleratedFailureTime:
        for law in ("LogLogistic", "LogNormal"):
            monkeypatch.setattr(inside.replace("Weibull", law), fails)
    with pytest.raises(CohortError, match="converge"):
        family().fit(made())


def test_a_gap_where_the_fit_had_none_is_filled_in():
    model = Cox().fit(made(gaps=False))
    told = made(1, 4, gaps=False).covariates
    told.loc[0, "age"], told.loc[1, "group"] = np.nan, np.nan
    assert np.isfinite(model.predict_survival(told, np.array([5.0]))).all()


def test_an_unpenalized_cox_agrees_with_scikit_survival_s():
    cohort = made(gaps=False)
    ours = Cox(penalizer=0.0).fit(cohort)
    x = ours.encoder_.transform(cohort.covariates)
    theirs = CoxPHSurvivalAnalysis(ties="efron").fit(x, structured(cohort))
    assert ours.coefficients_ == pytest.approx(theirs.coef_, abs=1e-5)


def test_the_kept_numbers_of_each_parametric_law_give_lifelines_own_curves():
    """Twelve columns, whose names lifelines sorts as text."""
    rng, cohort = np.random.default_rng(0), made(gaps=False)
    more = {f"x{n}": rng.normal(size=len(cohort)) for n in range(12)}
    wide = Cohort(
        "wide", cohort.ids, cohort.covariates.assign(**more), cohort.time, cohort.event, "months"
    )
    model = AcceleratedFailureTime().fit(wide)
    frame = pd.DataFrame(model.encoder_.transform(wide.covariates)).assign(
        time=wide.time, event=wide.event
    )
    frame.columns = frame.columns.map(str)
    theirs = LAWS[model.law_](penalizer=model.penalizer_).fit(frame, "time", "event")
    times = np.array([1.0, 10, 30])
    told = theirs.predict_survival_function(frame, times=times).to_numpy().T
    assert model.predict_survival(wide.covariates, times) == pytest.approx(told, abs=1e-6)


def test_the_partial_likelihood_is_that_of_lifelines():
    cohort = made(gaps=False)
    model = Cox(penalizer=0.0).fit(cohort)
    x, y = model.encoder_.transform(cohort.covariates), structured(cohort)
    frame = pd.DataFrame(x).assign(time=y["time"], event=y["event"])
    theirs = CoxPHFitter().fit(frame, "time", "event").log_likelihood_
    assert partial_likelihood(x @ model.coefficients_, y) == pytest.approx(theirs, abs=1e-4)


AML = {
    "Maintained": ((9, 13, 18, 23, 31, 34, 48), (13, 28, 45, 161)),
    "Nonmaintained": ((5, 5, 8, 8, 12, 23, 27, 30, 33, 43, 45), (16,)),
}
"""Weeks of the relapses, and when others were seen last: dataset aml of R's package survival (Miller 1997)."""


def aml(*groups):
    rows = [
        (group, week, event)
        for group in groups
        for event, weeks in zip((1, 0), AML[group], strict=True)
        for week in weeks
    ]
    frame = pd.DataFrame(
        {"x": pd.Categorical([r[0] for r in rows]), "one": np.arange(len(rows)) * 0.0}
    )
    ids = np.array([str(n) for n in range(len(rows))], object)
    return Cohort(
        "aml",
        ids,
        frame,
        np.array([float(r[1]) for r in rows]),
        np.array([r[2] for r in rows]),
        "weeks",
    )


def test_kaplan_meier_gives_the_published_curve():
    """R: summary(survfit(Surv(time, status) ~ x, data = aml)), help page of survfit.formula."""
    cohort = aml("Maintained").with_columns(["one"])
    times = np.array([9.0, 13, 18, 23, 31, 34, 48])
    (curve, *_) = KaplanMeier().fit(cohort).predict_survival(cohort.covariates, times)
    assert curve == pytest.approx([0.909, 0.818, 0.716, 0.614, 0.491, 0.368, 0.184], abs=5e-4)


def test_cox_gives_the_published_hazard_ratio():
    """R: coxph(Surv(time, status) ~ x, data = aml): coefficient 0.9155 (Efron's ties)."""
    cohort = aml("Maintained", "Nonmaintained").with_columns(["x"])
    model = Cox(penalizer=0.0).fit(cohort)
    scaled = model.encoder_.transform(cohort.covariates)
    per_unit = float(model.coefficients_[0] * np.ptp(scaled))
    assert per_unit == pytest.approx(0.9155, abs=5e-4)


def test_contributions_add_up_to_the_log_hazard():
    cohort = made()
    model = Cox().fit(cohort)
    parts = model.contributions(cohort.covariates).sum(axis=1)
    hazard = -np.log(model.predict_survival(cohort.covariates, np.array([20.0]))[:, 0])
    assert np.ptp(np.log(hazard) - parts) == pytest.approx(0, abs=1e-9)


def test_weights_of_a_stack_are_those_of_the_least_brier_score():
    """Against a search over all weights in steps of a hundredth."""
    cohort = made(gaps=False)
    grid = event_grid(cohort, 10)
    members = [KaplanMeier(), Cox(), Forest(trees=20)]
    curves = np.array([m.fit(cohort).predict_survival(cohort.covariates, grid) for m in members])
    curves[2] = np.sqrt(curves[2])  # a poor one
    weights = brier_weights(curves, cohort, grid, np.zeros(3), shrinkage=0.0)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()

    def brier(w):
        from models.survival.scores import censoring_weights

        told = np.tensordot(w, curves, axes=1)
        return float(
            (censoring_weights(cohort, grid) * ((cohort.time[:, None] > grid) - told) ** 2).mean()
        )

    steps = [(a, b) for a in range(101) for b in range(101 - a)]
    least = min(brier(np.array([a, b, 100 - a - b]) / 100) for a, b in steps)
    assert brier(weights) <= least + 1e-9


def test_few_events_leave_weights_near_those_they_are_drawn_to():
    few, many = made(n=12, gaps=False), made(n=600, gaps=False)
    toward, away = np.array([0.0, 0.5, 0.5]), []
    for cohort in (few, many):
        grid = event_grid(cohort, 10)
        models = (KaplanMeier(), Cox(), Forest(trees=10, leaf=3))
        curves = np.array([m.fit(cohort).predict_survival(cohort.covariates, grid) for m in models])
        away.append(np.abs(brier_weights(curves, cohort, grid, toward) - toward).sum())
    assert away[0] < away[1]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"time": -1.0}, "time below zero: time zero lies after the event"),
        ({"time": np.nan}, "has no time"),
        ({"event": 3}, "event other than 0"),
        ({"id": "P0001"}, "is there twice"),
        ({"age": np.inf}, "has an infinite age"),
    ],
)
def test_a_patient_that_cannot_be_is_named(change, match):
    good = made(n=10)
    ids, time, event, frame = (
        good.ids.copy(),
        good.time.copy(),
        good.event.copy(),
        good.covariates.copy(),
    )
    time[4], event[4] = change.get("time", time[4]), change.get("event", event[4])
    ids[4], frame.loc[4, "age"] = change.get("id", ids[4]), change.get("age", 50.0)
    with pytest.raises(CohortError, match=match) as told:
        Cohort("bad", ids, frame, time, event, "days")
    assert str(ids[4]) in str(told.value)


def test_a_patient_of_both_cohorts_is_named():
    with pytest.raises(CohortError, match=r"share 10 patients \(P0000"):
        refuse_shared(made(n=10), made(1, n=10))


def test_text_that_is_no_category_is_refused():
    with pytest.raises(CohortError, match="neither of numbers nor of categories"):
        made(n=10).covariates.pipe(
            lambda frame: Cohort("bad", made(n=10).ids, frame.assign(word=list("abcdefghij")), made(n=10).time,
                                 made(n=10).event, "days")
        )  # fmt: skip
