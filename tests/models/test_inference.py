"""Calibration against closed forms and against tumors whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from data.treatment import Fraction, Regimen
from models.growth.field import Domain
from models.growth.visible import VisibleTumor
from models.inference.baselines import exponential_fit, last_value
from models.inference.calibration import METHODS, FollowUp, calibrate, update
from models.inference.laplace import most_probable
from models.inference.smoother import smoothed
from models.response.ensemble import Response
from models.spatial import (
    PARAMETERS,
    SpatialTwin,
    parameters_of,
    simulate_in_space,
    with_parameters,
)

SHAPE, SPACING = (40, 40, 40), (3.0, 3.0, 3.0)
NOTHING = Regimen(name="nothing")
SOLVERS = {"es-mda": smoothed, "laplace": most_probable}


def linear(members: int = 4000):
    """A linear model with Gaussian beliefs, whose posterior Bayes' rule gives in closed form."""
    rng = np.random.default_rng(0)
    mean, sd = np.array([1.0, -2.0]), np.array([1.5, 0.7])
    prior = mean + sd * rng.standard_normal((members, 2))
    matrix = np.array([[1.0, 0.5], [0.3, -1.0], [0.0, 2.0]])
    observed, error = np.array([0.5, 2.0, -3.0]), np.array([0.4, 0.6, 0.8])
    precision = np.diag(1 / sd**2) + matrix.T @ np.diag(1 / error**2) @ matrix
    covariance = np.linalg.inv(precision)
    center = covariance @ (mean / sd**2 + matrix.T @ (observed / error**2))
    return prior, lambda m: m @ matrix.T, observed, error, center, covariance


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_a_linear_gaussian_posterior_is_that_of_bayes(solver):
    prior, model, observed, error, center, covariance = linear()
    found = solver(prior, model, observed, error, rng=np.random.default_rng(1))
    assert found.members.mean(0) == pytest.approx(center, abs=0.06)
    assert np.cov(found.members, rowvar=False) == pytest.approx(covariance, abs=0.04)


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_what_the_data_do_not_touch_keeps_its_spread(solver):
    rng = np.random.default_rng(3)
    prior = rng.standard_normal((1000, 2))
    found = solver(
        prior,
        lambda m: m[:, :1],
        np.array([1.0]),
        np.array([0.1]),
        rng=np.random.default_rng(1),
    )
    seen, unseen = found.contraction
    assert seen > 0.95
    assert abs(unseen) < 0.15


def test_only_a_combination_that_is_seen_shows_in_the_correlation():
    prior = np.random.default_rng(0).standard_normal((2000, 2))
    found = smoothed(
        prior,
        lambda m: m.sum(1, keepdims=True),
        np.array([0.0]),
        np.array([0.05]),
        rng=np.random.default_rng(1),
    )
    assert found.correlation[0, 1] < -0.95


def test_the_smoother_refuses_what_it_cannot_use():
    prior, model, observed, error, *_ = linear(50)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="error is positive"):
        smoothed(prior, model, observed, 0 * error, rng=rng)
    with pytest.raises(ValueError, match="not finite"):
        smoothed(prior, lambda m: m @ np.full((2, 3), np.nan), observed, error, rng=rng)
    with pytest.raises(ValueError, match="at least two members"):
        smoothed(prior[:1], model, observed, error, rng=rng)
    with pytest.raises(ValueError, match="a spread in the prior"):
        most_probable(np.ones((50, 2)), model, observed, error, rng=rng)


def test_baselines_are_what_they_say():
    days, volumes = np.array([0.0, 30.0, 60.0]), np.array([1e3, 2e3, 4e3])
    at = np.array([90.0, 120.0])
    assert last_value(days, volumes, at).tolist() == [4e3, 4e3]
    assert exponential_fit(days, volumes, at) == pytest.approx([8e3, 16e3])
    with pytest.raises(ValueError, match="at least two days"):
        exponential_fit(days[:1], volumes[:1], at)


