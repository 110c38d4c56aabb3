"""The quality gate over files: the atlas as template, and the refusal of what cannot be right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from data.errors import ImageError, SampleError
from data.imaging import Volume
from data.quality import Flag
from data.samples.sri24 import load_sri24
from models.segmentation.base import Segmenter, brain_mask
from models.segmentation.quality import Template, study_flags, template_of
from models.segmentation.sarcoma_quality import sarcoma_flags


@lru_cache(maxsize=1)
def _template() -> Template:
    atlas = load_sri24()
    return template_of(atlas.white, atlas.grey, atlas.csf)


def check_study(
    images: Mapping[str, Volume], brain: Volume | None, segmenter: Segmenter
) -> tuple[Flag, ...]:
    """Flags of a study that a network is to segment.

    Raises:
        ImageError: there is no brain to look at, where it is one.
    """
    if segmenter.site == "sarcoma":
        return sarcoma_flags(images)
    reference = images.get(segmenter.grid_of(images)) or next(iter(images.values()))
    try:
        template = _template()
    except SampleError as error:
        return (
            Flag(
                code="not-checked",
                severity="look",
                finding=f"orientation and sequences were not checked: {error}",
                look_at="whether each file shows the sequence it is named for, the right way up",
            ),
        )
    return study_flags(images, brain_mask(brain, reference), template, segmenter.requires)


def refuse_stops(flags: Iterable[Flag], who: str) -> None:
    """Refuse a study whose mask cannot be right.

    Raises:
        ImageError: naming every finding and what to look at.
    """
    stops = [flag for flag in flags if flag.severity == "stop"]
    if stops:
        said = "; ".join(f"{flag.finding} (look at {flag.look_at})" for flag in stops)
        raise ImageError(f"{who}: {said}. To segment all the same: --despite-flags")
