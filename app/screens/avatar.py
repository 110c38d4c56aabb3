"""One patient: the scan with its mask, what was measured, variants, survival, and where it is from."""

from __future__ import annotations

import streamlit as st

from app.components.keys import FieldKeys
from app.components.viewer import volume_viewer
from app.genomics_views import headline, link_rows, strong
from app.state import choose_patient, open_store
from app.views import (
    measurement_rows,
    median_survival,
    survival_figure,
    timeline_figure,
)
from app.words import ORIGIN_WORDS
from models.genomics.treatment_links import treatment_links

keys = FieldKeys()
avatar = choose_patient(keys)
if avatar is None:
    st.stop()
record, markers = avatar.record, avatar.record.markers
age = "age unknown" if record.age_years is None else f"{record.age_years:.0f} years"
st.subheader(
    f"{avatar.patient_id}: {record.diagnosis or 'diagnosis unknown'}, {record.sex or 'sex unknown'}, "
    f"{age} :gray-badge[{ORIGIN_WORDS[avatar.origin]}]"
)
scans = sorted(avatar.scans, key=lambda s: s.day, reverse=True)
left, right = st.columns((2.1, 1), gap="medium")
with left:
    if not scans:
        st.info("This avatar has no scan.")
    else:
        scan = scans[0]
        if len(scans) > 1:
            day = st.segmented_control(
                "Scan (days since diagnosis)",
                [s.day for s in scans],
                default=scans[0].day,
                format_func=lambda d: f"day {d:g}",
                help=keys.help("L", "Scan (days since diagnosis)", "Which scan is shown"),
            )
            scan = next((s for s in scans if s.day == day), scans[0])
        for flag in scan.flags:
            show = st.error if flag.severity == "stop" else st.warning
            show(f"**{flag.finding[0].upper()}{flag.finding[1:]}.** Look at {flag.look_at}.")
        volume_viewer(scan, open_store(), key=f"viewer-{avatar.patient_id}-{scan.day:g}")
with right:
    if scans:
        st.markdown("**Volumes per region**")
        st.table(measurement_rows(scan))
        reviewed = "" if scan.given else " Automatic, not reviewed by a radiologist."
        if scan.signed_by is not None:
            reviewed = f" Corrected or confirmed and signed by {scan.signed_by}."
        st.caption(f"Mask: {scan.segmenter}.{reviewed}")
        if scan.agreement:
            overlaps = ", ".join(f"{name} {dice:.2f}" for name, dice in scan.agreement.items())
            st.caption(f"Opinions on the mask overlap (Dice) by {overlaps}.")
    st.markdown("**Survival (model)**")
    if avatar.survival is None:
        st.info("No survival curve: the model does not cover this case, see provenance below.")
    else:
        st.plotly_chart(survival_figure(avatar.survival), key="survival")
        unknown = ", ".join(avatar.survival.unknown)
        st.caption(
            f"Median {median_survival(avatar.survival)}. Band: 90 %, of the model's curve, "
            f"by refits. {avatar.survival.statement}."
            + (f" Unknown here: {unknown}." if unknown else "")
        )
    st.page_link(
        "screens/survival.py", label="Open the survival", icon=":material/monitor_heart:",
        help=keys.help("U", "Open the survival", "What drives it, patients like this one, from now on"),
        query_params={"patient": avatar.patient_id},
    )  # fmt: skip
st.markdown("**Timeline**")
st.plotly_chart(timeline_figure(avatar), key="timeline")
links = treatment_links(avatar.timeline.events, avatar.interpretations)
if links:
    st.markdown("**Drugs that were given, and what the tumor's alterations say of them**")
    st.dataframe(link_rows(links), hide_index=True)
    st.caption(
        "By the drug's name in the record; the strongest statement on each alteration. It tells what was known "
        "by the sources' dates, not why a drug was chosen."
    )
st.markdown("**Variants and markers**")
shown = {
    "IDH mutation": markers.idh_mutation,
    "1p/19q codeletion": markers.codeletion_1p19q,
    "MGMT methylation": markers.mgmt_methylation,
    "TERT promoter": markers.tert_promoter_mutation,
    "+7/-10": markers.gain7_loss10,
    "EGFR amplification": markers.egfr_amplification,
}
tint = {"present": "red", "absent": "green", "untested": "gray"}
st.markdown(" ".join(f":{tint[state]}-badge[{name}: {state}]" for name, state in shown.items()))
if avatar.diagnosis is not None:
    st.markdown(f"Integrated: **{avatar.diagnosis.title}**")
if avatar.calls is None:
    st.info("No variant file in this study: not sequenced, or not given.")
found = strong(avatar.interpretations)
tiers = " ".join(headline(one) for one in found)
st.markdown(f"Tier I and II: {tiers or 'none found'}")
st.page_link(
    "screens/genomics.py", label="Open the genomics", icon=":material/genetics:",
    help=keys.help("G", "Open the genomics", "Diagnosis with its trace, evidence, every call"),
    query_params={"patient": avatar.patient_id},
)  # fmt: skip
with st.expander("Provenance: what every part was made from"):
    for part in avatar.provenance:
        files = (
            ", ".join(f"{s.role} {s.name} `{s.sha256[:10]}`" for s in part.sources) or "parts above"
        )
        versions = ", ".join(f"{k} {v}" for k, v in part.versions.items())
        settings = ", ".join(f"{k} = {v}" for k, v in part.settings.items())
        said = "; ".join(t for t in (settings, versions, part.note) if t)
        st.markdown(f"**{part.step}**: {part.method}. From {files}. {said}")
keys.listen()
