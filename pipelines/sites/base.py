"""What a tumor site has to say about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from data.imaging import LabelTable


@dataclass(frozen=True)
class Site:
    """Labels of a site, older values of them, and whether networks and growth priors exist for it."""

    name: str
    labels: LabelTable
    label_aliases: Mapping[int, int] = field(default_factory=dict)
    has_segmenter: bool = False
    has_prior: bool = False
