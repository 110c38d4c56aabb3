"""Cases by what is to be done: the oldest unsigned one first, taken and opened by keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.components.keys import FieldKeys
from app.review_views import (
    WorkFilter,
    agreement_rows,
    in_order,
    statistics_rows,
    time_words,
    work_row,
)
from app.state import SAY_WHO, empty_state, kept, open_store, reader_field, scan_picture
from data.review import STATUSES
from pipelines.review import ReviewCase, assign, cases, whole_volume_ml

if TYPE_CHECKING:  # it imports torch, which takes seconds
    from pipelines.agreement import ReviewStatistics

PER_PAGE, TABLE = 50, "worklist"
store, keys = open_store(), FieldKeys()


@st.cache_data(show_spinner=False, max_entries=1000)
def _whole_ml(mask_sha256: str, _case: ReviewCase) -> float | None:
    return whole_volume_ml(store, _case)


@st.cache_data(show_spinner="Comparing masks", max_entries=5)
def _statistics(state: str, _cases: list[ReviewCase]) -> ReviewStatistics:
    from pipelines.agreement import statistics_of

    return statistics_of(store, _cases)


def _choose(row: int) -> None:
    st.session_state[TABLE] = {"selection": {"rows": [row]}}


if not store.patients():
    empty_state()
    st.stop()
who, find, states, extra = st.columns((1.2, 1.2, 2.6, 1.6), vertical_alignment="bottom")
with who:
    reader = reader_field(keys)
wanted_patient = find.text_input(
    "Find a patient", placeholder="part of the patient id",
    help=keys.help("F", "Find a patient", "Any part of the patient id; empty: all of them"),
).strip()  # fmt: skip
wanted = states.pills(
    "Status", STATUSES, selection_mode="multi", default=[s for s in STATUSES if s != "signed"],
    help=keys.help("S", "Status", "None chosen: all of them"),
)  # fmt: skip
narrowed = extra.pills(
    "Only", ("mine", "flagged"), selection_mode="multi",
    help=keys.help("O", "Only", "Mine: assigned to you. Flagged: the quality gate found something"),
)  # fmt: skip
filter_ = WorkFilter(
    statuses=tuple(wanted),
    assigned_to=(reader or "") if "mine" in narrowed else None,
    patient=wanted_patient,
    flagged="flagged" in narrowed,
)
found, unreadable = cases(store)
for sentence in unreadable:
    st.warning(sentence)
everything = [(case, store.volume_since(case.mask(0))) for case in found]
listed = in_order(everything, filter_)
counts = {s: sum(case.review.status == s for case, _ in everything) for s in STATUSES}
st.caption(
    f"{len(listed)} of {len(everything)} cases: "
    + ", ".join(f"{count} {status}" for status, count in counts.items())
)
if not listed:
    st.info("No case fits: choose another status, or clear the filters.")
    st.stop()
bar = st.container()  # what is done most stands above the list, whatever its length
rows = [
    {"Scan": scan_picture(case.scan, case.mask())}
    | work_row(case, since, _whole_ml(case.mask().sha256, case))
    for case, since in listed[:PER_PAGE]
]
picked = st.dataframe(
    rows,
    hide_index=True,
    row_height=64,
    height=min(560, 40 + 64 * len(rows)),
    on_select="rerun",
    selection_mode="single-row",
    key=TABLE,
    column_config={
        "Scan": st.column_config.ImageColumn("Scan", width="small"),
        "Quality gate": st.column_config.TextColumn(width="medium"),
        "Whole tumor (mL)": st.column_config.NumberColumn(format="%.1f"),
        "In the store since (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
        "Last touched (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
    },
)
if len(listed) > PER_PAGE:
    st.info(f"{len(listed) - PER_PAGE} more: narrow the filters to see them.")
chosen = picked.selection.rows
row = min(chosen[0], len(rows) - 1) if chosen else 0
case = listed[row][0]
name_, previous_, next_, open_, assign_ = bar.columns((3, 1, 1, 1, 1), vertical_alignment="center")
name_.markdown(f"**{case.name}**" + ("" if chosen else " (the first)"))
previous_.button(
    "Previous", shortcut="P", width="stretch", disabled=row == 0,
    on_click=_choose, args=(row - 1,), help="Choose the case above (P)",
)  # fmt: skip
next_.button(
    "Next", shortcut="N", width="stretch", disabled=row == len(rows) - 1,
    on_click=_choose, args=(row + 1,), help="Choose the case below, or select its row (N)",
)  # fmt: skip
if open_.button(
    "Open", type="primary", shortcut="Enter", width="stretch",
    help="Look at this case in the editor (Enter)",
):  # fmt: skip
    where = {"patient": case.avatar.patient_id, "day": f"{case.scan.day:g}"}
    st.switch_page("screens/review.py", query_params=where)
if assign_.button(
    "Assign to me", shortcut="A", width="stretch", disabled=not reader,
    help="Put your name on this case (A)" if reader else SAY_WHO,
):  # fmt: skip
    kept(lambda now: assign(store, case, by=reader or "", at=now))
if st.toggle(
    "Statistics of signed cases",
    help=keys.help(
        "T", "Statistics of signed cases", "Compares every signed mask with the first one; seconds each"
    ),
):  # fmt: skip
    state = "".join(
        f"{case.name}{len(case.review.entries)}{case.mask(0).sha256}" for case, _ in everything
    )
    found_statistics = _statistics(state, [case for case, _ in everything])
    st.caption(time_words(found_statistics))
    for rows in (statistics_rows(found_statistics), agreement_rows(found_statistics)):
        if rows:
            st.dataframe(rows, hide_index=True)
    st.caption(
        "Edited: the reader began with the first mask, so Dice says how much was changed, not how right it "
        "was. Only independently drawn masks say that."
    )
keys.listen()
