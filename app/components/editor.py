"""The mask editor: drawn in the browser, saved over the board's own routes."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.components.shared import component, in_test, shown_sequences
from app.state import TOKEN_HEADER, session_token
from app.views import colormap_of, default_sequence, start_point
from data.avatar import Scan
from data.store import AvatarStore
from models.segmentation.doubt import doubtful_regions
from pipelines.review import ReviewCase

HEIGHT_PX = 560


def mask_editor(
    case: ReviewCase,
    store: AvatarStore,
    reader: str,
    *,
    key: str,
    height_px: int = HEIGHT_PX,
) -> dict[str, Any] | None:
    """The latest version of a case's mask, to be edited, measured, saved, sent back or signed.

    Args:
        case: what is read.
        store: where it is from.
        reader: who reads; empty where unknown.
        key: of the component.
        height_px: of the planes.

    Returns:
        What the reader has just done (``act``, ``version``), once; else None.
    """
    scan, review = case.scan, case.review
    start = start_point(scan)
    told = component("editor")(
        data={
            "patient": case.avatar.patient_id,
            "day": scan.day,
            "sequences": shown_sequences(scan, store),
            "first": default_sequence(scan),
            "mask": case.mask().sha256,
            "before_review": case.mask(0).sha256,
            "version": review.version,
            "signed": review.signed_in_full is not None,
            "reader": reader,
            "labels": [
                {"value": x.value, "name": x.name, "abbreviation": x.abbreviation, "color": x.color}
                for x in scan.labels.labels
            ],
            "colormap": colormap_of(scan.labels),
            "doubt": _doubt(store, scan),
            "readings": review.readings,
            "start": None if start is None else start.tolist(),
            "header": TOKEN_HEADER,
            "token": session_token(),
            "height": height_px,
            "test": in_test(),
        },
        key=key,
        on_done_change=lambda: None,
    )
    done: dict[str, Any] | None = told.done
    return done


def _doubt(store: AvatarStore, scan: Scan) -> dict[str, Any] | None:
    if scan.disagreement is None:
        return None
    return {
        "sha256": scan.disagreement.sha256,
        "regions": _regions(store, scan.disagreement.sha256, scan),
    }


@st.cache_data(show_spinner=False, max_entries=200)
def _regions(_store: AvatarStore, sha256: str, _scan: Scan) -> list[dict[str, Any]]:
    if _scan.disagreement is None:
        return []
    found = doubtful_regions(_store.volume(_scan.disagreement))
    return [{"place": r.place_ras_mm, "ml": r.volume_ml} for r in found]
