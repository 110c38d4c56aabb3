"""What the Simulate page computes: a patient's scene, previews, doses, and full solves in the background."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import streamlit as st

from app.jobs import Job, Jobs, Progress
from app.pictures import outlined
from app.state import open_store
from app.views import default_sequence
from data.avatar import Avatar
from data.io.nifti import encode_series
from data.prognosis import VolumeForecast
from data.store import AvatarStore
from data.treatment import Regimen
from models.inference.prior import ResponseOptions
from models.policy.margin import MarginPlans, margin_plans
from models.registration import resample
from models.simulation import Trajectory
from models.spatial import SpatialTwin
from pipelines.calibrate import calibrated_twin
from pipelines.config import twin_prior
from pipelines.dosimetry import StructureDose, structure_doses
from pipelines.simulate import kept_forecast, simulate_avatar
from pipelines.space import (
    ENSEMBLE_MM,
    IN_SPACE,
    SHOWN_MM,
    TumorInSpace,
    density_in_space,
    forecast_in_space,
    preview_in_space,
    spatial_twin_of,
    tumor_in_space,
)

POLLED_SECONDS = 0.5
USUAL_COLOR, MODEL_COLOR, CORE_COLOR = "#4c9be8", "#ff9f1c", "#ffffff"
"""Of the targets' outlines and the core's."""


@dataclass(frozen=True)
class Question:
    """Whose tumor is simulated and by which model."""

    avatar: Avatar
    growth: str
    options: ResponseOptions

    @property
    def key(self) -> str:
        """The same patient and model, the same key."""
        told = f"{self.avatar.to_json()}{self.growth}{self.options.model_dump_json()}"
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True)
class Scene:
    """A patient's tumor on the grids of the twin."""

    twin: SpatialTwin
    coarse: TumorInSpace
    fine: TumorInSpace


@dataclass(frozen=True)
class Answer:
    """What the full solve of a regimen found."""

    forecast: VolumeForecast
    density: bytes | None
    days: tuple[float, ...] = ()


@st.cache_resource(show_spinner=False)
def background() -> Jobs:
    """Work that goes on while pages are redrawn."""
    return Jobs()


def scene_of(question: Question) -> Scene | None:
    """None where nothing grows in space: no tissue map, or a law without space was chosen."""
    return _scene(question, question.key) if question.growth == IN_SPACE else None


@st.cache_resource(show_spinner="Laying the tumor on the twin's grid", max_entries=4)
def _scene(_question: Question, key: str) -> Scene | None:
    avatar = _question.avatar
    scan, prior = avatar.latest_scan, twin_prior(avatar.prior_class)
    if scan is None or scan.tissue is None:
        return None
    coarse, fine = (
        tumor_in_space(open_store(), scan, prior, voxel_mm=mm, planning=avatar.planning)
        for mm in (ENSEMBLE_MM, SHOWN_MM)
    )
    twin = spatial_twin_of(coarse, prior, avatar.record.markers, options=_question.options)
    if avatar.calibration is not None:
        twin = calibrated_twin(twin, avatar.calibration)
    return Scene(twin, coarse, fine)


@st.cache_data(show_spinner=False, max_entries=500)
def preview(
    _scene: Scene, _regimen: Regimen, _prior_class: str, key: str
) -> tuple[Trajectory, Trajectory]:
    """Volume and cells of the median member."""
    return preview_in_space(_scene.twin, _regimen, twin_prior(_prior_class))


@st.cache_resource(show_spinner=False, max_entries=24)
def doses_of(
    _scene: Scene, _regimen: Regimen, _avatar: Avatar, key: str
) -> tuple[StructureDose, ...]:
    """What the tumor, the brain and each drawn structure get."""
    return structure_doses(
        _scene.coarse,
        _regimen,
        tumor_alpha_beta_gy=twin_prior(_avatar.prior_class).alpha_beta_gy.median,
        store=open_store(),
        planning=_avatar.planning,
    )


@st.cache_data(show_spinner=False, max_entries=50)
def margins_of(
    _scene: Scene, _avatar: Avatar, margin_mm: float, key: str
) -> tuple[MarginPlans, tuple[float, float], bytes]:
    """The usual target and the model's of the same size, the cells outside the core that each holds, and a
    picture of both.
    """
    visible, middle = _scene.fine.visible, _scene.twin.median_member
    cells = visible.cells(middle.infiltration_mm.item())
    core_mm, brain = visible.region_mm("TC"), visible.domain.mobility > 0
    plans = margin_plans(cells, core_mm, brain, margin_mm=margin_mm)
    scan = _avatar.latest_scan
    assert scan is not None  # noqa: S101  # a scene is made of one
    image = resample(open_store().volume(scan.sequences[default_sequence(scan)]), _scene.fine.grid)
    edges = {USUAL_COLOR: plans.usual, MODEL_COLOR: plans.model, CORE_COLOR: core_mm <= 0}
    return plans, plans.held(cells, brain & (core_mm > 0)), outlined(image, edges)


def wanted_jobs(
    question: Question, scene: Scene | None, regimens: dict[str, Regimen]
) -> dict[str, Job]:
    """One job a key; those that this page wanted before and does not any more are cancelled."""
    jobs = background()
    for old in st.session_state.get("wanted-jobs", set()) - set(regimens):
        if (stale := jobs.find(old)) is not None and not stale.finished:
            stale.cancel()
    st.session_state["wanted-jobs"] = set(regimens)
    store = open_store()
    return {
        key: jobs.want(key, partial(_solve, question, scene, regimen, store))
        for key, regimen in regimens.items()
    }


def show_progress(
    running: dict[str, Job], what: str, key: str, on_cancel: Callable[[], None]
) -> None:
    """A bar of what is running, drawn again by itself; the page follows when all of it is done.

    Args:
        running: jobs by key.
        what: is done.
        key: of the button that cancels.
        on_cancel: called after all of it was told to stop, before the page is drawn again.
    """
    st.fragment(_bar, run_every=POLLED_SECONDS)(running, what, key, on_cancel)


def _bar(running: dict[str, Job], what: str, key: str, on_cancel: Callable[[], None]) -> None:
    if all(job.finished for job in running.values()):
        st.rerun()
    total = sum(job.share for job in running.values()) / len(running)
    bar, stop = st.columns((6, 1), vertical_alignment="center")
    bar.progress(total, f"{what}: {100 * total:.0f} %")
    if stop.button("Cancel", key=key):
        for job in running.values():
            job.cancel()
        on_cancel()
        st.rerun()


def _solve(
    question: Question,
    scene: Scene | None,
    regimen: Regimen,
    store: AvatarStore,
    report: Progress,
) -> Answer:
    avatar = question.avatar
    if scene is None:
        found = simulate_avatar(
            avatar, regimen, growth=question.growth, options=question.options, on_member=report
        )
        return Answer(found, None)
    prior = twin_prior(avatar.prior_class)
    series = density_in_space(scene.twin, scene.fine, regimen, prior)
    kept = kept_forecast(avatar, regimen, store, options=question.options)
    return Answer(
        kept or forecast_in_space(scene.twin, regimen, prior, on_member=report),
        encode_series(series.grid, series.frames),
        series.days,
    )
