"""What the DICOM objects that are made here have in common: the series they are about, and who made them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pydicom.charset import python_encoding
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from data.errors import ImageError
from data.files import replace_atomically
from data.imaging import Label, Segmentation, Volume
from data.io.dicom import read_slices, volume_of

MAKER, MODEL = "Cancer Avatars", "avatar"
SERIES_NUMBER = 900
"""High, so that viewers list what was made here behind what the scanner made."""
UNICODE = "ISO_IR 192"
LONGEST_STUDY_ID = 16
LONGEST_TEXT = 64


@dataclass(frozen=True)
class Authorship:
    """Who drew a mask that is written, and what the object says about it."""

    drawn_by: str
    automatic: bool
    description: str

    @property
    def person(self) -> str:
        """Who drew it, as DICOM writes a person's name."""
        return person_name(self.drawn_by)

    @property
    def title(self) -> str:
        """What lists of series show."""
        return f"Research use only: {self.description}"[:LONGEST_TEXT]


SEPARATORS = str.maketrans("^=\\", "   ")


def person_name(name: str) -> str:
    """As DICOM writes a person's name, all of it in the first component."""
    return f"{name.translate(SEPARATORS)}^"


@dataclass(frozen=True)
class OnSeries:
    """A mask in the voxel order of a series, the series' files in the order of its slices, and the labels
    that occur.
    """

    mask: Volume
    sources: tuple[Dataset, ...]
    labels: tuple[Label, ...]

    def uid(self, what: str, authorship: Authorship) -> UID:
        """The same for the same mask of the same series with the same words by the same hand."""
        series = str(self.sources[0].SeriesInstanceUID)
        told = [authorship.drawn_by, authorship.description]
        return generate_uid("2.25.", [what, self.mask.content_sha256, series, *told])


def on_series(segmentation: Segmentation, series: Path) -> OnSeries:
    """Lay a mask on the series that was segmented; axes are turned or flipped, nothing is interpolated.

    Raises:
        ImageError: the series cannot be read or lies on another grid, or the mask is empty.
    """
    slices = read_slices(series)
    image = volume_of(series, slices)
    mask = segmentation.volume.reoriented(image.axis_codes)
    if not mask.same_grid(image):
        raise ImageError(
            f"{series}: has {image.shape} voxels of {_rounded(image.spacing_mm)} mm, the mask "
            f"{mask.shape} of {_rounded(mask.spacing_mm)} mm or elsewhere; give the series that was segmented"
        )
    frames = image.frame_of_reference_uid, mask.frame_of_reference_uid
    if None not in frames and frames[0] != frames[1]:
        raise ImageError(
            f"{series}: is in another frame of reference than the scan of the mask; give the series that was "
            "segmented"
        )
    if frames[0] is None:
        raise ImageError(
            f"{series}: names no frame of reference, which an object that refers to it needs; export the "
            "series again"
        )
    for name in ("StudyInstanceUID", "SeriesInstanceUID"):
        if not slices[0][1].get(name):
            raise ImageError(f"{series}: its images have no {name}; export the series again")
    found = tuple(x for x in segmentation.labels.labels if (mask.array == x.value).any())
    if not found:
        raise ImageError(f"{series}: the mask is empty, there is nothing to write")
    sources = tuple(dataset for _, dataset in slices)
    for source in sources:
        _in_unicode(series, source)
        if len(str(source.get("StudyID", ""))) > LONGEST_STUDY_ID:
            source.StudyID = None  # not of DICOM's form; unknown is allowed
    return OnSeries(Volume(mask.array, image.affine, image.frame_of_reference_uid), sources, found)


def _in_unicode(series: Path, source: Dataset) -> None:
    """The text of an image in UTF-8, which is what every reader's name can be written in.

    Raises:
        ImageError: its character set is none of DICOM's.
    """
    given = source.get("SpecificCharacterSet") or ""
    if not ({given} if isinstance(given, str) else set(given)) <= set(python_encoding):
        raise ImageError(
            f"{series}: its text is in {given!r}, which is no character set of DICOM's; correct "
            "SpecificCharacterSet"
        )
    source.decode()
    source.SpecificCharacterSet = UNICODE


@contextmanager
def despite_the_source() -> Iterator[None]:
    """Leave out warnings of values that are the scanner's, not ours."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*unlikely to represent the intended person name.*")
        warnings.filterwarnings("ignore", ".*exceeds the maximum length.*")
        yield


def write_dicom(path: Path, dataset: Dataset) -> None:
    """One file, all of it or nothing."""
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    replace_atomically(path, content.getvalue())


def release() -> str:
    """Of this project."""
    return version("cancer-avatars")


def _rounded(values: tuple[float, ...]) -> str:
    return " x ".join(f"{v:.2f}" for v in values)
