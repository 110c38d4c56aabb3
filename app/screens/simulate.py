"""Up to four regimens side by side on the twin of one patient: curves, endpoints, cells on the scan."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial

import streamlit as st
import yaml
from pydantic import ValidationError

from app.comparison import (
    LETTERS,
    QUANTITIES,
    SECOND_AXES,
    Candidate,
    backtest_rows,
    calibration_rows,
    comparison_csv,
    comparison_figure,
    comparison_rows,
)
from app.components.viewer import ShownDensity, volume_viewer
from app.densities import offer
from app.jobs import Job, Jobs, Progress
from app.regimen_editor import edit_plan
from app.state import choose_patient, open_store
from data.avatar import Avatar
from data.errors import AvatarError
from data.io.nifti import encode_series
from data.io.structured import explain, parse_plan
from data.prognosis import VolumeForecast
from data.treatment import Regimen, RegimenPlan
from models.inference.prior import beliefs
from models.simulation import Trajectory
from models.spatial import SpatialTwin
from pipelines.calibrate import calibrated_twin
from pipelines.config import regimen_names, regimen_plan, twin_prior
from pipelines.simulate import simulate_avatar
from pipelines.space import (
    ENSEMBLE_MM,
    SHOWN_MM,
    BrainDose,
    TumorInSpace,
    brain_dose,
    density_in_space,
    forecast_in_space,
    preview_in_space,
    spatial_twin_of,
    tumor_in_space,
)

# What is compared at first. A comment: Streamlit writes a string that stands alone on the page.
FIRST = ("stupp", "hypofractionated", "observation", "resection-stupp")
POLLED_SECONDS = 0.5


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
def _jobs() -> Jobs:
    return Jobs()


@st.cache_resource(show_spinner="Laying the tumor on the twin's grid", max_entries=4)
def _scene(_avatar: Avatar, key: str) -> Scene | None:
    """None where the scan has no tissue map: then the twin has no space."""
    scan, prior = _avatar.latest_scan, twin_prior(_avatar.prior_class)
    if scan is None or scan.tissue is None:
        return None
    coarse, fine = (
        tumor_in_space(open_store(), scan, prior, voxel_mm=mm) for mm in (ENSEMBLE_MM, SHOWN_MM)
    )
    twin = spatial_twin_of(coarse, prior, _avatar.record.markers)
    if _avatar.calibration is not None:
        twin = calibrated_twin(twin, _avatar.calibration)
    return Scene(twin, coarse, fine)


@st.cache_data(show_spinner=False, max_entries=500)
def _preview(
    _scene: Scene, _regimen: Regimen, _prior_class: str, key: str
) -> tuple[Trajectory, Trajectory]:
    return preview_in_space(_scene.twin, _regimen, twin_prior(_prior_class))


@st.cache_data(show_spinner=False, max_entries=500)
def _brain(_scene: Scene, _regimen: Regimen, key: str) -> BrainDose | None:
    return brain_dose(_scene.coarse, _regimen)


def _solve(avatar: Avatar, scene: Scene | None, regimen: Regimen, report: Progress) -> Answer:
    if scene is None:
        return Answer(simulate_avatar(avatar, regimen), None)
    prior = twin_prior(avatar.prior_class)
    series = density_in_space(scene.twin, scene.fine, regimen, prior)
    return Answer(
        forecast_in_space(scene.twin, regimen, prior, on_member=report),
        encode_series(series.grid, series.frames),
        series.days,
    )


def _wanted_jobs(
    avatar: Avatar, scene: Scene | None, regimens: dict[str, Regimen]
) -> dict[str, Job]:
    """One job a key; those that this page wanted before and does not any more are cancelled."""
    jobs = _jobs()
    for old in st.session_state.get("wanted-jobs", set()) - set(regimens):
        if (stale := jobs.find(old)) is not None and not stale.finished:
            stale.cancel()
    st.session_state["wanted-jobs"] = set(regimens)
    return {
        key: jobs.want(key, partial(_solve, avatar, scene, regimen))
        for key, regimen in regimens.items()
    }


def _progress(running: dict[str, Job]) -> None:
    """Bars of what is running; the page is drawn again when all of it is done."""
    if all(job.finished for job in running.values()):
        st.rerun()
    total = sum(job.share for job in running.values()) / len(running)
    bar, stop = st.columns((6, 1), vertical_alignment="center")
    bar.progress(
        total, f"Full solve, {len(running)} regimen(s): {100 * total:.0f} % of the members"
    )
    if stop.button("Cancel", key="cancel-jobs"):
        for job in running.values():
            job.cancel()
        st.session_state["cancelled"] = True
        st.rerun()


def _plans() -> dict[str, RegimenPlan]:
    """Shipped regimens and the user's own ones of this session."""
    own: dict[str, RegimenPlan] = st.session_state.get("own", {})
    return {name: regimen_plan(name) for name in regimen_names()} | own


