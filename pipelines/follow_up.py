"""A patient's scans side by side: registered to the baseline, lesion by lesion, with the response at each.

Lesions are measured on each scan's own grid, in the latest version of its mask. Registration only says which
lesion is which; where its checks fail, lesions are still matched and the doubt goes with the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from data.alignment import Alignment
from data.avatar import Avatar, VolumeRef
from data.errors import ImageError, ReviewError
from data.imaging import MM3_PER_ML, Segmentation, Volume
from data.lesions import Diameters, Lesion
from data.reading import NonTarget, Reading, Steroids
from data.review import Review
from data.store import AvatarStore
from models.alignment import align, difference, matched
from models.criteria.base import Criteria, Response, TargetSize, Visit
from models.criteria.registry import CRITERIA
from models.lesions import (
    REACH_MM,
    SMALLEST_MM3,
    Fate,
    LesionMap,
    find_lesions,
    pair_lesions,
)
from models.registration import foreground, resample
from pipelines.review import ReviewCase, keep_reading
from pipelines.sites.base import Followed, Site
from pipelines.sites.registry import SITES
from pipelines.steps import StepReport, StepResult, Watch, remembered

REGISTERED_BY = ("t1c", "t1", "flair", "t2", "ct", "mr", "pet")
"""What two scans are registered by, the best one first."""
Kind = Literal["rigid", "affine"]


class AlignedScan(StepResult):
    """A later scan laid on an earlier one; volumes are on the earlier scan's grid."""

    alignment: Alignment
    moved: VolumeRef
    """The later scan's sequence, in the earlier one's brightness; to be looked at."""
    difference: VolumeRef
    """Percent of the earlier scan's range of brightness; positive where it became brighter."""

    @property
    def volumes(self) -> tuple[VolumeRef, ...]:
        """Both."""
        return self.moved, self.difference


@dataclass(frozen=True)
class Seen:
    """A lesion on one scan: what became of it, and its pieces there."""

    fate: Fate
    pieces: tuple[Lesion, ...] = ()

    @property
    def volume_mm3(self) -> float:
        """Of all its pieces."""
        return sum(piece.volume_mm3 for piece in self.pieces)


@dataclass(frozen=True)
class Track:
    """One lesion through all scans, in their order; None where nothing tells what became of it."""

    name: str
    seen: tuple[Seen | None, ...]


