"""What a regimen does to each member: radiotherapy, drugs and the clock of growth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.clinical import Markers
from data.errors import RegimenError
from data.treatment import Cycle, Fraction, Regimen
from models.growth.clock import GrowthClock, Pace
from models.inference.prior import LogKillPrior
from models.markers import OWNERS, require_owner
from models.response.emax import Emax
from models.response.ensemble import Repopulation, Response
from models.response.growth_modulation import GrowthModulation
from models.response.log_kill import LogKill
from models.response.registry import DRUG_EFFECTS
from pipelines.config import twin_prior

ONE = np.ones(2)
EFFECTS = {
    "emax": Emax(2.0 * ONE, 150.0 * ONE),
    "growth-modulation": GrowthModulation(0.4 * ONE, 40.0),
    "log-kill": LogKill(1e-3 * ONE),
}


def response(**changes) -> Response:
    return Response(0.12 * ONE, 8.0 * ONE, EFFECTS, **changes)


def course(*days: float, dose: float = 2.0) -> Regimen:
    return Regimen(name="x", fractions=tuple(Fraction(day=d, dose_gy=dose) for d in days))


def cycle(drug: str, dose: float, days: int = 5, start: float = 0.0) -> Cycle:
    unit = "dose_mg" if drug == "growth-modulation" else "dose_mg_m2"
    return Cycle(drug=drug, start_day=start, days=days, **{unit: dose})


def test_the_tests_know_every_registered_effect():
    assert {kind: type(effect) for kind, effect in EFFECTS.items()} == DRUG_EFFECTS


@pytest.mark.parametrize("kind", sorted(DRUG_EFFECTS))
@given(less=st.floats(0, 300), extra=st.floats(0, 300))
def test_no_effect_revives_cells_speeds_growth_or_falls_with_the_dose(kind, less, extra):
    if kind == "growth-modulation":
        less, extra = 40.0, 0.0
    low, high = (EFFECTS[kind].log_kill(cycle(kind, d)) for d in (less, less + extra))
    assert (low >= 0).all()
    assert (high >= low).all()
    assert (EFFECTS[kind].growth_factor(cycle(kind, less)) <= 1).all()


@pytest.mark.parametrize("kind", sorted(DRUG_EFFECTS))
def test_the_median_of_an_effect_is_one_member_of_it(kind):
    middle = EFFECTS[kind].median()
    given_ = cycle(kind, 40.0)
    assert middle.log_kill(given_) == pytest.approx(EFFECTS[kind].log_kill(given_)[:1])


def test_emax_is_a_log_kill_at_small_doses_and_saturates():
    effect = EFFECTS["emax"]
    assert effect.log_kill(cycle("emax", 0.01))[0] == pytest.approx(0.01 * 2 / 150, rel=1e-3)
    assert effect.log_kill(cycle("emax", 10_000))[0] == pytest.approx(2.0, rel=0.02)


def test_growth_modulation_is_known_at_its_one_dose_only():
    with pytest.raises(ValueError, match="at 40 mg a day only, the dose is 20 mg"):
        EFFECTS["growth-modulation"].growth_factor(cycle("growth-modulation", 20.0))
    regimen = Regimen(name="half", cycles=(cycle("growth-modulation", 20.0),))
    with pytest.raises(RegimenError, match="half: growth-modulation"):
        response().clock(regimen)


def test_a_dose_in_mg_is_refused_where_the_effect_is_per_square_meter():
    regimen = Regimen(name="x", cycles=(Cycle(drug="log-kill", start_day=0, days=1, dose_mg=100),))
    with pytest.raises(RegimenError, match="give dose_mg_m2"):
        response().doses(regimen)


def test_fractions_far_apart_are_linear_quadratic_and_half_a_dose_leaves_less_than_half():
    (kill,) = response().fractions(course(1.0))
    assert kill.log_kill[0] == pytest.approx(0.12 * 2 + 0.015 * 4)
    half = kill.linear * 0.5 + kill.quadratic * 0.25
    assert half[0] == pytest.approx(0.12 * 1 + 0.015 * 1)


def test_incomplete_repair_adds_what_thames_says():
    # Thames 1985: two fractions T apart gain 2 beta d^2 exp(-mu T); half-time 1.5 h, T 6 h: 1/16.
    first, second = response(repair_half_time_h=1.5).fractions(course(0.0, 0.25))
    assert first.log_kill[0] == pytest.approx(0.12 * 2 + 0.015 * 4)
    assert second.log_kill[0] - first.log_kill[0] == pytest.approx(2 * 0.015 * 4 / 16)
    together = response(repair_half_time_h=1e9).fractions(course(0.0, 0.25))
    whole = 0.12 * 4 + 0.015 * 16
    assert sum(k.log_kill[0] for k in together) == pytest.approx(whole)


def test_the_clock_goes_slower_under_a_drug_and_faster_from_the_kick_off():
    regimen = Regimen(
        name="x",
        cycles=(cycle("growth-modulation", 40.0, days=10, start=5.0),),
        fractions=tuple(Fraction(day=20.0 + n, dose_gy=1) for n in range(41)),
    )
    clock = response(repopulation=Repopulation(30.0, 2.0 * ONE)).clock(regimen)
    assert clock.gone(5.0) == pytest.approx(5.0)
    assert clock.gone(15.0) == pytest.approx(5.0 + 4.0)
    assert clock.gone(50.0) == pytest.approx(44.0)
    assert clock.gone(60.0) == pytest.approx(44.0 + 20.0)
    assert clock.gone(70.0) == pytest.approx(74.0)


def test_paces_that_overlap_multiply():
    clock = GrowthClock(1, [Pace(0.0, 10.0, np.array([0.5])), Pace(5.0, 15.0, np.array([0.5]))])
    assert clock.gone(20.0)[0] == pytest.approx(2.5 + 1.25 + 2.5 + 5.0)


def test_a_marker_acts_where_it_is_registered_and_nowhere_else():
    require_owner("mgmt_methylation", "response")
    with pytest.raises(ValueError, match="idh_mutation acts on growth: it cannot act on response"):
        require_owner("idh_mutation", "response")
    with pytest.raises(ValueError, match="not in the registry"):
        require_owner("ki67", "growth")
    markers = set(Markers.model_fields) | {"grade"}
    assert set(OWNERS) == markers


@pytest.mark.parametrize("name", ["glioblastoma", "oligodendroglioma"])
def test_no_marker_but_that_of_the_response_changes_it(name):
    prior = twin_prior(name)
    drawn = [
        prior.response(m, 50, np.random.default_rng(0))
        for m in (Markers(), Markers(idh_mutation="present", egfr_amplification="absent"))
    ]
    for drug, effect in drawn[0].drugs.items():
        other = drawn[1].drugs[drug]
        if isinstance(effect, LogKill):
            assert np.array_equal(effect.sensitivity, other.sensitivity)


def test_a_drug_prior_names_the_marker_of_the_response_only():
    prior = twin_prior("glioblastoma").drugs["temozolomide"]
    assert isinstance(prior, LogKillPrior)
    assert prior.needs_marker == "mgmt_methylation"
