"""The quality gate: is this the study it says it is, and can its mask be believed?

A study is compared with a template of healthy tissue, brought over the brain by its center alone:
the brain's outline tells its orientation, the order of white matter, grey matter and fluid tells the
sequences apart. A left-right mirrored head cannot be told from a right one; no flag promises that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data.imaging import Volume
from data.quality import Flag
from models.segmentation.regions import regions_of

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

CUBE, STEP_MM = 48, 4.0
"""Heads are compared in cubes of 48 voxels of 4 mm about the brain's center, axes RAS."""
TURN_MARGIN = 0.02
"""By how much more (Dice) the outline must fit another way round. On six real heads the right way gave
0.91 to 0.96 and the best wrong one 0.84 to 0.86."""
ORDER: tuple[tuple[str, str, str], ...] = (
    ("white over grey", "t1", "t2"),
    ("white over grey", "t1", "flair"),
    ("white over grey", "t1c", "t2"),
    ("white over grey", "t1c", "flair"),
    ("fluid over white", "t2", "t1"),
    ("fluid over white", "t2", "t1c"),
    ("fluid over white", "t2", "flair"),
    ("bright tail", "t1c", "t1"),
)
"""Which of two sequences has more of a contrast: T1 shows white matter brightest, T2 fluid, and only a
contrast agent makes vessels and tumor stand far out."""
ORDER_MARGIN = 0.25
"""Standard deviations of the brain's signal by which another naming must fit the order better."""
SHOWN = {"t1": "T1", "t1c": "T1c", "t2": "T2", "flair": "FLAIR"}
FEWEST_VALUES = 20
LARGEST_SHARE = 0.4
"""Of the brain that may be tumor."""
LOWEST_AGREEMENT = 0.7
"""Dice between opinions under which a region is flagged."""


@dataclass(frozen=True)
class Template:
    """Healthy tissue probabilities in the cube, (48, 48, 48) each."""

    white: Array
    grey: Array
    csf: Array

    @property
    def brain(self) -> Array:
        """The share of each voxel that is brain."""
        return np.asarray(np.clip(self.white + self.grey + self.csf, 0.0, 1.0), np.float32)


def template_of(white: Volume, grey: Volume, csf: Volume) -> Template:
    """An atlas's tissue maps (probabilities, one grid) in the cube."""
    brain = white.with_array((white.array + grey.array + csf.array > 0.5).astype(np.uint8))
    center = _center(brain)
    return Template(*(_cube(v, center) for v in (white, grey, csf)))


def study_flags(
    images: Mapping[str, Volume], brain: Volume, template: Template, required: Sequence[str]
) -> tuple[Flag, ...]:
    """What is wrong with a glioma MR study before anybody segments it.

    Args:
        images: by sequence, skull-stripped, in one patient space.
        brain: 0/1 on the grid of one of the images.
        template: from ``template_of``.
        required: sequences that a segmenter cannot do without.
    """
    flags = [_missing(name) for name in required if name not in images]
    for name, volume in images.items():
        flags += _intensity(name, volume, brain)
    center = _center(brain)
    outline = _cube(brain, center)
    turned = _turned(outline, template)
    flags += turned
    if not turned and not flags:
        flags += _swapped({n: _cube(v, center) for n, v in images.items()}, outline, template)
    return tuple(flags)


def mask_flags(
    labels: Volume, brain: Volume | None, agreement: Mapping[str, float] | None = None
) -> tuple[Flag, ...]:
    """What is doubtful about a mask.

    Args:
        labels: 0 to 3, (i, j, k).
        brain: 0/1 on the same grid, where the tumor is in a brain.
        agreement: Dice between opinions by region (WT, TC, ET), where there were several.
    """
    whole = regions_of(labels.array)[0]
    if not whole.any():
        return (
            Flag(
                code="no-tumor",
                severity="look",
                finding="no tumor was found",
                look_at="all sequences from end to end, the FLAIR first where there is one: a small or faint "
                "lesion may have been missed",
            ),
        )
    flags = []
    share = 0.0 if brain is None else float(whole.sum() / max(int((brain.array > 0).sum()), 1))
    if share > LARGEST_SHARE:
        flags.append(
            Flag(
                code="implausible-volume",
                severity="look",
                finding=f"{share:.0%} of the brain is marked as tumor",
                look_at="whether the mask follows the FLAIR signal at all; check sequences and units",
            )
        )
    ends = _faces(whole)
    if ends:
        flags.append(
            Flag(
                code="at-the-edge",
                severity="look",
                finding=f"the tumor touches the {' and '.join(ends)} end of the scan",
                look_at="the outermost slices: the tumor may go on outside, and its volume is a minimum",
            )
        )
    for region, dice in (agreement or {}).items():
        if dice < LOWEST_AGREEMENT:
            flags.append(
                Flag(
                    code="low-agreement",
                    severity="look",
                    finding=f"opinions on {region} overlap by a Dice of only {dice:.2f}",
                    look_at="the disagreement map; edit where it is bright",
                )
            )
    return tuple(flags)


def _missing(name: str) -> Flag:
    return Flag(
        code="missing-sequence",
        severity="stop",
        finding=f"there is no {name}",
        look_at="the study's series list: add the sequence to study.yaml, or bring a mask",
    )


