"""The quality report of a cohort: one page that needs nothing but a browser."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

from app.pictures import thumbnail
from data.errors import StoreError
from data.store import AvatarStore
from pipelines.cohort.records import write_text
from pipelines.cohort.run import REPORT
from pipelines.cohort.table import BEYOND

MEDIAN = "survival_median_months"
SHOWN = {
    "age_years": ("age", "years", 0), "sex": ("sex", "", None), "grade": ("grade", "", None),
    "volume_wt_ml": ("whole tumor", "mL", 1), "volume_et_ml": ("enhancing", "mL", 1),
    MEDIAN: ("median survival (model)", "months", 0),
}  # fmt: skip


def write_report(
    run: Path,
    name: str,
    table: pd.DataFrame,
    steps: pd.DataFrame,
    store: AvatarStore,
    *,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Failures first, then flagged patients and outliers, then all, each with a picture.

    Raises:
        StoreError: it cannot be written.
    """
    rows = [_shown(row) for row in table.to_dict("records")]
    for number, row in enumerate(rows):
        row["picture"] = _picture(store, row) if row["status"] == "done" else None
        on_step(number + 1, len(rows))
    rows.sort(key=lambda row: (row["status"] != "failed", not (row["flags"] or row["outlier"])))
    page = Environment(
        loader=PackageLoader("app", "templates"), autoescape=select_autoescape()
    ).get_template("quality.html")
    content = page.render(
        name=name, rows=rows, columns=SHOWN, steps=steps.to_dict("records"), in_silico=_in_silico(table)
    )  # fmt: skip
    path = run / REPORT
    write_text(path, content)
    return path


def _in_silico(table: pd.DataFrame) -> bool:
    return "origin" in table and bool((table["origin"] == "in-silico").any())


def _shown(row: dict[Any, Any]) -> dict[str, Any]:
    """Plain values, with words for the columns of the page."""
    known = {str(k): None if _unknown(v) else v for k, v in row.items()}
    cells = [_words(known, column) for column in SHOWN]
    usual = {"flags": None, "outlier": None, "diagnosis": None, "changed_since": None}
    return usual | known | {"cells": cells}


def _words(known: dict[str, Any], column: str) -> str:
    _, unit, digits = SHOWN[column]
    value = known.get(column)
    beyond = known.get(f"{BEYOND}{MEDIAN}") if column == MEDIAN else None
    if value is None:
        return "not known" if beyond is None else f"beyond {beyond:.0f} {unit}"
    return str(value) if digits is None else f"{value:.{digits}f} {unit}"


def _unknown(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _picture(store: AvatarStore, row: dict[str, Any]) -> str | None:
    """Of the last scan's first sequence; None where a file of it is damaged, which 'store check' tells."""
    try:
        scan = store.get(row["avatar"]).latest_scan
        if scan is None:
            return None
        image = store.volume(next(iter(scan.sequences.values())))
        return thumbnail(image, store.volume(scan.segmentation), scan.labels)
    except StoreError:
        return None