@dataclass(frozen=True)
class FollowUp:
    """All scans of a patient, followed by one set of criteria."""

    avatar: Avatar
    followed: Followed
    cases: tuple[ReviewCase, ...]
    baseline: int
    """Number of the scan that the others are compared with."""
    tracks: tuple[Track, ...]
    """Lesions of the baseline, largest first."""
    new: tuple[Track, ...]
    """Candidates for new lesions, on the scans after baseline; ``outside`` of what that shows."""
    prior: tuple[Track, ...]
    """Lesions of scans before baseline that it does not show."""
    specks: tuple[int, ...]
    """Pieces of each scan that are none of these, and too small to be named."""
    aligned: tuple[AlignedScan | None, ...]
    """To the baseline; None for that itself."""

    @property
    def criteria(self) -> Criteria:
        """What decides the categories."""
        return CRITERIA[self.followed.criteria]

    @property
    def days(self) -> tuple[float, ...]:
        """Of the scans, since diagnosis."""
        return tuple(case.scan.day for case in self.cases)

    @property
    def reading(self) -> Reading:
        """The baseline's: which lesions are targets."""
        return self.cases[self.baseline].review.reading

    @cached_property
    def measurable(self) -> tuple[str, ...]:
        """Lesions that may be targets, the largest first."""
        found = [(self._size(t, self.baseline), t) for t in self.tracks]
        ordered = sorted(found, key=lambda pair: -self.criteria.size(pair[0]))
        return tuple(t.name for size, t in ordered if self._may_be_target(size, t))

    def _may_be_target(self, size: TargetSize, track: Track) -> bool:
        first = track.seen[self.baseline]
        if first is None or not first.pieces:
            return False
        lesion = first.pieces[0]
        return self.criteria.is_measurable(size, lesion.slices, lesion.slice_mm)

    @property
    def targets(self) -> tuple[str, ...]:
        """Those that the reader chose, else the usual ones."""
        chosen = self.reading.targets
        if chosen is None:
            return self.measurable[: self.criteria.usual_targets]
        return tuple(name for name in chosen if name in self.measurable)

    def _size(self, track: Track, n: int) -> TargetSize:
        """On one scan; by hand where a reader measured it."""
        seen, by_hand = track.seen[n], self.cases[n].review.reading.diameters.get(track.name)
        pieces = () if seen is None else seen.pieces
        return _target(track.name, pieces, by_hand, is_node=track.name in self.reading.nodes)

    def visits(self) -> tuple[Visit, ...]:
        """What the criteria are told of each scan."""
        return tuple(self._visit(n) for n in range(len(self.cases)))

    def _visit(self, n: int) -> Visit:
        case = self.cases[n]
        reading = case.review.reading
        chosen = [t for t in self.tracks if t.name in self.targets]
        others = [t for t in self.tracks if t.name not in self.targets]
        outside = tuple(t.name for t in chosen if self._is_unseen(t, n))
        new = reading.new_lesion
        signed = case.review.status == "signed"
        candidates = any(t.seen[n] for t in self.new) or self.specks[n]
        if new == "unknown" and signed and not candidates:
            new = "no"  # a reader has signed a mask without a candidate
        return Visit(
            day=case.scan.day,
            targets=tuple(self._size(t, n) for t in chosen if t.name not in outside),
            not_measured=outside,
            new_lesion="no" if n == self.baseline else new,
            non_target=reading.non_target
            if reading.non_target != "unknown"
            else self._others(others, n),
            steroids=self._steroids(reading.steroids),
            clinical=reading.clinical,
            days_since_radiotherapy=days_since_radiotherapy(self.avatar, case.scan.day),
        )

    def _is_unseen(self, track: Track, n: int) -> bool:
        seen = track.seen[n]
        by_hand = track.name in self.cases[n].review.reading.diameters
        return (seen is None or seen.fate == "outside") and not by_hand

    def _steroids(self, said: Steroids) -> Steroids:
        """The same as none at baseline is none."""
        return "none" if said == "same" and self.reading.steroids == "none" else said

    def _others(self, others: Sequence[Track], n: int) -> NonTarget:
        """What the mask shows of lesions that are no targets; one that has merged is still there."""
        if not others:
            return "none"
        fates = {self._fate(track, n) for track in others}
        if fates & {"followed", "merged"}:
            return "present"
        return "unknown" if "outside" in fates else "gone"

    def _fate(self, track: Track, n: int) -> Fate:
        seen, size = track.seen[n], self._size(track, n)
        if seen is None:
            return "outside"
        if seen.pieces and self.criteria.is_gone(size):
            return "gone"  # a lymph node of normal size
        return seen.fate

    def responses(self) -> tuple[Response, ...]:
        """The response at each scan; those before baseline are not judged."""
        visits, day = self.visits(), self.days[self.baseline]
        before = [
            Response(
                day=visit.day,
                burden=None,
                targets="before",
                category="before",
                reason=f"the baseline is day {day:g}",
            )
            for visit in visits[: self.baseline]
        ]
        return (*before, *self.criteria.assess(visits[self.baseline :]))

    def sizes(self) -> dict[str, tuple[TargetSize, ...]]:
        """Of every lesion, at each scan."""
        return {
            t.name: tuple(self._size(t, n) for n in range(len(self.cases))) for t in self.tracks
        }

    def summary(self) -> FollowUpSummary:
        """What of it is worth keeping in a file."""
        sizes = self.sizes()
        return FollowUpSummary(
            patient_id=self.avatar.patient_id,
            criteria=self.criteria.name,
            citation=self.criteria.citation,
            unit=self.criteria.unit,
            days=self.days,
            baseline_day=self.days[self.baseline],
            mask_versions=tuple(case.review.version for case in self.cases),
            targets=self.targets,
            lesions=tuple(
                LesionSummary(
                    name=t.name,
                    fates=tuple("not seen" if s is None else s.fate for s in t.seen),
                    sizes=sizes[t.name],
                )
                for t in self.tracks
            ),
            candidates=tuple(
                (self.days[n], seen.pieces[0])
                for t in self.new
                for n, seen in enumerate(t.seen)
                if seen is not None
            ),
            alignments=tuple(a.alignment for a in self.aligned if a is not None),
            responses=self.responses(),
        )


