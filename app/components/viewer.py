"""The volume viewer: NiiVue in the browser, volumes over the board's own route."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.state import TOKEN_HEADER, session_token
from app.views import colormap_of, default_sequence, start_point, window_of
from data.avatar import Scan
from data.store import AvatarStore

HERE = Path(__file__).parent
HEIGHT_PX = 560


@dataclass(frozen=True)
class ShownDensity:
    """A density over time that is offered to the browser, and whose it is."""

    name: str
    days: tuple[float, ...]
    title: str


def volume_viewer(
    scan: Scan,
    store: AvatarStore,
    *,
    key: str,
    density: ShownDensity | None = None,
    height_px: int = HEIGHT_PX,
) -> None:
    """Linked three-plane view of a scan with its mask; radiological convention, R and L shown.

    A density is laid over it, with a slider over its days.
    """
    sequences = [
        {"name": name, "sha256": ref.sha256, "window": _window(store, ref.sha256, name, scan)}
        for name, ref in scan.sequences.items()
    ]
    start = start_point(scan)
    _component()(
        data={
            "sequences": sequences,
            "first": default_sequence(scan),
            "mask": scan.segmentation.sha256,
            "colormap": colormap_of(scan.labels),
            "legend": [{"name": x.name, "color": x.color} for x in scan.labels.labels],
            "start": None if start is None else start.tolist(),
            "header": TOKEN_HEADER,
            "token": session_token(),
            "density": None if density is None else asdict(density),
            "height": height_px,
            "test": os.environ.get("AVATAR_BROWSER_TEST") == "1",
        },
        key=key,
    )


@st.cache_data(show_spinner=False)
def _window(_store: AvatarStore, sha256: str, name: str, _scan: Scan) -> tuple[float, float]:
    return window_of(_store.volume(_scan.sequences[name]))


@lru_cache(maxsize=1)
def _component() -> Any:
    return st.components.v2.component(
        "volume_viewer",
        html=(HERE / "viewer.html").read_text(),
        css=(HERE / "viewer.css").read_text(),
        js=(HERE / "viewer.js").read_text(),
    )