def _take_own() -> None:
    """A regimen from a YAML file, added to the list."""
    file = st.file_uploader("Own regimen (YAML, as configs/regimens)", type=["yaml", "yml"])
    if file is None:
        return
    try:
        plan = parse_plan(file.getvalue(), file.name)
    except AvatarError as error:
        st.error(str(error))
        return
    own = st.session_state.setdefault("own", {})
    if own.get(f"own: {plan.name}") != plan:
        own[f"own: {plan.name}"] = plan
        st.rerun()


avatar = choose_patient()
if avatar is None:
    st.stop()
if not avatar.forecasts:
    st.info(
        f"{avatar.patient_id} cannot be simulated: there is no growth prior for the site "
        f"{avatar.site!r}, or its scan shows no tumor. Choose another patient above."
    )
    st.stop()
prior = twin_prior(avatar.prior_class)
digest = hashlib.sha256(avatar.to_json().encode()).hexdigest()
scene = _scene(avatar, digest)
left, right = st.columns((1, 3), gap="medium")
with left:
    count = st.segmented_control(
        "Regimens", (1, 2, 3, 4), default=2, help="Compared side by side; every one can be edited."
    )
    plans, edited = _plans(), {}
    shown = LETTERS[: count or 2]
    first_plans = ["stupp", *(drug for drug in plans if drug in prior.drugs), *FIRST[1:]]
    for letter, tab in zip(shown, st.tabs(list(shown)), strict=True):
        with tab:
            try:
                edited[letter] = edit_plan(letter, plans, first_plans[LETTERS.index(letter)])
                edited[letter].expand()
            except ValidationError as error:
                st.error(f"Regimen {letter}: {explain(error)}")
                st.stop()
    with st.expander("A regimen of your own"):
        _take_own()
regimens = {letter: plan.expand() for letter, plan in edited.items()}
keys = {letter: f"{digest}:{r.model_dump_json()}" for letter, r in regimens.items()}
cancelled = st.session_state.pop("cancelled", False)
jobs = {} if cancelled else _wanted_jobs(avatar, scene, {keys[x]: regimens[x] for x in shown})
candidates, densities = [], {}
for letter in shown:
    job = jobs.get(keys[letter])
    answer = job.result if job and job.finished else None
    if job and job.error is not None:
        with right:
            st.error(f"Regimen {letter}: {job.error}")
        continue
    try:
        candidates.append(
            Candidate(
                letter,
                regimens[letter],
                answer.forecast if answer else None,
                _preview(scene, regimens[letter], avatar.prior_class, keys[letter])
                if scene and not answer
                else None,
                _brain(scene, regimens[letter], keys[letter]) if scene else None,
            )
        )
    except AvatarError as error:
        with right:
            st.error(f"Regimen {letter}: {error}")
        continue
    if answer and answer.density:
        densities[letter] = ShownDensity(
            offer(answer.density), answer.days, f"{letter}: {regimens[letter].name}"
        )
