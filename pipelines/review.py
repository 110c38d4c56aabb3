"""A reader's work on a mask: take a case, save versions of it, ask for changes, sign.

The mask that a reader edits is the one on the avatar's scan, on its grid. What is saved is checked to be
on that grid and to hold only labels of the site's table; a version that stands on an older one than the
latest is refused, so that two readers on one case never lose each other's work.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from data.avatar import Avatar, Scan, VolumeRef
from data.errors import ConflictError, ImageError, ReviewError, StoreError
from data.imaging import MM3_PER_ML, Segmentation, Volume
from data.io.dicom import is_dicom, read_dataset
from data.io.dicom_seg import Segment, as_label_map, read_dicom_seg
from data.io.nifti import read_segmentation
from data.io.rtstruct import read_rtstruct_on
from data.io.structured import explain
from data.provenance import Provenance
from data.reading import Reading
from data.review import Review, ReviewAct, ReviewEntry
from data.store import AvatarStore
from models.measurement import measure
from pipelines.sites.base import Site
from pipelines.sites.registry import SITES


@dataclass(frozen=True)
class Spent:
    """Time that a reader gave to a version; seconds."""

    viewed: float = 0.0
    edited: float = 0.0


@dataclass(frozen=True)
class ReviewCase:
    """One scan of one patient with its log."""

    avatar: Avatar
    scan: Scan
    review: Review

    def mask(self, version: int | None = None) -> VolumeRef:
        """The mask of a version, of the latest by default.

        Raises:
            ReviewError: there is no such version.
        """
        wanted = self.review.version if version is None else version
        found = self.review.mask_of(wanted)
        if found is None and wanted == 0:
            return self.scan.unreviewed or self.scan.segmentation
        if found is None:
            raise ReviewError(
                f"{self.name}: there is no version {wanted}; the latest is {self.review.version}"
            )
        return found

    @property
    def name(self) -> str:
        """For sentences."""
        return f"{self.avatar.patient_id}, scan of day {self.scan.day:g}"


def cases(store: AvatarStore) -> tuple[list[ReviewCase], list[str]]:
    """Every scan in a store, patients in alphabetical order and scans by day; and a sentence for each patient
    who cannot be read.
    """
    found, unreadable = [], []
    for patient in store.patients():
        try:
            avatar = store.get(patient)
            for scan in sorted(avatar.scans, key=lambda s: s.day):
                found.append(ReviewCase(avatar, scan, store.review(patient, scan.day)))
        except StoreError as error:
            unreadable.append(str(error))
    return found, unreadable


def find_case(store: AvatarStore, patient_id: str, day: float | None = None) -> ReviewCase:
    """One case, of the latest scan by default.

    Raises:
        StoreError: no such patient.
        ReviewError: no scan, or none of that day.
    """
    avatar = store.get(patient_id)
    scan = avatar.latest_scan
    if day is not None:
        scan = next((s for s in avatar.scans if s.day == day), None)
    if scan is None:
        days = ", ".join(f"{s.day:g}" for s in avatar.scans) or "none"
        which = "scan" if day is None else f"scan of day {day:g}"
        raise ReviewError(f"{patient_id}: there is no {which}; scans: {days}")
    return ReviewCase(avatar, scan, store.review(patient_id, scan.day))


def assign(store: AvatarStore, case: ReviewCase, *, by: str, at: datetime) -> Review:
    """Take a case."""
    return _append(store, case, "assign", by=by, at=at, version=case.review.version)


def save_version(
    store: AvatarStore,
    case: ReviewCase,
    mask: Volume,
    *,
    base: int,
    by: str,
    at: datetime,
    spent: Spent = Spent(),
    comment: str = "",
    independent: bool = False,
) -> Review:
    """Keep a reader's mask as the next version.

    Args:
        store: where the case is from.
        case: as the reader saw it.
        mask: integer labels on the grid of the scan's mask.
        base: the version that the reader began with.
        by: the reader's name.
        at: now.
        spent: time given to it.
        comment: the reader's words.
        independent: it was drawn without sight of any mask of this scan.

    Raises:
        ConflictError: ``base`` is not the latest version any more.
        ReviewError: another grid, values that the table does not name, or nothing changed.
    """
    _require_latest(case, base)
    before = store.volume(case.mask())
    checked = _checked(case, mask, before)
    changed = int(np.count_nonzero(checked.array != before.array))
    if changed == 0:
        raise ReviewError(f"{case.name}: the mask is that of version {base}; nothing to save")
    return _append(
        store,
        case,
        "save",
        by=by,
        at=at,
        version=base + 1,
        base=base,
        mask=store.put_volume(checked),
        spent=spent,
        changed=changed,
        comment=comment,
        independent=independent,
    )


def restore_version(
    store: AvatarStore, case: ReviewCase, version: int, *, by: str, at: datetime
) -> Review:
    """Make an earlier version the next one; nothing is taken away."""
    if version == case.review.version:
        raise ReviewError(f"{case.name}: version {version} is the latest one already")
    earlier, now = case.mask(version), case.mask()
    changed = np.count_nonzero(store.volume(earlier).array != store.volume(now).array)
    return _append(
        store,
        case,
        "restore",
        by=by,
        at=at,
        version=case.review.version + 1,
        base=version,
        mask=earlier,
        changed=int(changed),
        comment=f"version {version} again",
    )


def keep_reading(
    store: AvatarStore,
    case: ReviewCase,
    reading: Reading,
    *,
    after: int | None = None,
    by: str,
    at: datetime,
    comment: str = "",
    spent: Spent = Spent(),
) -> Review:
    """Keep what a reader measured and judged, in place of the last reading.

    Args:
        store: where the case is from.
        case: as the reader saw it.
        reading: all of it, with what is kept of the last one.
        after: how many readings the reader knew of; as many as the case has by default.
        by: the reader's name.
        at: now.
        comment: the reader's words.
        spent: time given to it.

    Raises:
        ConflictError: somebody else has measured since.
        ReviewError: it is the last reading, word for word.
    """
    _require_read(case, after)
    if reading == case.review.reading:
        raise ReviewError(f"{case.name}: the reading is the last one; nothing to keep")
    version = case.review.version
    return _append(
        store, case, "measure", by=by, at=at, version=version, reading=reading, comment=comment,
        spent=spent,
    )  # fmt: skip


def request_changes(
    store: AvatarStore,
    case: ReviewCase,
    *,
    version: int,
    by: str,
    at: datetime,
    comment: str,
    spent: Spent = Spent(),
) -> Review:
    """Send a case back with words that say what is wrong.

    Raises:
        ReviewError: no words.
        ConflictError: the version is not the latest one.
    """
    if not comment.strip():
        raise ReviewError(f"{case.name}: say in the comment what is to be changed")
    _require_latest(case, version)
    return _append(
        store, case, "request changes", by=by, at=at, version=version, comment=comment, spent=spent
    )


def whole_volume_ml(store: AvatarStore, case: ReviewCase) -> float | None:
    """Of the whole tumor in the latest version; None where the site has no such region, or its file is lost."""
    if case.mask() == case.scan.segmentation:
        measured = case.scan.measured("WT")
        return None if measured is None else measured.volume_ml
    region = next((r for r in case.scan.labels.regions if r.abbreviation == "WT"), None)
    if region is None:
        return None
    try:
        mask = store.volume(case.mask())
    except StoreError:
        return None
    return float(np.isin(mask.array, region.values).sum()) * mask.voxel_volume_mm3 / MM3_PER_ML


def sign(
    store: AvatarStore,
    case: ReviewCase,
    *,
    version: int,
    after: int | None = None,
    by: str,
    at: datetime,
    comment: str = "",
    spent: Spent = Spent(),
) -> Review:
    """Sign a version; the avatar's scan then has its mask, measured anew.

    What was computed from the mask before (calibration, forecasts) stays as it is and the avatar says so;
    running the study again makes it from the signed mask, also where a network would draw another one by then.

    Args:
        store: where the case is from.
        case: as the reader saw it.
        version: that is signed, the latest.
        after: how many readings the reader knew of; as many as the case has by default.
        by: the reader's name.
        at: now.
        comment: the reader's words.
        spent: time given to it.

    Raises:
        ConflictError: the version is not the latest one, or somebody has measured since.
    """
    _require_latest(case, version)
    _require_read(case, after)
    known = case.review.signed_in_full
    if known is not None:
        raise ConflictError(
            f"{case.name}: version {known.version} was signed by {known.by} ({known.at:%Y-%m-%d %H:%M} "
            "UTC), and nothing is new since"
        )
    review = _append(
        store, case, "sign", by=by, at=at, version=version, comment=comment, spent=spent,
        signed_mask=case.mask(0) if version == 0 else None,
    )  # fmt: skip
    store.put(with_signed(store, store.get(case.avatar.patient_id), review))
    return review


def _require_read(case: ReviewCase, after: int | None) -> None:
    if after is not None and after != case.review.readings:
        measured = (e.by for e in reversed(case.review.entries) if e.reading is not None)
        who = next(measured, "somebody")
        raise ConflictError(
            f"{case.name}: {who} has measured since; reload the page to see it, then go on"
        )


def read_reader_mask(store: AvatarStore, case: ReviewCase, path: Path) -> Volume:
    """A label map from elsewhere, on the grid of the scan's mask where its axes are only turned or flipped.

    Args:
        store: where the case is from.
        case: that the mask is of.
        path: NIfTI with the values of the site's table, or a DICOM SEG or RTSTRUCT (.dcm) whose segments are
            called as its labels.

    Raises:
        ImageError: not readable, or values or segments that the table does not name.
    """
    site, grid = SITES[case.avatar.site], store.volume(case.mask(0))
    if is_dicom(path):
        modality = read_dataset(path, "a mask is a DICOM SEG or RTSTRUCT").get("Modality")
        segments = read_dicom_seg(path, grid) if modality != "RTSTRUCT" else _drawn_on(path, grid)
        return as_label_map(path, segments, site.labels)
    read = read_segmentation(path, site.labels, site.label_aliases).volume
    return read.reoriented(grid.axis_codes)


def _drawn_on(path: Path, grid: Volume) -> tuple[Segment, ...]:
    return tuple(Segment(name, None, mask) for name, mask in read_rtstruct_on(path, grid).items())


def with_signed(store: AvatarStore, avatar: Avatar, review: Review) -> Avatar:
    """The avatar with the signed mask on its scan; as it is where none is signed."""
    scan = next((s for s in avatar.scans if s.day == review.day), None)
    found = None if scan is None else signed_scan(store, scan, review, SITES[avatar.site])
    if found is None:
        return avatar
    reviewed, told = found
    steps = tuple(p for p in avatar.provenance if not _is_of(p, review.day))
    scans = tuple(reviewed if s.day == review.day else s for s in avatar.scans)
    return avatar.model_copy(update={"scans": scans, "provenance": (*steps, told)})


def signed_scan(
    store: AvatarStore, scan: Scan, review: Review, site: Site
) -> tuple[Scan, Provenance] | None:
    """A scan with the mask that a reader signed, measured anew; None where none is, or it is on another
    grid than the scan's mask now.
    """
    signed, first = review.signed, scan.unreviewed or scan.segmentation
    if signed is None:
        return None
    ref = review.mask_of(signed.version) or first
    mask = store.volume(ref)
    if not mask.same_grid(store.volume(first)):
        return None
    images = map(store.volume, scan.sequences.values())
    whole = next((v for v in images if v.same_grid(mask)), None) if site.is_sided else None
    reviewed = scan.model_copy(
        update={
            "segmentation": ref,
            "unreviewed": first,
            "signed_by": signed.by,
            "measurements": measure(Segmentation(mask, scan.labels), whole),
        }
    )
    provenance = Provenance(
        step="review",
        method="mask corrected or confirmed by a reader",
        settings={"day": scan.day, "version": signed.version, "mask_sha256": ref.sha256},
        note=(
            f"Version {signed.version} of the scan of day {scan.day:g}, signed by {signed.by} at "
            f"{signed.at:%Y-%m-%d %H:%M} UTC. Regions measured on it."
        ),
    )
    return reviewed, provenance


def _is_of(part: Provenance, day: float) -> bool:
    return part.step == "review" and part.settings.get("day") == day


def _checked(case: ReviewCase, mask: Volume, before: Volume) -> Volume:
    """On the grid of the scan's mask and of its type."""
    if not mask.same_grid(before):
        raise ReviewError(
            f"{case.name}: the mask is on a grid of {mask.shape} with affine "
            f"{np.round(mask.affine, 3).tolist()}, the scan's on one of {before.shape} with "
            f"{np.round(before.affine, 3).tolist()}; draw on the scan itself"
        )
    try:
        Segmentation(mask, case.scan.labels)
    except ImageError as error:
        raise ReviewError(f"{case.name}: {error}") from error
    return before.with_array(np.asarray(mask.array).astype(before.array.dtype))


