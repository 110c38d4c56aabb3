"""The board's router: one navigation, one banner on every page."""

from pathlib import Path

import streamlit as st

from app.state import draw_banner

SCREENS = Path(__file__).parent / "screens"

st.set_page_config(page_title="Cancer Avatars", page_icon=":material/neurology:", layout="wide")
pages = [
    st.Page(
        SCREENS / "patients.py",
        title="Patients",
        icon=":material/groups:",
        url_path="patients",
        default=True,
    ),
    st.Page(
        SCREENS / "worklist.py",
        title="Worklist",
        icon=":material/checklist:",
        url_path="worklist",
    ),
    st.Page(SCREENS / "review.py", title="Review", icon=":material/draw:", url_path="review"),
    st.Page(
        SCREENS / "follow_up.py",
        title="Follow-up",
        icon=":material/compare:",
        url_path="follow-up",
    ),
    st.Page(SCREENS / "avatar.py", title="Avatar", icon=":material/person:", url_path="avatar"),
    st.Page(
        SCREENS / "genomics.py",
        title="Genomics",
        icon=":material/genetics:",
        url_path="genomics",
    ),
    st.Page(
        SCREENS / "survival.py",
        title="Survival",
        icon=":material/monitor_heart:",
        url_path="survival",
    ),
    st.Page(
        SCREENS / "simulate.py", title="Simulate", icon=":material/timeline:", url_path="simulate"
    ),
    st.Page(
        SCREENS / "research.py", title="Research", icon=":material/science:", url_path="research"
    ),
    st.Page(
        SCREENS / "cohort.py", title="Cohort", icon=":material/scatter_plot:", url_path="cohort"
    ),
    st.Page(SCREENS / "runs.py", title="Runs", icon=":material/play_circle:", url_path="runs"),
]
page = st.navigation(pages, position="top")
st.html(
    "<style>.stMainBlockContainer{padding-top:3.6rem;padding-bottom:2rem}"
    "div[data-testid='stMetricValue']{font-size:1.5rem}</style>"
)
draw_banner()
page.run()
