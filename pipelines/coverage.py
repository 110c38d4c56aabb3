"""Do the twin's bands hold what they promise? In-silico patients, calibrated on early visits, judged on later.

Every patient is a tumor of the class's prior on a varied head, grown on voxels of 2 mm and seen with noise. A
twin on voxels of 3 mm starts from the first visit's masks, is calibrated on the next ones and forecasts the
rest, beside two forecasts that need no model. Then two targets of equal size, by a margin and by the twin's
cells: which covers what grows. All of it is in silico: it says that the machinery is sound where its equation
is the truth, not that tumors follow the equation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from data.clinical import Markers
from data.imaging import MM3_PER_ML, Volume
from data.samples.sri24 import load_sri24
from data.treatment import Regimen
from models.inference.baselines import exponential_fit, last_value
from models.inference.calibration import CalibratedTwin, FollowUp, Method, calibrate
from models.inference.prior import TwinPrior
from models.phantom.anatomy import Anatomy, coarsened, vary
from models.phantom.longitudinal import LongitudinalPatient, grow_patient
from models.policy.margin import margin_plans
from models.registration import resample
from models.spatial import PARAMETERS, SpatialTwin, draw_spatial_twin, simulate_in_space
from models.tissue import CSF, GREY, WHITE
from pipelines.config import twin_prior
from pipelines.space import ENSEMBLE_MM, TumorInSpace, tumor_on_grid
from pipelines.threads import threads

Values = NDArray[np.float64]

TRUTH_MM = 2
"""Voxels that the truth grows on."""
CALIBRATED_DAYS = (30.0, 60.0)
"""Visits after the first one that the twin is calibrated on."""
HELD_OUT_DAYS = (90.0, 150.0)
DETECTED_ML = (8.0, 40.0)
"""Whole tumor at the first visit, drawn evenly on a logarithmic scale."""
MEMBERS = 100
LEVEL = 0.9
RANKS = 10
MARGINS_MM = (3.0, 5.0, 15.0)
"""About the core, of the targets that are compared."""
RESAMPLED = 10_000


class HeldOut(BaseModel):
    """One held-out volume and what was forecast of it; mm3."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patient: int
    day: float
    region: str
    seen_mm3: float
    lower_mm3: float
    median_mm3: float
    upper_mm3: float
    rank: float = Field(ge=0, le=1, description="share of the forecast below what was seen")
    last_value_mm3: float
    exponential_mm3: float

    @property
    def covered(self) -> bool:
        """Whether the band holds it."""
        return self.lower_mm3 <= self.seen_mm3 <= self.upper_mm3


class Spread(BaseModel):
    """Of one patient: share of the core that grew by the last visit which two targets cover, of equal size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patient: int
    margin_mm: float
    usual: float
    model: float


class CoverageStudy(BaseModel):
    """All held-out volumes, and what calibration taught; errors are of the logarithm."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prior_class: str
    method: Method
    seed: int
    patients: int
    members: int
    held_out: tuple[HeldOut, ...]
    spread: tuple[Spread, ...]
    contraction: dict[str, float] = Field(description="median over patients, by parameter")

    @property
    def coverage(self) -> float:
        """Share of held-out volumes in their 90 % band."""
        return float(np.mean([h.covered for h in self.held_out]))

    def coverage_interval(self) -> tuple[float, float]:
        """90 % interval of the coverage, resampling patients."""
        return self._resampled(lambda rows: float(np.mean([h.covered for h in rows])))

    def errors(self) -> dict[str, float]:
        """Mean absolute error of each forecast's logarithm."""
        return {name: float(np.mean(off)) for name, off in self._offs().items()}

    def gain(self, baseline: str) -> tuple[float, float, float]:
        """How much smaller the twin's error is than a baseline's: mean, and its paired 90 % interval."""
        offs = self._offs()
        paired = offs[baseline] - offs["twin"]
        patients = np.array([h.patient for h in self.held_out])
        each = np.array([paired[patients == n].mean() for n in np.unique(patients)])
        rng = np.random.default_rng(self.seed)
        means = rng.choice(each, (RESAMPLED, len(each))).mean(1)
        low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(each.mean()), float(low), float(high)

    def target_gain(self, margin_mm: float) -> tuple[float, float, tuple[float, float, float]]:
        """Mean coverage by the usual and the model's target, and the gain with its paired 90 % interval."""
        rows = [s for s in self.spread if s.margin_mm == margin_mm]
        usual, model = np.array([s.usual for s in rows]), np.array([s.model for s in rows])
        rng = np.random.default_rng(self.seed)
        means = rng.choice(model - usual, (RESAMPLED, len(rows))).mean(1)
        low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        gain = float((model - usual).mean())
        return float(usual.mean()), float(model.mean()), (gain, float(low), float(high))

    def rank_histogram(self) -> tuple[int, ...]:
        """How many held-out volumes fall into each tenth of their forecast; flat where bands are right."""
        counts, _ = np.histogram([h.rank for h in self.held_out], RANKS, (0.0, 1.0))
        return tuple(int(n) for n in counts)

    def _offs(self) -> dict[str, Values]:
        seen = np.log([h.seen_mm3 for h in self.held_out])
        told = {
            "twin": [h.median_mm3 for h in self.held_out],
            "last value": [h.last_value_mm3 for h in self.held_out],
            "exponential": [h.exponential_mm3 for h in self.held_out],
        }
        return {name: np.abs(np.log(values) - seen) for name, values in told.items()}

    def _resampled(self, tell: Callable[[list[HeldOut]], float]) -> tuple[float, float]:
        rows: dict[int, list[HeldOut]] = {}
        for h in self.held_out:
            rows.setdefault(h.patient, []).append(h)
        rng, names = np.random.default_rng(self.seed), list(rows)
        drawn = [
            tell([h for n in rng.choice(names, len(names)) for h in rows[int(n)]])
            for _ in range(RESAMPLED // 10)
        ]
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)


