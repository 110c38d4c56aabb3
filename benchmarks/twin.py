"""The spatial solver beside a naive reference, and what a voxel costs it.

    python benchmarks/twin.py [--quick]

Prints a table and ends with one JSON line. The reference is written straight from the equation, as the
nearest peer does it: torch, eager, double precision, the classical Runge-Kutta rule in steps of half a day,
each drug by its concentration at the rule's stages, fractions between steps. The grid is 90 x 116 x 36
voxels of 1.5 x 1.5 x 3 mm, 270 days, 30 fractions of 2 Gy and 74 doses of a drug.

Errors are relative L2 norms of the last day's cell fraction. The truth is our solver in double precision at
steps of a tenth and a twentieth of a day, extrapolated; without drugs the reference comes to the same (its
error is of other code, so that this is a check of both). With drugs it does not: its step is many times a
drug's half-life of two hours. CPU seconds are of one thread, medians of several runs of ours and one of the
reference. Without drugs the fastest run of each that meets an error is compared too: the reference, of fourth
order, can be no faster than with steps of a day, at which every fraction is met, whatever error would do; ours,
of second order, takes longer the smaller the error has to be. ``--quick`` leaves out the reference at its
longest step.

Then what the board does, on an ellipsoid of a brain's size with folds of grey and white matter and a
ventricle: 1,000 members over two years of Stupp on voxels of 3 mm, a calibration of 1,000 solves, the preview
of a regimen (one member, 3 mm) and its full solve (one member, 2 mm, 25 pictures), and how far volumes on 3
and 2 mm are from those on 1 mm.

The bound of a step over a whole brain is the machine's own: what a triad (a = b + s c, arrays far larger
than the cache) takes to move as many bytes as a step has to at least, five numbers a voxel.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from data.clinical import Markers
from data.treatment import Regimen
from models.growth.field import Domain, Dose, Kill, solve
from models.growth.visible import VisibleTumor
from models.inference.calibration import FollowUp, calibrate
from models.response.pharmacokinetics import TEMOZOLOMIDE, OneCompartment
from models.spatial import (
    SpatialTwin,
    draw_spatial_twin,
    grow_member,
    parameters_of,
    simulate_in_space,
    with_parameters,
)
from pipelines.config import find_regimen, twin_prior
from pipelines.space import PREVIEWED, SHOWN, density_code

Field = NDArray[np.float64]
SHAPE, SPACING_MM = (90, 116, 36), (1.5, 1.5, 3.0)
DIFFUSIVITY, PROLIFERATION, DAYS = 0.3, 0.03, 270.0
FRACTION_LOG_KILL = 0.12 * 2.0 + 0.015 * 2.0**2
KILLS = [Kill(7.0 * (n // 5) + n % 5, FRACTION_LOG_KILL) for n in range(30)]
DOSES = [Dose(float(day), 0.0225, TEMOZOLOMIDE) for day in range(42)] + [
    Dose(70.0 + 28.0 * (n // 5) + n % 5, 0.06, TEMOZOLOMIDE) for n in range(32)
]
STEPS_DAYS = (0.5, 1.0, 4.0, 8.0, 12.0)
EXACT_STEPS_DAYS = (0.5, 0.25, 0.125)
ERRORS = (1e-5, 1e-6, 1e-7, 4e-8)
RUNS = 5
BRAIN, BRAIN_DAYS = (182, 218, 182), 150.0
NOTHING = Regimen(name="nothing")
HALF_BRAIN_MM = np.array([72.0, 88.0, 66.0])
MOVED = 5
"""Numbers a voxel that a step has to move at least: the cell fraction in and out, three faces in."""


def head() -> tuple[Domain, Field]:
    """An ellipsoid of two tissues, ten to one in mobility, and a tumor beside its middle."""
    grid = np.indices(SHAPE) - (np.array(SHAPE)[:, None, None, None] - 1) / 2
    x, y, z = grid * np.array(SPACING_MM)[:, None, None, None]
    inside = (x / 62) ** 2 + (y / 80) ** 2 + (z / 50) ** 2 < 1
    folds = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(SHAPE), 4)
    mobility = np.where(folds > 0, 1.0, 0.1) * inside
    u = np.where(inside, 0.8 * np.exp(-((x - 15) ** 2 + y**2 + z**2) / 150), 0.0)
    return Domain(mobility, SPACING_MM), np.where(u > 1e-3, u, 0.0)


def reference(
    u: Field, domain: Domain, kills: Sequence[Kill], doses: Sequence[Dose], step_days: float
) -> Field:
    """The equation by the classical Runge-Kutta rule in torch."""
    now = torch.from_numpy(u.copy())
    mobility = torch.from_numpy(domain.mobility * DIFFUSIVITY)
    faces = []
    for axis, edge in enumerate(SPACING_MM):
        n = mobility.shape[axis]
        a, b = mobility.narrow(axis, 0, n - 1), mobility.narrow(axis, 1, n - 1)
        faces.append(torch.nan_to_num(2 * a * b / (a + b)) / edge**2)

    def concentration(day: float, drug: OneCompartment) -> float:
        ka, ke = drug.absorption_per_day, drug.elimination_per_day
        t = np.array([day - dose.day for dose in doses])
        strength = np.array([dose.log_kill for dose in doses])
        rate = ka * ke / (ka - ke) * (np.exp(-ke * t.clip(0)) - np.exp(-ka * t.clip(0)))
        return float((strength * rate * (t > 0)).sum())

    def slope(v: torch.Tensor, day: float) -> torch.Tensor:
        out = PROLIFERATION * v * (1 - v)
        if doses:
            out = out - concentration(day, TEMOZOLOMIDE) * v
        for axis, face in enumerate(faces):
            flow = face * torch.diff(v, dim=axis)
            n = v.shape[axis]
            out.narrow(axis, 0, n - 1).add_(flow)
            out.narrow(axis, 1, n - 1).sub_(flow)
        return out

    steps = round(DAYS / step_days)
    for n in range(steps + 1):
        day = n * step_days
        for kill in kills:
            if abs(kill.day - day) < 1e-9:
                now = now * float(np.exp(-kill.log_kill))
        if n == steps:
            break
        one = slope(now, day)
        two = slope(now + step_days / 2 * one, day + step_days / 2)
        three = slope(now + step_days / 2 * two, day + step_days / 2)
        four = slope(now + step_days * three, day + step_days)
        now = now + step_days / 6 * (one + 2 * two + 2 * three + four)
    return np.asarray(now.numpy())


def timed(run: Callable[[], Any], runs: int) -> tuple[Any, float]:
    """The result and the median CPU seconds of some runs."""
    seconds = []
    for _ in range(runs):
        started = time.process_time()
        found = run()
        seconds.append(time.process_time() - started)
    return found, statistics.median(seconds)


def apart(one: Field, other: Field) -> float:
    """Relative L2 distance from ``other``."""
    return float(np.linalg.norm(one.astype(float) - other) / np.linalg.norm(other))


def against_reference(*, quick: bool) -> dict[str, object]:
    """Seconds and errors of both, with and without the drug."""
    domain, u = head()
    figures: dict[str, object] = {}
    for name, doses in (("radiotherapy and drug", DOSES), ("radiotherapy alone", [])):

        def ours(
            step_days: float, dtype: type = np.float32, doses: Sequence[Dose] = doses
        ) -> Field:
            return solve(
                u.astype(dtype),
                domain,
                diffusivity=DIFFUSIVITY,
                proliferation=PROLIFERATION,
                days=DAYS,
                kills=KILLS,
                doses=doses,
                step_days=step_days,
            )

        truth = (4.0 * ours(0.05, np.float64) - ours(0.1, np.float64)) / 3.0
        ours(2.0)  # compiles
        peer, seconds = timed(lambda doses=doses: reference(u, domain, KILLS, doses, 0.5), 1)
        rows: dict[str, dict[str, float]] = {
            "reference, 0.5 d": {"cpu_s": seconds, "error": apart(peer, truth)}
        }
        print(f"\n{name}, 270 days\n{'':28s} {'CPU s':>8s} {'error':>9s} {'times faster':>13s}")
        print(f"{'reference, 0.5 d':28s} {seconds:8.3f} {apart(peer, truth):9.1e}")
        runs = [(step, np.float32) for step in STEPS_DAYS]
        runs += [] if doses else [(step, np.float64) for step in EXACT_STEPS_DAYS]
        for step_days, dtype in runs:
            found, mine = timed(lambda step=step_days, dtype=dtype: ours(step, dtype), RUNS)
            row = {"cpu_s": mine, "error": apart(found, truth), "times_faster": seconds / mine}
            label = f"ours, {step_days:g} d" + (", double" if dtype is np.float64 else "")
            rows[label] = row
            print(f"{label:28s} {mine:8.3f} {row['error']:9.1e} {row['times_faster']:13.0f}")
        if not doses and not quick:  # the longest step that meets every fraction and is stable
            coarse, seconds = timed(lambda: reference(u, domain, KILLS, [], 1.0), 1)
            rows["reference, 1 d"] = {"cpu_s": seconds, "error": apart(coarse, truth)}
            print(f"{'reference, 1 d':28s} {seconds:8.3f} {apart(coarse, truth):9.1e}")
            figures["equal error"] = equal_errors(rows)
        figures[name] = rows
    return figures


def equal_errors(rows: dict[str, dict[str, float]]) -> dict[str, float]:
    """How many times faster the fastest run of ours is than the reference's, for each error to be met."""
    found = {}
    for error in ERRORS:
        best = [
            min(
                (row["cpu_s"], label)
                for label, row in rows.items()
                if label.startswith(who) and row["error"] <= error
            )
            for who in ("reference", "ours")
        ]
        (theirs, their_label), (mine, label) = best
        found[f"{error:g}"] = theirs / mine
        print(
            f"  an error of {error:.0e} at most: {their_label} {theirs:.2f} CPU s, {label} {mine:.3f}: "
            f"{theirs / mine:.1f} times"
        )
    return found


