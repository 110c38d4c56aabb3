"""The ensemble in space: every regimen means what it means to the lumped twin, and stays in its domain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.errors import RegimenError
from data.treatment import (
    Adaptive,
    Cycle,
    Fraction,
    MarginTarget,
    Regimen,
    Resection,
)
from models.growth.field import Domain
from models.growth.visible import VisibleTumor, visible_volume_mm3
from models.response.ensemble import Response
from models.response.growth_modulation import GrowthModulation
from models.response.log_kill import LogKill
from models.spatial import (
    SpatialTwin,
    grow_member,
    relative_dose,
    simulate_in_space,
)

SHAPE, SPACING = (44, 40, 36), (3.0, 3.0, 3.0)
NOTHING = Regimen(name="nothing")


def twin(members: int = 3, velocity: float = 0.07, length: float = 1.2) -> SpatialTwin:
    grid = (np.indices(SHAPE) - (np.array(SHAPE)[:, None, None, None] - 1) / 2) * 3.0
    distance = np.sqrt((grid**2).sum(0))
    mobility = np.where(distance < 50.0, 1.0, 0.0).astype(np.float32)
    mobility[24:27, 10:30, 10:26] = 0.0  # a ventricle
    visible = VisibleTumor.on(Domain(mobility, SPACING), distance - 15.0, distance - 9.0)
    one = np.ones(members)
    drugs = {
        "temozolomide": LogKill(7e-4 * one),
        "vorasidenib": GrowthModulation(0.4 * one, 40.0),
    }
    response = Response(np.linspace(0.05, 0.07, members), 8.0 * one, drugs)
    spread = np.linspace(0.9, 1.1, members)
    return SpatialTwin(visible, velocity * spread, length * one, 0.0 * one, response)


def end(regimen: Regimen, day: float = 60.0, member: int = 1) -> np.ndarray:
    kept: list[np.ndarray] = []
    grow_member(twin(), member, regimen, saves=[day], on_save=lambda day, u: kept.append(u.copy()))
    return kept[0]


def fractions(number: int = 10, dose: float = 2.0) -> tuple[Fraction, ...]:
    return tuple(Fraction(day=float(n), dose_gy=dose) for n in range(number))


def test_no_member_ever_has_cells_where_none_can_be():
    twin_ = twin()
    outside = twin_.tumor.domain.mobility == 0
    for regimen in (NOTHING, Regimen(name="x", fractions=fractions())):
        assert not end(regimen, day=300.0)[outside].any()


def test_a_uniform_dose_leaves_the_linear_quadratic_share_everywhere():
    at_once = Regimen(name="x", fractions=(Fraction(day=30.0, dose_gy=4.0),))
    before, after = end(NOTHING, 30.0), end(at_once, 30.0)
    share = np.exp(-(0.06 * 4 + 0.06 / 8 * 16))
    seen = before > 1e-3
    assert after[seen] / before[seen] == pytest.approx(share, rel=1e-5)


def test_a_planned_dose_spares_what_is_far_and_is_whole_inside():
    target = MarginTarget(region="TC", margin_mm=15, setup_mm=3, penumbra_mm=6)
    regimen = Regimen(name="x", fractions=fractions(1), target=target)
    share = relative_dose(twin().tumor, regimen)
    core = twin().tumor.region_mm("TC")
    assert share[core < 0].min() > 0.999
    edge = np.abs(core - 18.0) < 0.5
    assert share[edge] == pytest.approx(0.95, abs=0.015)
    assert share[core > 42].max() < 0.02
    planned, everywhere = end(regimen), end(regimen.model_copy(update={"target": NOTHING.target}))
    far = (core > 30) & (everywhere > 1e-5)
    assert (planned[far] > everywhere[far]).all()


def test_a_resection_removes_its_share_of_the_region_and_of_nothing_else():
    regimen = Regimen(name="x", resections=(Resection(day=1.0, region="TC", extent=0.9),))
    before, after = end(NOTHING, 1.0), end(regimen, 1.0)
    core = twin().tumor.region_mm("TC")
    inside, outside = (core <= 0) & (before > 0), (core > 3) & (before > 1e-3)
    assert after[inside] / before[inside] == pytest.approx(0.1, rel=1e-3)
    assert after[outside] == pytest.approx(before[outside], rel=1e-3)
    gone = Regimen(name="x", resections=(Resection(day=1.0, region="TC", extent=1.0),))
    assert end(gone, 1.0)[inside].max() < 1e-18


def test_a_drug_that_slows_growth_makes_the_same_tumor_later():
    slow = Cycle(drug="vorasidenib", start_day=0, days=400, dose_mg=40.0)
    slowed = end(Regimen(name="x", cycles=(slow,)), 150.0)
    assert slowed == pytest.approx(end(NOTHING, 60.0), abs=2e-3)


def test_more_dose_never_leaves_more_cells_anywhere():
    less = end(Regimen(name="x", fractions=fractions(5)))
    more = end(Regimen(name="x", fractions=fractions(6)))
    assert (more <= less * (1 + 1e-5) + 1e-12).all()


def test_a_drug_without_known_kinetics_is_refused():
    unknown = {"aspirin": LogKill(np.full(3, 1e-3))}
    made = twin()
    other = SpatialTwin(
        made.tumor,
        made.velocity_mm_per_day,
        made.infiltration_mm,
        made.shift_mm,
        Response(made.response.alpha_per_gy, made.response.alpha_beta_gy, unknown),
    )
    cycle = Cycle(drug="aspirin", start_day=0, days=1, dose_mg_m2=1)
    with pytest.raises(RegimenError, match=r"how long a dose of aspirin .* temozolomide"):
        simulate_in_space(other, Regimen(name="x", cycles=(cycle,)), saves=[0.0, 10.0])


def cycles(rule: Adaptive | None, dose: float = 400.0, number: int = 8) -> Regimen:
    made = [
        Cycle(drug="temozolomide", start_day=28.0 * n, days=5, dose_mg_m2=dose, adaptive=rule)
        for n in range(number)
    ]
    return Regimen(name="x", cycles=tuple(made))


def test_an_adaptive_regimen_that_never_pauses_is_the_plain_one():
    always = Adaptive(pause_below=1e-9, resume_from=0.01)
    plain, found = (end(cycles(rule, 100.0), 200.0) for rule in (None, always))
    assert found == pytest.approx(plain, rel=1e-3, abs=1e-6)


def test_adaptive_cycles_in_space_pause_below_and_resume_at_their_volumes():
    rule = Adaptive(pause_below=0.7, resume_from=1.0)
    days = np.arange(0.0, 224.0, 1.0)
    made = replace(twin(members=1), velocity_mm_per_day=np.array([0.12]))
    path = simulate_in_space(made, cycles(rule), saves=days).cells.volume_mm3[0]
    seen = simulate_in_space(made, cycles(rule), saves=days).regions["WT"].volume_mm3[0]
    begins = np.arange(28, 224, 28)
    given = path[begins + 5] < path[begins]  # five doses outweigh five days of growth
    share = seen[begins] / seen[0]
    assert (~given[share < 0.69]).all()
    assert given[share >= 1.01].all()
    assert given.any()
    assert (~given).any()


def test_an_ensemble_is_the_same_on_any_number_of_threads_and_tells_how_far_it_is():
    told: list[tuple[int, int]] = []
    one = simulate_in_space(twin(), NOTHING, saves=[0.0, 60.0])
    two = simulate_in_space(
        twin(), NOTHING, saves=[0.0, 60.0], threads=3, on_member=lambda *n: told.append(n)
    )
    for region in ("WT", "TC"):
        assert np.array_equal(one.regions[region].volume_mm3, two.regions[region].volume_mm3)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_run_ends_when_its_watcher_says_so():
    class Enough(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Enough

    with pytest.raises(Enough):
        simulate_in_space(twin(), NOTHING, saves=[0.0, 30.0], threads=2, on_member=stop)


def test_whole_tumor_holds_the_core_and_grows_without_treatment():
    result = simulate_in_space(twin(), NOTHING, saves=[0.0, 120.0])
    whole, core = (result.regions[r].volume_mm3 for r in ("WT", "TC"))
    assert (whole > core).all()
    assert (np.diff(whole, axis=1) > 0).all()
    assert (whole[2] > whole[0])[1:].all()  # the faster member


def test_the_median_member_lies_within_the_ensemble():
    middle = twin().median_member
    assert middle.members == 1
    ends = simulate_in_space(twin(), NOTHING, saves=[0.0, 100.0]).regions["WT"].volume_mm3[:, -1]
    (found,) = (
        simulate_in_space(middle, NOTHING, saves=[0.0, 100.0]).regions["WT"].volume_mm3[:, -1]
    )
    assert ends.min() <= found <= ends.max()


def test_coarse_voxels_tell_the_volume_that_the_ventricle_leaves_of_a_ball():
    tumor = twin().tumor
    inside = (tumor.whole_mm < 0) & (tumor.domain.mobility > 0)
    told = visible_volume_mm3(tumor.cells(1.2), 0.16, SPACING)
    assert told == pytest.approx(inside.sum() * 27.0, rel=0.06)