with right:
    running = {key: job for key, job in jobs.items() if not job.finished}
    if running:
        st.fragment(_progress, run_every=POLLED_SECONDS)(running)
    elif cancelled:
        st.info(
            "Cancelled: dotted curves are previews of the median member. Change anything to go on."
        )
    first, other = st.columns(2)
    quantity = first.segmented_control(
        "Shown",
        QUANTITIES,
        default=QUANTITIES[0],
        help="All viable cells, seen or not, or the volume whose cells are dense enough to be seen.",
    )
    second = other.segmented_control("Second axis", SECOND_AXES, default=SECOND_AXES[0])
    if candidates:
        figure = comparison_figure(candidates, quantity or QUANTITIES[0], second or SECOND_AXES[0])
        st.plotly_chart(figure, key="volumes")
        st.table(comparison_rows(candidates, avatar.record))
    if densities and avatar.latest_scan:
        picked = st.segmented_control(
            "Cells on the scan under regimen", list(densities), default=next(iter(densities))
        )
        density = densities[picked or next(iter(densities))]
        volume_viewer(
            avatar.latest_scan,
            open_store(),
            key=f"density-{avatar.patient_id}",
            density=density,
            height_px=480,
        )
        st.caption(
            "In silico: cell fraction of the member whose every parameter is the median, on voxels of "
            f"{SHOWN_MM:g} mm. Cells below what a scan shows are drawn too; white matter carries them farther."
        )
    elif scene is None:
        st.info(
            "This scan has no tissue map, so growth is simulated without space (logistic). Provenance on "
            "the avatar page says why."
        )
    if all(c.forecast for c in candidates) and candidates:
        curves, yamls = st.columns(2)
        curves.download_button(
            "Curves (CSV)",
            comparison_csv(avatar.patient_id, candidates),
            file_name=f"{avatar.patient_id}-simulation.csv",
            mime="text/csv",
        )
        yamls.download_button(
            "Regimens (YAML)",
            yaml.safe_dump_all(
                [edited[c.letter].model_dump(mode="json") for c in candidates], sort_keys=False
            ),
            file_name=f"{avatar.patient_id}-regimens.yaml",
            mime="application/yaml",
        )
solved = next((c.forecast for c in candidates if c.forecast), None)
members = f"{solved.members} members (seed {solved.seed})" if solved else "an ensemble"
learned = avatar.calibration
origin = (
    f"calibrated on {len(learned.days)} scans of this patient"
    if learned
    else "not calibrated to this patient's follow-up"
)
st.caption(
    f"In silico: {members} drawn from the {avatar.prior_class} prior, {origin}. Progression: "
    "1.40 times the smallest volume since treatment began (25 % in the product of diameters). The model "
    "knows no death: no patient lives to the largest volumes shown. "
    f"BED and EQD2 of the tumor with alpha/beta {prior.alpha_beta_gy.median:g} Gy. Days count from the scan."
)
if learned:
    with st.expander(f"What {len(learned.days)} scans taught", expanded=False):
        st.table(calibration_rows(learned))
        for flag in learned.flags:
            st.markdown(f":material/info: {flag[0].upper()}{flag[1:]}.")
        if learned.backtest:
            st.markdown("**Tried on the last scan**, which it had not seen")
            st.table(backtest_rows(learned))
        days = ", ".join(f"{day:g}" for day in learned.days)
        st.caption(
            f"Scans of days {days} since the first, under {learned.given}; {learned.method.upper()}, "
            f"{learned.solves} solves, seed {learned.seed}. Misfit {learned.misfit:.2f}: distance of the "
            "scans from the medians in their errors; near 1 or below, they agree."
        )
with st.expander("What was assumed, with sources"):
    st.dataframe(
        [
            {
                "Parameter": name,
                "Median": f"{belief.median:g} {belief.unit}",
                "Spread (log sd)": f"{belief.log_sd:g}",
                "Source": belief.source,
                "Confirmed": "yes" if belief.confirmed else "assumption",
            }
            for name, belief in beliefs(prior)
        ],
        hide_index=True,
    )
    st.caption(f"Edges: {prior.invasion.edges_source}.")
