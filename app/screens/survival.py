"""One patient's survival: the curve and how sure it is, what drives it, patients like this one."""

from __future__ import annotations

import streamlit as st

from app.components.keys import FieldKeys
from app.state import choose_patient, open_store
from app.survival_views import (
    driver_figure,
    joint_figure,
    joint_rows,
    landmark_rows,
    median_words,
    outcome_of,
    patient_figure,
    seen_words,
)
from app.views import plain
from data.avatar import Avatar
from data.errors import AvatarError
from pipelines.config import SURVIVAL_MODELS, regimen_names
from pipelines.joint_survival import JointSurvival, joint_survival
from pipelines.patient_survival import alike, asked_of


@st.cache_data(show_spinner=False, max_entries=50)
def _joint(avatar: Avatar, regimen: str) -> JointSurvival:
    return joint_survival(avatar, regimen)


keys = FieldKeys()
avatar = choose_patient(keys)
if avatar is None:
    st.stop()
title = avatar.record.diagnosis or "diagnosis unknown"
if avatar.diagnosis is not None:
    title = avatar.diagnosis.title
st.subheader(f"{avatar.patient_id}: {plain(title)}")
asked = asked_of(avatar)
if asked is None:
    st.info(
        f"There is no survival model of the site {avatar.site!r} yet, so that nothing is told here."
    )
    keys.listen()
    st.stop()
model = asked.model
if asked.outside:
    st.error(
        f"**No number for this patient.** {plain(model.name)} was fitted to {model.patients} patients, and "
        f"{plain('; '.join(asked.outside))}. Complete the record where something is not known; a patient "
        f"unlike all "
        "of them has no curve here."
    )
    keys.listen()
    st.stop()
left, right = st.columns((1.6, 1), gap="medium")
with right:
    lived = st.number_input(
        "Months lived since diagnosis", 0.0, model.end - model.times[1], 0.0, 1.0, format="%.0f",
        help=keys.help(
            "M", "Months lived since diagnosis",
            "The curve of those who have lived as long: survival from then on, not from diagnosis",
        ),
    )  # fmt: skip
told = asked.predict(lived)
similar, problem = None, ""
try:
    similar = alike(asked, open_store().folder)
except AvatarError as error:
    problem = str(error)
outcome = outcome_of(avatar.record)
with right:
    since = "" if lived == 0 else f", having lived {lived:g} months"
    st.metric(f"Median survival{since} (90 % band)", median_words(told))
    st.table(landmark_rows(told))
with left:
    st.plotly_chart(
        patient_figure(told, similar.curve if similar and lived == 0 else None, outcome),
        key="curve",
    )
    st.caption(
        f"{plain(told.statement)}. Band: uncertainty of the model's curve at each time by itself, from "
        f"{len(model.replicates)} refits; not the spread of single patients."
        + (
            f" The dashed line is what became of this patient{seen_words(asked, similar)}."
            if outcome
            else ""
        )
    )
known, unknown = st.columns((1.6, 1), gap="medium")
with known:
    st.markdown("**What drives it**: factors against the mean patient of the fit; they multiply")
    st.plotly_chart(driver_figure(told.drivers), key="drivers")
    st.caption(
        "Associations in patients as they were treated, not effects of a treatment. Right of 1 shortens "
        "survival."
    )
with unknown:
    st.markdown("**Does the model apply?**")
    st.markdown(":green-badge[Within what the model has seen]")
    if told.unknown:
        badges = " ".join(f":orange-badge[{plain(name)}]" for name in told.unknown)
        st.markdown(f"Not known here, and would tell more: {badges}")
    st.markdown(
        f"Fitted to {model.patients} patients ({model.events} with {plain(model.event)}), "
        f"{plain(model.trained_on)}. "
        "Treatment is not in it: it tells what became of such patients, not what a regimen would do."
    )
    with st.expander("Model card"):
        st.markdown((SURVIVAL_MODELS / f"{model.name}.md").read_text())
st.markdown("**Under a regimen** :violet-badge[in silico]")
regimens = st.multiselect(
    "Regimens", regimen_names(), placeholder="choose regimens to compare",
    help=keys.help(
        "R", "Regimens",
        "The twin says when the tumor progresses under each; from then on the hazard of death is a "
        "published multiple",
    ),
)  # fmt: skip
if regimens:
    try:
        with st.spinner("Simulating"):
            found = [_joint(avatar, name) for name in regimens]
    except AvatarError as error:
        st.error(plain(str(error)))
    else:
        st.plotly_chart(joint_figure(found), key="joint")
        st.table(joint_rows(found))
        st.caption(plain(" ".join(found[0].assumptions)))
st.markdown("**Patients like this one**")
if problem:
    st.error(plain(problem))
elif similar is None:
    st.info(
        "The store keeps no cohort to look them up in. Give it the table that the model was fitted to: "
        f"`avatar survival keep {model.name} TABLE --store {open_store().folder}`."
    )
else:
    st.dataframe(similar.table(model), hide_index=True)
    st.caption(
        f"The {len(similar.rows)} nearest of {len(similar.cohort)} in {plain(similar.cohort.name)}, this "
        f"patient left out. "
        "Distance: how far apart two patients are on the log hazard, covariate by covariate; 0 is alike in "
        "all that the "
        "model uses."
    )
keys.listen()
