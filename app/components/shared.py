"""What the viewer and the editor share: their files, and how a scan's sequences are offered to them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app.views import window_of
from data.avatar import Scan, VolumeRef
from data.imaging import AFFINE_TOLERANCE_MM
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
    mask = _seen(store, scan.segmentation.sha256, scan.segmentation)
    found = []
    for name, ref in scan.sequences.items():
        seen = _seen(store, ref.sha256, ref)
        on_grid = ref.shape == scan.segmentation.shape and np.allclose(
            seen.affine, mask.affine, rtol=0.0, atol=AFFINE_TOLERANCE_MM
        )
        found.append(
            {"name": name, "sha256": ref.sha256, "window": seen.window, "on_grid": bool(on_grid)}
        )
    return found


def window_in(store: AvatarStore, ref: VolumeRef) -> tuple[float, float]:
    """Display range of a stored image."""
    return _seen(store, ref.sha256, ref).window


def in_test() -> bool:
    """Whether a browser test wants to look inside."""
    return os.environ.get("AVATAR_BROWSER_TEST") == "1"


@dataclass(frozen=True)
class _Seen:
    """What is asked of a stored volume whenever it is shown."""

    window: tuple[float, float]
    affine: NDArray[np.float64]


@st.cache_data(show_spinner=False)
def _seen(_store: AvatarStore, sha256: str, _ref: VolumeRef) -> _Seen:
    volume = _store.volume(_ref)
    return _Seen(window_of(volume), volume.affine)
