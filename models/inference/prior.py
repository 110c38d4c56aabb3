"""What is believed of a tumor's growth and response before its own follow-up scans are seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.clinical import Markers
from models.markers import require_owner
from models.response.emax import Emax
from models.response.ensemble import Repopulation, Response
from models.response.growth_modulation import GrowthModulation
from models.response.log_kill import LogKill

DAYS_PER_YEAR = 365.25
Z90 = 1.6448536269514722


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LogNormal(_Part):
    """A positive quantity: median and the standard deviation of its logarithm, with its origin."""

    median: float = Field(gt=0)
    log_sd: float = Field(ge=0, le=3)
    unit: str
    source: str
    confirmed: bool

    def draw(self, members: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """One value per member."""
        return np.asarray(self.median * np.exp(self.log_sd * rng.standard_normal(members)))


def beliefs(part: BaseModel, name: str = "") -> Iterator[tuple[str, LogNormal]]:
    """Every quantity with a spread that a prior holds, with its path in the file."""
    if isinstance(part, LogNormal):
        yield name, part
        return
    for key in type(part).model_fields:
        value = getattr(part, key)
        members = value.items() if isinstance(value, dict) else [("", value)]
        for inner, found in members:
            if isinstance(found, BaseModel):
                path = ".".join(word for word in (name, key, inner) if word)
                yield from beliefs(found, path)


class _DrugPrior(_Part):
    source: str


class LogKillPrior(_DrugPrior):
    """Log-kill per mg/m2, and what a marker leaves of it when absent.

    A marker acts here and nowhere else in the twin, so its effect is never counted twice.
    """

    kind: Literal["log-kill"] = "log-kill"
    sensitivity: LogNormal
    needs_marker: Literal["mgmt_methylation"] | None = None
    relative_without_marker: float = Field(default=1.0, ge=0, le=1)
    marker_share: float = Field(default=0.5, ge=0, le=1, description="share assumed where untested")

    @model_validator(mode="after")
    def _marker_is_of_the_response(self) -> Self:
        if self.needs_marker is not None:
            require_owner(self.needs_marker, "response")
        return self

    def draw(self, markers: Markers, members: int, rng: np.random.Generator) -> LogKill:
        """Sensitivity per member, m2/mg; an untested marker leaves both possibilities open."""
        values = self.sensitivity.draw(members, rng)
        chance = rng.random(members)
        state = "present" if self.needs_marker is None else getattr(markers, self.needs_marker)
        if state == "present":
            return LogKill(values)
        without = chance >= self.marker_share if state == "untested" else np.full(members, True)
        return LogKill(np.where(without, values * self.relative_without_marker, values))


class EmaxPrior(_DrugPrior):
    """Log-kill of a dose that saturates; see :mod:`models.response.emax`."""

    kind: Literal["emax"] = "emax"
    largest: LogNormal
    half_dose: LogNormal

    def draw(self, markers: Markers, members: int, rng: np.random.Generator) -> Emax:
        """Both parameters per member."""
        return Emax(self.largest.draw(members, rng), self.half_dose.draw(members, rng))


class GrowthModulationPrior(_DrugPrior):
    """What a drug, at the dose of its trial, multiplies growth by."""

    kind: Literal["growth-modulation"] = "growth-modulation"
    factor: LogNormal
    dose_mg: float = Field(gt=0)

    def draw(self, markers: Markers, members: int, rng: np.random.Generator) -> GrowthModulation:
        """Factor per member, at most 1."""
        return GrowthModulation(np.minimum(self.factor.draw(members, rng), 1.0), self.dose_mg)


DrugPrior = Annotated[LogKillPrior | EmaxPrior | GrowthModulationPrior, Field(discriminator="kind")]


class RepopulationPrior(_Part):
    """Growth that speeds up during a long course; see :class:`models.response.ensemble.Repopulation`."""

    kickoff_days: LogNormal
    factor: LogNormal


class ResponseOptions(_Part):
    """What the response may have beyond linear-quadratic survival with complete repair."""

    incomplete_repair: bool = False
    repopulation: bool = False


PLAIN = ResponseOptions()


class InvasionPrior(_Part):
    """Growth in space: how fast a tumor's diameter grows and how far its cells reach beyond what is seen.

    With the radial velocity v, half of the diameter's, and the infiltration length l = sqrt(D / rho) the
    front's relation v = 2 sqrt(D rho) gives rho = v / (2 l) and D = v l / 2.
    """

    expansion_mm_per_year: LogNormal
    infiltration_mm: LogNormal
    edges_log_sd: float = Field(
        gt=0, le=3, description="of the infiltration length that two edges on a scan tell"
    )
    edges_source: str
    grey_share: LogNormal
    alpha_per_gy: LogNormal | None = Field(
        default=None,
        description="in space, where it is not the clonogens' of the class but the density's",
    )

    def draw(
        self, edges_mm: float | None, members: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Radial velocity (mm/day) and infiltration length (mm) per member.

        Args:
            edges_mm: the infiltration length that the scan's two edges tell; it is weighed with the prior
                by their precisions. None where the tumor shows one edge only.
            members: how many.
            rng: where chance comes from.
        """
        velocity = self.expansion_mm_per_year.draw(members, rng) / DAYS_PER_YEAR / 2.0
        prior = self.infiltration_mm
        center, spread = np.log(prior.median), prior.log_sd
        if edges_mm is not None:
            weight = self.edges_log_sd**2 / (self.edges_log_sd**2 + spread**2)
            center = weight * center + (1.0 - weight) * np.log(edges_mm)
            spread *= np.sqrt(weight)
        return velocity, np.exp(center + spread * rng.standard_normal(members))


