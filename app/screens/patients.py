"""Everyone in the store, with a picture and the facts one asks for first."""

from __future__ import annotations

import streamlit as st

from app.state import empty_state, open_store, scan_picture
from app.views import patient_row
from data.errors import StoreError

PER_PAGE = 25
WIDTHS = (1, 1.7, 2.2, 1.3, 2, 1.3, 1)
HEADS = ("", "Patient", "Diagnosis", "Whole tumor", "Variants", "Median survival (model)", "")

store = open_store()
st.title("Patients")
patients = store.patients()
if not patients:
    empty_state()
    st.stop()
wanted = st.text_input("Find a patient", placeholder="part of the patient id").strip().lower()
found = [p for p in patients if wanted in p.lower()]
st.caption(f"{len(found)} of {len(patients)} avatars in this store")
for column, head in zip(st.columns(WIDTHS), HEADS, strict=True):
    if head:
        column.markdown(f"**{head}**")
for patient in found[:PER_PAGE]:
    try:
        avatar = store.get(patient)
    except StoreError as error:
        st.warning(str(error))
        continue
    row, scan = patient_row(avatar), avatar.latest_scan
    with st.container(border=True):
        cells = st.columns(WIDTHS, vertical_alignment="center")
        picture = scan_picture(scan) if scan else None
        if picture:
            cells[0].image(picture, width=96)
        cells[1].markdown(f"**{row.patient_id}**  \n{row.person}  \n:gray-badge[{row.origin}]")
        cells[2].write(row.diagnosis)
        cells[3].write(row.tumor)
        cells[4].write(row.variants)
        cells[5].write(row.survival)
        if cells[6].button("Open", key=f"open-{patient}", help=f"The avatar of {patient}"):
            st.session_state["patient"] = patient
            st.switch_page("screens/avatar.py", query_params={"patient": patient})
if len(found) > PER_PAGE:
    st.info(f"{len(found) - PER_PAGE} more: narrow the search to see them.")
