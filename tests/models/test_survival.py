from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.clinical import ClinicalRecord, Markers
from data.errors import ClinicalError
from pipelines.config import survival_model
from pipelines.fit_survival import FLAGSHIPS, cohort_table, fit_survival, record_of

STATES = st.sampled_from(["present", "absent", "untested"])


def record(**facts):
    return ClinicalRecord.model_validate({"patient_id": "P1", "age_years": 55, "grade": 3} | facts)


@given(
    age=st.floats(18, 90),
    grade=st.sampled_from([2, 3, 4]),
    kps=st.none() | st.sampled_from(range(40, 101, 10)),
    markers=st.builds(
        Markers, idh_mutation=STATES, codeletion_1p19q=STATES, mgmt_methylation=STATES
    ),
)
def test_survival_starts_at_one_and_never_rises(age, grade, kps, markers):
    curve = survival_model().predict(record(age_years=age, grade=grade, kps=kps), markers)
    for values in (curve.survival.lower, curve.survival.median, curve.survival.upper):
        assert values[0] == pytest.approx(1.0, abs=1e-6)
        assert all(0 <= v <= 1 for v in values)
        assert (np.diff(values) <= 1e-9).all()


def test_older_age_and_wildtype_idh_predict_shorter_survival():
    model = survival_model()
    mutant, wildtype = Markers(idh_mutation="present"), Markers(idh_mutation="absent")

    def at_two_years(markers, **facts):
        return model.predict(record(**facts), markers).survival.median[12]

    assert at_two_years(mutant) > at_two_years(wildtype)
    assert at_two_years(wildtype, age_years=40) > at_two_years(wildtype, age_years=75)


def test_unknowns_are_named_and_never_filled_in():
    curve = survival_model().predict(record(), Markers())
    assert set(curve.unknown) == {"kps", "idh_mutant", "codeleted", "mgmt_methylated"}


@pytest.mark.parametrize("missing", ["age_years", "grade"])
def test_what_training_always_knew_must_be_known(missing):
    with pytest.raises(ClinicalError, match="never shown"):
        survival_model().predict(record(**{missing: None}), Markers())


def test_the_model_was_fitted_without_the_two_demonstration_patients(shared):
    rows = pd.read_csv(shared / "cohorts" / "tcga_glioma_clinical.csv.gz")
    usable = rows[(rows["os_m"] > 0) & rows["dead"].notna()]
    assert set(FLAGSHIPS) <= set(usable["patient"])
    assert len(cohort_table(rows)) == len(usable) - 2 == survival_model().patients


@pytest.mark.slow
def test_fitting_again_gives_the_shipped_coefficients(shared):
    fitted = fit_survival(shared / "cohorts" / "tcga_glioma_clinical.csv.gz")
    shipped = survival_model()
    assert fitted.covariates == shipped.covariates
    assert fitted.fit.coefficients == pytest.approx(shipped.fit.coefficients, abs=1e-4)
    assert fitted.concordance_out_of_fold == pytest.approx(
        shipped.concordance_out_of_fold, abs=1e-3
    )


def test_a_patient_curve_agrees_with_lifelines_on_the_same_fit(shared):
    from pipelines.fit_survival import _fit

    rows = pd.read_csv(shared / "cohorts" / "tcga_glioma_clinical.csv.gz")
    table = cohort_table(rows)
    model = survival_model()
    table = table[[*model.covariates, "months", "dead"]]
    patient = record_of(rows[rows["patient"] == "TCGA-FG-6692"].iloc[0].to_dict())
    ours = model.predict(patient, patient.markers)
    theirs = _fit(table).predict_survival_function(
        pd.DataFrame([ours.covariates]), times=list(ours.months)
    )
    assert ours.survival.median == pytest.approx(theirs.iloc[:, 0].to_numpy(), abs=0.02)
