"""Score a segmenter on labelled cases: a table with bootstrap intervals and pictures of the worst."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from data.errors import AvatarError, ImageError, StudyError
from data.imaging import Segmentation, Volume
from models.segmentation.base import Examined, Network, Segmenter, brain_mask
from models.segmentation.scores import RegionScores, error_auroc, score
from pipelines.cases import Case
from pipelines.windows import geometry_dice, windows_of

RESAMPLES = 2000
SEED = 20261122
LEVEL = 0.95


class CaseScores(BaseModel):
    """One case."""

    model_config = ConfigDict(frozen=True)

    case: str
    window: int | None = None
    """Which random window of the case, where it is judged by those."""
    reference_by: str
    sequences: tuple[str, ...]
    cpu_seconds: float
    weights: Literal["never taught from it", "a fold without it", "taught from it"]
    """What the weights that drew the mask know of this case, of what is recorded."""
    regions: dict[str, RegionScores]
    agreement: dict[str, float] = {}
    """Mean Dice between the segmenter's opinions, by region."""
    error_auroc: float | None = None
    """How well disagreement tells wrong voxels from right ones, of the brain where it is one; one half is
    chance."""
    geometry_dice: float | None = None
    """Whole-tumor Dice of an ellipsoid in the image's middle, where the image is a crop about the tumor."""


class Interval(BaseModel):
    """A mean over cases and its percentile bootstrap interval (95 %); no interval for one case.

    Windows of one case count as one, with their mean.
    """

    model_config = ConfigDict(frozen=True)

    mean: float
    low: float | None
    high: float | None


class RegionSummary(BaseModel):
    """One region over all cases."""

    model_config = ConfigDict(frozen=True)

    dice: Interval
    hd95_mm: Interval
    surface_dice: Interval
    volume_error_ml: Interval
    lesion_dice: Interval
    lesions: int
    lesions_missed: int
    lesions_false: int
    agreement_off: Interval | None = None
    """Mean distance of the agreement between opinions from the Dice: how little the one tells of the other."""


class Evaluation(BaseModel):
    """A segmenter on a set of cases."""

    model_config = ConfigDict(frozen=True)

    segmenter: str
    settings: dict[str, str]
    cases: tuple[CaseScores, ...]
    refused: dict[str, str]
    """Cases that the segmenter did not take, and why."""
    summary: dict[str, RegionSummary]
    geometry_dice: Interval | None = None
    """Of ``CaseScores.geometry_dice``."""


def evaluate(
    cases: Sequence[Case],
    segmenter: Segmenter,
    *,
    only: tuple[str, ...] | None = None,
    doubt: bool = False,
    on_case: Callable[[Case, Segmentation, CaseScores], None] = lambda case, found, scores: None,
) -> Evaluation:
    """Segment and score every case that has a reference.

    Args:
        cases: at least one of them with a reference.
        segmenter: what is judged.
        only: sequences to show it; the default is all that a case has.
        doubt: also ask for several opinions, and tell whether they differ where the mask is wrong.
        on_case: told each result as it comes.

    Raises:
        StudyError: no case has a reference, the segmenter is for another site, or it refused every one.
    """
    rows: list[CaseScores] = []
    judged: list[Segmentation] = []
    refused: dict[str, str] = {}
    if all(not case.references for case in cases):
        raise StudyError("no case has a reference; add 'reference' to at least one")
    for case in cases:
        if case.site != segmenter.site:
            raise StudyError(f"{segmenter.kind} draws {segmenter.site}, {case.name} is {case.site}")
        try:
            shown = case if only is None else case.shown(only)
            views = windows_of(shown, shown.windows) if shown.windows else [shown]
        except AvatarError as error:
            refused[case.name] = str(error)
            continue
        for number, view in enumerate(views):
            if view.reference is None:
                continue
            try:
                found, row = _judge(segmenter, view, view.reference, doubt=doubt)
            except ImageError as error:
                refused[case.name] = str(error)
                break
            row = row.model_copy(update={"window": number + 1 if shown.windows else None})
            rows.append(row)
            judged.append(view.reference)
            on_case(view, found, row)
    if not rows:
        reasons = "; ".join(f"{name}: {why}" for name, why in refused.items())
        raise StudyError(f"{segmenter.kind} took none of the cases ({reasons})")
    geometry = None
    if any(case.windows is not None for case in cases):
        rows = [
            row.model_copy(update={"geometry_dice": value})
            for row, value in zip(rows, geometry_dice(judged), strict=True)
        ]
        geometry = interval(_by_case(rows, lambda row: row.geometry_dice or 0.0))
    return Evaluation(
        segmenter=segmenter.kind,
        settings=segmenter.settings,
        cases=tuple(rows),
        refused=refused,
        summary={region: _summary(rows, region) for region in segmenter.region_names},
        geometry_dice=geometry,
    )


