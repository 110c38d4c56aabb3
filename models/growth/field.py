"""A tumor's cells in space under treatment: diffusion, division, radiation and drugs on the voxel grid.

    du/dt = div(D grad u) + rho u (1 - u) - k(t) u        no flux where D = 0
    at each instant of killing:  u <- u exp(-log_kill)

``u`` in [0, 1] is the cell fraction of what a voxel can carry. Space: finite volumes with
harmonic-mean face diffusivities. Time: Strang splitting, second order, of a diffusion step (explicit
midpoint, or Runge-Kutta-Legendre where that would need many) and the exact flow of all the rest, which
is a Moebius map u -> A u / (1 + B u): such maps compose, so that drugs and fractions cost nothing and their
kill does not depend on the step. Steps end at every instant of killing and at every saved day.

References: Swanson 2000, Cell Prolif 33:317 (tissue-dependent diffusion); Strang 1968, SIAM J Numer Anal
5:506; Meyer, Balsara & Aslam 2014, J Comput Phys 257:594 (RKL2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.response.pharmacokinetics import OneCompartment

Field = NDArray[np.floating[Any]]
Step = tuple[float, float, float]
"""Days of diffusion, then A and B of the flow that follows."""

SAFETY = 0.9
"""Share of a stability limit that a step may use."""
MIDPOINT_LIMIT = SAFETY * 2.0
"""Of step times the largest rate; over 2 the midpoint rule is unstable."""
LEGENDRE_FROM = 4.0
"""Step times largest rate from which a Runge-Kutta-Legendre step is cheaper than several midpoint steps;
measured with benchmarks/twin.py."""
USUAL_STEP_DAYS = 0.5
COMPILED: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz", "reassoc", "arcp"},
}
"""Of every kernel: a check for division by zero, or an order of summing that must be kept, bars vectors."""
FLUSHED = 1e-18
"""Smaller cell fractions are zero: less than a cell in any voxel, and slow to compute with."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
AFTER_DOSE_DAYS = (0.01, 0.04, 0.12, 0.3, 0.7)
"""Where the quadrature of a drug's action is split after each dose: its concentration rises in minutes."""


