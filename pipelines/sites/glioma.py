"""Adult diffuse glioma."""

from __future__ import annotations

from data.clinical import ClinicalRecord, Presence
from data.imaging import Code, Label, LabelTable, Region
from pipelines.sites.base import Followed, Site, Survival

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

LEVELS = {
    "idh": ("idh_mutation", "mutant", "wildtype"),
    "codel": ("codeletion_1p19q", "codeleted", "intact"),
    "mgmt": ("mgmt_methylation", "methylated", "unmethylated"),
    "tert": ("tert_promoter_mutation", "mutant", "wildtype"),
    "gain7_loss10": ("gain7_loss10", "present", "absent"),
}
"""Covariates of the survival model by marker, with the words for present and absent."""


def survival_covariates(record: ClinicalRecord) -> dict[str, float | str | None]:
    """What the survival model takes of a record."""
    known: dict[str, float | str | None] = {
        "age": record.age_years,
        "sex": record.sex,
        "kps": record.kps,
        "grade": None if record.grade is None else f"G{record.grade}",
    }
    for name, (marker, present, absent) in LEVELS.items():
        state: Presence = getattr(record.markers, marker)
        known[name] = {"present": present, "absent": absent}.get(state)
    return known


SITE = Site(
    name="glioma",
    labels=LABELS,
    label_aliases=LABEL_ALIASES,
    default_segmenter="glioma-net",
    has_prior=True,
    survival=Survival("glioma", survival_covariates),
    followed=(
        Followed("rano-enhancing", "ET", within="TC"),
        Followed("rano-non-enhancing", "WT"),
        Followed("rano-volume", "ET", within="TC"),
    ),
    is_sided=True,
)
