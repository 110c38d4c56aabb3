"""Any lesion with a mask of its own: one label, no segmenter, no growth prior."""

from __future__ import annotations

from data.imaging import Label, LabelTable, Region
from pipelines.sites.base import NEOPLASM, Site

LABELS = LabelTable(
    name="lesion",
    labels=(
        Label(
            value=1,
            name="Lesion",
            abbreviation="GTV",
            color="#c44e52",
            code=NEOPLASM,
        ),
    ),
    regions=(Region(name="Whole tumor", abbreviation="WT", values=(1,)),),
)
SITE = Site(name="generic", labels=LABELS)