def _judge(
    segmenter: Segmenter, case: Case, reference: Segmentation, *, doubt: bool
) -> tuple[Segmentation, CaseScores]:
    drawer, weights = held_out(segmenter, case)
    started = time.process_time()
    examined = drawer.examine(case.images, case.brain) if doubt else None
    mask = examined.labels if examined else drawer.segment(case.images, case.brain)
    seconds = time.process_time() - started
    found = Segmentation(mask, reference.labels)
    if not mask.same_grid(reference.volume):
        raise StudyError(f"case {case.name}: the reference is not on the grid of the mask")
    spacing = mask.spacing_mm
    scores = CaseScores(
        case=case.name,
        reference_by=case.reference_by,
        sequences=tuple(case.images),
        cpu_seconds=round(seconds, 2),
        weights=weights,
        regions={
            r: score(found.mask(r), reference.mask(r), spacing) for r in segmenter.region_names
        },
        agreement=examined.agreement if examined else {},
        error_auroc=_error_auroc(examined, reference, case, drawer) if examined else None,
    )
    return found, scores


def held_out(
    segmenter: Segmenter, case: Case
) -> tuple[Segmenter, Literal["never taught from it", "a fold without it", "taught from it"]]:
    """The segmenter with weights that were not taught from a case, where there are such."""
    if not isinstance(segmenter, Network) or case.name not in segmenter.taught_from:
        return segmenter, "never taught from it"
    if case.held_out_weights is None or not case.held_out_weights.is_file():
        return segmenter, "taught from it"
    fold = segmenter.model_copy(update={"weights": case.held_out_weights})
    if case.name in fold.taught_from:
        raise StudyError(
            f"{case.held_out_weights}: was taught from {case.name}, which it is to judge"
        )
    return fold, "a fold without it"


def _error_auroc(
    examined: Examined, reference: Segmentation, case: Case, segmenter: Segmenter
) -> float | None:
    if examined.disagreement is None:
        return None
    inside = np.ones(examined.labels.shape, bool)
    if segmenter.site == "glioma":
        inside = brain_mask(case.brain, next(iter(case.images.values()))).array > 0
    wrong = examined.labels.array[inside] != reference.volume.array[inside]
    return error_auroc(examined.disagreement.array[inside], wrong)


def _by_case(rows: Sequence[CaseScores], value: Callable[[CaseScores], float]) -> list[float]:
    """The mean over the rows of each case."""
    grouped: dict[str, list[float]] = {}
    for row in rows:
        grouped.setdefault(row.case, []).append(value(row))
    return [float(np.mean(values)) for values in grouped.values()]


