"""What a regimen's radiotherapy gives the tumor, the brain and every structure that was drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.avatar import Planning
from data.imaging import Volume
from data.store import AvatarStore
from data.treatment import MapTarget, Regimen
from models.registration import resample
from models.response.dose_volume import DoseLimit, DoseVolume, Organ
from models.spatial import relative_dose
from pipelines.config import organ, organs
from pipelines.space import NOTHING_PLANNED, TumorInSpace

BRAIN = "brain outside the core"
TUMOR_EXPONENT = -10.0
"""Of the tumor's gEUD, which its coldest part decides (Niemierko 1999, Med Phys 26:1100); assumed."""
LATE_ALPHA_BETA_GY = 3.0
"""Of structures that are no known organ; assumed."""


@dataclass(frozen=True)
class StructureDose:
    """Doses of one structure over the whole course.

    Args:
        name: of the structure.
        physical: its voxels' dose.
        eqd2: the same in fractions of 2 Gy of the same effect.
        alpha_beta_gy: that this effect is of.
        organ: whose tolerance is known; none of the tumor and of other structures.
        is_tumor: whether it is to be hit.
    """

    name: str
    physical: DoseVolume
    eqd2: DoseVolume
    alpha_beta_gy: float
    organ: Organ | None = None
    is_tumor: bool = False

    @property
    def geud_gy(self) -> float:
        """Generalized equivalent uniform dose of the EQD2: the tumor's, the organ's, else the mean."""
        if self.is_tumor:
            return self.eqd2.geud(TUMOR_EXPONENT)
        return self.eqd2.geud(1.0 / self.organ.n) if self.organ else self.eqd2.mean_gy

    @property
    def ntcp(self) -> float | None:
        """Probability of the organ's complication; none where no tolerance is known."""
        return None if self.organ is None else self.organ.ntcp(self.eqd2)

    @property
    def broken(self) -> tuple[DoseLimit, ...]:
        """Limits of the organ that are exceeded."""
        return () if self.organ is None else self.organ.broken_limits(self.eqd2)


def organ_called(name: str) -> Organ | None:
    """The organ that a structure's name means (TG-263 and its usual variants); none if no known one."""
    return next((known for known in organs() if known.is_called(name)), None)


def structure_doses(
    tumor: TumorInSpace,
    regimen: Regimen,
    *,
    tumor_alpha_beta_gy: float,
    store: AvatarStore | None = None,
    planning: Planning = NOTHING_PLANNED,
) -> tuple[StructureDose, ...]:
    """Of the tumor core, the brain outside it and each drawn structure; nothing without radiotherapy.

    Args:
        tumor: on the twin's grid.
        regimen: whose fractions are given.
        tumor_alpha_beta_gy: of the tumor's EQD2.
        store: that holds what was planned.
        planning: structures, each measured on its own grid, and dose maps.

    Raises:
        RegimenError: a dose map that the patient does not have.
    """
    if not regimen.fractions:
        return ()
    share = relative_dose(tumor.visible, regimen)
    domain = tumor.visible.domain
    given = np.ones(domain.shape) if share is None else share.astype(np.float64)
    signed = tumor.visible.region_mm("TC")
    core = signed <= max(0.0, float(signed.min()))  # of one too thin for the grid, its middle
    brain = organ("brain")
    found = [_measured("tumor core", given[core], regimen, tumor_alpha_beta_gy, is_tumor=True)]
    sound = (domain.mobility > 0) & ~core
    found.append(_measured(BRAIN, given[sound], regimen, brain.alpha_beta_gy, brain))
    if store is not None:
        spread = tumor.grid.with_array(given.astype(np.float32))
        for name, inside in _drawn(store, planning, spread, regimen):
            meant = organ_called(name)
            ratio = meant.alpha_beta_gy if meant else LATE_ALPHA_BETA_GY
            found.append(_measured(name, inside, regimen, ratio, meant))
    return tuple(found)


def _drawn(
    store: AvatarStore, planning: Planning, spread: Volume, regimen: Regimen
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Share of the prescribed dose in each voxel of each drawn structure."""
    target = regimen.target
    if isinstance(target, MapTarget):  # as it was planned, farther than the twin's grid
        dose = store.volume(planning.doses[target.dose])
        spread = dose.with_array(dose.array / np.float32(target.prescribed_gy))
    for name, ref in planning.structures.items():
        mask = store.volume(ref)
        given = np.ones(mask.shape) if target.kind == "uniform" else resample(spread, mask).array
        yield name, np.asarray(given[mask.array > 0], np.float64)


def _measured(
    name: str,
    given: NDArray[Any],
    regimen: Regimen,
    alpha_beta_gy: float,
    organ: Organ | None = None,
    *,
    is_tumor: bool = False,
) -> StructureDose:
    doses = regimen.fraction_doses_gy
    given = np.maximum(given, 0.0)
    bed = given * doses.sum() + given**2 * (doses**2).sum() / alpha_beta_gy
    eqd2 = DoseVolume(bed / (1.0 + 2.0 / alpha_beta_gy))
    return StructureDose(
        name, DoseVolume(given * doses.sum()), eqd2, alpha_beta_gy, organ, is_tumor
    )