@dataclass(frozen=True)
class Domain:
    """Where cells can go, ready for the solver.

    Args:
        mobility: (i, j, k), diffusivity as a share of the fastest tissue's; zero where no cell can go.
        spacing_mm: voxel edges along (i, j, k).
    """

    mobility: Field
    spacing_mm: tuple[float, float, float]
    _faces: dict[str, tuple[Field, Field, Field]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not np.isfinite(self.mobility).all() or (self.mobility < 0).any():
            raise ValueError("mobility is finite and not negative")
        if min(self.spacing_mm) <= 0:
            raise ValueError(f"voxel edges are positive, got {self.spacing_mm}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (i, j, k)."""
        i, j, k = self.mobility.shape
        return i, j, k

    @cached_property
    def largest_rate(self) -> float:
        """Bound (Gershgorin) of the diffusion operator's eigenvalues per unit diffusivity; 1/mm2."""
        total = np.zeros(tuple(n + 2 for n in self.shape))
        for axis, ahead in enumerate(self.faces(np.dtype(np.float64))):
            total += ahead.reshape(total.shape)
            total += np.roll(ahead.reshape(total.shape), 1, axis)
        return float(2.0 * total.max())

    def faces(self, dtype: np.dtype[Any]) -> tuple[Field, Field, Field]:
        """Mobility across each voxel's three upper faces over the edge squared; 1/mm2, padded and flat.

        Harmonic means, so that nothing crosses a face with an immobile side.
        """
        if dtype.str not in self._faces:
            d = np.pad(self.mobility.astype(np.float64), 1)
            found = []
            for axis, edge in enumerate(self.spacing_mm):
                beyond = np.roll(d, -1, axis)
                total = d + beyond
                mean = np.divide(2.0 * d * beyond, total, out=np.zeros_like(d), where=total > 0.0)
                found.append((mean / edge**2).astype(dtype).ravel())
            x, y, z = found
            self._faces[dtype.str] = (x, y, z)
        return self._faces[dtype.str]


@dataclass(frozen=True)
class Kill:
    """Cells that die at once: a fraction of radiotherapy, or a resection.

    Args:
        day: when.
        log_kill: minus the logarithm of the surviving share; one number, or (i, j, k).
    """

    day: float
    log_kill: float | Field


@dataclass(frozen=True)
class Dose:
    """A dose of a drug and the log-kill that it comes to in the end; one before day 0 acts on."""

    day: float
    log_kill: float
    kinetics: OneCompartment


def solve(
    u: Field,
    domain: Domain,
    *,
    diffusivity: float,
    proliferation: float,
    days: float,
    kills: Sequence[Kill] = (),
    doses: Sequence[Dose] = (),
    saves: Sequence[float] = (),
    on_save: Callable[[float, Field], None] = lambda day, u: None,
    step_days: float = USUAL_STEP_DAYS,
) -> Field:
    """Cell fraction (i, j, k) after ``days``.

    A saved day comes after what kills on that day; what kills on the last day is included.

    Args:
        u: (i, j, k) cell fraction, in [0, 1] and zero where the mobility is; float32 or float64, which
            is also the arithmetic's.
        domain: on the same grid.
        diffusivity: of the fastest tissue, mm2/day.
        proliferation: 1/day.
        days: how long.
        kills: at any time of day; several on one day are several.
        doses: of drugs.
        saves: days to be told of.
        on_save: told the day and a view of u, to be copied if kept.
        step_days: the longest step.

    Raises:
        ValueError: another grid, a cell fraction outside [0, 1] or outside the domain, a rate, a time or a
            log-kill that is negative or not finite.
    """
    _require(u, domain, diffusivity, proliferation, days, step_days)
    _require_times([*(k.day for k in kills), *saves], earliest=0.0)
    _require_times([d.day for d in doses], earliest=-np.inf)
    for kill in {id(k.log_kill): k for k in kills}.values():  # one map may be of many fractions
        _require_kill(kill.day, kill.log_kill, u.shape)
    for dose in doses:
        _require_kill(dose.day, dose.log_kill, u.shape)
    here = np.pad(u, 1).ravel()
    stepper = _Stepper(here, domain, diffusivity)
    inner = here.reshape([n + 2 for n in u.shape])[1:-1, 1:-1, 1:-1]
    pending = (0.0, 1.0, 0.0)
    maps = {id(k.log_kill): k.log_kill for k in kills if isinstance(k.log_kill, np.ndarray)}
    surviving = {
        name: np.pad(np.exp(-log_kill).astype(here.dtype), 1).ravel()
        for name, log_kill in maps.items()
    }
    at_once = sorted((k for k in kills if k.day <= days), key=lambda k: k.day)
    drugs = _Drugs(doses)
    stops = {*(k.day for k in at_once), *(s for s in saves if s <= days), days}
    start = 0.0
    for stop in sorted(stops):
        count = max(1, int(np.ceil((stop - start) / step_days - 1e-9)))
        if stop > start:
            h = (stop - start) / count
            ends = np.concatenate([[start], start + h * (np.arange(count) + 0.5), [stop]])
            flows = _flows(ends, proliferation, drugs.acting(ends[0], ends[-1]))
            pending = (pending[0], *_composed(pending[1:], flows[0]))
            for flow in flows[1:]:
                stepper.advance(pending)
                pending = (h, *flow)
        for kill in (k for k in at_once if k.day == stop):
            if isinstance(kill.log_kill, np.ndarray):
                stepper.advance(pending)
                pending = (0.0, 1.0, 0.0)
                here *= surviving[id(kill.log_kill)]
            else:
                pending = (pending[0], pending[1] * float(np.exp(-kill.log_kill)), pending[2])
        if stop in saves or stop == days:
            stepper.advance(pending)
            pending = (0.0, 1.0, 0.0)
            if stop in saves:
                on_save(stop, inner)
        start = stop
    return inner.copy()


def _require(
    u: Field, domain: Domain, diffusivity: float, proliferation: float, days: float, step: float
) -> None:
    if u.shape != domain.shape:
        raise ValueError(f"u has shape {u.shape}, the domain {domain.shape}")
    for name, value in (
        ("diffusivity", diffusivity),
        ("proliferation", proliferation),
        ("days", days),
    ):
        if not (np.isfinite(value) and value >= 0.0):
            raise ValueError(f"{name} is finite and not negative, got {value}")
    if not (np.isfinite(step) and step > 0.0):
        raise ValueError(f"step_days is finite and positive, got {step}")
    if not ((u >= 0.0) & (u <= 1.0)).all():  # so written that NaN is refused too
        raise ValueError("a cell fraction lies in [0, 1]")
    if u[domain.mobility == 0].any():
        raise ValueError("there are cells where the mobility is zero, where none can be")


def _require_times(times: Sequence[float], *, earliest: float) -> None:
    for time in times:
        if not (np.isfinite(time) and time >= earliest):
            raise ValueError(f"a day is finite, and not negative unless it is a dose's: got {time}")


def _require_kill(day: float, log_kill: float | Field, shape: tuple[int, ...]) -> None:
    values = np.asarray(log_kill)
    if values.ndim and values.shape != shape:
        raise ValueError(f"the log-kill of day {day:g} has shape {values.shape}, u {shape}")
    if not (np.isfinite(values) & (values >= 0.0)).all():
        raise ValueError(f"the log-kill of day {day:g} is not finite, or negative")


class _Stepper:
    """Applies steps to a padded, flat field, by the method that is stable and cheapest."""

    def __init__(self, u: Field, domain: Domain, diffusivity: float) -> None:
        self._u = u
        self._sizes = tuple(np.uint64(n) for n in domain.shape)
        self._rate = diffusivity * domain.largest_rate
        kind = u.dtype.type
        self._faces = tuple(face * kind(diffusivity) for face in domain.faces(u.dtype))
        plane = (domain.shape[1] + 2) * (domain.shape[2] + 2)
        self._ring = np.zeros(3 * plane, u.dtype)
        self._stages: list[Field] = []

    def advance(self, step: Step) -> None:
        """Diffuse, then flow."""
        h, a, b = step
        stiffness = h * self._rate
        if stiffness > LEGENDRE_FROM:
            self._legendre(h, stiffness)
            h = 0.0
        count = max(1, int(np.ceil(stiffness / MIDPOINT_LIMIT))) if h > 0.0 else 0
        kind = self._u.dtype.type
        for n in range(count):
            last = n == count - 1
            part = h / count, h / count / 2.0, a if last else 1.0, b if last else 0.0, 1.0, FLUSHED
            _midpoint(
                self._u, *self._faces, self._ring, *self._sizes, *(kind(value) for value in part)
            )
        if count == 0 and (a, b) != (1.0, 0.0):
            _flow(self._u, *(kind(value) for value in (a, b, 1.0, FLUSHED)))

    def _legendre(self, h: float, stiffness: float) -> None:
        """One step of RKL2 with as many stages as stability asks for, an odd number."""
        s = int(np.ceil((np.sqrt(9.0 + 8.0 * stiffness / SAFETY) - 1.0) / 2.0))
        s = max(3, s + (s + 1) % 2)
        if not self._stages:
            self._stages = [np.zeros_like(self._u) for _ in range(4)]
        slope, one, two, three = self._stages
        kind = self._u.dtype.type
        bs = [1 / 3, 1 / 3] + [(j * j + j - 2) / (2 * j * (j + 1)) for j in range(2, s + 1)]
        w1 = 4.0 / (s * s + s - 2)
        _slope(self._u, slope, *self._faces, *self._sizes)
        before, now, after = one, two, three
        before[:] = self._u
        np.multiply(slope, kind(bs[1] * w1 * h), out=now)
        now += self._u
        for j in range(2, s + 1):
            mu = (2 * j - 1) / j * bs[j] / bs[j - 1]
            nu = -(j - 1) / j * bs[j] / bs[j - 2]
            gain = mu * w1 * h
            shares = (mu, nu, gain, -(1.0 - bs[j - 1]) * gain)
            _stage(
                self._u,
                slope,
                before,
                now,
                after,
                *self._faces,
                *self._sizes,
                *(kind(v) for v in shares),
            )
            before, now, after = now, after, before
        self._u[:] = now


class _Drugs:
    """Doses that kill, found by when they act."""

    def __init__(self, doses: Sequence[Dose]) -> None:
        self._doses = [d for d in doses if d.log_kill > 0.0]
        self._from = np.array([d.day for d in self._doses], np.float64)
        self._until = np.array([d.day + d.kinetics.over_days for d in self._doses], np.float64)

    def acting(self, start: float, end: float) -> list[Dose]:
        """Those that do anything between two days."""
        chosen = np.flatnonzero((self._from < end) & (self._until > start))
        return [self._doses[n] for n in chosen]


def _flows(
    ends: NDArray[np.float64], rho: float, acting: Sequence[Dose]
) -> list[tuple[float, float]]:
    """A and B of division and of acting drugs over each of the windows between ``ends`` (days)."""
    if not acting:
        return [
            (float(np.exp(rho * h)), float(np.expm1(rho * h) if rho > 0.0 else 0.0))
            for h in np.diff(ends)
        ]
    breaks = [d.day + after for d in acting for after in (0.0, *AFTER_DOSE_DAYS)]
    inside = [b for b in breaks if ends[0] < b < ends[-1]]
    knots = np.unique(np.concatenate([ends, inside]))
    low, width = knots[:-1, None], np.diff(knots)[:, None]
    times = np.hstack([low, low + width * (NODES + 1.0) / 2.0, low + width])
    killed = np.zeros_like(times)
    for dose in acting:
        killed += dose.log_kill * dose.kinetics.share(times - dose.day)
    grown = np.exp(rho * (times - low) - (killed - killed[:, :1]))
    a = grown[:, -1]
    b = rho * width[:, 0] / 2.0 * (grown[:, 1:-1] @ WEIGHTS)
    found = []
    edges = np.searchsorted(knots, ends)
    for first, last in pairwise(edges):
        whole = (1.0, 0.0)
        for n in range(first, last):
            whole = _composed(whole, (float(a[n]), float(b[n])))
        found.append(whole)
    return found


def _composed(first: tuple[float, float], then: tuple[float, float]) -> tuple[float, float]:
    """A and B of one flow after another."""
    return first[0] * then[0], first[1] + then[1] * first[0]


@njit(**COMPILED)
def _inflow(v, m, above, below, x, y, z, n, sx, sy):  # type: ignore[no-untyped-def]
    """What comes into a voxel from its six neighbors; 1/day.

    ``m``, ``above`` and ``below`` are where v has the voxel and its neighbors along i, ``n`` where the
    faces have it.
    """
    one = np.uint64(1)
    c = v[m]
    return (
        x[n] * (v[above] - c)
        + x[n - sx] * (v[below] - c)
        + y[n] * (v[m + sy] - c)
        + y[n - sy] * (v[m - sy] - c)
        + z[n] * (v[m + one] - c)
        + z[n - one] * (v[m - one] - c)
    )


@njit(**COMPILED)
def _midpoint(u, x, y, z, ring, ni, nj, nk, h, half, a, b, unit, least):  # type: ignore[no-untyped-def]
    """A midpoint step of diffusion and the flow after it, in place; a ring keeps three planes of the middle.

    Indices are unsigned and arrays flat, so that the innermost loops run on vectors; they run over the rows of
    a plane and the padding between them in one, where no face lets anything in.
    """
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    sy = nk + two
    sx = (nj + two) * sy
    for i in range(one, ni + two):
        if i <= ni:
            first, plane = i * sx, (i % three) * sx
            for m in range(sy, sx - sy):
                n = first + m
                ring[plane + m] = u[n] + half * _inflow(u, n, n + sx, n - sx, x, y, z, n, sx, sy)
        if i >= two:
            p = i - one
            first, here = p * sx, (p % three) * sx
            up, down = (i % three) * sx, ((p + two) % three) * sx
            for m in range(sy, sx - sy):
                n = first + m
                v = u[n] + h * _inflow(ring, here + m, up + m, down + m, x, y, z, n, sx, sy)
                w = a * v / (unit + b * v)
                u[n] = w if w > least else unit - unit


@njit(**COMPILED)
def _flow(u, a, b, unit, least):  # type: ignore[no-untyped-def]
    """The flow alone, in place."""
    for n in range(len(u)):
        w = a * u[n] / (unit + b * u[n])
        u[n] = w if w > least else unit - unit


@njit(**COMPILED)
def _slope(u, out, x, y, z, ni, nj, nk):  # type: ignore[no-untyped-def]
    """The diffusion operator of u; 1/day."""
    one, two = np.uint64(1), np.uint64(2)
    sy = nk + two
    sx = (nj + two) * sy
    for i in range(one, ni + one):
        for n in range(i * sx + sy, i * sx + sx - sy):
            out[n] = _inflow(u, n, n + sx, n - sx, x, y, z, n, sx, sy)


@njit(**COMPILED)
def _stage(u, slope, before, now, out, x, y, z, ni, nj, nk, mu, nu, gain, start):  # type: ignore[no-untyped-def]
    """A stage of RKL2: how far the last two are from the start, and the slopes at the last and the start."""
    one, two = np.uint64(1), np.uint64(2)
    sy = nk + two
    sx = (nj + two) * sy
    for i in range(one, ni + one):
        for n in range(i * sx + sy, i * sx + sx - sy):
            here = _inflow(now, n, n + sx, n - sx, x, y, z, n, sx, sy)
            out[n] = u[n] + (
                mu * (now[n] - u[n]) + nu * (before[n] - u[n]) + gain * here + start * slope[n]
            )
