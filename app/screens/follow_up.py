"""A patient's scans over time: what the criteria say, two scans beside each other, lesion by lesion."""

from __future__ import annotations

from typing import get_args

import streamlit as st

from app.components.keys import FieldKeys
from app.components.side_by_side import ShownSide, side_by_side
from app.follow_up_views import (
    alignment_words,
    candidates_words,
    course_figure,
    lesion_stops,
    target_rows,
    verdict,
)
from app.state import SAY_WHO, choose_patient, followed_scans, kept, open_store, reader_field
from data.errors import AvatarError
from data.reading import Clinical, NewLesion, NonTarget, Steroids
from models.criteria.registry import CRITERIA
from pipelines.follow_up import (
    Kind,
    aligned_to,
    cases_of,
    moved_mask,
    read_baseline,
    read_targets,
    usual_baseline,
    volumes_over_time,
)
from pipelines.review import ReviewCase, keep_reading
from pipelines.sites.registry import SITES

store, keys = open_store(), FieldKeys()
who, by_what, how, me = st.columns((1.4, 1.6, 1.1, 1.2), vertical_alignment="bottom")
with who:
    avatar = choose_patient(keys)
with me:
    reader = reader_field(keys)
if avatar is None or not avatar.scans:
    st.info("No scan to follow.")
    st.stop()
site, cases = SITES[avatar.site], cases_of(store, avatar)
if len(cases) < 2:
    st.info(
        f"{avatar.patient_id} has one scan. With a second one in the study, both are shown beside each other, "
        "lesions are followed and the response is told."
    )
    st.stop()
chosen_kind = how.segmented_control(
    "Registration", get_args(Kind), default="rigid",
    help=keys.help(
        "G", "Registration",
        "Rigid for scans of one scanner; affine where lengths differ between scanners",
    ),
)  # fmt: skip
kind: Kind = "affine" if chosen_kind == "affine" else "rigid"


@st.cache_data(show_spinner=False, max_entries=50)
def _volumes(masks: tuple[str, ...], _cases: tuple[ReviewCase, ...]) -> dict[str, list[float]]:
    return volumes_over_time(_cases, store)


try:
    with st.spinner("Registering the scans"):
        usual = followed_scans(avatar.patient_id, kind=kind).followed
        followed = by_what.selectbox(
            "Criteria", site.followed, index=site.followed.index(usual),
            format_func=lambda f: CRITERIA[f.criteria].name,
            help=keys.help(
                "R", "Criteria",
                "RANO 2.0: products of perpendicular diameters of what enhances, of what does not, or "
                "volumes. RECIST 1.1: longest diameters",
            ),
        )  # fmt: skip
        follow_up = followed_scans(avatar.patient_id, followed, kind)
    responses = follow_up.responses()
except AvatarError as error:
    st.error(str(error))
    st.stop()
days = list(follow_up.days)
later_, earlier_, _ = st.columns((2, 2, 1.2), vertical_alignment="bottom")
later = later_.segmented_control(
    "Scan", range(1, len(days)), default=len(days) - 1, format_func=lambda n: f"day {days[n]:g}",
    key=f"later-{avatar.patient_id}", help=keys.help("L", "Scan", "Whose response is told, on the right"),
)  # fmt: skip
later = len(days) - 1 if later is None else later
earlier = earlier_.segmented_control(
    "Beside", range(later), default=min(follow_up.baseline, later - 1),
    format_func=lambda n: f"day {days[n]:g}" + (" (baseline)" if n == follow_up.baseline else ""),
    key=f"earlier-{avatar.patient_id}-{later}",
    help=keys.help("E", "Beside", "What it is looked at with, on the left"),
)  # fmt: skip
earlier = 0 if earlier is None else earlier
signed = follow_up.cases[later].review.status == "signed"
said_of_it = (
    verdict(responses[later], follow_up.criteria),
    None if signed else ":gray-badge[mask not signed]",
    candidates_words(follow_up, later),
)
st.markdown(" ".join(words for words in said_of_it if words))
try:
    with st.spinner("Registering the scans"):
        first, second = follow_up.cases[earlier], follow_up.cases[later]
        known_laid = follow_up.aligned[later] if earlier == follow_up.baseline else None
        laid = known_laid or aligned_to(store, first, second, kind=kind)
        mask = moved_mask(store, first, second, laid.alignment)
except AvatarError as error:
    st.error(str(error))
    st.stop()
for doubt in laid.alignment.doubts:
    st.warning(
        f"Registration is in doubt: {doubt}. Names of lesions, new ones and the difference may be wrong; "
        "sizes are not touched by it."
    )
sequence = laid.alignment.sequence
shown = f"{sequence.upper()}, mask version"
side_by_side(
    store,
    ShownSide(
        f"Day {days[earlier]:g}, {shown} {first.review.version}",
        first.scan.sequences[sequence], first.mask(),
    ),
    ShownSide(
        f"Day {days[later]:g} laid on day {days[earlier]:g}, {shown} {second.review.version}",
        laid.moved,
        mask,
    ),
    laid.difference,
    second.scan.labels,
    lesion_stops(follow_up, later, earlier),
    sequence=sequence,
    key=f"pair-{avatar.patient_id}",
)  # fmt: skip
words, link = st.columns((4, 1))
words.caption(alignment_words(laid.alignment))
in_editor = f"Open day {days[later]:g} in the editor"
link.page_link(
    "screens/review.py", label=in_editor, icon=":material/draw:",
    help=keys.help("O", in_editor, "To correct the mask, measure and sign"),
    query_params={"patient": avatar.patient_id, "day": f"{days[later]:g}"},
)  # fmt: skip
left, right = st.columns((1.5, 1), gap="medium")
with left:
    st.markdown("**Lesions**")
    st.dataframe(target_rows(follow_up, responses), hide_index=True)
    st.caption(
        f"{follow_up.criteria.citation}. Diameters: the longest and the longest perpendicular to it, axial, of "
        "each scan's latest mask on its own grid. * provisional: something that could change it is not known."
    )
