"""The spatial solver against closed forms, conservation, order of accuracy and stability."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.growth.field import LEGENDRE_FROM, MIDPOINT_LIMIT, Domain, Dose, Kill, solve
from models.response.pharmacokinetics import TEMOZOLOMIDE, OneCompartment
from models.response.radiotherapy import surviving_fraction

CELLS = np.full((3, 4, 5), 0.1)


def box(shape, spacing=(1.0, 1.0, 1.0)) -> Domain:
    return Domain(np.ones(shape), spacing)


def well_mixed(days, **changes):
    """What becomes of an even tumor, where diffusion has nothing to do."""
    usual = {"diffusivity": 0.2, "proliferation": 0.05}
    return solve(CELLS, box(CELLS.shape), days=days, **(usual | changes))


def logistic(u, rho, days):
    return 1 / (1 + (1 / u - 1) * np.exp(-rho * days))


@pytest.mark.parametrize("step", [0.1, 0.5, 7.0])
def test_an_even_tumor_grows_as_the_logistic_closed_form(step):
    found = well_mixed(40, step_days=step)
    assert found == pytest.approx(logistic(0.1, 0.05, 40), rel=1e-12)


def test_in_single_precision_too():
    found = solve(
        CELLS.astype(np.float32), box(CELLS.shape), diffusivity=0.2, proliferation=0.05, days=40
    )
    assert found.dtype == np.float32
    assert found == pytest.approx(logistic(0.1, 0.05, 40), rel=1e-5)


@pytest.mark.parametrize("step", [0.1, 0.5, 2.0, 30.0])
def test_a_drug_s_log_kill_is_exact_at_any_step(step):
    doses = [Dose(1.0, 0.3, TEMOZOLOMIDE), Dose(2.3, 0.2, TEMOZOLOMIDE)]
    found = well_mixed(12, proliferation=0.0, doses=doses, step_days=step)
    assert found == pytest.approx(0.1 * np.exp(-0.5), rel=1e-12)


def test_half_a_drug_s_log_kill_is_had_when_half_its_exposure_is():
    slow = OneCompartment(absorption_per_day=200.0, elimination_per_day=0.1)
    days = 6.0
    found = well_mixed(days, proliferation=0.0, doses=[Dose(0.0, 1.0, slow)], step_days=2.0)
    assert found == pytest.approx(0.1 * np.exp(-float(slow.share(days))), rel=1e-12)
    assert 0.3 < float(slow.share(days)) < 0.6


def test_growth_under_a_drug_does_not_depend_on_the_step():
    doses = [Dose(float(day), 0.08, TEMOZOLOMIDE) for day in range(20)]
    fine = well_mixed(30, doses=doses, step_days=0.02)
    for step in (0.5, 3.0):
        assert well_mixed(30, doses=doses, step_days=step) == pytest.approx(fine, rel=1e-9)


def test_a_run_in_two_parts_is_the_whole_run_even_within_a_dose_s_exposure():
    doses = [Dose(float(n), 0.2, TEMOZOLOMIDE) for n in range(4)]
    whole = well_mixed(8.0, doses=doses)
    first = well_mixed(3.1, doses=doses)
    rest = solve(
        first,
        box(CELLS.shape),
        diffusivity=0.2,
        proliferation=0.05,
        days=4.9,
        doses=[Dose(d.day - 3.1, d.log_kill, d.kinetics) for d in doses],
    )
    assert rest == pytest.approx(whole, rel=1e-9)


def test_growth_under_a_drug_is_that_of_a_fine_integration():
    """Forward in steps of a minute, with the concentration itself instead of its exposure."""
    drug, day, log_kill, rho = TEMOZOLOMIDE, 0.5, 0.6, 0.3
    ka, ke = drug.absorption_per_day, drug.elimination_per_day
    h, u = 1.0 / 5760, 0.1
    for n in range(round(2 / h)):
        t = (n + 0.5) * h - day
        rate = ka * ke / (ka - ke) * (np.exp(-ke * t) - np.exp(-ka * t)) if t > 0 else 0.0
        half = u + h / 2 * (rho * u * (1 - u) - log_kill * rate * u)
        u += h * (rho * half * (1 - half) - log_kill * rate * half)
    found = well_mixed(2, proliferation=rho, doses=[Dose(day, log_kill, drug)], step_days=1.0)
    assert found == pytest.approx(u, rel=1e-6)


def fraction(day, dose_gy=2.0) -> Kill:
    return Kill(day, -float(np.log(surviving_fraction(dose_gy, 0.12, 8.0))))


def test_two_fractions_a_day_are_two_and_one_at_half_past_ten_counts():
    survival = float(surviving_fraction(2.0, 0.12, 8.0))
    kills = [fraction(3.25), fraction(3.5), fraction(4.4375)]
    for step in (0.3, 1.0, 5.0):
        found = well_mixed(10, proliferation=0.0, kills=kills, step_days=step)
        assert found == pytest.approx(0.1 * survival**3, rel=1e-12)


def test_the_clock_time_of_a_fraction_matters():
    early, late = (well_mixed(10, kills=[fraction(day)]).mean() for day in (2.0, 8.0))
    survival = float(surviving_fraction(2.0, 0.12, 8.0))
    expected = logistic(logistic(0.1, 0.05, 2.0) * survival, 0.05, 8.0)
    assert early == pytest.approx(expected, rel=1e-12)
    assert early != pytest.approx(late, rel=1e-4)


def test_a_dose_map_kills_where_it_is_and_a_resection_leaves_its_residual():
    dose_gy = np.zeros(CELLS.shape)
    dose_gy[0] = 2.0
    by_map = Kill(1.0, -np.log(surviving_fraction(dose_gy, 0.12, 8.0)))
    found = well_mixed(1, diffusivity=0.0, proliferation=0.0, kills=[by_map])
    assert found[0] == pytest.approx(0.1 * float(surviving_fraction(2.0, 0.12, 8.0)))
    assert found[1:] == pytest.approx(0.1)
    cavity = np.where(dose_gy > 0, -np.log(0.05), 0.0)
    left = well_mixed(1, diffusivity=0.0, proliferation=0.0, kills=[Kill(0.5, cavity)])
    assert left[0] == pytest.approx(0.005)


def ragged(seed=0):
    rng = np.random.default_rng(seed)
    mask = rng.random((16, 17, 12)) > 0.3
    domain = Domain(mask * rng.uniform(0.1, 1.0, mask.shape), (1.0, 1.5, 2.0))
    return domain, rng.random(mask.shape) * mask


@pytest.mark.parametrize("step", [0.1, 1.0, 25.0])
@pytest.mark.parametrize(("dtype", "drift"), [(np.float64, 1e-12), (np.float32, 1e-6)])
def test_diffusion_alone_conserves_mass_in_a_ragged_mask(step, dtype, drift):
    domain, u = ragged()
    u = u.astype(dtype)
    after = solve(u, domain, diffusivity=0.5, proliferation=0.0, days=100, step_days=step)
    assert after.sum(dtype=float) == pytest.approx(u.sum(dtype=float), rel=drift)
    assert not after[domain.mobility == 0].any()
    assert after.std() < u.std()


def test_nothing_crosses_a_wall():
    mobility = np.ones((9, 5, 5))
    mobility[4] = 0.0
    u = np.zeros(mobility.shape)
    u[:4] = 0.5
    found = solve(
        u, Domain(mobility, (1.0, 1.0, 1.0)), diffusivity=1.0, proliferation=0.1, days=200
    )
    assert not found[4:].any()
    assert found[:4] == pytest.approx(1.0, abs=1e-4)


def test_a_wave_decays_at_its_rate_with_second_order_in_space():
    """An even mode of a closed box: exp(-2 D (pi / L)^2 t)."""
    errors = []
    for n in (8, 16, 32):
        length, diffusivity, days = 40.0, 2.0, 50.0
        h = length / n
        wave = np.cos(np.pi * (np.arange(n) + 0.5) / n)
        mode = wave[:, None, None] * wave[None, :, None] * np.ones((1, 1, 4))
        u = 0.5 + 0.4 * mode
        found = solve(
            u,
            box(u.shape, (h, h, 10.0)),
            diffusivity=diffusivity,
            proliferation=0.0,
            days=days,
            step_days=0.05,
        )
        decay = np.exp(-2 * diffusivity * (np.pi / length) ** 2 * days)
        errors.append(np.abs(found - 0.5 - 0.4 * decay * mode).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders == pytest.approx(2.0, abs=0.1)


def blob(n=41):
    x = (np.arange(n) - n // 2) * 1.0
    return 0.8 * np.exp(-(x[:, None, None] ** 2 + x[None, :, None] ** 2 + x**2) / 60)


@pytest.mark.parametrize("steps", [(0.25, 0.5), (4.0, 8.0)], ids=["midpoint", "legendre"])
def test_time_steps_are_of_second_order(steps):
    u, rates = blob(), {"diffusivity": 0.3, "proliferation": 0.1, "days": 16}
    domain = box(u.shape)
    stiffness = np.array(steps) * 0.3 * domain.largest_rate
    assert (stiffness < MIDPOINT_LIMIT).all() or (stiffness > LEGENDRE_FROM).all()
    best = solve(u, domain, step_days=1 / 32, **rates)
    errors = [np.linalg.norm(solve(u, domain, step_days=h, **rates) - best) for h in steps]
    assert np.log2(errors[1] / errors[0]) == pytest.approx(2.0, abs=0.15)
    assert errors[1] < 2e-3 * np.linalg.norm(best)


@pytest.mark.slow
def test_a_front_travels_at_fisher_speed():
    rho, diffusivity, h = 0.1, 1.0, 0.5
    u = np.zeros((2000, 1, 1))
    u[:20] = 1.0
    at = {}
    solve(
        u,
        box(u.shape, (h, 1.0, 1.0)),
        diffusivity=diffusivity,
        proliferation=rho,
        days=1200,
        step_days=0.25,
        saves=(600, 1200),
        on_save=lambda day, v: at.update({day: h * np.count_nonzero(v[:, 0, 0] > 0.5)}),
    )
    speed = (at[1200] - at[600]) / 600
    assert speed == pytest.approx(2 * np.sqrt(diffusivity * rho), rel=0.02)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 99),
    diffusivity=st.floats(0.0, 50.0),
    proliferation=st.floats(0.0, 1.0),
    step=st.floats(0.05, 60.0),
    fractions=st.lists(st.floats(0.0, 60.0), max_size=4),
)
def test_whatever_the_step_it_never_blows_up(seed, diffusivity, proliferation, step, fractions):
    domain, u = ragged(seed)
    kills = [Kill(day, 0.3) for day in fractions]
    found = solve(
        u,
        domain,
        diffusivity=diffusivity,
        proliferation=proliferation,
        days=60,
        kills=kills,
        step_days=step,
    )
    assert np.isfinite(found).all()
    assert found.min() >= -0.02
    assert found.max() <= 1.02
    untreated = u.sum() if proliferation == 0 else np.count_nonzero(domain.mobility)
    assert found.sum() <= untreated * np.exp(-0.3 * len(kills) * (proliferation == 0)) * (1 + 1e-6)


def test_saved_days_come_in_order_and_after_what_kills_on_them():
    seen = []
    well_mixed(
        10,
        proliferation=0.0,
        kills=[fraction(5.0)],
        saves=(10, 0, 5),
        on_save=lambda day, u: seen.append((day, float(u.mean()))),
    )
    survival = float(surviving_fraction(2.0, 0.12, 8.0))
    assert [day for day, _ in seen] == [0, 5, 10]
    assert [value for _, value in seen] == pytest.approx([0.1, 0.1 * survival, 0.1 * survival])


def test_saving_changes_nothing():
    u, rates = blob(15), {"diffusivity": 0.3, "proliferation": 0.1, "days": 12.0}
    domain = box(u.shape)
    plain = solve(u, domain, step_days=0.5, **rates)
    saved = solve(u, domain, step_days=0.5, saves=(3.0, 6.0), **rates)
    assert saved == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"diffusivity": np.nan}, "diffusivity"),
        ({"proliferation": -0.1}, "proliferation"),
        ({"days": np.inf}, "days"),
        ({"step_days": 0.0}, "step_days"),
    ],
)
def test_numbers_that_cannot_be_are_refused(spoil, said):
    with pytest.raises(ValueError, match=said):
        well_mixed(**({"days": 1.0} | spoil))


@pytest.mark.parametrize("bad", [np.nan, -1.0, np.inf])
def test_events_that_cannot_be_are_refused_and_not_left_out(bad):
    for events in (
        {"kills": [Kill(bad, 0.1)]},
        {"doses": [Dose(bad * np.inf, 0.1, TEMOZOLOMIDE)]},
        {"saves": [bad]},
    ):
        with pytest.raises(ValueError, match="a day is finite"):
            well_mixed(5.0, **events)
    for events in (
        {"kills": [Kill(1.0, bad)]},
        {"kills": [Kill(1.0, np.full(CELLS.shape, bad))]},
        {"doses": [Dose(1.0, bad, TEMOZOLOMIDE)]},
    ):
        with pytest.raises(ValueError, match="log-kill of day 1"):
            well_mixed(5.0, **events)
    with pytest.raises(ValueError, match="has shape"):
        well_mixed(5.0, kills=[Kill(1.0, np.zeros((2, 2, 2)))])


def test_fields_that_cannot_be_are_refused():
    rates = {"diffusivity": 0.1, "proliferation": 0.1, "days": 1.0}
    with pytest.raises(ValueError, match="domain"):
        solve(CELLS, box((2, 2, 2)), **rates)
    for bad in (CELLS + 1.0, CELLS * np.nan):
        with pytest.raises(ValueError, match=r"in \[0, 1\]"):
            solve(bad, box(CELLS.shape), **rates)
    closed = np.ones(CELLS.shape)
    closed[1, 1, 1] = 0.0
    with pytest.raises(ValueError, match="mobility is zero"):
        solve(CELLS, Domain(closed, (1.0, 1.0, 1.0)), **rates)
    with pytest.raises(ValueError, match="finite and not negative"):
        Domain(-closed, (1.0, 1.0, 1.0))


def test_a_drug_s_exposure_is_that_of_its_concentration_and_ends_at_one():
    days = np.linspace(0, 2, 20001)
    ka, ke = TEMOZOLOMIDE.absorption_per_day, TEMOZOLOMIDE.elimination_per_day
    concentration = ka * ke / (ka - ke) * (np.exp(-ke * days) - np.exp(-ka * days))
    exposure = np.concatenate(
        [[0.0], np.cumsum((concentration[1:] + concentration[:-1]) / 2 * np.diff(days))]
    )
    assert TEMOZOLOMIDE.share(days) == pytest.approx(exposure, abs=1e-5)
    assert float(TEMOZOLOMIDE.share(30.0)) == pytest.approx(1.0)
    assert float(TEMOZOLOMIDE.share(-1.0)) == 0.0
    half_life_h = 24 * np.log(2) / ke
    assert half_life_h == pytest.approx(2.1, abs=0.05)


def test_equal_rates_have_no_closed_form_and_are_refused():
    with pytest.raises(ValueError, match="need"):
        OneCompartment(absorption_per_day=8.0, elimination_per_day=8.0)
