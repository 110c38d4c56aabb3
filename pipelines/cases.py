"""Labelled cases in a YAML file: what segmenters are evaluated on and taught from."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from data.errors import AvatarError, ImageError, StudyError
from data.imaging import Segmentation, Volume
from data.io.nifti import read_nifti, read_segmentation
from data.io.structured import read_model
from pipelines.sites.base import Site
from pipelines.sites.registry import SITES
from pipelines.weights import shared_dir

SHARED = "${AVATAR_SHARED}"


class CaseFiles(BaseModel):
    """Files of one case, in one folder; the label values are those of the site's table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    folder: str = "."
    sequences: dict[str, str] = Field(min_length=1)
    brain_mask: str | None = None
    reference: str | dict[str, str] | None = Field(
        default=None, description="on the grid of the first sequence; or of several, by sequence"
    )
    reference_by: str = Field(
        default="", description="who drew it: experts, or algorithms (silver)"
    )
    label_aliases: dict[int, int] | None = Field(default=None, description="else the site's")
    held_out_weights: str | None = Field(
        default=None, description="of the own network, not taught from this case; beside this list"
    )


class CaseList(BaseModel):
    """Cases and the folder that theirs are under: relative to this file, or ``${AVATAR_SHARED}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str = "."
    site: str = "glioma"
    windows: int | None = Field(
        default=None,
        ge=0,
        description="where files are crops about the tumor: how many random windows of each are judged",
    )
    cases: tuple[CaseFiles, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Case:
    """One case in memory."""

    name: str
    images: dict[str, Volume]
    brain: Volume | None
    references: dict[str, Segmentation]
    """By the sequence whose grid they are on."""
    reference_by: str
    held_out_weights: Path | None = None
    """Of the own network, where its shipped weights were taught from this case."""
    site: str = "glioma"
    windows: int | None = None
    """How many windows of it are judged, where it is a crop about the tumor; 0 judges the crop."""

    @property
    def reference(self) -> Segmentation | None:
        """On the grid of the first image."""
        return self.references.get(next(iter(self.images)))

    def shown(self, only: Collection[str]) -> Case:
        """The case with some of its images.

        Raises:
            StudyError: it has none of them.
        """
        images = {name: image for name, image in self.images.items() if name in only}
        if not images:
            raise StudyError(f"case {self.name} has none of {', '.join(only)}")
        return replace(self, images=images)


def read_cases(path: Path, only: Collection[str] | None = None) -> list[Case]:
    """The cases of a list: all of them, or those that are named.

    Raises:
        StudyError: the list is not valid, names a case twice, or has none of a name in ``only``.
        ImageError: a file is missing or damaged, or a mask is on another grid.
    """
    listed = read_model(path, CaseList, StudyError)
    names = [case.name for case in listed.cases]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise StudyError(f"{path}: the case {repeated[0]!r} is listed twice")
    unknown = set(only or ()) - set(names)
    if unknown:
        raise StudyError(
            f"{path}: has no case {', '.join(sorted(unknown))}; it has {', '.join(names)}"
        )
    if listed.site not in SITES:
        raise StudyError(f"{path}: no site {listed.site!r}; known: {', '.join(SITES)}")
    root = shared_dir() if listed.root == SHARED else path.parent / os.path.expandvars(listed.root)
    found = []
    for case in listed.cases:
        if only is not None and case.name not in only:
            continue
        try:
            read = _read(case, SITES[listed.site], root / case.folder, path.parent)
        except AvatarError as error:
            raise type(error)(f"case {case.name}: {error}") from error
        found.append(replace(read, site=listed.site, windows=listed.windows))
    return found


def _read(case: CaseFiles, site: Site, folder: Path, listed_in: Path) -> Case:
    images = {name: read_nifti(folder / file) for name, file in case.sequences.items()}
    brain = read_nifti(folder / case.brain_mask) if case.brain_mask else None
    if brain is None:  # resampling leaves small negative voxels, and above zero means brain
        images = {
            name: v if name == "ct" else v.with_array(np.clip(v.array, 0, None))
            for name, v in images.items()
        }
    given = case.reference or {}
    if isinstance(given, str):
        given = {next(iter(images)): given}
    aliases = site.label_aliases if case.label_aliases is None else case.label_aliases
    references = {}
    for name, file in given.items():
        if name not in images:
            raise StudyError(f"has a reference for {name} and no such sequence")
        references[name] = read_segmentation(folder / file, site.labels, aliases)
        if not references[name].volume.same_grid(images[name]):
            raise ImageError(
                f"{file} has shape {references[name].volume.shape}, its sequence {name} "
                f"{images[name].shape}: a reference must be on the grid of its sequence"
            )
    held_out = listed_in / case.held_out_weights if case.held_out_weights else None
    return Case(case.name, images, brain, references, case.reference_by, held_out)
