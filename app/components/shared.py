"""What the viewer and the editor share: their files, and how a scan's sequences are offered to them."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.views import window_of
from data.avatar import Scan
from data.store import AvatarStore

HERE = Path(__file__).parent


@cache
def component(name: str) -> Any:
    """The component of this name, from its three files."""
    return st.components.v2.component(
        f"avatar_{name}",
        html=(HERE / f"{name}.html").read_text(),
        css=(HERE / f"{name}.css").read_text(),
        js=(HERE / f"{name}.js").read_text(),
    )


def shown_sequences(scan: Scan, store: AvatarStore) -> list[dict[str, Any]]:
    """Sequences with their display range, and whether they lie on the mask's grid."""
    return [
        {
            "name": name,
            "sha256": ref.sha256,
            "window": _window(store, ref.sha256, name, scan),
            "on_grid": _on_grid(store, ref.sha256, scan.segmentation.sha256, name, scan),
        }
        for name, ref in scan.sequences.items()
    ]


def in_test() -> bool:
    """Whether a browser test wants to look inside."""
    return os.environ.get("AVATAR_BROWSER_TEST") == "1"


@st.cache_data(show_spinner=False)
def _window(_store: AvatarStore, sha256: str, name: str, _scan: Scan) -> tuple[float, float]:
    return window_of(_store.volume(_scan.sequences[name]))


@st.cache_data(show_spinner=False)
def _on_grid(_store: AvatarStore, sha256: str, mask_sha256: str, name: str, _scan: Scan) -> bool:
    mask = _store.volume(_scan.segmentation)
    return _store.volume(_scan.sequences[name]).same_grid(mask)
