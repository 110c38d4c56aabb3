"""A patient followed in silico: calibrated by its own scans, and tried on the last; and the coverage study."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from data.errors import StudyError
from data.store import AvatarStore
from data.timeline import Event, Timeline
from data.treatment import Regimen
from models.inference.calibration import update
from models.spatial import parameters_of
from pipelines.assemble import run_study
from pipelines.calibrate import calibrated_twin, calibration_of, why_not
from pipelines.config import twin_prior
from pipelines.coverage import study_coverage
from pipelines.insilico import FOLLOWED, FOLLOWED_DAYS, write_followed_study
from pipelines.space import ENSEMBLE_MM, spatial_twin_of, tumor_in_space

GROUP = pytest.mark.xdist_group("followed")


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("followed")
    study = write_followed_study(folder / "study")
    with AvatarStore(folder / "store") as store:
        yield study, store, run_study(study, store)


@pytest.mark.slow
@GROUP
def test_follow_up_calibrates_the_avatar_and_survives_json(followed):
    _, _, avatar = followed
    learned = avatar.calibration
    assert learned.days == FOLLOWED_DAYS
    velocity = next(p for p in learned.parameters if p.name == "velocity")
    assert velocity.contraction > 0.5
    assert velocity.prior[0] < velocity.posterior[0] < velocity.posterior[2] < velocity.prior[2]
    assert learned.misfit < 2.0
    assert "calibrated on 4 scans" in avatar.provenance[-1].note
    assert type(avatar).from_json(avatar.to_json()) == avatar


@pytest.mark.slow
@GROUP
def test_the_last_scan_is_in_the_band_of_the_scans_before_it(followed):
    _, _, avatar = followed
    assert [test.region for test in avatar.calibration.backtest] == ["WT", "TC"]
    for test in avatar.calibration.backtest:
        low, middle, high = test.forecast_mm3
        assert low <= test.seen_mm3 <= high
        assert low < middle < high < 4.0 * low
        assert test.last_value_mm3 < test.exponential_mm3


@pytest.mark.slow
@GROUP
def test_members_of_the_calibration_are_what_the_simulation_runs(followed):
    _, store, avatar = followed
    prior = twin_prior(avatar.prior_class)
    tumor = tumor_in_space(store, avatar.latest_scan, prior, voxel_mm=ENSEMBLE_MM)
    drawn = spatial_twin_of(tumor, prior, avatar.record.markers)
    twin = calibrated_twin(drawn, avatar.calibration)
    assert parameters_of(twin)[:, :2] == pytest.approx(np.array(avatar.calibration.members)[:, :2])
    assert np.array_equal(twin.shift_mm, drawn.shift_mm)
    few = spatial_twin_of(tumor, prior, avatar.record.markers, members=5)
    with pytest.raises(ValueError, match="100 calibrated members for an ensemble of 5"):
        calibrated_twin(few, avatar.calibration)


@pytest.mark.slow
@GROUP
def test_a_new_scan_updates_the_members_instead_of_starting_again(followed, monkeypatch):
    _, store, avatar = followed
    rest = (store, avatar.scans, avatar.record.markers, twin_prior(avatar.prior_class), None)
    days: list[float] = []

    def watched(before, scan, **others):
        days.extend(scan.days)
        return update(before, scan, **others)

    monkeypatch.setattr("pipelines.calibrate.update", watched)
    assert calibration_of(*rest) == avatar.calibration
    assert days == []  # all of it is in the store
    later = avatar.scans[-1].measured("WT").model_copy(update={"volume_mm3": 9e4})
    changed = avatar.scans[-1].model_copy(update={"measurements": (later,)})
    found = calibration_of(store, (*avatar.scans[:-1], changed), *rest[2:])
    assert days == [FOLLOWED_DAYS[-1]]
    assert found.members != avatar.calibration.members


@pytest.mark.slow
@GROUP
def test_every_scan_has_a_rank_among_the_members(followed):
    _, _, avatar = followed
    learned = avatar.calibration
    for region in ("WT", "TC"):
        assert len(learned.ranks[region]) == len(learned.fitted_mm3[region]) == 3
        assert all(0.0 < rank < 1.0 for rank in learned.ranks[region])


@pytest.mark.slow
@GROUP
def test_the_quick_way_agrees_with_the_ensemble(followed):
    _, store, avatar = followed
    quick = calibration_of(
        store,
        avatar.scans,
        avatar.record.markers,
        twin_prior(avatar.prior_class),
        None,
        method="laplace",
    )
    for name in ("velocity", "infiltration"):
        one, other = (
            next(p for p in c.parameters if p.name == name) for c in (avatar.calibration, quick)
        )
        assert np.log(one.posterior[1] / other.posterior[1]) == pytest.approx(0.0, abs=0.25)


@pytest.mark.slow
@GROUP
def test_treatment_between_scans_must_be_given(followed):
    _, _, avatar = followed
    surgery = Timeline(events=(Event(day=10, kind="surgery", text="Resection"),))
    reason = why_not(avatar.scans, surgery, None)
    assert "Resection, day 10" in reason
    assert "'given' in study.yaml" in reason
    assert why_not(avatar.scans, surgery, Regimen(name="known")) is None
    assert "no follow-up" in why_not(avatar.scans[:1], surgery, None)
    before = Timeline(events=(Event(day=-5, kind="surgery", text="Biopsy"),))
    assert why_not(avatar.scans, before, None) is None
    drug = Event(day=-60, end_day=100, kind="drug", text="Temozolomide")
    course = Event(day=-20, kind="radiotherapy", text="Radiotherapy")  # of up to seven weeks
    for event in (drug, course):
        reason = why_not(avatar.scans, Timeline(events=(event,)), None)
        assert (
            f"{event.text}, day {event.day:g}" in reason
        )  # it reaches into the time between the scans
    over = (drug.model_copy(update={"end_day": -1.0}), course.model_copy(update={"day": -60.0}))
    assert why_not(avatar.scans, Timeline(events=over), None) is None
    blind = tuple(s.model_copy(update={"tissue": None}) for s in avatar.scans)
    assert "no tissue map" in why_not(blind, Timeline(), None)


def test_a_study_may_name_the_treatment_between_its_scans(make_study, tmp_path):
    folder = make_study(given="given.yaml")
    with pytest.raises(StudyError, match=r"names given\.yaml"):
        run_study(folder, AvatarStore(tmp_path / "unused"))
    (folder / "given.yaml").write_text(yaml.safe_dump({"name": "Surgery alone"}))
    with AvatarStore(tmp_path / "store") as store:
        avatar = run_study(folder, store)
    assert avatar.calibration is None
    assert any("no follow-up scan has calibrated it" in p.note for p in avatar.provenance)


def test_the_followed_patient_is_in_silico_and_says_so(tmp_path):
    study = yaml.safe_load((write_followed_study(tmp_path) / "study.yaml").read_text())
    assert study["origin"] == "in-silico"
    assert study["patient_id"] == FOLLOWED
    assert [scan["day"] for scan in study["scans"]] == list(FOLLOWED_DAYS)


@pytest.mark.slow
def test_bands_hold_most_held_out_volumes_and_the_twin_beats_simple_forecasts():
    """A small run of 'avatar reproduce coverage', whose full table is docs/COVERAGE.md."""
    study = study_coverage(patients=8, members=60, seed=7)
    assert len(study.held_out) == 8 * 2 * 2
    assert study.coverage > 0.75
    errors = study.errors()
    assert errors["twin"] < errors["exponential"] < errors["last value"]
    assert sum(study.rank_histogram()) == len(study.held_out)
    low, high = study.coverage_interval()
    assert low <= study.coverage <= high
    assert study.contraction["log velocity"] > 0.5
    assert study_coverage(patients=1, members=20, seed=3) == study_coverage(
        patients=1, members=20, seed=3
    )
