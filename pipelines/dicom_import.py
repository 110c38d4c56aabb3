"""DICOM from a folder or an archive: what series there are, and those that are picked as a study.

Persons are taken out on the way in unless it is asked otherwise. A study appears whole or not at all.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

from data.errors import ImageError, StudyError
from data.files import private_text, user_folder
from data.imaging import SEQUENCES
from data.io.archive import is_archive, unpack
from data.io.deidentify import Secret, deidentify
from data.io.dicom import IMAGING, read_dataset, read_dicom_series
from data.io.dicom_made import write_dicom
from data.samples.shared_cases import write_yaml
from pipelines.sites.registry import SITES
from pipelines.study_init import kind_named

KEY_BYTES = 32
KEY_VARIABLE = "AVATAR_KEY"
BY_MODALITY = {"CT": "ct", "PT": "pet"}
IMAGE_CLASSES = (CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage)
Tell = Callable[[int, int], None]
"""How many files are done, and of how many."""


class SeriesSummary(BaseModel):
    """One series as it is offered."""

    model_config = ConfigDict(frozen=True)

    number: int
    series_uid: str
    patient: str
    study_date: str
    modality: str
    description: str
    images: int
    size: str
    looks_like: str | None


@dataclass(frozen=True)
class FoundSeries:
    """A series and the files that it is in, with what they are called where they come from."""

    summary: SeriesSummary
    files: dict[Path, str]


@dataclass(frozen=True)
class FoundDicom:
    """What is in a folder or an archive: image series, and a sentence for each file that is damaged."""

    series: tuple[FoundSeries, ...]
    damaged: tuple[str, ...] = ()


@contextmanager
def opened(source: Path, tell: Tell = lambda done, of: None) -> Iterator[FoundDicom]:
    """The image series of a folder, at any depth, or of an archive, while it is looked at.

    Raises:
        ImageError: neither, damaged, or without one image.
    """
    if source.is_dir():
        files = [p for p in sorted(source.rglob("*")) if p.is_file() and not p.is_symlink()]
        yield _series_in(source, {path: str(path) for path in files}, tell)
        return
    if not is_archive(source):
        raise ImageError(f"{source}: is no folder, zip or tar of DICOM files")
    with tempfile.TemporaryDirectory(prefix="avatar-dicom-") as folder:
        yield _series_in(source, unpack(source, Path(folder)), tell)


def _series_in(source: Path, files: Mapping[Path, str], tell: Tell) -> FoundDicom:
    groups: dict[str, list[tuple[Path, Dataset]]] = defaultdict(list)
    damaged = []
    for n, path in enumerate(files, 1):
        try:
            header = _header(path)
        except ImageError as error:
            header = None
            damaged.append(_renamed(str(error), {str(path): files[path]}))
        if header is not None:
            groups[str(header.SeriesInstanceUID)].append((path, header))
        tell(n, len(files))
    if not groups and damaged:
        raise ImageError(f"{source}: no image that can be read; {damaged[0]}")
    if not groups:
        raise ImageError(f"{source}: no CT, MR or PET image among {len(files)} files")
    ordered = sorted(groups.values(), key=_order)
    series = tuple(_summed(n, found, files) for n, found in enumerate(ordered, 1))
    return FoundDicom(series, tuple(damaged))


def _header(path: Path) -> Dataset | None:
    """Of an image; None of anything else.

    Raises:
        ImageError: it is DICOM, and damaged.
    """
    if not _is_dicom(path):
        return None
    header = read_dataset(path, "an image", pixels=False)
    whole = header.get("Modality") in IMAGING and "Rows" in header
    if whole and header.get("SeriesInstanceUID"):
        return header
    if header.file_meta.get("MediaStorageSOPClassUID") in IMAGE_CLASSES:
        raise ImageError(f"{path}: truncated or damaged (its header ends too early); copy it again")
    return None


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(128)
        return file.read(4) == b"DICM"


def _order(found: list[tuple[Path, Dataset]]) -> tuple[str, str, float, str]:
    first = found[0][1]
    number = str(first.get("SeriesNumber") or 0)
    return (
        str(first.get("PatientID", "")),
        str(first.get("StudyDate", "")),
        float(number) if number.lstrip("-").isdigit() else 0.0,
        str(first.SeriesInstanceUID),
    )


def _summed(
    number: int, found: list[tuple[Path, Dataset]], names: Mapping[Path, str]
) -> FoundSeries:
    first = found[0][1]
    modality, description = str(first.Modality), str(first.get("SeriesDescription", "") or "")
    looks = BY_MODALITY.get(modality) or kind_named(
        f"{description} {first.get('ProtocolName', '')}",
        has_agent=bool(str(first.get("ContrastBolusAgent") or "").strip()),
    )
    try:
        spacing = np.array(first.get("PixelSpacing"), float).reshape(2)
        of_voxels = " x ".join(f"{v:.2f}" for v in spacing) + " mm"
    except (
        TypeError,
        ValueError,
    ):  # none, one, or text; the import says so of the one that is picked
        of_voxels = "size unknown"
    summary = SeriesSummary(
        number=number,
        series_uid=str(first.SeriesInstanceUID),
        patient=str(first.get("PatientID", "")),
        study_date=str(first.get("StudyDate", "") or "unknown"),
        modality=modality,
        description=description or "without description",
        images=len(found),
        size=f"{first.Rows} x {first.get('Columns', '?')}, {of_voxels}",
        looks_like=looks if looks in SEQUENCES else None,
    )
    return FoundSeries(summary, {path: names[path] for path, _ in found})


def guessed(series: Sequence[FoundSeries]) -> dict[str, int]:
    """Sequence to number of the series that looks like it: the one with most images."""
    best: dict[str, FoundSeries] = {}
    for found in series:
        kind = found.summary.looks_like
        if kind and (kind not in best or found.summary.images > best[kind].summary.images):
            best[kind] = found
    return {kind: found.summary.number for kind, found in best.items()}


def require_known(sequences: Iterable[str], site: str) -> None:
    """Check the names of sequences and of a site.

    Raises:
        StudyError: one that nobody knows.
    """
    for sequence in sequences:
        if sequence not in SEQUENCES:
            raise StudyError(f"{sequence!r} is no sequence; known are {', '.join(SEQUENCES)}")
    if site not in SITES:
        raise StudyError(f"{site!r} is no site; known are {', '.join(SITES)}")


def take(
    found: FoundDicom,
    picked: Mapping[str, int],
    folder: Path,
    *,
    secret: Secret | None,
    site: str = "glioma",
    despite_damaged: bool = False,
    tell: Tell = lambda done, of: None,
) -> Path:
    """Write picked series as a study folder, with its ``study.yaml``.

    Args:
        found: what there is.
        picked: sequence to number of its series.
        folder: of the new study; must not exist.
        secret: what names and UIDs are replaced by; None keeps the person.
        site: of the tumor.
        despite_damaged: leave damaged files out; a picked series may lack slices at its ends then.
        tell: told the progress.

    Raises:
        StudyError: the folder exists, an unknown sequence or number, or series of several patients.
        ImageError: a damaged file, a series that cannot be read as a volume, or one that may not come in.
    """
    if found.damaged and not despite_damaged:
        more = f", and {len(found.damaged) - 1} more" if len(found.damaged) > 1 else ""
        raise ImageError(
            f"{found.damaged[0]}{more}. It may be a slice of what was picked: get it whole, or leave it out "
            "by --despite-damaged"
        )
    if folder.exists():
        raise StudyError(f"{folder}: exists already; choose another folder, or remove it first")
    require_known(picked, site)
    by_number = {series.summary.number: series for series in found.series}
    for number in picked.values():
        if number not in by_number:
            raise StudyError(f"there is no series {number}; there are 1 to {len(found.series)}")
    if not picked:
        raise StudyError(f"{folder}: no series was picked")
    chosen = {sequence: by_number[number] for sequence, number in picked.items()}
    patients = {series.summary.patient for series in chosen.values()}
    if len(patients) > 1:
        raise StudyError(f"the series are of {len(patients)} patients; pick those of one")
    (patient,) = patients
    total = sum(series.summary.images for series in chosen.values())
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-study-", dir=folder.parent) as made:
        done = 0
        for sequence, series in chosen.items():
            place = Path(made) / "study" / sequence
            place.mkdir(parents=True)
            names = {str(place): f"series {series.summary.number} ({series.summary.description})"}
            try:
                for n, (path, name) in enumerate(series.files.items(), 1):
                    names |= {str(path): name, str(place / f"{n:05d}.dcm"): name}
                    _bring(path, place / f"{n:05d}.dcm", secret)
                    done += 1
                    tell(done, total)
                read_dicom_series(place)
            except ImageError as error:
                raise ImageError(_renamed(str(error), names)) from error
        name = patient if secret is None else secret.pseudonym(patient)
        scans = [{"sequences": {sequence: sequence for sequence in chosen}}]
        study = {"patient_id": name or "unnamed", "site": site, "origin": "patient", "scans": scans}
        write_yaml(Path(made) / "study" / "study.yaml", study)
        shutil.move(str(Path(made) / "study"), folder)
    return folder


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """A message with the names that a person knows, in place of those of copies."""
    for copy in sorted(names, key=len, reverse=True):
        text = text.replace(copy, names[copy]).replace(f" {Path(copy).name} ", f" {names[copy]} ")
    return text


def _bring(source: Path, target: Path, secret: Secret | None) -> None:
    if secret is None:
        shutil.copyfile(source, target)
        return
    try:
        with disable_value_validation():  # values are the scanner's, odd or not
            write_dicom(target, deidentify(read_dataset(source, "an image"), secret))
    except ImageError as error:
        named = str(error).startswith(str(source))
        raise error if named else ImageError(f"{source}: {error}") from error


def user_secret(key: Path | None = None, *, keep_characteristics: bool = False) -> Secret:
    """The key of this user, made when it is first needed; keep it to have the same pseudonyms again.

    Args:
        key: its file; by default what AVATAR_KEY names, else one in the user's configuration folder.
        keep_characteristics: leave weight, size, sex and age.

    Raises:
        StudyError: the file cannot be used.
    """
    default = os.environ.get(KEY_VARIABLE) or user_folder() / "deidentification.key"
    path = key or Path(default)
    try:
        text = private_text(path, lambda: secrets.token_hex(KEY_BYTES))
        return Secret(bytes.fromhex(text), keep_characteristics)
    except (OSError, ValueError) as error:
        raise StudyError(
            f"{path}: is no key ({error}); name another by --key, or move it away to have a new one made"
        ) from error
