"""Series of a PACS as a study folder; persons are taken out on this machine before anything is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from data.errors import ImageError, StudyError
from data.io.deidentify import Secret
from data.io.dicomweb import Pacs, PacsSeries
from pipelines.dicom_import import Tell, opened, require_known, take


def pull_study(
    pacs: Pacs,
    series: Sequence[PacsSeries],
    picked: Mapping[str, int],
    folder: Path,
    *,
    secret: Secret | None,
    site: str = "glioma",
    tell: Tell = lambda done, of: None,
) -> Path:
    """Bring picked series here and write them as a study folder, whole or not at all.

    Args:
        pacs: where they are.
        series: what it holds, as it was listed.
        picked: sequence to number in that list, from 1.
        folder: of the new study; must not exist.
        secret: what names and UIDs are replaced by; None keeps the person.
        site: of the tumor.
        tell: told how many images have come.

    Raises:
        StudyError: a number that is not in the list, or the folder exists.
        PacsError: images that do not come.
        ImageError: images that may not come in, or are no volume.
    """
    if folder.exists():
        raise StudyError(f"{folder}: exists already; choose another folder, or remove it first")
    require_known(picked, site)
    for number in picked.values():
        if not 1 <= number <= len(series):
            raise StudyError(f"there is no series {number}; there are 1 to {len(series)}")
    wanted = {sequence: series[number - 1] for sequence, number in picked.items()}
    total, before = sum(s.images or 0 for s in wanted.values()), 0
    with tempfile.TemporaryDirectory(prefix="avatar-pacs-") as aside:
        for sequence, one in wanted.items():
            pacs.pull(one, Path(aside) / sequence, _counting_on(tell, before, total))
            before += one.images or 0
        with opened(Path(aside)) as found:
            by_uid = {s.summary.series_uid: s.summary.number for s in found.series}
            numbers = {sequence: by_uid.get(one.series_uid, 0) for sequence, one in wanted.items()}
            try:
                return take(found, numbers, folder, secret=secret, site=site)
            except ImageError as error:  # of a file that is gone by the time it is read of
                raise ImageError(str(error).replace(f"{aside}/", f"{pacs.url}: ")) from error


def _counting_on(tell: Tell, before: int, total: int) -> Tell:
    return lambda done, _: tell(before + done, total)
