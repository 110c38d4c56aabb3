from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from data.errors import ClinicalError, RegimenError, StudyError
from data.io.structured import read_clinical, read_regimen
from data.io.study import read_study
from data.timeline import Event, Timeline
from data.treatment import Cycle, Fraction, Regimen
from models.inference.prior import beliefs
from pipelines.config import find_regimen, regimen_names, twin_prior


def test_a_study_with_an_unknown_key_names_it(make_study):
    with pytest.raises(StudyError, match=r"sequnces.*not known"):
        read_study(make_study(sequnces=1))


def test_a_study_that_names_a_missing_file_says_which(make_study):
    with pytest.raises(StudyError, match=r"gone\.vcf"):
        read_study(make_study(variants={"file": "gone.vcf"}))


def test_a_study_with_an_unknown_sequence_lists_the_known_ones(make_study):
    with pytest.raises(StudyError, match=r"t1gd.*flair"):
        read_study(make_study(scans=[{"sequences": {"t1gd": "t1c.nii.gz"}}]))


def test_a_folder_without_a_study_says_how_to_start(tmp_path):
    with pytest.raises(StudyError, match="study init"):
        read_study(tmp_path)


def test_yaml_and_csv_give_the_same_record(tmp_path):
    (tmp_path / "r.yaml").write_text(
        "patient_id: P1\nage_years: 61\nsex: male\nmarkers: {mgmt_methylation: present}\n"
    )
    (tmp_path / "r.csv").write_text(
        "patient_id,age_years,sex,kps,mgmt_methylation\nP0,1,male,,\nP1,61,male,,present\n"
    )
    assert read_clinical(tmp_path / "r.yaml", "P1") == read_clinical(tmp_path / "r.csv", "P1")


def test_a_record_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "r.yaml").write_text("patient_id: P2\n")
    with pytest.raises(ClinicalError, match=r"'P2'.*'P1'"):
        read_clinical(tmp_path / "r.yaml", "P1")


@pytest.mark.parametrize("line", ["age_years: -3", "kps: 400", "grade: 7", "height: 170"])
def test_a_value_out_of_range_names_its_key(tmp_path, line):
    (tmp_path / "r.yaml").write_text(f"patient_id: P1\n{line}\n")
    with pytest.raises(ClinicalError, match=line.split(":")[0]):
        read_clinical(tmp_path / "r.yaml", "P1")


def course(**changes):
    radiotherapy = {"fractions": 30, "dose_per_fraction_gy": 2.0, "start_day": 0} | changes
    return {"name": "x", "radiotherapy": [radiotherapy]}


@pytest.mark.parametrize(
    ("plan", "rule"),
    [
        (course(dose_per_fraction_gy=-2.0), "greater than or equal to 0"),
        (course(dose_per_fraction_gy=float("nan")), "finite"),
        (course(fractions=1_000_000), "less than or equal to 200"),
        (course(dose=3), "not known"),
        (
            {
                "name": "x",
                "drugs": [
                    {
                        "drug": "temozolomide",
                        "dose_mg_m2": 75,
                        "start_day": 0,
                        "days_per_cycle": 42,
                        "cycles": 2,
                        "every_days": 28,
                    }
                ],
            },
            "cycles overlap",
        ),
    ],
)
def test_a_regimen_that_breaks_a_rule_says_which(tmp_path, plan, rule):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(plan))
    with pytest.raises(RegimenError, match=rf"mine\.yaml.*{rule}"):
        read_regimen(path)


def test_too_many_fractions_over_several_courses_are_refused():
    with pytest.raises(ValidationError, match="at most 200"):
        Regimen(name="x", fractions=tuple(Fraction(day=n, dose_gy=1) for n in range(201)))


def test_two_courses_on_the_same_days_are_refused():
    with pytest.raises(ValidationError, match="same time, day 3"):
        Regimen(name="x", fractions=(Fraction(day=3, dose_gy=2), Fraction(day=3, dose_gy=2)))
    twice_a_day = (Fraction(day=3, dose_gy=1.5), Fraction(day=3.25, dose_gy=1.5))
    assert Regimen(name="x", fractions=twice_a_day).total_dose_gy == 3.0


def test_cycles_of_two_drugs_may_overlap():
    cycles = [Cycle(drug=d, start_day=0, days=5, dose_mg_m2=1) for d in ("a", "b")]
    assert len(Regimen(name="x", cycles=tuple(cycles)).cycles) == 2


@pytest.mark.parametrize("name", regimen_names())
def test_every_shipped_regimen_is_valid_and_cites_its_source(name):
    assert find_regimen(name).source


def test_stupp_is_sixty_gray_on_weekdays_with_42_and_30_days_of_temozolomide():
    stupp = find_regimen("stupp")
    assert stupp.total_dose_gy == 60.0
    assert {int(f.day - 28) % 7 for f in stupp.fractions} == {0, 1, 2, 3, 4}
    assert sum(c.days for c in stupp.cycles) == 42 + 6 * 5


@pytest.mark.parametrize(
    "name", ["glioblastoma", "oligodendroglioma", "astrocytoma-idh-mutant", "glioma"]
)
def test_every_prior_is_valid_and_says_where_its_numbers_are_from(name):
    prior = twin_prior(name)
    assert prior.kind == name
    assert all(belief.source for _, belief in beliefs(prior))


@given(st.lists(st.floats(-1e4, 1e4), max_size=8))
def test_a_timeline_is_in_order_of_days(days):
    timeline = Timeline(events=tuple(Event(day=d, kind="imaging", text="x") for d in days))
    assert [e.day for e in timeline.events] == sorted(days)