def study_coverage(
    prior_class: str = "glioblastoma",
    *,
    patients: int = 50,
    members: int = MEMBERS,
    method: Method = "es-mda",
    seed: int = 1,
    on_patient: Callable[[int, int], None] = lambda done, total: None,
) -> CoverageStudy:
    """Run the study.

    Raises:
        SampleError: the atlas cannot be had.
    """
    prior = twin_prior(prior_class)
    head = _head()
    found: list[HeldOut] = []
    taught: list[Values] = []
    spread: list[Spread] = []
    for n in range(patients):
        rng = np.random.default_rng([seed, n])
        patient = insilico_patient(head, prior, (0.0, *CALIBRATED_DAYS, *HELD_OUT_DAYS), rng)
        rows, calibrated = _judged(n, patient, prior, members, method, rng)
        found += rows
        taught.append(calibrated.posterior.contraction)
        spread += _targets(n, patient, calibrated.twin, prior)
        on_patient(n + 1, patients)
    return CoverageStudy(
        prior_class=prior_class,
        method=method,
        seed=seed,
        patients=patients,
        members=members,
        held_out=tuple(found),
        spread=tuple(spread),
        contraction=dict(
            zip(PARAMETERS, np.round(np.median(taught, axis=0), 4).tolist(), strict=True)
        ),
    )


def insilico_patient(
    head: Anatomy, prior: TwinPrior, days: tuple[float, ...], rng: np.random.Generator
) -> LongitudinalPatient:
    """A tumor of a class on a varied head, seen on some days; one that does not reach its size is redrawn."""
    while True:
        low, high = np.log(np.array(DETECTED_ML) * MM3_PER_ML)
        size = float(np.exp(rng.uniform(low, high)))
        try:
            return grow_patient(vary(head, rng), prior, days, rng, detected_mm3=size)
        except ValueError:
            continue


def tumor_at(patient: LongitudinalPatient, visit: int, prior: TwinPrior) -> TumorInSpace:
    """What a twin sees of a visit, on its own grid."""
    anatomy, masks = patient.anatomy, patient.visits[visit].masks
    maps = np.stack([anatomy.csf, anatomy.grey, anatomy.white])
    named = np.array([CSF, GREY, WHITE], np.uint8)[maps.argmax(0)]
    tissue = np.where(anatomy.brain, named, 0).astype(np.uint8)
    tissue[masks["WT"] & (tissue == CSF)] = WHITE
    affine = np.diag([*anatomy.spacing_mm, 1.0])
    return tumor_on_grid(
        Volume(tissue, affine),
        masks["WT"],
        masks["TC"] if masks["TC"].any() else None,
        grey_share=prior.invasion.grey_share.median,
        voxel_mm=ENSEMBLE_MM,
    )


