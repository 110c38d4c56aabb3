"""Cohorts: survival by any marker, models side by side, and whether their probabilities are what happens."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app.components.keys import FieldKeys
from app.state import open_store
from app.survival_views import (
    calibration_figure,
    decision_figure,
    kaplan_meier_figure,
    risk_rows,
)
from app.views import plain
from data.cohort import Cohort, Covariate
from data.errors import AvatarError
from models.survival.calibration import decision_curve
from models.survival.families.registry import FAMILIES
from models.survival.groups import by_group, cut_at
from pipelines.evaluate_survival import CrossValidated, cross_validate
from pipelines.kept_cohorts import kept_at, kept_cohort, kept_names
from pipelines.public_cohorts import PUBLIC

USUAL = ("Kaplan-Meier", "Cox", "random survival forest")
THRESHOLDS = np.arange(0.02, 0.91, 0.02)
keys = FieldKeys()
store = open_store().folder


@st.cache_data(show_spinner=False, max_entries=20)
def _cohort(name: str, kept: str, changed: int) -> tuple[Cohort, dict[str, Covariate], str]:
    """A cohort, what its columns are, and the event's name; ``kept`` is where and ``changed`` when."""
    if name in PUBLIC and name not in kept_names(store):
        return PUBLIC[name](), {}, "the event"
    cohort, told = kept_cohort(store, name)
    return cohort, dict(told.covariates), told.event.name


Comparison = tuple[str, int, tuple[str, ...], float]
"""A cohort's name, when it was kept, the families, and the horizon."""


def _remembered() -> dict[Comparison, dict[str, CrossValidated]]:
    """What was compared in this session."""
    found: dict[Comparison, dict[str, CrossValidated]] = st.session_state.setdefault("compared", {})
    return found


def _compared(cohort: Cohort, key: Comparison) -> dict[str, CrossValidated]:
    """Cross-validated, remembered for the session."""
    remembered = _remembered()
    if key not in remembered:
        _, _, families, horizon = key
        with st.status("Fitting five folds of each model") as status:
            bar = st.progress(0.0)

            def shown(kind: str, done: int, total: int) -> None:
                bar.progress(done / total, f"{kind}: {done} of {total} fits")

            remembered[key] = cross_validate(
                cohort, {n: FAMILIES[n] for n in families}, horizons=(horizon,), on_step=shown
            )
            status.update(label="Fitted", state="complete")
    return remembered[key]


st.subheader("Research: cohorts, markers and models")
own = kept_names(store)
named, marked = st.columns((1, 2), gap="medium")
with named:
    name = st.selectbox(
        "Cohort", [*own, *(n for n in PUBLIC if n not in own)],
        format_func=lambda n: n if n in own else f"{n} (public, comes with the libraries)",
        help=keys.help(
            "C", "Cohort", "Those that the store keeps, then public ones; 'avatar survival keep' adds one"
        ),
    )  # fmt: skip
try:
    changed = kept_at(store, name)
    cohort, kinds, event = _cohort(name, str(store), changed)
except AvatarError as error:
    st.error(plain(str(error)))
    keys.listen()
    st.stop()
names = [str(c) for c in cohort.covariates]
labels = {c: (kinds[c].label if c in kinds else "") or c for c in names}
with marked:
    marker = st.selectbox(
        "Marker", list(labels), format_func=lambda c: labels[c], key=f"marker-{name}",
        help=keys.help("K", "Marker", "Whose groups are compared"),
    )  # fmt: skip
st.caption(
    f"{plain(cohort.name)}: {len(cohort)} patients, {cohort.events} with {plain(event)}, followed to "
    f"{cohort.time.max():.0f} {cohort.unit}."
)
values = cohort.covariates[marker]
exploratory = False
if pd.api.types.is_numeric_dtype(values):
    unit = kinds[marker].unit if marker in kinds else ""
    cutting, saying = st.columns(2, gap="medium")
    with cutting:
        label = f"Cut-off ({unit})" if unit else "Cut-off"
        cut = st.number_input(
            label, value=float(values.median()), key=f"cut-{name}-{marker}",
            help=keys.help("O", label, "Groups below it, and from it on; the median at first"),
        )  # fmt: skip
    with saying:
        exploratory = not st.toggle(
            "Chosen before a look at the outcomes", key=f"said-{name}-{marker}",
            help=keys.help(
                "B", "Chosen before a look at the outcomes",
                "A cut-off that was tried out makes p too small. Only you can say; what is not said is "
                "exploratory",
            ),
        )  # fmt: skip
    groups = cut_at(values.to_numpy(float), cut, labels[marker], unit)