def _summary(rows: Sequence[CaseScores], region: str) -> RegionSummary:
    def over(name: str) -> Interval:
        return interval(_by_case(rows, lambda row: float(getattr(row.regions[region], name))))

    def distance(row: CaseScores) -> float:
        return abs(row.agreement[region] - row.regions[region].dice)

    told = [row for row in rows if region in row.agreement]
    scores = [row.regions[region] for row in rows]
    return RegionSummary(
        dice=over("dice"),
        hd95_mm=over("hd95_mm"),
        surface_dice=over("surface_dice"),
        volume_error_ml=over("volume_error_ml"),
        lesion_dice=over("lesion_dice"),
        lesions=sum(row.lesions for row in scores),
        lesions_missed=sum(row.lesions_missed for row in scores),
        lesions_false=sum(row.lesions_false for row in scores),
        agreement_off=interval(_by_case(told, distance)) if told else None,
    )


def interval(values: Sequence[float]) -> Interval:
    """Mean and percentile bootstrap interval over cases (Efron 1979); seeded."""
    array = np.asarray(values, float)
    if len(array) < 2:
        return Interval(mean=float(array.mean()), low=None, high=None)
    rng = np.random.default_rng(SEED)
    means = array[rng.integers(len(array), size=(RESAMPLES, len(array)))].mean(axis=1)
    tail = (1.0 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return Interval(mean=float(array.mean()), low=float(low), high=float(high))


class Gallery:
    """Pictures of the cases with the lowest whole-tumor Dice: found in color, reference as a line."""

    def __init__(self, rows: int = 4) -> None:
        self.rows = rows
        self._kept: list[tuple[float, str, Volume, Segmentation, Segmentation]] = []

    def add(self, case: Case, found: Segmentation, scores: CaseScores) -> None:
        """Keep a case, with the worst of its windows, if it is among the worst."""
        if case.reference is None:
            return
        shown = case.images.get("flair") or next(iter(case.images.values()))
        dice = scores.regions["WT"].dice
        self._kept.append((dice, case.name, shown, found, case.reference))
        self._kept.sort(key=lambda kept: kept[0])
        worst = {name: n for n, (_, name, *_) in reversed(list(enumerate(self._kept)))}
        self._kept = [self._kept[n] for n in sorted(worst.values())[: self.rows]]

    def write(self, path: Path) -> None:
        """Save as PNG; rows are cases, columns three slices through the error's largest extent."""
        import matplotlib.figure

        figure = matplotlib.figure.Figure(figsize=(10, 3.4 * len(self._kept)), layout="constrained")
        axes = figure.subplots(len(self._kept), 3, squeeze=False)
        for row, (dice, name, image, found, reference) in zip(axes, self._kept, strict=True):
            self._row(row, image, found, reference)
            row[0].set_title(f"{name}: whole-tumor Dice {dice:.3f}", loc="left", fontsize=10)
        figure.suptitle("Found (color) and reference (white line). Research use only.", fontsize=10)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)

    def _row(
        self, axes: Iterable[Any], image: Volume, found: Segmentation, reference: Segmentation
    ) -> None:
        turned = image.reoriented("RAS").array
        mine = found.volume.reoriented("RAS").array
        meant = reference.volume.reoriented("RAS").array > 0
        wrong = (mine > 0) != meant
        high = float(np.quantile(turned[turned > 0], 0.995)) if (turned > 0).any() else 1.0
        width, depth, height = image.reoriented("RAS").spacing_mm
        aspects = (height / depth, height / width, depth / width)
        for axis, (ax, aspect) in enumerate(zip(axes, aspects, strict=True)):
            others = tuple(n for n in range(3) if n != axis)
            at = int(np.argmax(wrong.sum(axis=others)))
            cut = [np.take(v, at, axis).T for v in (turned, mine, meant)]
            ax.imshow(
                cut[0],
                cmap="gray",
                origin="lower",
                vmin=max(min(0.0, float(cut[0].min())), -200.0),
                vmax=high,
                aspect=aspect,
            )
            shade = np.ma.masked_equal(cut[1], 0)
            ax.imshow(
                shade, origin="lower", cmap="viridis", alpha=0.5, vmin=0, vmax=3, aspect=aspect
            )
            if cut[2].any():
                ax.contour(cut[2], levels=[0.5], colors="white", linewidths=0.8)
            ax.set_axis_off()
