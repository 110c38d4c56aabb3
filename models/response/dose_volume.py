"""What a dose does to a tumor and to the organs beside it: dose-volume histograms, TCP and NTCP.

Doses in Gy. Lyman 1985 (Radiat Res 104:S13) with the effective dose of Kutcher and Burman (1989, Int J
Radiat Oncol Biol Phys 16:1623); generalized equivalent uniform dose and the logistic form after Niemierko
(1999, Med Phys 26:1100) and Gay & Niemierko (2007, Phys Med 23:115); Poisson tumor control after Munro &
Gilbert (1961).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import ndtr

from models.response.radiotherapy import bed_gy

Doses = NDArray[np.float64]


@dataclass(frozen=True)
class DoseVolume:
    """The doses (Gy) of a structure's voxels, all of one volume.

    Raises:
        ValueError: no voxel, or a dose that is negative or not finite.
    """

    doses_gy: Doses

    def __post_init__(self) -> None:
        doses = np.sort(np.asarray(self.doses_gy, np.float64).ravel())
        if not len(doses):
            raise ValueError("the structure has no voxel on the dose's grid")
        if not (np.isfinite(doses).all() and doses[0] >= 0.0):
            raise ValueError("a dose is finite and not negative")
        object.__setattr__(self, "doses_gy", doses)

    @classmethod
    def inside(cls, dose_gy: NDArray[Any], structure: NDArray[np.bool_]) -> DoseVolume:
        """Of a dose map and a structure on one grid (i, j, k).

        Raises:
            ValueError: they are on different grids; see the class.
        """
        if dose_gy.shape != structure.shape:
            raise ValueError(f"the dose has shape {dose_gy.shape}, the structure {structure.shape}")
        return cls(dose_gy[structure])

    @cached_property
    def mean_gy(self) -> float:
        """Mean dose."""
        return float(self.doses_gy.mean())

    @property
    def highest_gy(self) -> float:
        """Dose of the hottest voxel, Dmax."""
        return float(self.doses_gy[-1])

    def dose_to(self, share: float) -> float:
        """The dose that the hottest ``share`` of the volume gets at least: D2 % is ``dose_to(0.02)``.

        Raises:
            ValueError: a share outside (0, 1].
        """
        if not 0.0 < share <= 1.0:
            raise ValueError(f"a share of the volume is in (0, 1], got {share}")
        hottest = max(1, int(np.ceil(share * len(self.doses_gy) - 1e-9)))
        return float(self.doses_gy[-hottest])

    def share_above(self, dose_gy: ArrayLike) -> NDArray[np.float64]:
        """Share of the volume that gets at least a dose: V20 is ``share_above(20)``; the cumulative DVH."""
        below = np.searchsorted(self.doses_gy, np.asarray(dose_gy, float), side="left")
        return np.asarray(1.0 - below / len(self.doses_gy))

    def eqd2(self, fractions: int, alpha_beta_gy: float) -> DoseVolume:
        """Each voxel's dose, given in equal fractions, as that in fractions of 2 Gy of the same effect.

        Raises:
            ValueError: fractions or alpha/beta that are not positive.
        """
        if fractions < 1 or not alpha_beta_gy > 0.0:
            raise ValueError(
                f"at least one fraction and a positive alpha/beta, got {fractions}, {alpha_beta_gy}"
            )
        each = self.doses_gy / fractions
        return DoseVolume(
            self.doses_gy * (1.0 + each / alpha_beta_gy) / (1.0 + 2.0 / alpha_beta_gy)
        )

    def geud(self, a: float) -> float:
        """Generalized equivalent uniform dose (sum v_i D_i^a)^(1/a): a = 1 is the mean, large a the maximum.

        Negative for tumors, which the coldest part decides.

        Raises:
            ValueError: a is zero.
        """
        if a == 0.0:
            raise ValueError("the exponent of gEUD is not zero")
        scale = self.highest_gy if a > 0 else float(self.doses_gy[0])
        if scale == 0.0:
            return 0.0
        return scale * float(np.mean((self.doses_gy / scale) ** a) ** (1.0 / a))


class DoseLimit(BaseModel):
    """A constraint on a structure, in conventional fractions."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metric: Literal["max", "mean"]
    limit_gy: float = Field(gt=0)
    risk: str = Field(min_length=1, description="of what, and how much, at the limit")
    source: str
    confirmed: bool

    def dose(self, eqd2: DoseVolume) -> float:
        """What the limit is held against; Gy."""
        return eqd2.highest_gy if self.metric == "max" else eqd2.mean_gy


class Organ(BaseModel):
    """Tolerance of an organ: Lyman's parameters, for whole-organ doses in 2-Gy fractions, and limits."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1)
    endpoint: str = Field(min_length=1)
    n: float = Field(gt=0, le=1, description="volume effect: small is serial, 1 is parallel")
    m: float = Field(gt=0, le=1, description="slope")
    td50_gy: float = Field(gt=0, description="uniform dose of 50 % complications")
    alpha_beta_gy: float = Field(gt=0)
    source: str
    confirmed: bool
    limits: tuple[DoseLimit, ...] = ()
    called: tuple[str, ...] = Field(
        default=(), description="names of its structure in planning systems"
    )

    def is_called(self, name: str) -> bool:
        """Whether a structure's name means this organ; case, spaces and signs do not matter."""
        return _letters(name) in map(_letters, (self.name, *self.called))

    def ntcp(self, eqd2: DoseVolume) -> float:
        """Probability of the endpoint: Phi((gEUD - TD50) / (m TD50)) with a = 1 / n."""
        return float(self.ntcp_at(eqd2.geud(1.0 / self.n)))

    def ntcp_at(self, geud_gy: ArrayLike) -> NDArray[np.float64]:
        """The same for generalized equivalent uniform doses that are known already."""
        off = np.asarray(geud_gy, np.float64) - self.td50_gy
        return np.asarray(ndtr(off / (self.m * self.td50_gy)))

    def broken_limits(self, eqd2: DoseVolume) -> tuple[DoseLimit, ...]:
        """Those of its limits that a dose exceeds."""
        return tuple(limit for limit in self.limits if limit.dose(eqd2) > limit.limit_gy)


def _letters(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


class OrganList(BaseModel):
    """Organs as a file lists them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    organs: tuple[Organ, ...] = Field(min_length=1)


def ntcp_logistic(eud_gy: ArrayLike, td50_gy: float, gamma50: float) -> NDArray[np.float64]:
    """1 / (1 + (TD50 / EUD)^(4 gamma50)); gamma50 is the slope at TD50, percent per percent of dose."""
    eud = np.asarray(eud_gy, float)
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / (1.0 + (td50_gy / eud) ** (4.0 * gamma50)))


def tumor_control(
    clonogens: ArrayLike,
    alpha_per_gy: ArrayLike,
    fraction_doses_gy: ArrayLike,
    alpha_beta_gy: float,
) -> NDArray[np.float64]:
    """Poisson probability that no clonogen survives: exp(-N exp(-alpha BED)), without repopulation."""
    bed = bed_gy(fraction_doses_gy, alpha_beta_gy)
    surviving = np.asarray(clonogens, float) * np.exp(-np.asarray(alpha_per_gy, float) * bed)
    return np.asarray(np.exp(-surviving))