else:
    groups = values.astype(object).where(values.notna(), None).to_numpy(object)
try:
    grouped = by_group(cohort, groups)
except AvatarError as error:
    st.error(plain(str(error)))
    keys.listen()
    st.stop()
badge = ":orange-badge[Exploratory cut-off: p is too small] " if exploratory else ""
p = (
    "no log-rank test: fewer than two groups, or one with fewer than 5 events"
    if grouped.p is None
    else f"log-rank p {'< 0.001' if grouped.p < 0.001 else f'= {grouped.p:.3f}'}"
)
st.markdown(f"{badge}**{plain(labels[marker])}**: {p}")
st.plotly_chart(kaplan_meier_figure(grouped, cohort.unit, event), key="kaplan-meier")
st.table(risk_rows(cohort, grouped))
competing = int((cohort.event == 2).sum())
if competing:
    st.warning(
        f"{competing} patients had a competing event and count as seen last: these curves are of a world "
        "without it. `avatar survival incidence` tells of both."
    )
st.caption(
    "Kaplan-Meier with pointwise 95 % intervals; below, patients still followed."
    + (f" Not known of {grouped.left_out}, who are left out." if grouped.left_out else "")
)

st.markdown("**Models side by side**, on the same five folds")
picking, asking = st.columns((2, 1), gap="medium")
with picking:
    families = st.multiselect(
        "Models", list(FAMILIES), default=list(USUAL),
        help=keys.help("M", "Models", "The stack takes a minute or more"),
    )  # fmt: skip
with asking:
    last = float(np.quantile(cohort.time, 0.95))
    horizon = st.number_input(
        f"Horizon ({cohort.unit})", 0.0, last, float(f"{np.median(cohort.time[cohort.event == 1]):.2g}"),
        key=f"horizon-{name}",
        help=keys.help("H", f"Horizon ({cohort.unit})", "At which calibration and net benefit are told"),
    )  # fmt: skip
wanted = st.button(
    "Compare", disabled=not families, help=keys.help("P", "Compare", "Fits and judges the models out of fold")
)  # fmt: skip
key = (cohort.name, changed, tuple(families), float(horizon))
if not (wanted or key in _remembered()):
    keys.listen()
    st.stop()
found = _compared(cohort, key)
st.dataframe(
    [
        {
            "Model": kind,
            "Uno's C": f"{one.mean('uno'):.3f} ± {one.spread('uno'):.3f}",
            "Harrell's C": f"{one.mean('harrell'):.3f} ± {one.spread('harrell'):.3f}",
            "Integrated Brier score": f"{one.mean('brier'):.4f} ± {one.spread('brier'):.4f}",
            "D-calibration p": f"{one.d_calibration(cohort).p:.3f}",
        }
        for kind, one in found.items()
    ],
    hide_index=True,
)
st.caption(
    "Mean and standard deviation over folds. C: higher is better; Brier: lower. Out-of-fold predictions."
)
curves, why = {}, ""
for kind, one in found.items():
    try:
        curves[kind] = one.event_by[horizon], one.at(cohort, horizon)
    except AvatarError as error:
        why = str(error)
at = f"{horizon:g} {cohort.unit}"
if not curves:
    st.info(plain(why))
else:
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**Calibration at {at}**")
        shown = {kind: told for kind, told in curves.items() if np.ptp(told[0]) > 0.05}
        st.plotly_chart(calibration_figure(shown, at), key="calibration")
    with right:
        st.markdown(f"**Net benefit at {at}**")
        told = {
            kind: decision_curve(cohort, risk, horizon, THRESHOLDS)
            for kind, (risk, _) in curves.items()
        }
        st.plotly_chart(decision_figure(told, at), key="decision")
    st.caption(
        "Calibration: observed, smoothed, against predicted; on the dashed line both are alike. Net "
        "benefit: true "
        "positives less false ones by the odds of the threshold, per patient. Research use only."
    )
keys.listen()
