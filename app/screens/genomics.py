"""One patient's genomics: what it is, what can be done about it, and every call behind that."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import streamlit as st

from app.components.keys import FieldKeys
from app.genomics_views import (
    age_words,
    burden_words,
    call_rows,
    copy_words,
    effect_rows,
    fraction_figure,
    fusion_rows,
    genes_shown,
    headline,
    ideogram,
    ledger_rows,
    lollipop,
    oncoprint,
    signature_figure,
    spectrum_figure,
    strong,
    support_rows,
    tiers_of,
    trace_rows,
)
from app.state import choose_patient, open_store
from app.views import plain
from data.avatar import Avatar
from data.calls import Calls
from data.evidence import STRONG, Interpretation
from models.genomics.clonality import clonality
from models.genomics.ledger import FILTERS, USUAL, filter_calls
from models.genomics.origin import origins
from pipelines.genomics_cohort import members_of
from pipelines.interpret import is_hotspot
from pipelines.marker_effects import marker_effects

PER_PAGE = 500
PLAIN_CHART = {"displayModeBar": False}
keys = FieldKeys()
avatar = choose_patient(keys)
if avatar is None:
    st.stop()


def _diagnosis(avatar: Avatar) -> None:
    found = avatar.diagnosis
    if found is None:
        st.subheader(
            f"{avatar.patient_id}: {plain(avatar.record.diagnosis or 'diagnosis unknown')}"
        )
        st.caption(
            "There is no table of integrated diagnoses for this site yet; this is the record's diagnosis."
        )
        return
    st.subheader(f"{avatar.patient_id}: {found.title}")
    if found.missing:
        tests = " ".join(f":orange-badge[{plain(test)}]" for test in found.missing)
        st.markdown(f"**Not tested, and would tell more:** {tests}")
    if found.provisional:
        st.warning(f"Provisional: {'; '.join(found.provisional)}.")
    with st.expander(f"How this diagnosis was reached ({found.table}, as of {found.as_of})"):
        st.dataframe(trace_rows(found), hide_index=True)
        st.caption(
            f"Source: {found.source}. Record: {plain(avatar.record.diagnosis or 'no diagnosis')}."
        )


def _card(found: Interpretation) -> None:
    with st.container(border=True):
        st.markdown(headline(found))
        st.markdown(plain(found.reason[0].upper() + found.reason[1:]) + ".")
        for note in found.notes:
            st.markdown(f":orange-badge[Note] {plain(note)}.")
        if found.label:
            st.markdown(f"Label: {plain(found.label)}.")
        if found.resisted:
            st.markdown(f":red-badge[Resistance] {plain(', '.join(found.resisted))}")
        said = found.oncogenicity
        if said is not None:
            reasons = "; ".join(f"{p.code} {p.points:+d}: {p.reason}" for p in said.points)
            st.caption(f"{said.category.capitalize()} ({said.total:+d} points). {plain(reasons)}")
        said_of_it = [*found.support, *found.resistance]
        with st.expander(
            "1 statement" if len(said_of_it) == 1 else f"{len(said_of_it)} statements"
        ):
            st.dataframe(support_rows(said_of_it), hide_index=True)


_diagnosis(avatar)
if avatar.burden is not None and avatar.burden.without_normal:
    st.warning(
        "**No normal sample.** Whether a variant was inherited is told by heuristics (population, hotspots, "
        "reads); confirm in blood what would change treatment or concern relatives."
    )
for hint in avatar.burden.hints if avatar.burden else ():
    st.warning(f"**{hint.pattern}** (a hint, no assay): {hint.reason}.")
known = age_words(avatar.knowledge, datetime.now(UTC).date())
if known:
    ages = " ".join(f":{'orange' if is_old else 'gray'}-badge[{words}]" for words, is_old in known)
    st.markdown(f"Knowledge: {ages}")
cards = strong(avatar.interpretations)
st.markdown(
    f"**Tier I and II: {len(cards)} of {len(avatar.interpretations)} alterations in known genes**"
)
if not cards:
    st.info(
        "Nothing that is found has an approval or evidence here. That is no proof that nothing can be done."
    )
columns = st.columns(2, gap="small")
for number, found in enumerate(cards):
    with columns[number % 2]:
        _card(found)
st.caption(
    "Tiers by AMP/ASCO/CAP, from the project's table of approvals and what was imported; read the label before "
    "anything follows from it."
)
effects = marker_effects(avatar)
if effects:
    st.markdown("**What the markers change in the twin** :gray-badge[in silico]")
    st.dataframe(effect_rows(effects), hide_index=True)
    st.caption(
        "Each marker has one owner, so that nothing counts twice: growth by the class, or one drug's effect. "
        "The survival model is an answer of its own, beside the twin. Other variants change no parameter."
    )
if avatar.copy_number is not None:
    st.markdown("**Copy number**")
    st.markdown(plain(copy_words(avatar.copy_number)))
    st.plotly_chart(ideogram(avatar.copy_number), key="ideogram", config=PLAIN_CHART)
if avatar.fusions is not None:
    st.markdown("**Fusions**")
    if avatar.fusions:
        st.dataframe(fusion_rows(avatar.fusions), hide_index=True)
    else:
        st.caption("The caller found none.")
if st.toggle(
    "All patients of this store",
    help=keys.help(
        "A", "All patients of this store", "Which genes are altered in whom, and what goes together"
    ),
):
    with st.spinner("Reading all avatars"):
        members = members_of(open_store())
    drawn_of_all = oncoprint(members)
    if drawn_of_all is not None:
        st.plotly_chart(drawn_of_all, key="oncoprint", config=PLAIN_CHART)
    st.caption(
        f"{len(members)} sequenced patients; altered: at least likely oncogenic, of tier I or II, amplified, "
        "lost or fused. `avatar genomics cohort` adds intervals, pairs and survival."
    )
if avatar.calls is None or avatar.variants is None:
    st.info("No variant file in this study: not sequenced, or not given.")
    keys.listen()
    st.stop()
calls = Calls(
    open_store().table(avatar.calls), avatar.variants.build, "the avatar", avatar.variants.tumor_sample,
    avatar.variants.normal_sample, avatar.variants.roles_from,
)  # fmt: skip
tiers = tiers_of(calls, avatar.interpretations)
if avatar.burden is not None:
    left, right = st.columns((1, 1), gap="medium")
    with left:
        st.markdown("**Mutations as a whole**")
        st.markdown(burden_words(avatar.burden))
        st.plotly_chart(spectrum_figure(avatar.burden), key="spectrum", config=PLAIN_CHART)
        if avatar.burden.signatures is not None:
            st.caption(f"Signatures: {plain(avatar.burden.signatures.title)}.")
            drawn_fit = signature_figure(avatar.burden.signatures)
            st.plotly_chart(drawn_fit, key="signatures", config=PLAIN_CHART)
    with right:
        st.markdown("**Fractions**")
        st.plotly_chart(fraction_figure(calls, tiers), key="fractions", config=PLAIN_CHART)
st.markdown("**Every call**")
search_, filters_ = st.columns((1, 3), vertical_alignment="bottom")
wanted = search_.text_input(
    "Search", placeholder="gene, protein or position",
    help=keys.help("S", "Search", "Any part of a gene, a protein change, a consequence or a position"),
).strip().lower()  # fmt: skip
chosen = filters_.pills(
    "Filters", list(FILTERS), selection_mode="multi", default=list(USUAL),
    help=keys.help("I", "Filters", "Tier I and II are never removed, whatever is chosen"),
)  # fmt: skip
protected = np.array([tier in STRONG for tier in tiers], bool)
ledger = filter_calls(calls, protected, chosen)
st.dataframe(ledger_rows(ledger, len(calls)), hide_index=True)
removed = st.toggle(
    "Show what was removed",
    help=keys.help("R", "Show what was removed", "Each with the filter that removed it"),
)
clonal = clonality(calls, avatar.copy_number)
origin = origins(calls, avatar.copy_number, is_hotspot)
rows = [
    row
    for row in call_rows(
        calls, tiers, ledger, clonal, origin, removed=removed, most=None if wanted else PER_PAGE
    )
    if wanted in " ".join(map(str, row.values())).lower()
]
found_calls = len(rows) if wanted else int((ledger.kept != removed).sum())
st.dataframe(rows[:PER_PAGE], hide_index=True, height=min(420, 38 + 35 * max(1, len(rows))))
st.caption(
    f"{found_calls} of {len(calls)} calls"
    + (f", the first {PER_PAGE} shown" if found_calls > PER_PAGE else "")
    + f"; build {avatar.variants.build or 'not stated'}; tumor sample "
    f"{plain(avatar.variants.tumor_sample)} (told by {plain(avatar.variants.roles_from)}). Fractions are of "
    "reads, with Wilson's interval. Tumor cells: a hint from purity and segments, where the study gives both."
)
genes = genes_shown(avatar)
if genes:
    gene = st.selectbox(
        "Gene", genes, help=keys.help("G", "Gene", "Whose changes are drawn along its protein")
    )
    drawn = lollipop(avatar.interpretations, gene)
    if drawn is not None:
        st.plotly_chart(drawn, key="lollipop", config=PLAIN_CHART)
keys.listen()
