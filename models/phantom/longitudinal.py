"""In-silico patients over time: a glioma grown on a healthy head, seen with noise at several visits.

For tests and studies of forecasts, where the truth must be known. The truth grows on its own grid from a
seed, so that a twin that starts from the first visit's edges has to bear what it will bear with real scans: a
start that is only seen, another grid, and a grey matter that it does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.growth.field import Domain, solve
from models.growth.visible import (
    EDGES,
    FLAIR_EDGE,
    VisibleTumor,
    place_on_wave,
    signed_distance_mm,
    visible_volume_mm3,
)
from models.inference.prior import TwinPrior
from models.phantom.anatomy import Anatomy
from models.phantom.lesion import seed_point
from models.phantom.noise import smooth_noise

Mask = NDArray[np.bool_]
SEED_RADIUS_MM = 6.0
LONGEST_DAYS = 4000.0
CHECKED_DAYS = 15.0
ROUGH_MM, ROUGH_OVER_MM = 0.7, 8.0
"""How far a drawn edge is from the true one, and over what distance that changes; assumed."""


@dataclass(frozen=True)
class Truth:
    """What a patient's tumor is made of; mm/day, mm, and a share of white matter's diffusivity."""

    velocity_mm_per_day: float
    infiltration_mm: float
    grey_share: float


@dataclass(frozen=True)
class Visit:
    """What is seen on a day since the first visit: masks (i, j, k), and what is true (mm3 by region)."""

    day: float
    masks: dict[str, Mask]
    true_mm3: dict[str, float]

    def seen_mm3(self, region: str, voxel_mm3: float) -> float:
        """Volume of a mask."""
        return float(np.count_nonzero(self.masks[region]) * voxel_mm3)


@dataclass(frozen=True)
class LongitudinalPatient:
    """One head, the truth in it and its visits, the first on day 0."""

    anatomy: Anatomy
    truth: Truth
    visits: tuple[Visit, ...]


def grow_patient(
    anatomy: Anatomy,
    prior: TwinPrior,
    days: Sequence[float],
    rng: np.random.Generator,
    *,
    detected_mm3: float,
) -> LongitudinalPatient:
    """Draw a tumor from a class's prior, grow it until it is detected, and look at it on some days.

    Args:
        anatomy: the head it grows in; its grid is the truth's.
        prior: of the class.
        days: of the visits since detection, ascending from 0.
        rng: where chance comes from.
        detected_mm3: whole tumor at the first visit.

    Raises:
        ValueError: the tumor does not reach that volume in eleven years.
    """
    velocity, infiltration = (float(v[0]) for v in prior.invasion.draw(None, 1, rng))
    truth = Truth(velocity, infiltration, float(prior.invasion.grey_share.draw(1, rng)[0]))
    mobility = (anatomy.white + truth.grey_share * anatomy.grey) * anatomy.parenchyma
    domain = Domain(np.asarray(mobility, np.float32), anatomy.spacing_mm)
    grow = partial(
        solve,
        domain=domain,
        diffusivity=velocity * infiltration / 2.0,
        proliferation=velocity / infiltration / 2.0,
        step_days=4.0,
    )
    u = _seeded(anatomy, domain, infiltration, rng)
    grown = 0.0
    while visible_volume_mm3(u, FLAIR_EDGE, anatomy.spacing_mm) < detected_mm3:
        if grown > LONGEST_DAYS:
            raise ValueError(f"the tumor is smaller than {detected_mm3:g} mm3 after {grown:g} days")
        u = grow(u, days=CHECKED_DAYS)
        grown += CHECKED_DAYS
    visits: list[Visit] = []
    grow(
        u,
        days=max(days[-1], CHECKED_DAYS),
        saves=list(days),
        on_save=lambda day, u: visits.append(_seen(day, u, anatomy, truth, prior, rng)),
    )
    return LongitudinalPatient(anatomy, truth, tuple(visits))


def _seeded(
    anatomy: Anatomy, domain: Domain, infiltration_mm: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    at = seed_point(anatomy, rng)
    grid = np.indices(anatomy.shape) - at[:, None, None, None]
    offset = grid * np.array(anatomy.spacing_mm)[:, None, None, None]
    ball = np.sqrt((offset**2).sum(0)) < SEED_RADIUS_MM
    whole = signed_distance_mm(ball, anatomy.spacing_mm)
    return VisibleTumor.on(domain, whole, None).cells(infiltration_mm)


def _seen(
    day: float,
    u: NDArray[np.floating[Any]],
    anatomy: Anatomy,
    truth: Truth,
    prior: TwinPrior,
    rng: np.random.Generator,
) -> Visit:
    """Both edges drawn a little off: as a whole by the class's volume error, and roughly here and there."""
    true = {r: visible_volume_mm3(u, edge, anatomy.spacing_mm) for r, edge in EDGES.items()}
    z_mm = truth.infiltration_mm * place_on_wave(np.clip(u, 1e-6, 1.0 - 1e-6))
    masks = {}
    for region, edge in EDGES.items():
        radius = np.cbrt(3.0 * true[region] / (4.0 * np.pi))
        shift = radius * (np.cbrt(prior.volume_error.draw(1, rng)[0]) - 1.0)
        rough = ROUGH_MM * smooth_noise(anatomy.shape, ROUGH_OVER_MM / anatomy.spacing_mm[0], rng)
        edge_mm = truth.infiltration_mm * float(place_on_wave(edge))
        masks[region] = (z_mm - shift - rough < edge_mm) & (u > 0)
    masks["TC"] &= masks["WT"]
    return Visit(day, masks, true)
