"""How good first masks were and how far readers agree, from what was signed.

A signed mask that was edited from the first one says how much a reader minded, not how right the first one was:
PRIMAGE's 0.997 was such a number. So what was edited and what was drawn independently are never put together.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from data.imaging import Array, LabelTable, Segmentation, Volume
from data.review import Review
from data.store import AvatarStore
from models.segmentation.scores import RegionScores, dice, score
from pipelines.review import ReviewCase

Origin = Literal["edited", "independent"]
Kinship = Literal["one edited the other's", "both edited one mask", "independent"]


class SignedCase(BaseModel):
    """The first mask of a scan against the one that was signed last."""

    model_config = ConfigDict(frozen=True)

    patient_id: str
    day: float
    first_mask: str = Field(description="what drew it")
    reader: str
    version: int
    origin: Origin
    seconds_viewed: float
    seconds_edited: float
    voxels_changed: int
    regions: dict[str, RegionScores]


class Agreement(BaseModel):
    """Two readers who both signed one scan."""

    model_config = ConfigDict(frozen=True)

    patient_id: str
    day: float
    readers: tuple[str, str]
    versions: tuple[int, int]
    kinship: Kinship
    dice: dict[str, float]
    kappa: float = Field(description="Cohen's, of all labels, in the box around both masks")


class Summary(BaseModel):
    """One region over all cases of one origin."""

    model_config = ConfigDict(frozen=True)

    region: str
    origin: Origin
    cases: int
    dice_median: float
    dice_range: tuple[float, float]
    hd95_median_mm: float
    volume_error_median_ml: float
    lesions: int
    lesions_missed: int


class ReviewStatistics(BaseModel):
    """All of it."""

    model_config = ConfigDict(frozen=True)

    cases: tuple[SignedCase, ...]
    agreements: tuple[Agreement, ...]
    summaries: tuple[Summary, ...]
    seconds_viewed_median: float | None
    seconds_edited_median: float | None


def statistics_of(store: AvatarStore, cases: Iterable[ReviewCase]) -> ReviewStatistics:
    """Of every case that was signed; masks that came with a study are not a network's and do not count."""
    signed, agreements = [], []
    for case in cases:
        if case.review.signed is None:
            continue
        if not case.scan.given:
            signed.append(_signed(store, case))
        agreements += _agreements(store, case)
    viewed = [c.seconds_viewed for c in signed]
    edited = [c.seconds_edited for c in signed]
    return ReviewStatistics(
        cases=tuple(signed),
        agreements=tuple(agreements),
        summaries=tuple(_summaries(signed)),
        seconds_viewed_median=float(np.median(viewed)) if viewed else None,
        seconds_edited_median=float(np.median(edited)) if edited else None,
    )


def _signed(store: AvatarStore, case: ReviewCase) -> SignedCase:
    signed = case.review.signed
    assert signed is not None  # noqa: S101  # of those that are
    first, last = (_segmentation(store, case, n) for n in (0, signed.version))
    spacing = first.volume.spacing_mm
    entries = case.review.entries
    return SignedCase(
        patient_id=case.avatar.patient_id,
        day=case.scan.day,
        first_mask=case.scan.segmenter.split(":")[0],
        reader=signed.by,
        version=signed.version,
        origin=origin_of(case.review, signed.version),
        seconds_viewed=sum(e.seconds_viewed for e in entries),
        seconds_edited=sum(e.seconds_edited for e in entries),
        voxels_changed=int(np.count_nonzero(first.volume.array != last.volume.array)),
        regions={
            r.abbreviation: score(first.mask(r.abbreviation), last.mask(r.abbreviation), spacing)
            for r in case.scan.labels.regions
        },
    )


def origin_of(review: Review, version: int) -> Origin:
    """Whether a version goes back to the first mask."""
    return "edited" if review.lineage(version)[-1] == 0 else "independent"


def _agreements(store: AvatarStore, case: ReviewCase) -> list[Agreement]:
    last = {e.by: e.version for e in case.review.entries if e.act == "sign"}
    found = []
    for (a, one), (b, other) in combinations(sorted(last.items()), 2):
        masks = [_segmentation(store, case, n) for n in (one, other)]
        found.append(
            Agreement(
                patient_id=case.avatar.patient_id,
                day=case.scan.day,
                readers=(a, b),
                versions=(one, other),
                kinship=_kinship(case.review, one, other),
                dice={
                    r.abbreviation: dice(*(m.mask(r.abbreviation) for m in masks))
                    for r in case.scan.labels.regions
                },
                kappa=kappa(masks[0].volume, masks[1].volume, case.scan.labels),
            )
        )
    return found


def _kinship(review: Review, one: int, other: int) -> Kinship:
    lines = review.lineage(one), review.lineage(other)
    if one in lines[1] or other in lines[0]:
        return "one edited the other's"
    return "both edited one mask" if set(lines[0]) & set(lines[1]) else "independent"


def kappa(one: Volume, other: Volume, labels: LabelTable) -> float:
    """Cohen's kappa (1960, doi:10.1177/001316446002000104) of all labels and background, in the box around
    both masks; 1 where both are empty.

    With all of the image as background it would come close to 1 for any small tumor.
    """
    arrays = [np.asarray(v.array) for v in (one, other)]
    inside = np.argwhere((arrays[0] > 0) | (arrays[1] > 0))
    if not len(inside):
        return 1.0
    box = tuple(slice(a, b + 1) for a, b in zip(inside.min(0), inside.max(0), strict=True))
    values = np.array(sorted({0, *labels.values}))
    first, second = (np.searchsorted(values, a[box].ravel()) for a in arrays)
    table = np.zeros((len(values), len(values)))
    np.add.at(table, (first, second), 1.0)
    table /= table.sum()
    agreed, by_chance = np.trace(table), table.sum(0) @ table.sum(1)
    return 1.0 if agreed == 1.0 else float((agreed - by_chance) / (1.0 - by_chance))


def _segmentation(store: AvatarStore, case: ReviewCase, version: int) -> Segmentation:
    return Segmentation(store.volume(case.mask(version)), case.scan.labels)


def _summaries(cases: list[SignedCase]) -> Iterable[Summary]:
    names = list(dict.fromkeys(name for case in cases for name in case.regions))
    for origin in ("edited", "independent"):
        chosen = [case for case in cases if case.origin == origin]
        for name in names:
            scores = [case.regions[name] for case in chosen if name in case.regions]
            if scores:
                yield _summary(name, "edited" if origin == "edited" else "independent", scores)


def _summary(region: str, origin: Origin, scores: list[RegionScores]) -> Summary:
    values: Array = np.array([s.dice for s in scores])
    return Summary(
        region=region,
        origin=origin,
        cases=len(scores),
        dice_median=float(np.median(values)),
        dice_range=(float(values.min()), float(values.max())),
        hd95_median_mm=float(np.median([s.hd95_mm for s in scores])),
        volume_error_median_ml=float(np.median([s.volume_error_ml for s in scores])),
        lesions=sum(s.lesions for s in scores),
        lesions_missed=sum(s.lesions_missed for s in scores),
    )