class LesionSummary(BaseModel):
    """One lesion, scan by scan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    fates: tuple[str, ...]
    sizes: tuple[TargetSize, ...]


class FollowUpSummary(BaseModel):
    """A follow-up as a file: sizes in mm and mm3, days since diagnosis."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patient_id: str
    criteria: str
    citation: str
    unit: str = Field(description="of burdens")
    days: tuple[float, ...]
    baseline_day: float
    mask_versions: tuple[int, ...]
    targets: tuple[str, ...]
    lesions: tuple[LesionSummary, ...]
    candidates: tuple[tuple[float, Lesion], ...] = Field(description="new lesions? day and lesion")
    alignments: tuple[Alignment, ...]
    responses: tuple[Response, ...]


def _target(
    name: str, pieces: Sequence[Lesion], by_hand: Diameters | None = None, *, is_node: bool = False
) -> TargetSize:
    """Pieces of one that fell apart are added: longest diameters, and products (of a node the short axes)."""
    found = [piece.diameters for piece in pieces] if by_hand is None else [by_hand]
    longest = sum(d.longest.length_mm for d in found)
    products = sum(d.product_mm2 for d in found) / longest if found else 0.0
    short_axes = sum(d.perpendicular.length_mm for d in found)
    return TargetSize(
        lesion=name,
        longest_mm=longest,
        perpendicular_mm=min(short_axes, longest) if is_node else products,
        volume_mm3=sum(piece.volume_mm3 for piece in pieces),
        is_node=is_node,
    )


def _courses(avatar: Avatar) -> list[tuple[float, float]]:
    """First and last day of each course of radiotherapy."""
    return [(e.day, e.last_day) for e in avatar.timeline.events if e.kind == "radiotherapy"]


def days_since_radiotherapy(avatar: Avatar, day: float) -> float | None:
    """Since the last fraction before a day; None where the record knows of none."""
    ends = [end for begin, end in _courses(avatar) if begin <= day]
    return max(0.0, day - max(ends)) if ends else None


def usual_baseline(avatar: Avatar, days: Sequence[float], criteria: Criteria) -> int:
    """Number of the scan that others are compared with.

    The first; by RANO 2.0 the first one after the radiotherapy that has ended since, where there was any.
    """
    ends = [end for _, end in _courses(avatar) if end > days[0]]
    if not criteria.after_radiotherapy or not ends:
        return 0
    after = [n for n, day in enumerate(days) if day >= min(ends)]
    return after[0] if after else 0


def cases_of(store: AvatarStore, avatar: Avatar) -> tuple[ReviewCase, ...]:
    """Every scan of a patient with its log, in order of days."""
    scans = sorted(avatar.scans, key=lambda scan: scan.day)
    return tuple(ReviewCase(avatar, s, store.review(avatar.patient_id, s.day)) for s in scans)


