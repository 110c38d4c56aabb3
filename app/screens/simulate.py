"""Up to four regimens side by side on the twin of one patient: curves, endpoints, cells on the scan."""

from __future__ import annotations

import streamlit as st
import yaml
from pydantic import ValidationError

from app.comparison import (
    LETTERS,
    QUANTITIES,
    SECOND_AXES,
    Candidate,
    backtest_rows,
    calibration_figure,
    calibration_rows,
    comparison_csv,
    comparison_figure,
    comparison_rows,
    dose_rows,
    dose_volume_figure,
    rank_rows,
)
from app.components.keys import FieldKeys
from app.components.viewer import ShownDensity, volume_viewer
from app.densities import offer
from app.plan_front import front_section
from app.regimen_editor import edit_plan
from app.solves import (
    Question,
    Scene,
    doses_of,
    margins_of,
    preview,
    scene_of,
    show_progress,
    wanted_jobs,
)
from app.state import choose_patient, open_store
from app.words import BEHIND
from data.avatar import Avatar
from data.errors import AvatarError
from data.io.structured import explain, parse_plan
from data.prognosis import Calibration
from data.treatment import Regimen, RegimenPlan
from models.growth.registry import GROWTH_LAWS, growth_laws
from models.inference.prior import ResponseOptions, TwinPrior, beliefs
from pipelines.config import regimen_names, regimen_plan, twin_prior
from pipelines.space import IN_SPACE, SHOWN_MM

# What is compared at first. A comment: Streamlit writes a string that stands alone on the page.
FIRST = ("stupp", "hypofractionated", "observation", "resection-stupp")


def plans_to_pick() -> dict[str, RegimenPlan]:
    """Shipped regimens and the user's own ones of this session."""
    own: dict[str, RegimenPlan] = st.session_state.get("own", {})
    return {name: regimen_plan(name) for name in regimen_names()} | own


def take_own() -> None:
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


def choose_model(avatar: Avatar) -> Question:
    """Growth law and what the response has beyond the linear-quadratic survival."""
    laws: tuple[str, ...] = tuple(GROWTH_LAWS)
    with st.expander("Model"):
        try:
            laws = tuple(growth_laws())
        except ValueError as error:
            st.warning(f"Plug-ins are left out: {error}.")
        growth = st.selectbox(
            "Growth", (IN_SPACE, *laws),
            format_func=lambda kind: f"{kind} (in space)" if kind == IN_SPACE else f"{kind} (volume alone)",
            help="In space needs a tissue map of the scan. The others grow by the same net rate at the scan.",
        )  # fmt: skip
        repair = st.toggle(
            "Incomplete repair",
            help="Damage of a fraction is partly left at the next one: several fractions a day kill more.",
        )
        faster = st.toggle(
            "Accelerated repopulation",
            help="Growth speeds up from a kick-off day of radiotherapy to its end; see what was assumed.",
        )
    return Question(avatar, growth, ResponseOptions(incomplete_repair=repair, repopulation=faster))


def edit_regimens(prior: TwinPrior, maps: tuple[str, ...]) -> dict[str, RegimenPlan]:
    """The regimens that are compared, by letter; the page stops at one that breaks a rule."""
    picked = st.session_state.pop("picked-plan", None)
    if picked is not None:
        known = st.session_state.get("regimen-count", 2) or 2
        last = min(known + 1, len(LETTERS))
        st.session_state["regimen-count"] = last
        st.session_state[f"regimen-{LETTERS[last - 1]}"] = picked
    st.session_state.setdefault("regimen-count", 2)
    count = st.segmented_control(
        "Regimens", (1, 2, 3, 4), key="regimen-count",
        help="Compared side by side; every one can be edited.",
    )  # fmt: skip
    plans, edited = plans_to_pick(), {}
    shown = LETTERS[: count or 2]
    first = ["stupp", *(drug for drug in plans if drug in prior.drugs), *FIRST[1:]]
    for letter, tab in zip(shown, st.tabs(list(shown)), strict=True):
        with tab:
            try:
                edited[letter] = edit_plan(letter, plans, first[LETTERS.index(letter)], maps=maps)
                edited[letter].expand()
            except ValidationError as error:
                st.error(f"Regimen {letter}: {explain(error)}")
                st.stop()
    return edited


