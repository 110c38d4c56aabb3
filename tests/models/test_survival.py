"""Shipped survival models: plain numbers that give what was fitted, and know whom they do not know."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.clinical import ClinicalRecord, Markers
from data.cohort import Covariate
from data.errors import ClinicalError, CohortError
from models.survival.bootstrap import bootstrapped
from models.survival.families.cox import Cox
from models.survival.simulated import simulated
from pipelines.config import survival_model, survival_models
from pipelines.ship_survival import plain, ship, shipped_config, shipped_names
from pipelines.sites.glioma import survival_covariates

TABLES = {
    "glioma": "tcga_glioma_clinical.csv.gz", "lung": "tcga_luad_clinical.csv.gz",
    "breast-metabric": "metabric_deepsurv9.csv",
}  # fmt: skip
STATES = st.sampled_from(["present", "absent", "untested"])


def record(**facts):
    return ClinicalRecord.model_validate(
        {"patient_id": "P1", "age_years": 55, "grade": 3, "sex": "female"} | facts
    )


def predicted(markers=None, **facts):
    told = record(**facts, markers=markers or Markers())
    return survival_model("glioma").predict(survival_covariates(told))


def patient_of(name):
    """A patient with the middle of every number and the first level of every category."""
    seen = survival_model(name).seen
    return {
        c: one.levels[0] if one.levels else (one.low + one.high) / 2 if c != "pnodes" else 3.0
        for c, one in seen.items()
    }


@settings(max_examples=60, deadline=None)
@given(
    age=st.floats(18, 85),
    grade=st.sampled_from([2, 3, 4]),
    kps=st.none() | st.sampled_from(range(50, 101, 10)),
    markers=st.builds(
        Markers, idh_mutation=STATES, codeletion_1p19q=STATES, mgmt_methylation=STATES
    ),
)
def test_survival_starts_at_one_and_never_rises(age, grade, kps, markers):
    try:
        curve = predicted(markers, age_years=age, grade=grade, kps=kps)
    except ClinicalError as error:
        assert "unlike those of every patient" in str(error)  # noqa: PT017  # of some there is no number
        return
    for values in (curve.survival.lower, curve.survival.median, curve.survival.upper):
        assert values[0] == 1.0
        assert all(0 <= v <= 1 for v in values)
        assert (np.diff(values) <= 1e-9).all()


def test_older_age_and_wildtype_idh_predict_shorter_survival():
    mutant, wildtype = Markers(idh_mutation="present"), Markers(idh_mutation="absent")

    def at_two_years(markers, **facts):
        return predicted(markers, **facts).survival.median[12]

    assert at_two_years(mutant) > at_two_years(wildtype)
    assert at_two_years(wildtype, age_years=40) > at_two_years(wildtype, age_years=75)


def test_unknowns_are_named():
    assert set(predicted().unknown) == {
        "Karnofsky performance status", "IDH", "1p/19q", "MGMT promoter", "TERT promoter", "+7/-10",
    }  # fmt: skip


@pytest.mark.parametrize("missing", ["age_years", "grade", "sex"])
def test_what_training_always_knew_must_be_known(missing):
    with pytest.raises(ClinicalError, match="is not known, and was of every patient of the fit"):
        predicted(**{missing: None})


def test_a_patient_beyond_all_of_the_fit_has_no_number():
    with pytest.raises(ClinicalError, match=r"age is 101, the fit's patients had 10 to 89"):
        predicted(age_years=101)


@pytest.mark.parametrize("name", survival_models())
def test_drivers_multiply_to_the_hazard_ratio_of_the_curve(name):
    model = survival_model(name)
    patient = patient_of(name)
    prediction = model.predict(patient)
    ratio = np.prod([driver.hazard_ratio for driver in prediction.drivers])
    hazard = -np.log(prediction.survival.median[5])
    assert hazard / model.fit.baseline[5] == pytest.approx(ratio, rel=1e-3)
    assert all(d.low <= d.hazard_ratio <= d.high for d in prediction.drivers)


@pytest.mark.parametrize("name", survival_models())
def test_each_shipped_model_has_a_configuration_and_a_card_without_a_blank_item(name):
    from pipelines.config import SURVIVAL_MODELS

    card = (SURVIVAL_MODELS / f"{name}.md").read_text()
    for item in (
        "1 Title",
        "3c Health",
        "9 Predictors",
        "14 Fairness",
        "23a Performance",
        "27 Usability",
    ):
        assert f"**{item}" in card
    blocks = card.split("\n**")[1:]
    assert len(blocks) == 37
    assert all(len(block.split(".** ", 1)[1].strip()) > 4 for block in blocks)
    assert name in shipped_names()
    assert shipped_config(name).title == survival_model(name).title


def test_a_ratio_is_that_of_two_patients_who_differ_in_one_covariate():
    model = survival_model("glioma")
    base = patient_of("glioma")
    for covariate, level, against in (
        ("idh", "wildtype", "mutant"), ("idh", "unknown", "wildtype"), ("codel", "unknown", "intact"),
        ("codel", "codeleted", "intact"), ("gain7_loss10", "unknown", "absent"),
    ):  # fmt: skip
        asked = None if level == "unknown" else level
        pair = [model.frame(base | {covariate: value}) for value in (asked, against)]
        logs = [model.parts(frame).sum() for frame in pair]
        told = model.ratio_of(covariate, level, against)
        assert told.hazard_ratio == pytest.approx(np.exp(logs[0] - logs[1]), rel=1e-4)
    assert model.ratio_of("age", None, None).hazard_ratio > 1


def test_an_unknown_model_is_refused_by_name():
    with pytest.raises(CohortError, match="no shipped survival model 'kidney'; there are breast"):
        survival_model("kidney")
    with pytest.raises(CohortError, match="no survival model 'kidney' to fit"):
        shipped_config("kidney")


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_plain_numbers_give_the_curves_of_the_family_and_its_refits(share):
    """With gaps that are rare, and gaps that have a term of their own."""
    cohort = simulated(200, np.random.default_rng(1)).cohort
    rng = np.random.default_rng(2)
    for column in ("age", "group"):
        cohort.covariates.loc[rng.random(200) < share, column] = None
    model = Cox().fit(cohort)
    fitted = bootstrapped(model, cohort, 20, rng=rng)
    config = shipped_config("glioma").model_copy(update={"end_months": 40.0})
    told = {"age": "number", "noise": "number", "group": "category"}
    covariates = {name: Covariate(kind=kind) for name, kind in told.items()}
    dictionary = config.cohort.model_copy(update={"covariates": covariates})
    config = config.model_copy(update={"cohort": dictionary})
    about = {"name": "made", "concordance_out_of_fold": 0.7, "sha256": "0"}
    numbers = plain(about, config, cohort, fitted)
    times = np.array([2.0, 10.0, 30.0])  # of the model's own grid
    ours = numbers.curves(cohort.covariates, times)
    theirs = fitted.curves(cohort.covariates, times)
    assert ours.middle == pytest.approx(theirs.middle, abs=1e-5)
    known = cohort.covariates.notna().all(axis=1).to_numpy()
    assert ours.lower[known] == pytest.approx(theirs.lower[known], abs=1e-5)
    # what is not known counts as the mean of each refit's own patients there
    assert ours.lower == pytest.approx(theirs.lower, abs=0.03)
    assert numbers.outside(cohort.covariates) == fitted.outside(cohort.covariates)
    parts = model.contributions(cohort.covariates)[list(numbers.covariates)].to_numpy()
    assert numbers.parts(cohort.covariates) == pytest.approx(parts, abs=1e-5)


def test_the_glioma_model_was_fitted_without_the_two_demonstration_patients(shared):
    rows = pd.read_csv(shared / "cohorts" / "tcga_glioma_clinical.csv.gz")
    usable = rows[(rows["os_m"] > 0) & rows["dead"].notna()]
    flagships = set(shipped_config("glioma").cohort.leave_out)
    assert flagships == {"TCGA-DU-7294", "TCGA-FG-6692"}
    assert flagships <= set(usable["patient"])
    assert len(usable) - 2 == survival_model("glioma").patients


@pytest.mark.slow
@pytest.mark.parametrize("name", ["glioma", "lung"])
def test_fitting_again_gives_the_shipped_numbers(shared, name):
    validation = shared / "cohorts" / "UPENN-GBM_clinical_info_v2.1.csv"
    made = ship(
        name, shared / "cohorts" / TABLES[name], validation=validation if name == "glioma" else None,
        quick=True,
    )  # fmt: skip
    shipped = survival_model(name)
    assert made.model.terms == shipped.terms
    assert made.model.fit.coefficients == pytest.approx(shipped.fit.coefficients, abs=1e-4)
    if made.external is not None:
        assert made.external.harrell.value >= 0.63
        assert abs(made.external.at[12.0].error.value) <= 0.05
        assert made.scores["Cox"].mean("uno") >= 0.795
        assert made.scores["Cox"].mean("brier") <= 0.122


def test_the_demonstration_patients_have_curves_like_their_outcomes(shared):
    """DU-7294 was alive at 2,869 days; FG-6692, IDH-wildtype, died at 561 (shared/data/README.md)."""
    from pipelines.tcga_glioma import record_of

    rows = pd.read_csv(shared / "cohorts" / "tcga_glioma_clinical.csv.gz").set_index(
        "patient", drop=False
    )
    curves = {}
    for patient in ("TCGA-DU-7294", "TCGA-FG-6692"):
        told = survival_covariates(record_of(rows.loc[patient].to_dict()))
        curves[patient] = survival_model("glioma").predict(told)
    lived, died = curves.values()
    assert lived.median_low is None or lived.median_low > 2869 / 30.4375
    assert died.median_low <= 561 / 30.4375 <= 1.6 * died.median_months
