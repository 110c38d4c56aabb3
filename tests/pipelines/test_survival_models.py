"""Cohort files with their dictionaries, models in the store, and the commands."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml
from sksurv.svm import FastSurvivalSVM
from typer.testing import CliRunner

from app.cli import app
from data.errors import CohortError, SampleError
from data.io.cohort import read_cohort
from models.survival.bootstrap import bootstrapped
from models.survival.families.cox import Cox
from models.survival.families.registry import FAMILIES
from pipelines.competing_events import incidence_rows
from pipelines.explain_survival import explain
from pipelines.kept_cohorts import kept_cohort
from pipelines.public_cohorts import PUBLIC, write_public
from pipelines.survival_models import fit_and_keep, load_model, predict

DICTIONARY = {
    "name": "made", "file": "made.csv", "id": "patient",
    "time": {"column": "weeks", "unit": "weeks", "zero": "diagnosis"},
    "event": {"column": "status", "codes": {"alive": 0, "dead": 1}, "name": "death"},
    "covariates": {
        "age": {"kind": "number", "unit": "years", "low": 0, "high": 120},
        "stage": {"kind": "category", "levels": ["I", "II"]},
    },
}  # fmt: skip


def table(n=120):
    rng = np.random.default_rng(0)
    age, stage = rng.uniform(40, 80, n), rng.choice(["I", "II"], n)
    time = rng.exponential(60 * np.exp(-0.03 * (age - 60) - 0.7 * (stage == "II")))
    last = rng.uniform(20, 150, n)
    return pd.DataFrame({
        "patient": [f"P{i}" for i in range(n)], "weeks": np.round(np.minimum(time, last), 2),
        "status": np.where(time <= last, "dead", "alive"), "age": np.round(age, 1), "stage": stage,
    })  # fmt: skip


def written(folder, frame=None, dictionary=DICTIONARY):
    frame = table() if frame is None else frame
    path = folder / dictionary["file"]
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    (folder / "made.yaml").write_text(yaml.safe_dump(dictionary))
    return folder / "made.yaml"


def test_csv_and_parquet_are_the_same_cohort(tmp_path):
    one, told = read_cohort(written(tmp_path))
    other, _ = read_cohort(written(tmp_path, dictionary=DICTIONARY | {"file": "made.parquet"}))
    assert (one.time == other.time).all()
    assert (one.event == other.event).all()
    pd.testing.assert_frame_equal(one.covariates, other.covariates)
    assert (one.unit, told.event.name, one.events) == (
        "weeks",
        "death",
        int((table().status == "dead").sum()),
    )


def spoiled(column, value):
    frame = table().astype({"weeks": object, "age": object})
    frame.loc[3, column] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "match"),
    [
        (spoiled("weeks", -1), "P3 has a time below zero: time zero lies after the event"),
        (spoiled("weeks", "soon"), "weeks of P3 is 'soon', which is no number"),
        (spoiled("weeks", ""), "weeks of P3 is missing"),
        (spoiled("status", "lost"), "status of P3 is 'lost'; its codes are alive, dead"),
        (spoiled("age", 190), "age of P3 is 190 years, above 120"),
        (spoiled("age", "old"), "age of P3 is 'old'"),
        (spoiled("stage", "IV"), "stage of P3 is 'IV'; its levels are I, II"),
        (spoiled("patient", "P4"), "patient P4 is there twice"),
        (spoiled("patient", ""), "1 rows have no patient"),
        (table().drop(columns="stage"), "has no column stage, which the data dictionary names"),
    ],
)
def test_a_table_that_breaks_a_rule_is_refused_with_its_patient(tmp_path, frame, match):
    with pytest.raises(CohortError, match=match):
        read_cohort(written(tmp_path, frame))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is no table that can be read"),
        ("# made\n", "is no table that can be read"),
        (
            "patient,weeks,status,age,stage\nP0,60,5,dead,50,I\n",
            "is no table that can be read",
        ),  # 60,5
    ],
)
def test_a_table_whose_rows_do_not_fit_its_header_is_refused(tmp_path, text, match):
    (written(tmp_path).parent / "made.csv").write_text(text)
    with pytest.raises(CohortError, match=match):
        read_cohort(tmp_path / "made.yaml")


def test_a_comma_at_the_end_of_each_row_shifts_nothing(tmp_path):
    path = written(tmp_path)
    made = tmp_path / "made.csv"
    header, *rows = made.read_text().splitlines()
    made.write_text("\n".join([header, *(f"{row}," for row in rows)]))
    cohort, _ = read_cohort(path)
    assert cohort.time.tolist() == table()["weeks"].tolist()


def test_a_cut_gzip_is_refused(tmp_path):
    path = written(tmp_path, dictionary=DICTIONARY | {"file": "made.csv.gz"})
    packed = tmp_path / "made.csv.gz"
    assert len(read_cohort(path)[0]) == 120
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(CohortError, match="is no table that can be read"):
        read_cohort(path)


def test_a_number_sign_is_a_comment_only_before_the_header(tmp_path):
    frame = table()
    frame.loc[3, "patient"] = "#3"
    path = written(tmp_path, frame)
    made = tmp_path / "made.csv"
    plain = made.read_text()
    for encoding in ("utf-8", "utf-8-sig"):
        for text in (plain, f"# made on purpose\n# by hand\n{plain}"):
            made.write_text(text, encoding=encoding)
            cohort, _ = read_cohort(path)
            assert (len(cohort), cohort.ids[3]) == (120, "#3")


def test_who_is_left_out_has_no_outcome_and_a_time_that_is_no_number_is_told(tmp_path):
    told = DICTIONARY | {"without_outcome": "leave out"}
    assert len(read_cohort(written(tmp_path, spoiled("weeks", ""), told))[0]) == 119
    assert len(read_cohort(written(tmp_path, spoiled("weeks", 0), told))[0]) == 119
    with pytest.raises(CohortError, match="weeks of P3 is '12,5', which is no number"):
        read_cohort(written(tmp_path, spoiled("weeks", "12,5"), told))


def test_durations_are_no_numbers_of_a_unit(tmp_path):
    frame = table()
    frame["weeks"] = pd.to_timedelta(frame["weeks"] * 7, unit="D")
    told = DICTIONARY | {"file": "made.parquet"}
    with pytest.raises(CohortError, match="weeks holds dates or durations"):
        read_cohort(written(tmp_path, frame, told))


@pytest.mark.parametrize(("events", "match"), [(0, "has 0 events"), (4, "ask for fewer --folds")])
def test_too_few_events_are_told_and_no_defect(tmp_path, events, match):
    frame = table(60)
    frame["status"] = np.where(np.arange(60) < events, "dead", "alive")
    path = written(tmp_path, frame)
    ran = CliRunner().invoke(
        app, ["survival", "evaluate", str(path), "--family", "Cox", "--folds", "5"]
    )
    assert isinstance(ran.exception, CohortError), ran.exception
    assert match in str(ran.exception)


def test_gaps_are_gaps_and_codes_may_be_numbers(tmp_path):
    frame = table()
    frame["status"] = (frame["status"] == "dead").astype(float)
    frame.loc[5, ["age", "stage"]] = [np.nan, None]
    told = DICTIONARY | {"event": {"column": "status"}}
    cohort, _ = read_cohort(written(tmp_path, frame, told))
    assert cohort.covariates.isna().sum().tolist() == [1, 1]
    assert cohort.events == int(frame["status"].sum())


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_kept_model_predicts_what_it_did(tmp_path, family):
    path, about = fit_and_keep(written(tmp_path), family, tmp_path / "store", refits=0)
    model = load_model(path).fitted.model
    cohort, _ = read_cohort(tmp_path / "made.yaml")
    again = FAMILIES[family]().fit(cohort, rng=np.random.default_rng(0))
    times = np.linspace(0, model.domain_[1], 7)
    assert (
        model.predict_survival(cohort.covariates, times)
        == again.predict_survival(cohort.covariates, times)
    ).all()
    assert about["patients"] == 120


def test_a_kept_model_has_its_band_and_its_cohort_beside_it(tmp_path):
    path, _ = fit_and_keep(written(tmp_path), "Cox", tmp_path / "store", refits=20)
    cohort, _ = read_cohort(tmp_path / "made.yaml")
    model = Cox().fit(cohort)
    again = bootstrapped(model, cohort, 20, rng=np.random.default_rng(0))
    times = np.linspace(1, 60, 5)
    kept = load_model(path).fitted.curves(cohort.covariates, times)
    assert (kept.lower == again.curves(cohort.covariates, times).lower).all()
    beside, told = kept_cohort(tmp_path / "store", "made")
    assert (beside.time == cohort.time).all()
    pd.testing.assert_frame_equal(beside.covariates, cohort.covariates)
    assert told.event.name == "death"


def test_a_cohort_of_the_libraries_is_written_and_read_back(tmp_path):
    cohort, _ = read_cohort(write_public("GBSG2", tmp_path))
    assert (len(cohort), cohort.events) == (686, 299)
    with pytest.raises(SampleError, match=r"no cohort 'GBSG3'; there are GBSG2"):
        write_public("GBSG3", tmp_path)


def test_a_dictionary_may_choose_rows_map_codes_and_name_columns(tmp_path):
    frame = table().rename(columns={"stage": "pT"})
    frame["pT"] = frame["pT"].map({"I": "1", "II": "2"})
    frame.loc[0, "weeks"], frame.loc[1, "status"], frame.loc[2, "pT"] = np.nan, None, "TX"
    codes = {"1": "I", "2": "II", "TX": "unknown"}
    stage = {"kind": "category", "column": "pT", "levels": ["I", "II"], "codes": codes}
    told = DICTIONARY | {
        "covariates": {"stage": stage, "center": {"kind": "category", "constant": "here"}},
        "without_outcome": "leave out", "leave_out": ["P4"], "only": {"patient": "P.?"},
    }  # fmt: skip
    cohort, _ = read_cohort(written(tmp_path, frame, told))
    assert list(cohort.ids) == ["P2", "P3", "P5", "P6", "P7", "P8", "P9"]
    assert cohort.covariates["stage"].isna().tolist() == [True] + [False] * 6
    assert set(cohort.covariates["center"]) == {"here"}
    with pytest.raises(CohortError, match="no row is left"):
        read_cohort(written(tmp_path, frame, told | {"only": {"patient": "Q.*"}}))
    with pytest.raises(CohortError, match="is no pattern"):
        read_cohort(written(tmp_path, frame, told | {"only": {"patient": "("}}))


def test_a_file_with_anything_else_in_it_is_refused(tmp_path):
    foreign = tmp_path / "foreign.skops"
    skops.io.dump({"model": FastSurvivalSVM(), "about": "{}"}, foreign)
    with pytest.raises(CohortError, match="which no model of this project has"):
        load_model(foreign)
    foreign.write_bytes(b"PK nothing")
    with pytest.raises(CohortError, match="is no survival model, or damaged"):
        load_model(foreign)
    with pytest.raises(CohortError, match="there is no such model"):
        load_model(tmp_path / "none.skops")


def test_a_patient_unlike_all_others_gets_no_number_and_a_gap_is_told(tmp_path):
    fit_and_keep(written(tmp_path), "Cox", tmp_path / "store", refits=20)
    new = pd.DataFrame(
        {"patient": ["A", "B", "C"], "age": [60, 101, np.nan], "stage": ["I", "II", "II"]}
    )
    new.to_csv(tmp_path / "new.csv", index=False)
    _, found = predict("made", tmp_path / "new.csv", tmp_path / "store", (10.0, 30.0))
    known, outside, gap = found
    assert 0 < known.survival[30.0][0] < known.survival[10.0][0] < 1
    assert all(low < value < high for value, low, high in known.survival.values())
    assert (outside.survival, outside.median) == ({}, (None, None, None))
    assert "age is 101, the fit's patients had" in outside.remark
    assert gap.unknown == ("age",)
    assert gap.survival == {}
    assert "age is not known, and was of every patient of the fit" in gap.remark


def test_who_has_lived_has_the_curve_of_those_who_lived(tmp_path):
    fit_and_keep(written(tmp_path), "Cox", tmp_path / "store", refits=20)
    table().head(1).to_csv(tmp_path / "new.csv", index=False)
    asked = "made", tmp_path / "new.csv", tmp_path / "store", (20.0, 40.0)
    _, (at_start,) = predict(*asked)
    _, (later,) = predict(*asked, lived=20.0)
    assert later.survival[20.0] == (1.0, 1.0, 1.0)
    told = at_start.survival[40.0][0] / at_start.survival[20.0][0]
    assert later.survival[40.0][0] == pytest.approx(told)
    with pytest.raises(CohortError, match="of patients who lived 30"):
        predict(*asked, lived=30.0)
    with pytest.raises(CohortError, match="1000 weeks lived is asked for"):
        predict(*asked, lived=1000.0)


def test_times_that_nobody_was_followed_for_are_refused(tmp_path):
    fit_and_keep(written(tmp_path), "Cox", tmp_path / "store", refits=0)
    table().head(1).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(CohortError, match="which its patients were followed"):
        predict("made", tmp_path / "new.csv", tmp_path / "store", (1e6,))


def test_the_commands_fit_evaluate_and_predict(tmp_path):
    dictionary, store = written(tmp_path), tmp_path / "store"

    def run(*words):
        ran = CliRunner().invoke(app, ["survival", *map(str, words)])
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    told = json.loads(
        run("fit", dictionary, "--family", "Cox", "--refits", 20, "--store", store, "--json")
    )
    assert told["unit"] == "weeks"
    table().head(4).to_csv(tmp_path / "new.csv", index=False)
    answer = json.loads(
        run("predict", "made", tmp_path / "new.csv", "--at", 20, "--store", store, "--json")
    )
    assert [one["id"] for one in answer["patients"]] == ["P0", "P1", "P2", "P3"]
    shown = run("predict", "made", tmp_path / "new.csv", "--at", 20, "--store", store)
    assert "probability of no death" in " ".join(shown.split())
    asked = (
        "evaluate",
        dictionary,
        "--family",
        "Cox",
        "--family",
        "Kaplan-Meier",
        "--at",
        30,
        "--at",
        1,
    )
    found = json.loads(run(*asked, "--json"))["families"]
    assert found["Cox"]["uno"]["mean"] > found["Kaplan-Meier"]["uno"]["mean"] == 0.5
    assert (
        abs(
            found["Cox"]["calibration"]["30"]["predicted"]
            - found["Cox"]["calibration"]["30"]["observed"]
        )
        < 0.1
    )
    assert "needs 20 events" in found["Cox"]["calibration"]["1"]
    assert 0.5 < found["Cox"]["calibration"]["30"]["auc"] < 1
    assert found["Kaplan-Meier"]["calibration"]["30"]["auc"] == 0.5
    assert "Calibration and AUC of out-of-fold predictions" in run(*asked)
    better = json.loads(run(*asked, "--optimism", 5, "--json"))["families"]["Cox"]["optimism"]
    assert better["harrell"]["corrected"] == pytest.approx(
        better["harrell"]["apparent"] - better["harrell"]["optimism"]
    )
    assert "5 draws" in run(*asked, "--optimism", 5)


def test_what_drives_a_curve_is_told_for_every_family(tmp_path):
    dictionary, store = written(tmp_path), tmp_path / "store"
    fit_and_keep(dictionary, "Cox", store, refits=0)
    rows = table().head(2)
    pd.concat([rows, rows.head(1).assign(patient="old", age=101)]).to_csv(
        tmp_path / "new.csv", index=False
    )
    _, (first, second, outside) = explain("made", tmp_path / "new.csv", store, 30.0)
    for one in (first, second):
        assert one.mean + sum(share.share for share in one.shares) == pytest.approx(one.survival)
    assert outside.outside
    assert (outside.shares, outside.survival) == ((), None)
    asked = [
        "survival",
        "explain",
        "made",
        str(tmp_path / "new.csv"),
        "--at",
        "30",
        "--store",
        str(store),
    ]
    shown = " ".join(CliRunner().invoke(app, asked).output.split())
    assert "points" in shown
    assert "no number" in shown
    told = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)["patients"]
    assert told[0]["shares"][0]["share"] == first.shares[0].share
    with pytest.raises(CohortError, match="tells times above 0"):
        explain("made", tmp_path / "new.csv", store, 0.0)
    with pytest.raises(CohortError, match="is a file, and its cohort is not there"):
        explain(str(store / "survival" / "made.skops"), tmp_path / "new.csv", tmp_path, 30.0)


def test_public_cohorts_are_what_they_are_known_to_be():
    """Patients and events as published with each."""
    known = {"GBSG2": (686, 299), "WHAS500": (500, 215), "veterans": (137, 128), "GSE7390": (198, 51),
             "AIDS": (1151, 96), "lung": (228, 165), "rossi": (432, 114)}  # fmt: skip
    assert {
        name: (len(c), c.events) for name, c in ((n, make()) for n, make in PUBLIC.items())
    } == known


def test_competing_events_are_told_by_group(tmp_path):
    frame = table()
    frame.loc[frame["status"].eq("alive") & (frame.index % 2 == 0), "status"] = "other"
    event = {"column": "status", "codes": {"alive": 0, "dead": 1, "other": 2}, "name": "death"}
    dictionary = written(tmp_path, frame, DICTIONARY | {"event": event})
    asked = ["survival", "incidence", str(dictionary), "--at", "20", "--by", "stage", "--json"]
    ran = CliRunner().invoke(app, asked)
    assert ran.exit_code == 0, ran.output
    rows = json.loads(ran.stdout)["rows"]
    assert [row["group"] for row in rows] == ["stage: I", "stage: II"]
    for row in rows:
        assert row["event"] + row["competing"] + row["neither"] == pytest.approx(1)
        assert row["naive"] >= row["event"] > 0
    assert "competing event" in CliRunner().invoke(app, asked[:-1]).stdout
    with pytest.raises(CohortError, match="age is a number"):
        incidence_rows(dictionary, (20.0,), "age")
    with pytest.raises(CohortError, match="followed for 0 to"):
        incidence_rows(dictionary, (1e5,))


def test_the_shipped_models_tell_what_they_want_to_know_and_answer(tmp_path):
    def run(*words):
        ran = CliRunner().invoke(app, ["survival", *map(str, words)])
        return ran.exit_code, " ".join(ran.output.split())

    told = json.loads(run("models", "--json", "--store", tmp_path)[1])
    assert {one["name"] for one in told["shipped"]} >= {"glioma", "lung", "breast-gbsg2"}
    assert "grade" in run("models", "glioma")[1]
    row = {"patient": "A", "age": 63, "sex": "male", "grade": "G4", "kps": 80, "idh": "wildtype", "codel": "",
           "mgmt": "methylated", "tert": "", "gain7_loss10": ""}  # fmt: skip
    pd.DataFrame([row, row | {"patient": "B", "age": 95}]).to_csv(tmp_path / "new.csv", index=False)
    code, shown = run("predict", "glioma", tmp_path / "new.csv", "--at", 12, "--store", tmp_path)
    assert code == 0, shown
    assert "no number" in shown
    code, shown = run("explain", "glioma", tmp_path / "new.csv", "--at", 12, "--store", tmp_path)
    assert code == 0, shown
    assert "Factors multiply" in shown
    with pytest.raises(
        CohortError, match=r"no survival model 'lungs': .* has none, shipped are breast-gbsg2"
    ):
        predict("lungs", tmp_path / "new.csv", tmp_path, ())
