"""A published result, revisited: dose saved by plans made for each in-silico patient (Chaudhuri et al. 2023).

Every patient of the cohort is seen twice before treatment, a lumped twin is calibrated on both volumes, and
weekly doses are chosen under the risk that the twin is wrong: the least toxicity for the control of the
standard of care, and the longest control for its toxicity. Done for several largest fractions and three
measures of toxicity, since the saving depends on both. No patient was treated; all of it is in silico.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from data.errors import StudyError
from data.io.structured import read_model
from models.growth.logistic import Logistic
from models.inference.prior import LogNormal
from models.inference.smoother import smoothed
from models.policy.front import least_toxic, longest_control
from models.policy.toxicity import metrics
from models.policy.weekly import WeeklyProblem
from models.response.ensemble import Response
from models.simulation import Twin
from pipelines.config import CONFIGS, organ

Values = NDArray[np.float64]
METRICS = ("physical dose", "BED3", "NTCP")
RESAMPLED = 5_000
LEVEL = 0.9


class CohortConfig(BaseModel):
    """What the cohort is drawn from and how it is treated."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    paper: str
    patients: int = Field(gt=1)
    members: int = Field(gt=9)
    weeks: int = Field(gt=0, le=12)
    standard_dose_gy: float = Field(gt=0)
    level: float = Field(ge=0, lt=1)
    scan_days: tuple[float, float]
    caps_gy: tuple[float, ...]
    brain_share: float = Field(gt=0, le=1)
    volume_mm3: LogNormal
    rate_per_day: LogNormal
    capacity_over_volume: LogNormal
    alpha_per_gy: LogNormal
    alpha_beta_gy: LogNormal
    error_log_sd: float = Field(gt=0)


class Saving(BaseModel):
    """What plans for one patient gain over the standard of care, as the twin expects and in truth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patient: int
    cap_gy: float
    metric: str
    reduction: float = Field(description="share of the toxicity saved for the same control")
    gained_days: float = Field(description="of control for the same toxicity, as the twin expects")
    true_gained_days: float = Field(description="of progression for the same toxicity, in truth")
    true_lost_days: float = Field(
        description="of progression by the plan that saves toxicity, in truth; negative if it gains"
    )
    doses_gy: tuple[float, ...] = Field(description="per fraction of each week, of the saving plan")


class Revisited(BaseModel):
    """The whole cohort."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: CohortConfig
    seed: int
    savings: tuple[Saving, ...]

    def median(self, cap_gy: float, metric: str, what: str) -> tuple[float, float, float]:
        """Median of a field over patients and its 90 % interval (bootstrap)."""
        values = np.array(
            [getattr(s, what) for s in self.savings if s.cap_gy == cap_gy and s.metric == metric]
        )
        rng = np.random.default_rng(self.seed)
        medians = np.median(rng.choice(values, (RESAMPLED, len(values))), axis=1)
        low, high = np.quantile(medians, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(np.median(values)), float(low), float(high)


def cohort_config() -> CohortConfig:
    """The cohort that the documents show."""
    return read_model(CONFIGS / "studies" / "chaudhuri2023.yaml", CohortConfig, StudyError)


def revisit(
    config: CohortConfig,
    *,
    seed: int = 1,
    threads: int = 1,
    on_patient: Callable[[int, int], None] = lambda done, total: None,
) -> Revisited:
    """Run the cohort; the result does not depend on the number of threads."""
    one = partial(_patient, config, seed)
    found: list[Saving] = []
    with ThreadPoolExecutor(threads) as pool:
        for n, savings in enumerate(pool.map(one, range(config.patients))):
            found += savings
            on_patient(n + 1, config.patients)
    return Revisited(config=config, seed=seed, savings=tuple(found))


def _patient(config: CohortConfig, seed: int, n: int) -> list[Saving]:
    rng = np.random.default_rng([seed, n])
    truth = _drawn(config, 1, rng)
    believed = _calibrated(config, truth, rng)
    problem = WeeklyProblem(believed, config.weeks, level=config.level)
    actual = WeeklyProblem(truth, config.weeks, level=0.0)
    standard = problem.standard(config.standard_dose_gy)[None]
    control = float(problem.control_days(standard)[0])
    brain = organ("brain")
    found = []
    for metric, toxicity in metrics(brain, np.ones(1), np.array([config.brain_share])).items():
        budget = float(toxicity(standard, problem.per_week)[0])
        for cap in config.caps_gy:
            least = least_toxic(problem, toxicity, cap_gy=cap, control_days=control, seed=seed)
            longest = longest_control(problem, toxicity, cap_gy=cap, budget=budget, seed=seed)
            plans = np.array([standard[0], least.doses_gy, longest.doses_gy])
            usual, saving, longer = actual.progression_days(plans)[:, 0]
            found.append(
                Saving(
                    patient=n,
                    cap_gy=cap,
                    metric=metric,
                    reduction=1.0 - least.toxicity / budget,
                    gained_days=longest.control_days - control,
                    true_gained_days=float(longer - usual),
                    true_lost_days=float(usual - saving),
                    doses_gy=least.doses_gy,
                )
            )
    return found


def _drawn(config: CohortConfig, members: int, rng: np.random.Generator) -> Twin:
    volume = config.volume_mm3.draw(members, rng)
    return Twin(
        volume,
        config.rate_per_day.draw(members, rng),
        volume * np.maximum(config.capacity_over_volume.draw(members, rng), 1.5),
        Response(
            config.alpha_per_gy.draw(members, rng), config.alpha_beta_gy.draw(members, rng), {}
        ),
    )


def _calibrated(config: CohortConfig, truth: Twin, rng: np.random.Generator) -> Twin:
    """The twin that two noisy volumes before treatment leave: volume, rate, capacity; the rest is prior."""
    first, last = config.scan_days
    ago = first - last
    law = Logistic()
    seen = [
        law.flow(truth.volume_mm3, truth.rate_per_day, truth.capacity_mm3, d) for d in (ago, 0.0)
    ]
    observed = np.log(np.concatenate(seen)) + config.error_log_sd * rng.standard_normal(2)
    prior = _drawn(config, config.members, rng)
    parameters = np.log(
        np.stack([prior.volume_mm3, prior.rate_per_day, prior.capacity_mm3 / prior.volume_mm3], 1)
    )

    def model(tried: Values) -> Values:
        volume, rate, over = np.exp(tried).T
        before = law.flow(volume, rate, volume * np.maximum(over, 1.5), ago)
        return np.asarray(np.log(np.stack([before, volume], 1)))

    error = np.full(2, config.error_log_sd)
    volume, rate, over = np.exp(smoothed(parameters, model, observed, error, rng=rng).members).T
    return Twin(volume, rate, volume * np.maximum(over, 1.5), prior.response)
