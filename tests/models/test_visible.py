"""The cell fraction behind a scan's edges: a steady front, edges where they were drawn, no cell in fluid."""

from __future__ import annotations

import numpy as np
import pytest

from models.growth.field import Domain, solve
from models.growth.visible import (
    EDGES_APART,
    ENHANCING_EDGE,
    FLAIR_EDGE,
    VisibleTumor,
    infiltration_mm,
    place_on_wave,
    signed_distance_mm,
    visible_volume_mm3,
    wave,
    way_out_mm,
)

SHAPE, SPACING = (60, 60, 60), (1.0, 1.0, 1.0)


def ball(radius_mm: float, shape=SHAPE, center=None) -> np.ndarray:
    middle = np.array(center if center is not None else (np.array(shape) - 1) / 2)
    grid = np.indices(shape) - middle[:, None, None, None]
    return np.sqrt((grid**2).sum(0)) - radius_mm


def tumor(core: float | None = 10.0, whole: float = 16.0, mobility=None) -> VisibleTumor:
    domain = Domain(np.ones(SHAPE, np.float32) if mobility is None else mobility, SPACING)
    return VisibleTumor.on(domain, ball(whole), None if core is None else ball(core))


def test_the_wave_and_its_place_are_inverse_and_its_edges_six_lengths_apart():
    u = np.array([0.99, 0.8, 0.5, 0.16, 1e-3])
    assert wave(place_on_wave(u)) == pytest.approx(u)
    assert pytest.approx(6.228, abs=1e-3) == EDGES_APART


def test_the_wave_is_the_steady_front_of_the_equation():
    # Ablowitz & Zeppetella 1979: with D = rho = 1, u(x - 5/sqrt(6) t) solves u_t = u_xx + u (1 - u).
    z, h = np.linspace(-10.0, 10.0, 401), 1e-4
    first = (wave(z + h) - wave(z - h)) / (2 * h)
    second = (wave(z + h) - 2 * wave(z) + wave(z - h)) / h**2
    u = wave(z)
    assert 5 / np.sqrt(6) * first + second + u * (1 - u) == pytest.approx(0.0, abs=1e-6)


def test_edges_of_a_steady_ball_tell_the_infiltration_length():
    radius = 15.0
    outer = radius + 1.4 * EDGES_APART
    volumes = (4 / 3 * np.pi * r**3 for r in (radius, outer))
    assert infiltration_mm(*volumes) == pytest.approx(1.4)
    with pytest.raises(ValueError, match="between 0 and 5"):
        infiltration_mm(7.0, 5.0)


@pytest.mark.parametrize("infiltration", [0.5, 1.0, 3.0])
def test_both_edges_are_where_they_were_drawn(infiltration):
    u = tumor().cells(infiltration)
    for edge, radius in ((ENHANCING_EDGE, 10.0), (FLAIR_EDGE, 16.0)):
        assert np.array_equal(u > edge, ball(radius) < 0)
        closed = 4 / 3 * np.pi * radius**3
        assert visible_volume_mm3(u, edge, SPACING) == pytest.approx(closed, rel=0.02)


def test_a_tumor_that_does_not_enhance_has_its_flair_edge_and_a_front_behind_it():
    u = tumor(core=None).cells(2.0)
    assert np.array_equal(u > FLAIR_EDGE, ball(16.0) < 0)
    assert u.max() == pytest.approx(wave(place_on_wave(FLAIR_EDGE) - 16.0 / 2.0), rel=0.05)


def test_edges_shift_by_what_they_are_told_to():
    u = tumor().cells(1.0, shift_mm=1.5)
    assert np.array_equal(u > FLAIR_EDGE, ball(17.5) < 0)


def test_no_cell_starts_in_fluid_and_the_way_goes_around_it():
    mobility = np.ones(SHAPE, np.float32)
    mobility[48:50, 5:55, :] = 0.0  # a wall beside the tumor
    made = tumor(mobility=mobility)
    u = made.cells(2.0)
    assert not u[48:50, 5:55].any()
    straight, around = ball(16.0)[53, 29, 29], made.way_mm[53, 29, 29]
    assert around > straight + 15.0


def test_where_no_way_leads_there_is_no_cell():
    mobility = np.ones(SHAPE, np.float32)
    mobility[50] = 0.0
    made = tumor(mobility=mobility)
    assert np.isinf(made.way_mm[55, 30, 30])
    assert not made.cells(5.0)[51:].any()


def test_the_way_through_slow_tissue_is_longer_by_the_root_of_its_mobility():
    slow = Domain(np.full(SHAPE, 0.25, np.float32), SPACING)
    fast = Domain(np.ones(SHAPE, np.float32), SPACING)
    one, other = (way_out_mm(ball(10.0), d) for d in (fast, slow))
    far = (ball(10.0) > 8.0) & (ball(10.0) < 18.0)
    assert other[far] / one[far] == pytest.approx(2.0, abs=0.25)
    assert one[far] == pytest.approx(ball(10.0)[far], rel=0.08)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 3.0)])
def test_signed_distance_is_zero_on_the_surface_of_a_slab(spacing):
    mask = np.zeros((20, 20, 20), bool)
    mask[:12] = True
    signed = signed_distance_mm(mask, spacing)
    assert signed[11, 10, 10] < 0 < signed[12, 10, 10]
    assert signed[5, 10, 10] == pytest.approx(-6.5 * spacing[0], abs=0.5 * spacing[0])


def test_a_front_keeps_its_edges_apart_as_it_goes():
    """The start is close to a steady front: the edges move together, not one into the other."""
    velocity, length = 0.08, 1.0
    made = tumor(core=10.0, whole=10.0 + length * EDGES_APART)
    seen: list[tuple[float, float]] = []
    solve(
        made.cells(length),
        made.domain,
        diffusivity=velocity * length / 2,
        proliferation=velocity / length / 2,
        days=100.0,
        saves=[0.0, 100.0],
        on_save=lambda day, u: seen.append(
            tuple(
                np.cbrt(3 / 4 / np.pi * visible_volume_mm3(u, edge, SPACING))
                for edge in (ENHANCING_EDGE, FLAIR_EDGE)
            )
        ),
        step_days=2.0,
    )
    (inner, outer), (inner_later, outer_later) = seen
    assert inner_later - inner == pytest.approx(100.0 * velocity, rel=0.25)
    assert outer_later - outer == pytest.approx(100.0 * velocity, rel=0.25)
