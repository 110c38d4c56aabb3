"""One case: the editor, what was measured on the mask, and who did what to it."""

from __future__ import annotations

import streamlit as st

from app.components.editor import mask_editor
from app.components.keys import FieldKeys
from app.review_views import record_rows
from app.state import SAY_WHO, choose_patient, kept, open_store, reader_field
from app.views import measurement_rows, plain
from app.words import BEHIND
from data.imaging import Segmentation
from models.measurement import measure
from pipelines.review import ReviewCase, find_case, restore_version
from pipelines.sites.registry import SITES

store, keys = open_store(), FieldKeys()
who, day_, me = st.columns((1.4, 2, 1.2), vertical_alignment="bottom")
with who:
    avatar = choose_patient(keys)
if avatar is None or not avatar.scans:
    st.info("No scan to review.")
    st.stop()
days = sorted(scan.day for scan in avatar.scans)
asked = st.query_params.get("day")
seen = f"seen {avatar.patient_id}"  # which of the scans was looked at last
if asked is not None and asked not in [f"{day:g}" for day in days]:
    st.error(f"{avatar.patient_id} has no scan on day {asked}.")
first = next((day for day in days if f"{day:g}" == asked), st.session_state.get(seen, days[-1]))
with day_:
    day = st.segmented_control(
        "Scan (days since diagnosis)", days, default=first, format_func=lambda d: f"day {d:g}",
        key=f"review-day-{avatar.patient_id}",
        help=keys.help("L", "Scan (days since diagnosis)", "Which scan is read"),
    )  # fmt: skip
day = first if day is None else day
st.query_params["day"] = f"{day:g}"
st.session_state[seen] = day
with me:
    reader = reader_field(keys)
case = find_case(store, avatar.patient_id, day)


@st.cache_data(show_spinner=False, max_entries=100)
def _measured(mask_sha256: str, _case: ReviewCase) -> list[dict[str, str]]:
    mask = store.volume(_case.mask())
    images = [store.volume(ref) for ref in _case.scan.sequences.values()]
    whole = next((v for v in images if v.same_grid(mask)), None)
    sided = SITES[_case.avatar.site].is_sided
    measured = measure(Segmentation(mask, _case.scan.labels), whole if sided else None)
    return measurement_rows(_case.scan.model_copy(update={"measurements": measured}))


for flag in case.scan.flags:
    show = st.error if flag.severity == "stop" else st.warning
    show(f"**{flag.finding[0].upper()}{flag.finding[1:]}.** Look at {flag.look_at}.")
done = mask_editor(case, store, reader or "", key=f"editor-{avatar.patient_id}-{day:g}")
if done:
    words = {
        "save": "Saved as",
        "sign": "Signed",
        "request changes": "Changes asked for on",
        "measure": "Measured on",
    }
    if done["act"] in words:
        st.toast(f"{words[done['act']]} version {done['version']} of {case.name}")
signed = case.review.signed
state = f":gray-badge[{case.review.status}]"
if signed is not None and signed.version != case.review.version:
    by = plain(signed.by)
    state += f" version {case.review.version} is not signed; version {signed.version} was, by {by}"
elif signed is not None:
    state += (
        f" version {signed.version} signed by {plain(signed.by)} on {signed.at:%Y-%m-%d %H:%M} UTC"
    )
st.markdown(f"**{case.name}** {state}. First mask: {case.scan.segmenter}.")
left, right = st.columns((1, 1.5), gap="medium")
with left:
    st.markdown(f"**Measured on version {case.review.version}**")
    st.table(_measured(case.mask().sha256, case))
    st.caption(
        "Axial diameters: the longest and the longest perpendicular to it in the slice where their product "
        "is largest, of the largest piece; voxel corner to corner."
    )
with right:
    st.markdown("**Record**")
    rows = record_rows(case.review)
    if not rows:
        st.caption("Nobody has looked at this case yet.")
    else:
        st.dataframe(
            rows,
            hide_index=True,
            column_config={
                "When (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm")
            },
        )
    if case.review.version:
        earlier = [n for n in range(case.review.version)]
        pick, act = st.columns((1, 1), vertical_alignment="bottom")
        version = pick.selectbox(
            "Earlier version", earlier, index=len(earlier) - 1,
            format_func=lambda n: f"version {n}" + (" (before review)" if n == 0 else ""),
            help=keys.help("V", "Earlier version", "Every saved mask is kept; choose one to go back to"),
        )  # fmt: skip
        if act.button(
            "Make it the latest", disabled=not reader, shortcut="Shift+V",
            help="As a new version; nothing is taken away (Shift+V)" if reader else SAY_WHO,
        ):  # fmt: skip
            kept(lambda now: restore_version(store, case, version, by=reader or "", at=now))
if case.avatar.is_behind_its_masks:
    st.caption(f"The avatar has the signed mask. {BEHIND}")
keys.listen()
