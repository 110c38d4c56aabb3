"""A case as DICOM objects that refer to the series that was read: the mask, its contours, what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from data.errors import ReviewError
from data.imaging import Segmentation
from data.io.dicom_made import Authorship
from data.io.dicom_seg import write_dicom_seg
from data.io.dicom_sr import TARGET_CATEGORIES, ReportedLesion, ScanReport, write_dicom_sr
from data.io.rtstruct import write_rtstruct
from data.store import AvatarStore
from models.measurement import measure
from pipelines.follow_up import FollowUp, cases_of, follow, lesions_on
from pipelines.review import ReviewCase
from pipelines.sites.base import Followed
from pipelines.sites.registry import SITES

DicomKind = Literal["seg", "rtstruct", "sr"]


def export_dicom(
    store: AvatarStore,
    case: ReviewCase,
    version: int | None,
    series: Path,
    output: Path,
    *,
    kind: DicomKind = "seg",
    followed: Followed | None = None,
) -> None:
    """A version as a DICOM SEG, as contours (RTSTRUCT), or what was measured on it as a report (SR).

    Args:
        store: where the case is from.
        case: whose mask is written.
        version: the latest by default.
        series: folder of the images that were segmented.
        output: of the new file.
        kind: of object.
        followed: for a report, by which criteria; the site's usual ones by default.

    Raises:
        ReviewError: no such version, or a report of another one than the latest.
        ImageError: the mask is empty, or the series is another one.
    """
    shown = case.review.version if version is None else version
    labels = SITES[case.avatar.site].labels  # with codes, which an older avatar's may lack
    mask = Segmentation(store.volume(case.mask(shown)), labels)
    authorship = authorship_of(case, shown)
    if kind == "seg":
        write_dicom_seg(output, mask, series, authorship)
    elif kind == "rtstruct":
        write_rtstruct(output, mask, series, authorship)
    else:
        if shown != case.review.version:
            raise ReviewError(
                f"{case.name}: a report tells what was measured on the latest version, "
                f"{case.review.version}; version {shown} has none"
            )
        report = report_of(follow(store, case.avatar, followed), case, mask)
        signed = case.review.signed_in_full
        seen = (c for c in cases_of(store, case.avatar) if c.scan.day <= case.scan.day)
        is_all_signed = all(c.review.signed_in_full is not None for c in seen)
        by = signed.by if signed is not None and is_all_signed else None
        write_dicom_sr(output, mask, series, authorship, report, verified_by=by)


def authorship_of(case: ReviewCase, version: int) -> Authorship:
    """Who drew a version, and whether it was signed."""
    made = next((e for e in case.review.entries if e.mask and e.version == version), None)
    signs = (e for e in case.review.entries if e.act == "sign" and e.version == version)
    signed = next(signs, None)
    automatic = made is None and not case.scan.given
    words = "automatic mask" if automatic else f"mask version {version}"
    return Authorship(
        drawn_by=made.by if made is not None else case.scan.segmenter.split(":")[0],
        automatic=automatic,
        description=f"{words}, signed by {signed.by}" if signed else f"{words}, not signed",
    )


def report_of(follow_up: FollowUp, case: ReviewCase, mask: Segmentation) -> ScanReport:
    """What was measured on the latest version, by hand where a reader did."""
    by_hand, n = case.review.reading.diameters, follow_up.days.index(case.scan.day)
    voxel = mask.volume.voxel_volume_mm3
    lesions = tuple(
        ReportedLesion(
            name,
            lesion.volume_mm3,
            by_hand.get(name, lesion.diameters),
            by_hand=name in by_hand,
        )
        for name, lesion in lesions_on(follow_up, case.scan.day).items()
    )
    found = follow_up.responses()[n]
    name = follow_up.criteria.name
    target = TARGET_CATEGORIES.get(found.targets)
    judged = found.category not in ("before", "baseline")
    return ScanReport(
        segments={
            label.name: round(float((mask.volume.array == label.value).sum()) * voxel, 3)
            for label in mask.labels.labels
            if (mask.volume.array == label.value).any()
        },
        regions={m.name: m.volume_mm3 for m in measure(mask, None)},
        lesions=lesions,
        targets=None if target is None else (target, f"{name}: {found.targets_reason}"),
        overall=(found.category, " ".join([f"{name}: {found.reason}.", *found.provisos]))
        if judged
        else None,
    )