def mark_cancelled() -> None:
    """Leave the page with previews until something is changed."""
    st.session_state["cancelled"] = True


def show_cells(avatar: Avatar, densities: dict[str, ShownDensity]) -> None:
    """The density over time on the scan, of one regimen at a time."""
    scan = avatar.latest_scan
    if not densities or scan is None:
        return
    picked = st.segmented_control(
        "Cells on the scan under regimen", list(densities), default=next(iter(densities))
    )
    volume_viewer(
        scan,
        open_store(),
        key=f"density-{avatar.patient_id}",
        density=densities[picked or next(iter(densities))],
        height_px=480,
    )
    st.caption(
        "In silico: cell fraction of the member whose every parameter is the median, on voxels of "
        f"{SHOWN_MM:g} mm. Cells below what a scan shows are drawn too; white matter carries them farther."
    )


def show_doses(candidates: list[Candidate], avatar: Avatar) -> None:
    """Dose-volume histograms and what they come to."""
    rows = dose_rows(candidates)
    if not rows:
        st.caption("No radiotherapy in these regimens, or no space to lay its dose in.")
        return
    st.plotly_chart(dose_volume_figure(candidates), key="dvh")
    st.dataframe(rows, hide_index=True)
    drawn = ", ".join(avatar.planning.structures) or "none"
    st.caption(
        f"Structures drawn for this patient: {drawn} (study.yaml, 'planning'). Tolerances: "
        "configs/organs.yaml, Burman 1991 and QUANTEC; gEUD of the tumor with exponent -10. A margin's dose is "
        "a flat target with a Gaussian penumbra, not a plan's."
    )


def show_margin(scene: Scene | None, avatar: Avatar, key: str) -> None:
    """The usual target beside the model's of the same size."""
    if scene is None:
        st.caption(
            "Targets are compared in space only: this scan has no tissue map, or another law was chosen."
        )
        return
    picture, figures = st.columns((1, 1), gap="medium")
    with figures:
        margin = st.slider("Margin about the core (mm)", 3, 30, 15, 1, key="margin-compared")
        plans, (usual, model), png = margins_of(scene, avatar, float(margin), f"{key}:{margin}")
        ml = plans.usual.sum() * SHOWN_MM**3 / 1000.0
        one, two = st.columns(2)
        one.metric("Size of either target", f"{ml:.0f} mL")
        two.metric("Overlap (Dice)", f"{plans.overlap:.2f}")
        told = "Of the cells outside the core."
        one.metric(":blue[Usual target] holds", f"{100 * usual:.1f} %", help=told)
        two.metric(":orange[Model's target] holds", f"{100 * model:.1f} %", help=told)
    picture.image(png, caption="Blue: the margin. Orange: the model's target. White: the core.")
    st.caption(
        "In silico: of the cells that the median member has outside the core today, the share inside all brain "
        "within the margin, and inside as many voxels where it has most. That the model's target holds more "
        "of the model's cells is so by construction; what it is worth on cases where the truth is another "
        "grid's is in docs/COVERAGE.md."
    )


def show_learned(learned: Calibration) -> None:
    """What follow-up scans taught."""
    st.plotly_chart(calibration_figure(learned), key="learned")
    st.table(calibration_rows(learned))
    for flag in learned.flags:
        st.markdown(f":material/info: {flag[0].upper()}{flag[1:]}.")
    if learned.backtest:
        st.markdown("**Tried on the last scan**, which it had not seen")
        st.table(backtest_rows(learned))
    st.table(rank_rows(learned))
    days = ", ".join(f"{day:g}" for day in learned.days)
    st.caption(
        f"Scans of days {days} since the first, taken in one by one, under {learned.given}; "
        f"{learned.method.upper()}, {learned.solves} solves, seed {learned.seed}. Misfit {learned.misfit:.2f}: "
        "distance of the scans from the medians in their errors; near 1 or below, they agree."
    )


def show_assumed(prior: TwinPrior) -> None:
    """Every belief with its source and whether it was confirmed there."""
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