def drawn(members: int = 60, seed: int = 0) -> SpatialTwin:
    rng = np.random.default_rng(seed)
    grid = (np.indices(SHAPE) - (np.array(SHAPE)[:, None, None, None] - 1) / 2) * 3.0
    distance = np.sqrt((grid**2).sum(0))
    domain = Domain(np.where(distance < 58, 1.0, 0.0).astype(np.float32), SPACING)
    return SpatialTwin(
        VisibleTumor.on(domain, distance - 18.0, distance - 11.0),
        0.06 * np.exp(0.5 * rng.standard_normal(members)),
        1.1 * np.exp(0.4 * rng.standard_normal(members)),
        0.4 * rng.standard_normal(members),
        Response(
            0.06 * np.exp(0.3 * rng.standard_normal(members)),
            8.0 * np.exp(0.2 * rng.standard_normal(members)),
            {},
        ),
    )


def seen(twin: SpatialTwin, truth: np.ndarray, days, given=NOTHING) -> FollowUp:
    one = with_parameters(twin.median_member, truth[None])
    found = simulate_in_space(one, given, saves=[0.0, *days])
    volumes = {r: path.volume_mm3[0, 1:] for r, path in found.regions.items()}
    return FollowUp(np.array(days), volumes, 0.1)


TRUTH = np.array([np.log(0.1), np.log(0.9), 0.0, np.log(0.08), np.log(8.0)])


@pytest.mark.parametrize("method", METHODS)
def test_growth_between_scans_tells_the_velocity(method):
    twin = drawn()
    found = calibrate(
        twin,
        seen(twin, TRUTH, [40.0, 80.0]),
        given=NOTHING,
        rng=np.random.default_rng(5),
        method=method,
    )
    velocity = found.twin.velocity_mm_per_day
    assert np.median(velocity) == pytest.approx(0.1, rel=0.12)
    assert np.log(velocity).std() < 0.5 * np.log(twin.velocity_mm_per_day).std()
    assert found.posterior.contraction[0] > 0.7
    assert found.misfit < 1.0
    flags = found.flags()
    assert any("log alpha" in flag for flag in flags)
    assert not any("hardly tell the log velocity" in flag for flag in flags)


def test_scans_about_radiotherapy_tell_the_radiosensitivity():
    given = Regimen(name="x", fractions=tuple(Fraction(day=5.0 + n, dose_gy=2) for n in range(10)))
    twin = drawn()
    found = calibrate(
        twin,
        seen(twin, TRUTH, [4.0, 20.0, 50.0, 90.0], given),
        given=given,
        rng=np.random.default_rng(5),
    )
    index = PARAMETERS.index("log alpha")
    assert found.posterior.contraction[index] > 0.3
    before = abs(np.median(parameters_of(twin)[:, index]) - TRUTH[index])
    assert abs(np.median(found.posterior.members[:, index]) - TRUTH[index]) < before


def test_a_new_scan_updates_what_the_earlier_ones_taught():
    twin, follow_up = drawn(), seen(drawn(), TRUTH, [40.0, 80.0])
    once, again = (
        calibrate(twin, f, given=NOTHING, rng=np.random.default_rng(5))
        for f in (follow_up.scan(0), follow_up)
    )
    then = update(once.twin, follow_up.scan(1), given=NOTHING, rng=np.random.default_rng(6))
    together = update(twin, follow_up, given=NOTHING, rng=np.random.default_rng(5))
    velocities = [m[:, 0] for m in (again.posterior.members, then.members, together.members)]
    first = once.posterior.members[:, 0]
    for velocity in velocities:
        assert velocity.std() < first.std()
        assert velocity.mean() == pytest.approx(velocities[-1].mean(), abs=0.1)
        assert velocity.std() == pytest.approx(velocities[-1].std(), rel=0.5)
    assert again.posterior.solves == 2 * once.posterior.solves


def test_scans_that_nothing_explains_are_flagged():
    twin = drawn()
    shrunk = FollowUp(np.array([30.0]), {"WT": np.array([500.0]), "TC": np.array([50.0])}, 0.1)
    found = calibrate(twin, shrunk, given=NOTHING, rng=np.random.default_rng(5))
    assert any("no parameters within the prior explain" in flag for flag in found.flags())


def test_a_follow_up_that_cannot_be_is_refused():
    one = {"WT": np.array([1.0])}
    with pytest.raises(ValueError, match="in order and after the first"):
        FollowUp(np.array([0.0]), one, 0.1)
    with pytest.raises(ValueError, match="a volume for each of 2 scans"):
        FollowUp(np.array([1.0, 2.0]), one, 0.1)
    with pytest.raises(ValueError, match="error is positive"):
        FollowUp(np.array([1.0]), one, 0.0)