@njit
def _triad(a, b, c, s):  # type: ignore[no-untyped-def]
    for i in range(len(a)):
        a[i] = b[i] + s * c[i]


def whole_brain() -> dict[str, float]:
    """Nanoseconds of a step and voxel at 1 mm, and of the machine's bound."""
    b, c = (np.ones(2**25, np.float32) for _ in range(2))
    a = np.zeros_like(b)
    _triad(a, b, c, np.float32(3))
    seconds = []
    for _ in range(RUNS):
        started = time.process_time()
        _triad(a, b, c, np.float32(3))
        seconds.append(time.process_time() - started)
    bound = min(seconds) / len(a) * 1e9 * MOVED / 3
    mobility = np.zeros(BRAIN, np.float32)
    mobility[8:-8, 8:-8, 8:-8] = 1.0
    domain = Domain(mobility, (1.0, 1.0, 1.0))
    u = np.zeros(BRAIN, np.float32)
    u[88:94, 106:112, 88:94] = 0.5
    rates = {"diffusivity": 0.1, "proliferation": 0.03, "step_days": 1.0}
    solve(u, domain, days=1.0, **rates)
    _, whole = timed(lambda: solve(u, domain, days=BRAIN_DAYS, **rates), 3)
    each = whole / BRAIN_DAYS / np.prod(BRAIN) * 1e9
    print(
        f"\n1 mm brain of {' x '.join(map(str, BRAIN))} voxels, {BRAIN_DAYS:g} days in steps of 1 d"
    )
    print(f"  {whole:.2f} CPU s, {each:.2f} ns a voxel and step; the bound is {bound:.2f} ns")
    print(f"  {each / bound:.2f} times the bound")
    return {
        "cpu_s": whole,
        "ns_per_voxel_step": each,
        "bound_ns": bound,
        "times_bound": each / bound,
    }