def _head() -> Anatomy:
    atlas = load_sri24()
    white, grey, csf = (np.array(v.array, np.float32) for v in (atlas.white, atlas.grey, atlas.csf))
    return coarsened(Anatomy(white, grey, csf, atlas.white.spacing_mm), TRUTH_MM)


def _judged(
    n: int,
    patient: LongitudinalPatient,
    prior: TwinPrior,
    members: int,
    method: Method,
    rng: np.random.Generator,
) -> tuple[list[HeldOut], CalibratedTwin]:
    voxel = float(np.prod(patient.anatomy.spacing_mm))
    seen = {r: np.array([v.seen_mm3(r, voxel) for v in patient.visits]) for r in ("WT", "TC")}
    days = np.array([v.day for v in patient.visits])
    early = days <= CALIBRATED_DAYS[-1]
    first = tumor_at(patient, 0, prior)
    drawn = draw_spatial_twin(
        prior, first.visible, first.edges_mm, Markers(), members=members, rng=rng
    )
    later = early & (days > 0)
    calibrated = calibrate(
        drawn,
        FollowUp(days[later], {r: v[later] for r, v in seen.items()}, prior.volume_error.log_sd),
        given=Regimen(name="none"),
        rng=rng,
        method=method,
        threads=threads(),
    )
    ahead = _forecast(patient, calibrated.twin, prior, days[~early], rng)
    rows = []
    for region, volumes in ahead.items():
        for column, day in enumerate(days[~early]):
            told, truth = volumes[:, column], seen[region][~early][column]
            low, middle, high = np.quantile(told, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
            known = days[early], np.maximum(seen[region][early], voxel), np.array([day])
            rows.append(
                HeldOut(
                    patient=n,
                    day=float(day),
                    region=region,
                    seen_mm3=float(truth),
                    lower_mm3=float(low),
                    median_mm3=float(middle),
                    upper_mm3=float(high),
                    rank=float((told < truth).mean()),
                    last_value_mm3=float(last_value(*known)[0]),
                    exponential_mm3=float(exponential_fit(*known)[0]),
                )
            )
    return rows, calibrated


def _targets(
    n: int, patient: LongitudinalPatient, calibrated: SpatialTwin, prior: TwinPrior
) -> list[Spread]:
    """Targets about the core of the last early visit, and what they cover of its growth by the last visit."""
    start = _last_early(patient)
    tumor = tumor_at(patient, start, prior)
    middle = replace(calibrated.median_member, tumor=tumor.visible)
    cells = middle.tumor.cells(middle.infiltration_mm.item())
    before, after = (patient.visits[v].masks["TC"] for v in (start, -1))
    affine = np.diag([*patient.anatomy.spacing_mm, 1.0])
    grown = Volume((after & ~before).astype(np.float32), affine)
    recurrence = resample(grown, tumor.grid).array > 0.5
    if not recurrence.any():
        return []
    brain = tumor.visible.domain.mobility > 0
    found = []
    for margin_mm in MARGINS_MM:
        plans = margin_plans(cells, tumor.visible.region_mm("TC"), brain, margin_mm=margin_mm)
        usual, model = plans.coverage(recurrence)
        found.append(Spread(patient=n, margin_mm=margin_mm, usual=usual, model=model))
    return found


def _last_early(patient: LongitudinalPatient) -> int:
    """Number of the last visit that calibration sees."""
    return int(np.flatnonzero([v.day <= CALIBRATED_DAYS[-1] for v in patient.visits])[-1])


def _forecast(
    patient: LongitudinalPatient,
    calibrated: SpatialTwin,
    prior: TwinPrior,
    days: Values,
    rng: np.random.Generator,
) -> dict[str, Values]:
    """From the last early visit's edges on, with the error that a volume is measured with."""
    start = _last_early(patient)
    tumor = tumor_at(patient, start, prior)
    drawn = draw_spatial_twin(
        prior, tumor.visible, tumor.edges_mm, Markers(), members=calibrated.members, rng=rng
    )
    twin = replace(calibrated, tumor=tumor.visible, shift_mm=drawn.shift_mm)
    saves = np.concatenate([[0.0], days - patient.visits[start].day])
    found = simulate_in_space(twin, Regimen(name="none"), saves=saves, threads=threads())
    noise = prior.volume_error
    return {
        region: path.volume_mm3[:, 1:]
        * noise.draw(path.volume_mm3[:, 1:].size, rng).reshape(path.volume_mm3[:, 1:].shape)
        for region, path in found.regions.items()
    }
