"""What a tumor site has to say about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from data.clinical import ClinicalRecord
from data.imaging import Code, LabelTable


@dataclass(frozen=True)
class Followed:
    """What is measured of each lesion over time, and by which criteria.

    Args:
        criteria: kind.
        measured: abbreviation of the region whose voxels count.
        within: of the region whose pieces are the lesions; the measured one where none is named.
    """

    criteria: str
    measured: str
    within: str | None = None


@dataclass(frozen=True)
class Survival:
    """A shipped survival model, and what it wants to know of a record.

    Args:
        model: its name.
        covariates: from a record to the model's covariates; None is not known.
    """

    model: str
    covariates: Callable[[ClinicalRecord], dict[str, float | str | None]]


NEOPLASM = Code(scheme="SCT", value="108369006", meaning="Neoplasm")


@dataclass(frozen=True)
class Site:
    """Labels of a site, older values of them, and which networks, priors and survival models exist for it."""

    name: str
    labels: LabelTable
    label_aliases: Mapping[int, int] = field(default_factory=dict)
    default_segmenter: str | None = None
    """Kind of the one that draws it unless another is asked for; none where there is no network for it."""
    has_prior: bool = False
    survival: Survival | None = None
    followed: tuple[Followed, ...] = (Followed("recist", "WT"),)
    """The usual criteria first."""
    is_sided: bool = False
    """Whether the middle of an image parts left from right, as in a head; not so in an image of one leg."""