def usual_followed(store: AvatarStore, baseline: ReviewCase) -> Followed:
    """A site's criteria: the first by which a lesion of the first scan can be measured; else the first that
    finds a lesion at all.
    """
    site = SITES[baseline.avatar.site]
    found = {f: _lesions(store, baseline, site, f).lesions for f in site.followed}
    for followed, lesions in found.items():
        criteria = CRITERIA[followed.criteria]
        if any(criteria.is_measurable(_target("", (x,)), x.slices, x.slice_mm) for x in lesions):
            return followed
    return next((f for f, lesions in found.items() if lesions), site.followed[0])


def follow(
    store: AvatarStore,
    avatar: Avatar,
    followed: Followed | None = None,
    *,
    kind: Kind = "rigid",
    baseline: float | None = None,
    watch: Watch = lambda report: None,
) -> FollowUp:
    """Register, match and measure all scans of a patient.

    Args:
        store: where they are; registrations are kept there.
        avatar: the patient.
        followed: by which criteria; the site's usual ones by default.
        kind: of registration.
        baseline: day of the scan that others are compared with; what a reader chose by default, else
            :func:`usual_baseline`.
        watch: told each registration.

    Raises:
        ReviewError: there is no scan, or none on the day of the baseline.
        ImageError: two scans cannot be registered.
    """
    cases = cases_of(store, avatar)
    if not cases:
        raise ReviewError(f"{avatar.patient_id}: there is no scan to follow")
    site = SITES[avatar.site]
    followed = followed or usual_followed(store, cases[0])
    b = _baseline(avatar, cases, CRITERIA[followed.criteria], baseline)
    maps = [
        _lesions(store, case, site, followed, smallest_mm3=SMALLEST_MM3 if n == b else 0.0)
        for n, case in enumerate(cases)
    ]
    history: list[list[Seen | None]] = [[None] * len(cases) for _ in maps[b].lesions]
    for track, lesion in zip(history, maps[b].lesions, strict=True):
        track[b] = Seen("followed", (lesion,))
    aligned: list[AlignedScan | None] = [None] * len(cases)
    specks = [0] * len(cases)
    unnamed: dict[bool, list[_Unnamed]] = {True: [], False: []}  # after baseline, or before
    for n in (n for n in range(len(cases)) if n != b):
        laid = aligned[n] = aligned_to(store, cases[b], cases[n], kind=kind, watch=watch)
        back = np.asarray(np.linalg.inv(laid.alignment.matrix), np.float64)
        pairing = pair_lesions(maps[b], maps[n], back)
        for track, became in zip(history, pairing.followed, strict=True):
            pieces = tuple(maps[n].lesions[p - 1] for p in became.pieces)
            track[n] = Seen(became.fate, pieces)
        for piece in (*pairing.new, *pairing.unseen):
            lesion = maps[n].lesions[piece - 1]
            if lesion.volume_mm3 < SMALLEST_MM3:
                specks[n] += 1
                continue
            fate: Fate = "followed" if piece in pairing.new else "outside"
            _name(unnamed[n > b], Seen(fate, (lesion,)), n, laid.alignment.matrix, len(cases))
    named = {
        letter: tuple(Track(f"{letter}{n}", tuple(seen)) for n, seen in enumerate(tracks, 1))
        for letter, tracks in (
            ("L", history),
            ("N", [u.seen for u in unnamed[True]]),
            ("P", [u.seen for u in unnamed[False]]),
        )
    }
    return FollowUp(
        avatar,
        followed,
        cases,
        b,
        named["L"],
        named["N"],
        named["P"],
        tuple(specks),
        tuple(aligned),
    )


def _baseline(
    avatar: Avatar, cases: Sequence[ReviewCase], criteria: Criteria, day: float | None
) -> int:
    days = [case.scan.day for case in cases]
    day = cases[0].review.reading.baseline if day is None else day
    if day is None:
        return usual_baseline(avatar, days, criteria)
    if day not in days:
        listed = ", ".join(f"{d:g}" for d in days)
        raise ReviewError(
            f"{avatar.patient_id}: there is no scan on day {day:g}; days are {listed}"
        )
    return days.index(day)


