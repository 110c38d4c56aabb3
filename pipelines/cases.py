"""Labelled cases in a YAML file: what segmenters are evaluated on and taught from."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from data.errors import AvatarError, ImageError, StudyError
from data.imaging import Segmentation, Volume
from data.io.nifti import read_nifti, read_segmentation
from data.io.structured import read_model
from pipelines.sites.glioma import LABEL_ALIASES, LABELS
from pipelines.weights import shared_dir

SHARED = "${AVATAR_SHARED}"


class CaseFiles(BaseModel):
    """Files of one case, in one folder; the label values are those of the glioma table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    folder: str = "."
    sequences: dict[str, str] = Field(min_length=1)
    brain_mask: str | None = None
    reference: str | None = None
    reference_by: str = Field(
        default="", description="who drew it: experts, or algorithms (silver)"
    )
    label_aliases: dict[int, int] = LABEL_ALIASES
    held_out_weights: str | None = Field(
        default=None, description="of the own network, not taught from this case; beside this list"
    )


class CaseList(BaseModel):
    """Cases and the folder that theirs are under: relative to this file, or ``${AVATAR_SHARED}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str = "."
    cases: tuple[CaseFiles, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Case:
    """One case in memory."""

    name: str
    images: dict[str, Volume]
    brain: Volume | None
    reference: Segmentation | None
    reference_by: str
    held_out_weights: Path | None = None
    """Of the own network, where its shipped weights were taught from this case."""


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
    root = shared_dir() if listed.root == SHARED else path.parent / os.path.expandvars(listed.root)
    found = []
    for case in listed.cases:
        if only is not None and case.name not in only:
            continue
        try:
            found.append(_read(case, root / case.folder, path.parent))
        except AvatarError as error:
            raise type(error)(f"case {case.name}: {error}") from error
    return found


def _read(case: CaseFiles, folder: Path, listed_in: Path) -> Case:
    images = {name: read_nifti(folder / file) for name, file in case.sequences.items()}
    first = next(iter(images.values()))
    brain = read_nifti(folder / case.brain_mask) if case.brain_mask else None
    if brain is None:  # resampling leaves small negative voxels, and above zero means brain
        images = {name: v.with_array(np.clip(v.array, 0, None)) for name, v in images.items()}
    reference = None
    if case.reference:
        reference = read_segmentation(folder / case.reference, LABELS, case.label_aliases)
        if not reference.volume.same_grid(first):
            raise ImageError(
                f"{case.reference} has shape {reference.volume.shape}, the first sequence "
                f"{first.shape}: a reference must be on the grid of the first sequence"
            )
    held_out = listed_in / case.held_out_weights if case.held_out_weights else None
    return Case(case.name, images, brain, reference, case.reference_by, held_out)