def brain(voxel_mm: float) -> SpatialTwin:
    """A twin in a brain of folds around a ventricle, on cubes of a size; the same shapes on every grid."""
    shape = tuple(int(np.ceil(2 * half / voxel_mm)) for half in HALF_BRAIN_MM)
    grid = (np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2) * voxel_mm
    x, y, z = grid
    a, b, c = HALF_BRAIN_MM - 4.0
    inside = (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 < 1
    ventricle = (x / 12) ** 2 + (y / 32) ** 2 + (z / 14) ** 2 < 1
    folds = np.sin(x / 5) + np.sin(y / 6) + np.sin(z / 5.5)
    mobility = np.where(folds > 0, 1.0, 0.14) * (inside & ~ventricle)
    away = np.sqrt((x - 38) ** 2 + (y - 5) ** 2 + z**2)
    domain = Domain(mobility.astype(np.float32), (voxel_mm,) * 3)
    tumor = VisibleTumor.on(domain, away - 19.0, away - 13.0)
    prior, rng = twin_prior("glioblastoma"), np.random.default_rng(0)
    return draw_spatial_twin(prior, tumor, 1.0, Markers(), members=1000, rng=rng)


def board() -> dict[str, object]:
    """What a user waits for: ensemble, calibration, preview, full solve; and what coarse voxels cost."""
    coarse, stupp = brain(3.0), find_regimen("stupp")
    warm = coarse.member(0, 2)
    simulate_in_space(warm, stupp, saves=[0.0, 60.0])
    saves = np.linspace(0.0, 730.0, 53)
    _, ensemble = timed(lambda: simulate_in_space(coarse, stupp, saves=saves), 1)
    seen = simulate_in_space(coarse.member(7), NOTHING, saves=[0.0, 30.0, 60.0])
    volumes = {region: path.volume_mm3[0, 1:] for region, path in seen.regions.items()}
    follow_up = FollowUp(np.array([30.0, 60.0]), volumes, 0.1)
    some = with_parameters(coarse.member(0, 250), parameters_of(coarse)[:250])
    (found, calibration) = timed(
        lambda: calibrate(some, follow_up, given=NOTHING, rng=np.random.default_rng(1)), 1
    )
    told = float(np.median(found.twin.velocity_mm_per_day) / coarse.velocity_mm_per_day[7])
    _, preview = timed(
        lambda: simulate_in_space(
            coarse.median_member, stupp, saves=np.linspace(0.0, 730.0, PREVIEWED + 1)
        ),
        RUNS,
    )
    fine, frames = brain(2.0).median_member, []

    def shown() -> None:
        frames.clear()
        grow_member(
            fine,
            0,
            stupp,
            saves=np.linspace(0.0, 730.0, SHOWN + 1),
            on_save=lambda day, u: frames.append(density_code(u)),
        )

    _, full = timed(shown, RUNS)
    rows: dict[str, object] = {
        "ensemble_cpu_s": ensemble,
        "members": coarse.members,
        "es_mda_cpu_s": calibration,
        "es_mda_solves": found.posterior.solves,
        "es_mda_velocity_over_truth": told,
        "preview_s": preview,
        "full_s": full,
    }
    print(
        f"\nthe board: two years of Stupp on {' x '.join(map(str, coarse.tumor.domain.shape))} voxels"
    )
    print(f"  ensemble of {coarse.members}: {ensemble:.1f} CPU s")
    print(
        f"  ES-MDA of {found.posterior.solves} solves to day 60: {calibration:.1f} CPU s; velocity found "
        f"{told:.2f} times the truth"
    )
    print(f"  preview {1000 * preview:.0f} ms, full solve on 2 mm {full:.2f} s (medians of {RUNS})")
    rows["coarse"] = coarse_voxels()
    return rows


def coarse_voxels() -> dict[str, float]:
    """Volumes on 3 and 2 mm as a share of those on 1 mm, half a year without treatment."""
    volumes = {}
    for voxel_mm in (1.0, 2.0, 3.0):
        one = brain(voxel_mm).median_member
        _, seconds = timed(lambda one=one: simulate_in_space(one, NOTHING, saves=[0.0, 180.0]), 1)
        found = simulate_in_space(one, NOTHING, saves=[0.0, 180.0]).regions
        volumes[voxel_mm] = {region: path.volume_mm3[0, -1] for region, path in found.items()}
        print(
            f"  {voxel_mm:g} mm, 180 days: {seconds:.2f} CPU s; "
            + ", ".join(
                f"{region} {v / 1000:.1f} mL ({v / volumes[1.0][region] - 1:+.1%})"
                for region, v in volumes[voxel_mm].items()
            )
        )
    return {
        f"{region} at {mm:g} mm": volumes[mm][region] / volumes[1.0][region] - 1
        for mm in (2.0, 3.0)
        for region in volumes[1.0]
    }


def main() -> int:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without the reference at 1 d")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    figures = {
        "peer": against_reference(quick=quick),
        "whole_brain": whole_brain(),
        "board": board(),
    }
    print(json.dumps({"benchmark": "twin", **figures}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