def offer_files(
    avatar: Avatar, candidates: list[Candidate], edited: dict[str, RegimenPlan]
) -> None:
    """Curves and regimens to download."""
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


field_keys = FieldKeys()
avatar = choose_patient(field_keys)
if avatar is None:
    st.stop()
if not avatar.forecasts:
    st.info(
        f"{avatar.patient_id} cannot be simulated: there is no growth prior for the site "
        f"{avatar.site!r}, or its scan shows no tumor. Choose another patient above."
    )
    st.stop()
if avatar.is_behind_its_masks:
    st.warning(f"**A mask was signed since.** {BEHIND}")
prior = twin_prior(avatar.prior_class)
left, right = st.columns((1, 3), gap="medium")
with left:
    edited = edit_regimens(prior, tuple(avatar.planning.doses))
    question = choose_model(avatar)
    with st.expander("A regimen of your own"):
        take_own()
scene = scene_of(question)
regimens: dict[str, Regimen] = {letter: plan.expand() for letter, plan in edited.items()}
keys = {letter: f"{question.key}:{r.model_dump_json()}" for letter, r in regimens.items()}
cancelled = st.session_state.pop("cancelled", False)
jobs = {} if cancelled else wanted_jobs(question, scene, {keys[x]: regimens[x] for x in regimens})
candidates: list[Candidate] = []
densities: dict[str, ShownDensity] = {}
for letter, regimen in regimens.items():
    job = jobs.get(keys[letter])
    answer = job.result if job and job.finished else None
    try:
        if job and job.error is not None:
            raise job.error
        candidates.append(
            Candidate(
                letter,
                regimen,
                answer.forecast if answer else None,
                preview(scene, regimen, avatar.prior_class, keys[letter])
                if scene and not answer
                else None,
                doses_of(scene, regimen, avatar, keys[letter]) if scene else (),
            )
        )
    except AvatarError as error:
        with right:
            st.error(f"Regimen {letter}: {error}")
        continue
    if answer and answer.density:
        densities[letter] = ShownDensity(
            offer(answer.density), answer.days, f"{letter}: {regimen.name}"
        )
with right:
    running = {key: job for key, job in jobs.items() if not job.finished}
    if running:
        what = "Full solve" if len(running) == 1 else f"Full solve of {len(running)} regimens"
        show_progress(running, what, "cancel-jobs", mark_cancelled)
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
    show_cells(avatar, densities)
    if scene is None and question.growth == IN_SPACE:
        st.info(
            "This scan has no tissue map, so growth is simulated without space (logistic). Provenance on "
            "the avatar page says why."
        )
    dose, plans, margin = st.tabs(
        ["Dose to structures", "Plans: control against toxicity", "Margin against model"]
    )
    with dose:
        show_doses(candidates, avatar)
    with plans:
        front_section(avatar, edited["A"], f"{question.key}:{edited['A'].model_dump_json()}")
    with margin:
        show_margin(scene, avatar, question.key)
    if candidates and all(c.forecast for c in candidates):
        offer_files(avatar, candidates, edited)
solved = next((c.forecast for c in candidates if c.forecast), None)
members = f"{solved.members} members (seed {solved.seed})" if solved else "an ensemble"
learned = avatar.calibration
origin = (
    f"calibrated on {len(learned.days)} scans of this patient"
    if learned and scene
    else "not calibrated to this patient's follow-up"
)
st.caption(
    f"In silico: {members} drawn from the {avatar.prior_class} prior, {origin}. Progression: "
    "1.40 times the smallest volume since treatment began (25 % in the product of diameters). The model "
    "knows no death: no patient lives to the largest volumes shown. "
    f"BED and EQD2 of the tumor with alpha/beta {prior.alpha_beta_gy.median:g} Gy; TCP: that no clonogen is "
    f"left of {prior.clonogens_per_mm3.median:,.0f} per mm3 (assumed). Days count from the scan."
)
if learned:
    with st.expander(f"What {len(learned.days)} scans taught", expanded=False):
        show_learned(learned)
with st.expander("What was assumed, with sources"):
    show_assumed(prior)
field_keys.listen()
