"""What the pages share: the store, the chosen patient, the token of this server."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from threading import Lock

import streamlit as st

from app.components.keys import FieldKeys
from app.pictures import thumbnail
from app.views import default_sequence
from app.words import BANNER, NO_PATIENT
from data.avatar import Avatar, Scan, VolumeRef
from data.errors import AvatarError, StoreError
from data.provenance import digest_of
from data.store import AvatarStore
from pipelines.follow_up import FollowUp, Kind, cases_of, follow
from pipelines.sites.base import Followed

SAY_WHO = "Say who you are first (Y)"
TOKEN_HEADER = "X-Avatar-Token"  # noqa: S105  # a header's name
_TOKEN = secrets.token_urlsafe(32)


def session_token() -> str:
    """A secret of this server process, which its own pages send with every volume request."""
    return os.environ.setdefault("AVATAR_SERVER_TOKEN", _TOKEN)


@lru_cache(maxsize=1)
def open_store() -> AvatarStore:
    """The store the board was started on."""
    return AvatarStore(Path(os.environ["AVATAR_STORE"]))


def chosen_patient() -> str | None:
    """The patient of the address, else the one chosen last, else the only or first one."""
    known = open_store().patients()
    asked = st.query_params.get("patient")
    if asked is not None:
        return asked
    remembered = st.session_state.get("patient")
    return remembered if remembered in known else (known[0] if known else None)


def draw_banner() -> None:
    """On top of every page; a page of a patient who is none says so in it."""
    st.session_state["banner"] = st.empty()
    st.session_state["banner"].markdown(BANNER)


def choose_patient(keys: FieldKeys) -> Avatar | None:
    """A selector at the top of a page; keeps the address a deep link. None where there is nobody."""
    known = open_store().patients()
    if not known:
        empty_state()
        return None
    wanted = chosen_patient()
    if wanted not in known:
        st.error(f"There is no avatar of {wanted!r} in this store. It holds {', '.join(known)}.")
        wanted = known[0]
    shown, key = wanted or known[0], f"pick-{wanted}"

    def choose() -> None:
        st.query_params["patient"] = st.session_state["patient"] = st.session_state[key]
        st.session_state[key] = shown  # so that the browser's way back leads here again

    picked = st.selectbox(
        "Patient", known, index=known.index(shown), key=key, on_change=choose,
        help=keys.help("F", "Patient", "Type any part of the id to find one"),
    )  # fmt: skip
    st.session_state["patient"] = picked
    if st.query_params.get("patient") != picked:
        st.query_params["patient"] = picked
    try:
        avatar = open_store().get(picked)
    except StoreError as error:
        st.error(str(error))
        return None
    if avatar.origin != "patient":
        st.session_state["banner"].markdown(f":orange-badge[{NO_PATIENT[avatar.origin]}] {BANNER}")
    return avatar


def scan_picture(scan: Scan, mask: VolumeRef | None = None) -> str | None:
    """A slice of a scan with a mask (its own by default), as a PNG data address; None where a file is lost."""
    ref = scan.segmentation if mask is None else mask
    image = scan.sequences[default_sequence(scan)]
    return _picture(ref.sha256, image.sha256, scan, ref, image)


@st.cache_data(show_spinner=False, max_entries=500)
def _picture(
    mask_sha256: str, image_sha256: str, _scan: Scan, _mask: VolumeRef, _image: VolumeRef
) -> str | None:
    store = open_store()
    try:
        image = store.volume(_image)
        return thumbnail(image, store.volume(_mask), _scan.labels)
    except StoreError:
        return None


def followed_scans(
    patient_id: str, followed: Followed | None = None, kind: Kind = "rigid"
) -> FollowUp:
    """A patient's scans over time, computed anew when the avatar, a mask or a reading has changed."""
    store = open_store()
    avatar = store.get(patient_id)
    logs = (f"{case.mask().sha256} {len(case.review.entries)}" for case in cases_of(store, avatar))
    state = (digest_of(avatar.to_json()), *logs)
    with _FOLLOWING:  # a page and the editor on it ask at once
        return _followed(patient_id, followed, kind, state)


_FOLLOWING = Lock()


@lru_cache(maxsize=20)
def _followed(
    patient_id: str, followed: Followed | None, kind: Kind, state: tuple[str, ...]
) -> FollowUp:
    store = open_store()
    return follow(store, store.get(patient_id), followed, kind=kind)


def reader_field(keys: FieldKeys) -> str | None:
    """Who is reading; remembered from page to page. None until a name is given."""

    def remember() -> None:
        st.session_state["reader"] = st.session_state["reader-field"].strip()

    # The field's own key is another one on every page; what was typed last is the truth.
    st.session_state["reader-field"] = name = st.session_state.get("reader", "")
    st.text_input(
        "You are", key="reader-field", max_chars=64, placeholder="your name", on_change=remember,
        help=keys.help(
            "Y", "You are",
            "Stands in the record of what you save and sign. There is no login yet: nobody checks it.",
        ),
    )  # fmt: skip
    return name or None


def kept(act: Callable[[datetime], object]) -> None:
    """Do what a reader asked for, now, and draw the page anew; or say why not."""
    try:
        act(datetime.now(UTC).replace(microsecond=0))
    except AvatarError as error:
        st.error(str(error))
    else:
        st.rerun()


def empty_state() -> None:
    """What to do when the store is empty."""
    st.info(
        "No avatars yet. Run `avatar run STUDY_DIR --store STORE` on a folder with a `study.yaml`, or "
        "`avatar demo` for an in-silico patient, then reload this page.",
        icon=":material/person_add:",
    )
