"""Soft-tissue sarcoma."""

from __future__ import annotations

from data.imaging import Label, LabelTable, Region
from pipelines.sites.base import NEOPLASM, Site

LABELS = LabelTable(
    name="sarcoma",
    labels=(
        Label(
            value=1,
            name="Gross tumor volume",
            abbreviation="GTV",
            color="#c44e52",
            code=NEOPLASM,
        ),
    ),
    regions=(Region(name="Whole tumor", abbreviation="WT", values=(1,)),),
)
SITE = Site(name="sarcoma", labels=LABELS, default_segmenter="sarcoma-net")