with right:
    st.markdown("**Course**")
    ml = _volumes(tuple(case.mask().sha256 for case in follow_up.cases), follow_up.cases)
    st.plotly_chart(
        course_figure(days, ml, responses, follow_up.criteria), config={"displayModeBar": False}
    )
st.markdown(f"**Your reading of day {days[later]:g}**")
known = second.review.reading
which = (
    f"{avatar.patient_id} {days[later]:g} {second.review.readings}"  # a form of its own for each
)
with st.form(f"reading {which}", border=True):
    columns = st.columns(4)
    new = columns[0].selectbox(
        "New lesion", get_args(NewLesion), index=get_args(NewLesion).index(known.new_lesion),
        key=f"new {which}",
        help=keys.help(
            "1", "New lesion",
            "Unequivocal and measurable. Candidates from the mask are called N1, N2 and so on",
        ),
    )  # fmt: skip
    others = columns[1].selectbox(
        "Lesions that are not measured", get_args(NonTarget),
        index=get_args(NonTarget).index(known.non_target), key=f"others {which}",
        help=keys.help(
            "2", "Lesions that are not measured",
            "Unknown: told from the mask, where lesions that are no targets are still there or gone",
        ),
    )  # fmt: skip
    steroids = columns[2].selectbox(
        "Corticosteroids since baseline", get_args(Steroids),
        index=get_args(Steroids).index(known.steroids), key=f"steroids {which}",
        help=keys.help(
            "3", "Corticosteroids since baseline", "Physiological replacement counts as none"
        ),
    )  # fmt: skip
    clinical = columns[3].selectbox(
        "Clinical status", get_args(Clinical), index=get_args(Clinical).index(known.clinical),
        key=f"clinical {which}",
        help=keys.help(
            "4", "Clinical status", "Worse: clearly so, and by the tumor. By RANO that is progression"
        ),
    )  # fmt: skip
    if st.form_submit_button(
        "Keep the reading", disabled=not reader, shortcut="K",
        help="For this scan, in your name (K)" if reader else SAY_WHO,
    ):  # fmt: skip
        said = {
            "new_lesion": new, "non_target": others, "steroids": steroids, "clinical": clinical,
        }  # fmt: skip
        reading, after = known.model_copy(update=said), second.review.readings
        kept(lambda now: keep_reading(store, second, reading, after=after, by=reader or "", at=now))
base = follow_up.cases[follow_up.baseline]
which = f"{avatar.patient_id} {follow_up.criteria.kind} {base.scan.day:g} {base.review.readings}"
targets_, baseline_ = st.columns((3, 1))
with targets_.form(f"targets {which}", border=True):
    chosen_, nodes_ = st.columns(2)
    chosen = chosen_.multiselect(
        "Target lesions", follow_up.measurable, default=list(follow_up.targets),
        max_selections=follow_up.criteria.most_targets, key=f"targets of {which}",
        help=keys.help(
            "5", "Target lesions",
            "Measurable at baseline; kept with the baseline scan, whatever scan is shown",
        ),
    )  # fmt: skip
    nodes = nodes_.multiselect(
        "Of these, lymph nodes", [t.name for t in follow_up.tracks],
        default=[n for n in follow_up.reading.nodes], key=f"nodes of {which}",
        help=keys.help("6", "Of these, lymph nodes", "RECIST measures nodes by their short axis"),
    )  # fmt: skip
    if st.form_submit_button(
        "Keep the targets", disabled=not reader, shortcut="T",
        help="With the baseline scan, in your name (T)" if reader else SAY_WHO,
    ):  # fmt: skip
        by = reader or ""
        kept(lambda now: read_targets(store, follow_up, chosen, by=by, at=now, nodes=nodes))
with baseline_.form(f"baseline {which}", border=True):
    picked = follow_up.cases[0].review.reading.baseline
    offered = [None, *days]
    usual_day = days[usual_baseline(avatar, days, follow_up.criteria)]
    day = st.selectbox(
        "Baseline", offered, index=offered.index(picked) if picked in offered else 0,
        format_func=lambda d: f"usual (day {usual_day:g})" if d is None else f"day {d:g}",
        key=f"baseline of {which} {picked}",
        help=keys.help(
            "7", "Baseline",
            "What later scans are compared with. Usual: the first scan; by RANO 2.0 the first one after the "
            "radiotherapy that has ended since",
        ),
    )  # fmt: skip
    if st.form_submit_button(
        "Keep the baseline", disabled=not reader, shortcut="A",
        help="For every later scan, in your name (A)" if reader else SAY_WHO,
    ):  # fmt: skip
        kept(lambda now: read_baseline(store, follow_up, day, by=reader or "", at=now))
keys.listen()