def _intensity(name: str, volume: Volume, brain: Volume) -> list[Flag]:
    inside = volume.same_grid(brain)
    return gray_levels(name, volume.array[brain.array > 0] if inside else volume.array.ravel())


def gray_levels(name: str, seen: NDArray[Any]) -> list[Flag]:
    """Whether an image (its voxels, in any order) has too few values or was cut off at the brightest."""
    values = np.unique(seen[:: max(1, len(seen) // 100_000)])
    top = float(np.mean(seen == seen.max())) if len(seen) else 0.0
    finding = ""
    if len(values) < FEWEST_VALUES:
        finding = f"{name} has only {len(values)} different values where there is tissue"
    elif top > 0.02:
        finding = f"{top:.0%} of {name} has the largest value, {seen.max():g}: cut off"
    if not finding:
        return []
    look_at = f"the file given as {name}: it may be a mask, or was saved with too few gray levels"
    return [Flag(code="intensity", severity="stop", finding=finding, look_at=look_at)]


def _turned(outline: Array, template: Template) -> list[Flag]:
    """The brain's outline against the template's, all 24 ways round."""
    fits = {}
    for order in permutations(range(3)):
        for flips in product((1, -1), repeat=3):
            if flips[0] == 1:  # a brain and its mirror image have one outline
                seen = outline.transpose(order)[tuple(slice(None, None, f) for f in flips)]
                fits[order, flips] = _overlap(seen, template.brain)
    right = fits[(0, 1, 2), (1, 1, 1)]
    (order, flips), best = max(fits.items(), key=lambda item: item[1])
    if best <= right + TURN_MARGIN:
        return []
    axes = "right", "anterior", "superior"
    wrong = [axes[n] for n in range(3) if order[n] != n or flips[n] == -1]
    return [
        Flag(
            code="orientation",
            severity="stop",
            finding=(
                f"the brain's outline fits better another way round (Dice {best:.2f} against "
                f"{right:.2f}); the {' and '.join(wrong)} direction looks wrong"
            ),
            look_at="the affine in the image's header: is the top of the head where it says?",
        )
    ]


def _swapped(cubes: Mapping[str, Array], outline: Array, template: Template) -> list[Flag]:
    """Whether the images fit the order of contrasts better under each other's names."""
    inside = (outline > 0.9) & (template.brain > 0.9)
    if not inside.any():
        return []
    known = [name for name in SHOWN if name in cubes]
    traits = {name: _traits(cubes[name], inside, template) for name in known}

    def against(naming: Mapping[str, str]) -> float:
        """Standard deviations that go against the order, were ``naming[a]`` called ``a``."""
        total = 0.0
        for trait, more, less in ORDER:
            if more in naming and less in naming:
                gap = traits[naming[more]][trait] - traits[naming[less]][trait]
                total += max(0.0, -gap)
        return total

    namings = [dict(zip(known, names, strict=True)) for names in permutations(known)]
    as_given, best = namings[0], min(namings, key=against)
    if against(as_given) - against(best) <= ORDER_MARGIN:
        return []
    said = ", ".join(f"{SHOWN[best[n]]} looks like {SHOWN[n]}" for n in known if best[n] != n)
    return [
        Flag(
            code="sequences-swapped",
            severity="stop",
            finding=said,
            look_at="the file names in study.yaml against the images: fluid is bright on T2 and dark on "
            "the others, white matter brightest on T1, vessels bright only after contrast",
        )
    ]


def _traits(image: Array, inside: Mask, template: Template) -> dict[str, float]:
    spread = max(float(image[inside].std()), 1e-6)
    parts = ((template.white, 0.8), (template.grey, 0.6), (template.csf, 0.6))
    white, grey, fluid = (float(np.median(image[inside & (p > cut)])) for p, cut in parts)
    tail = float(np.quantile(image[inside], 0.999) - np.median(image[inside]))
    return {
        "white over grey": (white - grey) / spread,
        "fluid over white": (fluid - white) / spread,
        "bright tail": tail / spread,
    }


def _faces(mask: Mask) -> list[str]:
    """Which ends of the grid a mask touches."""
    named = []
    for axis, letter in enumerate("ijk"):
        first, last = (np.take(mask, at, axis).any() for at in (0, -1))
        named += [f"first {letter}"] * bool(first) + [f"last {letter}"] * bool(last)
    return named


def _overlap(one: Array, other: Array) -> float:
    return float(2 * np.minimum(one, other).sum() / (one.sum() + other.sum()))


def _center(brain: Volume) -> NDArray[np.float64]:
    """RAS+ mm of the brain's center of mass."""
    return brain.world(np.array(ndimage.center_of_mass(brain.array > 0)))


def _cube(volume: Volume, center: NDArray[np.float64]) -> Array:
    """A volume around a point, smoothed to 4-mm voxels."""
    image = volume.reoriented("RAS")
    step = STEP_MM / np.array(image.spacing_mm)
    blurred = ndimage.uniform_filter(
        image.array.astype(np.float32), [max(1, round(s)) for s in step]
    )
    at = np.linalg.inv(image.affine) @ [*center, 1.0]
    return np.asarray(
        ndimage.affine_transform(
            blurred, step, at[:3] - step * (CUBE - 1) / 2, (CUBE, CUBE, CUBE), order=1
        ),
        np.float32,
    )
