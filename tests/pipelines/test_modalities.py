"""Late fusion: a modality that is missing stops nobody, one that says nothing adds nothing."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from app.cli import app
from data.cohort import Cohort
from data.errors import CohortError
from models.survival.families.cox import Cox
from models.survival.families.fusion import LateFusion
from models.survival.scores import harrell
from pipelines.modalities import what_each_adds

MODALITIES = {"clinical": ("age",), "molecular": ("marker", "other"), "imaging": ("noise",)}
TIMES = np.array([0.0, 5.0, 15.0, 30.0])


def made(seed=0, n=400, missing=0.4):
    """Age and marker matter, noise does not; imaging is missing of some."""
    rng = np.random.default_rng(seed)
    age, marker = rng.normal(size=n), rng.integers(0, 2, n)
    time = rng.exponential(20 * np.exp(-0.6 * age - 1.0 * marker))
    last = rng.uniform(5, 60, n)
    frame = pd.DataFrame({
        "age": age, "marker": pd.Categorical(np.where(marker, "mutant", "wildtype")),
        "other": rng.normal(size=n), "noise": np.where(rng.random(n) < missing, np.nan, rng.normal(size=n)),
    })  # fmt: skip
    ids = np.array([f"P{i:04d}" for i in range(n)], object)
    return Cohort("made", ids, frame, np.minimum(time, last), (time <= last).astype(int), "months")


@pytest.fixture(scope="module")
def model():
    return LateFusion(MODALITIES).fit(made())


def test_a_patient_without_a_modality_has_a_curve(model):
    new = made(5, 20).covariates
    new.loc[0, ["marker", "other"]] = None
    new.loc[1, "noise"] = np.nan
    curves = model.predict_survival(new, TIMES)
    assert curves[:, 0] == pytest.approx(1)
    assert (np.diff(curves, axis=1) <= 1e-12).all()
    assert np.isfinite(curves).all()
    assert model.present(new).iloc[0].tolist() == [True, False, bool(new["noise"].notna()[0])]


def test_a_missing_modality_lies_between_its_levels(model):
    """A marker that is not known gives neither the better nor the worse curve."""
    base = {"age": 0.0, "other": 0.0, "noise": 0.0}
    rows = [
        base | {"marker": "mutant"},
        base | {"marker": "wildtype"},
        base | {"marker": None, "other": np.nan},
    ]
    frame = pd.DataFrame(rows).astype({"marker": pd.CategoricalDtype(["mutant", "wildtype"])})
    mutant, wildtype, unknown = model.predict_survival(frame, np.array([15.0]))[:, 0]
    assert mutant < unknown < wildtype


def test_fused_scores_do_as_well_as_one_model_of_all(model):
    cohort = made(9, 600)
    fused = harrell(cohort, model.predict_risk(cohort.covariates, 30.0))
    together = harrell(cohort, Cox().fit(made()).predict_risk(cohort.covariates, 30.0))
    assert fused == pytest.approx(together, abs=0.01)


def test_noise_adds_nothing_and_a_marker_does():
    found, told = what_each_adds(made(n=400), MODALITIES, folds=3, repeats=1)
    by_name = {one.name: one for one in told}
    assert by_name["molecular"].adds_concordance.is_told_apart
    assert by_name["molecular"].adds_brier.value < 0
    assert not by_name["imaging"].adds_concordance.is_told_apart
    assert abs(by_name["imaging"].adds_concordance.value) < 0.01
    assert by_name["imaging"].known == pytest.approx(0.6, abs=0.06)
    assert found["all"].mean("uno") > found["only clinical"].mean("uno")


def test_what_cannot_be_fused_is_refused():
    cohort = made()
    with pytest.raises(CohortError, match="has 1 modalities; say of covariates"):
        what_each_adds(cohort, {"clinical": ("age",)})
    gone = Cohort(
        "gone", cohort.ids, cohort.covariates.assign(noise=np.nan), cohort.time, cohort.event, "months"
    )  # fmt: skip
    with pytest.raises(CohortError, match="nothing of imaging is known of any patient"):
        LateFusion(MODALITIES).fit(gone)


def test_the_command_tells_what_each_modality_adds(tmp_path):
    cohort = made(n=120)
    table = cohort.covariates.assign(id=cohort.ids, time=cohort.time, event=cohort.event)
    table.to_csv(tmp_path / "made.csv", index=False)
    kinds = {
        column: {"kind": "category" if column == "marker" else "number", "modality": name}
        for name, columns in MODALITIES.items()
        for column in columns
    }
    dictionary = {
        "name": "made", "file": "made.csv", "id": "id", "time": {"column": "time", "unit": "months"},
        "event": {"column": "event"}, "covariates": kinds,
    }  # fmt: skip
    (tmp_path / "made.yaml").write_text(yaml.safe_dump(dictionary))
    ran = CliRunner().invoke(
        app, ["survival", "modalities", str(tmp_path / "made.yaml"), "--repeats", "1", "--json"]
    )
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert [one["name"] for one in told["modalities"]] == list(MODALITIES)


def test_imaging_adds_little_to_upenn_s_clinical_and_molecular_covariates(shared):
    """227 of 585 patients have CaPTk's features of the necrotic core."""
    from pipelines.public_cohorts import UPENN_MODALITIES, upenn_modalities

    found, told = what_each_adds(upenn_modalities(shared), UPENN_MODALITIES, folds=3, repeats=1)
    by_name = {one.name: one for one in told}
    assert by_name["imaging"].known == pytest.approx(0.388, abs=0.002)
    assert by_name["clinical"].adds_concordance.value > 0.03
    assert abs(by_name["imaging"].adds_concordance.value) < 0.02
    assert found["all"].mean("uno") > 0.6