@dataclass
class _Unnamed:
    """A lesion that the baseline does not show: where it is there, how far it reaches, its scans."""

    place: NDArray[np.float64]
    radius_mm: float
    seen: list[Seen | None]


def _name(
    known: list[_Unnamed], seen: Seen, n: int, matrix: NDArray[np.float64], scans: int
) -> None:
    """Add a lesion of scan ``n`` to those known of other scans, if it lies where one of them does."""
    (lesion,) = seen.pieces
    to_baseline = np.linalg.inv(matrix)
    place = (to_baseline @ np.append(lesion.centroid_ras_mm, 1.0))[:3]
    radius = lesion.diameters.longest.length_mm / 2
    for other in known:
        near = float(np.linalg.norm(other.place - place)) <= max(other.radius_mm, radius, REACH_MM)
        if near and other.seen[n] is None:
            other.seen[n] = seen
            return
    known.append(_Unnamed(place, radius, [seen if m == n else None for m in range(scans)]))


def lesions_on(follow_up: FollowUp, day: float) -> dict[str, Lesion]:
    """The lesions of one scan by their names; the largest piece of one that fell apart."""
    n = follow_up.days.index(day)
    every = (*follow_up.tracks, *follow_up.new, *follow_up.prior)
    seen = {t.name: t.seen[n] for t in every}
    return {name: s.pieces[0] for name, s in seen.items() if s is not None and s.pieces}


def _lesions(
    store: AvatarStore,
    case: ReviewCase,
    site: Site,
    followed: Followed,
    smallest_mm3: float = SMALLEST_MM3,
) -> LesionMap:
    mask = Segmentation(store.volume(case.mask()), site.labels)
    return find_lesions(
        mask,
        measured=followed.measured,
        within=followed.within,
        by=CRITERIA[followed.criteria].section,
        smallest_mm3=smallest_mm3,
    )


def aligned_to(
    store: AvatarStore,
    earlier: ReviewCase,
    later: ReviewCase,
    *,
    kind: Kind = "rigid",
    watch: Watch = lambda report: None,
) -> AlignedScan:
    """A later scan on an earlier one, by the best sequence that both have; kept in the store.

    Raises:
        ImageError: no sequence in common, or they cannot be registered.
    """
    first, second = earlier.scan, later.scan
    sequence = next(
        (s for s in REGISTERED_BY if s in first.sequences and s in second.sequences), None
    )
    if sequence is None:
        raise ImageError(
            f"{later.name}: has no sequence in common with the scan of day {first.day:g}, so that one "
            f"cannot be laid on the other; they have {', '.join(second.sequences)} and "
            f"{', '.join(first.sequences)}"
        )
    refs = first.sequences[sequence], second.sequences[sequence]

    def make() -> AlignedScan:
        fixed, moving = (store.volume(ref) for ref in refs)
        tumor = _tumor(store, earlier, fixed)
        found = align(fixed, moving, sequence=sequence, kind=kind, tumor=tumor.array > 0)
        moved = resample(_plain(moving), fixed, found.matrix)
        inside = foreground(fixed).array > 0
        inside &= (foreground(moved).array > 0) & (tumor.array == 0)
        same = moved.with_array(matched(fixed, moved, inside).astype(np.float32))
        change = fixed.with_array(difference(fixed, same, inside))
        kept = same.with_array(np.rint(same.array).astype(np.int16)) if _is_whole(fixed) else same
        return AlignedScan(
            alignment=found, moved=store.put_volume(kept), difference=store.put_volume(change)
        )

    key = [[ref.sha256 for ref in refs], earlier.mask(0).sha256, kind]
    result, reused = remembered(store, "align", key, AlignedScan, make)
    said = f"day {second.day:g} to day {first.day:g} by {sequence}"
    watch(StepReport("align", said, reused))
    return result