class TwinPrior(_Part):
    """One class of tumor.

    Net growth of the scanned volume is given by a doubling time or by a velocity of diametric
    expansion; ``regrowth_doubling_days`` is that of the few clonogens left after treatment. Logistic
    growth with both: rate r = ln 2 / regrowth doubling, and a capacity K with r (1 - V0/K) = net rate.
    Without a regrowth time, K is ``capacity_ml``.
    """

    kind: str
    region: Literal["WT", "TC"]
    volume_error: LogNormal
    doubling_days: LogNormal | None = None
    expansion_mm_per_year: LogNormal | None = None
    regrowth_doubling_days: LogNormal | None = None
    capacity_ml: LogNormal | None = None
    alpha_per_gy: LogNormal
    alpha_beta_gy: LogNormal
    repair_half_time_h: LogNormal
    repopulation: RepopulationPrior
    clonogens_per_mm3: LogNormal
    drugs: dict[str, DrugPrior] = Field(default_factory=dict)
    invasion: InvasionPrior
    horizon_days: float = Field(gt=0, le=3650)

    @model_validator(mode="after")
    def _growth_is_determined(self) -> Self:
        if (self.doubling_days is None) == (self.expansion_mm_per_year is None):
            raise ValueError("give doubling_days or expansion_mm_per_year, one of them")
        if (self.regrowth_doubling_days is None) == (self.capacity_ml is None):
            raise ValueError("give regrowth_doubling_days or capacity_ml, one of them")
        return self

    def net_rate(
        self, volume_mm3: NDArray[np.float64], members: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Relative growth of the scanned volume, 1/day.

        From an expansion velocity v of the diameter d of a sphere: (dV/dt)/V = 3 v / d.
        """
        if self.doubling_days is not None:
            return np.asarray(np.log(2.0) / self.doubling_days.draw(members, rng))
        assert self.expansion_mm_per_year is not None  # noqa: S101  # by the validator
        diameter = np.cbrt(6.0 * volume_mm3 / np.pi)
        velocity = self.expansion_mm_per_year.draw(members, rng) / DAYS_PER_YEAR
        return np.asarray(3.0 * velocity / diameter)

    def response(
        self,
        markers: Markers,
        members: int,
        rng: np.random.Generator,
        *,
        in_space: bool = False,
        options: ResponseOptions = PLAIN,
    ) -> Response:
        """How each member answers to treatment; in space with the radiosensitivity that is for there."""
        alpha = self.invasion.alpha_per_gy if in_space else None
        plain = Response(
            alpha_per_gy=(alpha or self.alpha_per_gy).draw(members, rng),
            alpha_beta_gy=self.alpha_beta_gy.draw(members, rng),
            drugs={n: d.draw(markers, members, rng) for n, d in sorted(self.drugs.items())},
        )
        faster = Repopulation(
            self.repopulation.kickoff_days.median, self.repopulation.factor.draw(members, rng)
        )
        return replace(
            plain,
            repair_half_time_h=self.repair_half_time_h.median
            if options.incomplete_repair
            else None,
            repopulation=faster if options.repopulation else None,
        )
