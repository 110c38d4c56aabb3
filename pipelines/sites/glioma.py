"""Adult diffuse glioma."""

from __future__ import annotations

from data.clinical import ClinicalRecord, Markers
from data.genomics import VariantSet
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

IDH_HOTSPOTS = {"IDH1": "R132", "IDH2": "R172"}


def markers_with_variants(record: ClinicalRecord, variants: VariantSet | None) -> Markers:
    """The record's markers; IDH, where untested, is mutant if a hotspot call passed its filters.

    A file without such a call leaves it untested: nothing says that the codon was covered.
    """
    mutated = variants is not None and any(
        v.passed and (v.protein_change or "").startswith(codon)
        for gene, codon in IDH_HOTSPOTS.items()
        for v in variants.in_gene(gene)
    )
    if record.markers.idh_mutation == "untested" and mutated:
        return record.markers.model_copy(update={"idh_mutation": "present"})
    return record.markers


def prior_class(record: ClinicalRecord, markers: Markers) -> str:
    """Which growth prior applies; ``glioma`` where the tests that decide are missing.

    Follows the WHO CNS5 criteria for the classes that have priors of their own (Louis 2021).
    """
    if markers.idh_mutation == "present":
        if markers.codeletion_1p19q == "present":
            return "oligodendroglioma"
        return "astrocytoma-idh-mutant"
    molecular = (markers.tert_promoter_mutation, markers.gain7_loss10, markers.egfr_amplification)
    if markers.idh_mutation == "absent" and (record.grade == 4 or "present" in molecular):
        return "glioblastoma"
    return "glioma"