def _require_latest(case: ReviewCase, version: int) -> None:
    latest = case.review.version
    if version == latest:
        return
    made = next((e for e in reversed(case.review.entries) if e.mask), None)
    who = "" if made is None else f" ({made.by}, {made.at:%Y-%m-%d %H:%M} UTC)"
    raise ConflictError(
        f"{case.name}: the latest is version {latest}{who}, yours stands on version {version}"
    )


def _append(
    store: AvatarStore,
    case: ReviewCase,
    act: ReviewAct,
    *,
    by: str,
    at: datetime,
    version: int,
    base: int | None = None,
    mask: VolumeRef | None = None,
    spent: Spent = Spent(),
    changed: int = 0,
    comment: str = "",
    reading: Reading | None = None,
    independent: bool = False,
    signed_mask: VolumeRef | None = None,
) -> Review:
    try:
        entry = ReviewEntry(
            number=len(case.review.entries) + 1,
            at=at,
            by=by.strip(),
            act=act,
            version=version,
            base=base,
            mask=mask,
            seconds_viewed=round(spent.viewed, 1),
            seconds_edited=round(spent.edited, 1),
            voxels_changed=changed,
            comment=comment.strip(),
            reading=reading,
            independent=independent,
            signed_mask=signed_mask,
        )
    except ValidationError as error:
        raise ReviewError(f"{case.name}: {explain(error)}") from error
    return store.append_review(case.avatar.patient_id, case.scan.day, entry)
