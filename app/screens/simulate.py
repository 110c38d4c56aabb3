"""Two regimens side by side on the twin of one patient."""

from __future__ import annotations

import streamlit as st
from pydantic import ValidationError

from app.state import choose_patient
from app.views import progression_text, volume_figure
from data.avatar import Avatar
from data.errors import AvatarError
from data.io.structured import explain
from data.prognosis import VolumeForecast
from data.treatment import RadiotherapyCourse, RegimenPlan
from models.inference.prior import beliefs
from pipelines.config import regimen_names, regimen_plan, twin_prior
from pipelines.simulate import simulate_avatar


@st.cache_data(show_spinner=False, max_entries=2000)
def _forecast(avatar_json: str, plan_json: str) -> VolumeForecast:
    plan = RegimenPlan.model_validate_json(plan_json)
    return simulate_avatar(Avatar.from_json(avatar_json), plan.expand())


def edit_plan(letter: str, default: str) -> RegimenPlan:
    """Pick a regimen and change its radiotherapy and drug."""
    names = regimen_names()
    titles = {name: regimen_plan(name).name for name in names}
    picked = st.selectbox(
        f"Regimen {letter}",
        names,
        index=names.index(default),
        format_func=lambda n: titles[n],
        key=f"regimen-{letter}",
    )
    plan = regimen_plan(picked)
    course = plan.radiotherapy[0] if plan.radiotherapy else None
    dose = st.slider(
        f"Dose per fraction {letter} (Gy)",
        0.0, 8.0, course.dose_per_fraction_gy if course else 0.0, 0.1,
        key=f"dose-{letter}-{picked}",
    )  # fmt: skip
    number = st.slider(
        f"Fractions {letter}",
        0, 40, course.fractions if course else 0, 1,
        key=f"fractions-{letter}-{picked}",
    )  # fmt: skip
    drug = st.toggle(
        f"Temozolomide {letter}",
        value=bool(plan.drugs),
        key=f"drug-{letter}-{picked}",
        disabled=not plan.drugs,
        help="As scheduled in the chosen regimen.",
    )
    given: tuple[RadiotherapyCourse, ...] = ()
    if number > 0 and dose > 0:
        start = course.start_day if course else 28.0
        per_week = course.per_week if course else 5
        given = (
            RadiotherapyCourse(
                fractions=number, dose_per_fraction_gy=dose, start_day=start, per_week=per_week
            ),
        )
    unchanged = given == plan.radiotherapy and drug == bool(plan.drugs)
    return plan.model_copy(
        update={
            "name": plan.name if unchanged else f"{plan.name} (edited)",
            "radiotherapy": given,
            "drugs": plan.drugs if drug else (),
        }
    )


def show(letter: str, forecast: VolumeForecast) -> None:
    """Numbers of one regimen."""
    middle, band = progression_text(forecast)
    columns = st.columns(4)
    columns[0].metric(f"Progression {letter}", middle, help=f"Median over members. {band}.")
    columns[1].metric(f"Dose {letter}", f"{forecast.total_dose_gy:.1f} Gy")
    columns[2].metric(f"BED {letter}", f"{forecast.bed_gy:.1f} Gy")
    columns[3].metric(f"EQD2 {letter}", f"{forecast.eqd2_gy:.1f} Gy")
    st.caption(f"{band}; {100 * forecast.progressed_share:.0f} % of members progress in time.")


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
left, middle, right = st.columns((1, 2.6, 1), gap="medium")
try:
    with left:
        plan_a = edit_plan("A", "stupp")
    with right:
        plan_b = edit_plan("B", "hypofractionated")
    document = avatar.to_json()
    forecasts = [_forecast(document, p.model_dump_json()) for p in (plan_a, plan_b)]
except ValidationError as error:
    st.error(explain(error))
    st.stop()
except AvatarError as error:
    st.error(str(error))
    st.stop()
with middle:
    st.plotly_chart(volume_figure(forecasts), key="volumes")
    for letter, forecast in zip("AB", forecasts, strict=True):
        show(letter, forecast)
first = forecasts[0]
st.caption(
    f"In silico: {first.members} members drawn from the {avatar.prior_class} prior (seed {first.seed}), "
    "not calibrated to this patient's follow-up. Progression: 1.40 times the smallest volume so far "
    f"(25 % in the product of diameters). BED and EQD2 with alpha/beta {prior.alpha_beta_gy.median:g} Gy. "
    "Days count from the scan."
)
with st.expander("What the twin assumes, with sources"):
    rows = [
        {
            "Parameter": name,
            "Median": f"{belief.median:g} {belief.unit}",
            "Spread (log sd)": f"{belief.log_sd:g}",
            "Source": belief.source,
            "Confirmed": "yes" if belief.confirmed else "assumption",
        }
        for name, belief in beliefs(prior)
    ]
    st.dataframe(rows, hide_index=True)