class _MovedMask(StepResult):
    mask: VolumeRef

    @property
    def volumes(self) -> tuple[VolumeRef, ...]:
        return (self.mask,)


def moved_mask(
    store: AvatarStore, earlier: ReviewCase, later: ReviewCase, alignment: Alignment
) -> VolumeRef:
    """The latest mask of a later scan on the grid of an earlier one's; to be looked at, not measured."""
    refs = earlier.mask(), later.mask()

    def make() -> _MovedMask:
        grid, mask = (store.volume(ref) for ref in refs)
        moved = resample(mask, grid, alignment.matrix, nearest=True)
        return _MovedMask(mask=store.put_volume(moved))

    key = [[ref.sha256 for ref in refs], alignment.rows]
    return remembered(store, "moved mask", key, _MovedMask, make)[0].mask


def _tumor(store: AvatarStore, case: ReviewCase, grid: Volume) -> Volume:
    """0/1 on a grid; of the mask before review, so that an edit does not ask for a new registration."""
    mask = store.volume(case.mask(0))
    return resample(mask.with_array((mask.array > 0).astype(np.uint8)), grid, nearest=True)


def _plain(volume: Volume) -> Volume:
    return volume.with_array(np.asarray(volume.array, np.float32))


def _is_whole(volume: Volume) -> bool:
    return volume.array.dtype.kind in "iu" and np.abs(volume.array).max(initial=0) < 2**15


def volumes_over_time(cases: Sequence[ReviewCase], store: AvatarStore) -> dict[str, list[float]]:
    """Volumes in mL by region, at each scan, in the latest version of its mask."""
    found: dict[str, list[float]] = {}
    for case in cases:
        mask = Segmentation(store.volume(case.mask()), case.scan.labels)
        for region in case.scan.labels.regions:
            voxels = np.count_nonzero(mask.mask(region.abbreviation))
            ml = voxels * mask.volume.voxel_volume_mm3 / MM3_PER_ML
            found.setdefault(region.name, []).append(float(ml))
    return found


def read_baseline(
    store: AvatarStore, follow_up: FollowUp, day: float | None, *, by: str, at: datetime
) -> Review:
    """Choose the scan that others are compared with, or None for the usual one; kept with the first scan.

    Raises:
        ReviewError: there is no scan on that day, or it is the choice already.
    """
    first = follow_up.cases[0]
    if day is not None:
        _baseline(follow_up.avatar, follow_up.cases, follow_up.criteria, day)
    reading = first.review.reading.model_copy(update={"baseline": day})
    return keep_reading(store, first, reading, by=by, at=at)


def read_targets(
    store: AvatarStore,
    follow_up: FollowUp,
    targets: Sequence[str],
    *,
    by: str,
    at: datetime,
    nodes: Sequence[str] = (),
) -> Review:
    """Choose which lesions are followed; kept with the baseline scan.

    Raises:
        ReviewError: a lesion that is not measurable, or more than the criteria take.
    """
    criteria, baseline = follow_up.criteria, follow_up.cases[follow_up.baseline]
    unknown = [name for name in targets if name not in follow_up.measurable]
    if unknown:
        raise ReviewError(
            f"{baseline.name}: {', '.join(unknown)} is too small at baseline to be a target by "
            f"{criteria.name}; measurable are {', '.join(follow_up.measurable) or 'none'}"
        )
    if len(targets) > criteria.most_targets:
        raise ReviewError(
            f"{baseline.name}: {len(targets)} targets; {criteria.name} takes at most "
            f"{criteria.most_targets}"
        )
    if (tuple(targets), tuple(nodes)) == (follow_up.targets, follow_up.reading.nodes):
        raise ReviewError(f"{baseline.name}: these are the targets already; nothing to keep")
    chosen = {"targets": tuple(targets), "nodes": tuple(nodes)}
    return keep_reading(store, baseline, follow_up.reading.model_copy(update=chosen), by=by, at=at)
