"""Adult diffuse glioma."""

from __future__ import annotations

from data.imaging import Code, Label, LabelTable, Region
from pipelines.sites.base import Followed, Site

# Codes of DICOM's context group 7168, Brain Lesion Segmentation Type With Necrosis.
LABELS = LabelTable(
    name="glioma",
    labels=(
        Label(
            value=1,
            name="Necrotic or non-enhancing core",
            abbreviation="NCR",
            color="#c44e52",
            code=Code(scheme="SCT", value="6574001", meaning="Necrosis"),
        ),
        Label(
            value=2,
            name="Edema and infiltration",
            abbreviation="ED",
            color="#e8c547",
            code=Code(scheme="SCT", value="79654002", meaning="Edema"),
        ),
        Label(
            value=3,
            name="Enhancing tumor",
            abbreviation="ET",
            color="#4c9be8",
            code=Code(scheme="NCIt", value="C113842", meaning="Enhancing Lesion"),
        ),
    ),
    regions=(
        Region(name="Whole tumor", abbreviation="WT", values=(1, 2, 3)),
        Region(name="Tumor core", abbreviation="TC", values=(1, 3)),
        Region(name="Enhancing tumor", abbreviation="ET", values=(3,)),
    ),
)
LABEL_ALIASES = {4: 3}
"""BraTS wrote enhancing tumor as 4 until 2023, as 3 since."""

SITE = Site(
    name="glioma",
    labels=LABELS,
    label_aliases=LABEL_ALIASES,
    default_segmenter="glioma-net",
    has_prior=True,
    followed=(
        Followed("rano-enhancing", "ET", within="TC"),
        Followed("rano-non-enhancing", "WT"),
        Followed("rano-volume", "ET", within="TC"),
    ),
    is_sided=True,
)
