from __future__ import annotations

import numpy as np
import pytest

from models.growth.reaction_diffusion import Medium, grow


def medium(shape, diffusion, rho, mask=None):
    d = np.full(shape, diffusion, np.float32)
    if mask is not None:
        d[~mask] = 0
    return Medium(d, np.full(shape, rho, np.float32), (2.0, 2.0, 3.0))


def test_diffusion_alone_conserves_mass_at_a_ragged_mask():
    rng = np.random.default_rng(0)
    mask = rng.random((16, 17, 12)) > 0.3
    u = (rng.random(mask.shape) * mask).astype(np.float32)
    after = grow(u, medium(mask.shape, 0.5, 0.0, mask), days=100).u
    assert after.sum() == pytest.approx(u.sum(), rel=1e-5)
    assert (after[~mask] == u[~mask]).all()


def test_reaction_alone_is_the_logistic_closed_form():
    u = np.full((3, 3, 3), 0.1, np.float32)
    after = grow(u, medium(u.shape, 0.0, 0.05), days=40).u
    assert after == pytest.approx(1 / (1 + 9 * np.exp(-2.0)), rel=1e-4)


def test_diffusion_spreads_a_spike_with_variance_two_d_t():
    u = np.zeros((61, 5, 5), np.float32)
    u[30] = 1.0
    after = grow(u, medium(u.shape, 1.0, 0.0), days=60).u[:, 2, 2]
    x = (np.arange(61) - 30) * 2.0
    assert (after * x**2).sum() / after.sum() == pytest.approx(2 * 1.0 * 60, rel=0.02)


def test_a_front_in_one_dimension_travels_at_fisher_speed():
    diffusion, rho = 1.0, 0.1
    u = np.zeros((400, 1, 1), np.float32)
    u[:3] = 1.0
    here = medium(u.shape, diffusion, rho)
    early, late = (2.0 * np.count_nonzero(grow(u, here, days=t).u > 0.5) for t in (200.0, 400.0))
    assert (late - early) / 200 == pytest.approx(2 * np.sqrt(diffusion * rho), rel=0.1)


def test_growth_stops_at_the_volume_asked_for():
    u = np.zeros((30, 30, 20), np.float32)
    u[15, 15, 10] = 1.0
    grown = grow(u, medium(u.shape, 0.5, 0.1), days=2000, stop_at_volume_mm3=5e3)
    assert grown.days < 2000
    assert 5e3 <= (grown.u >= 0.16).sum() * 12.0 < 7e3


def test_fields_on_different_grids_are_refused():
    with pytest.raises(ValueError, match="shape"):
        grow(np.zeros((2, 2, 2), np.float32), medium((3, 3, 3), 1, 1), days=1)
