"""A PACS over DICOMweb: what series it holds (QIDO), bringing them here (WADO), sending results (STOW)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from dicomweb_client.session_utils import create_session, create_session_from_user_pass
from dicomweb_client.web import DICOMwebClient

from data.errors import AvatarError, PacsError
from data.io.dicom import IMAGING, read_dataset
from data.io.dicom_made import write_dicom

PASSWORD_VARIABLE, TOKEN_VARIABLE = "AVATAR_PACS_PASSWORD", "AVATAR_PACS_TOKEN"
TIMEOUT_S = 120.0
ATTEMPTS, RETRIED_AFTER_MS = 3, 500
"""A wrong address is told after 3 s; the wait doubles."""
KEPT_SEQUENCE = "ReferencedSOPSequence"
STUDY_UID, SERIES_UID = "0020000D", "0020000E"
PAGE = 100
AS_STORED = ("application/dicom", "*")
"""No image is decoded on the way."""
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class PacsSeries:
    """One image series that a PACS holds."""

    study_uid: str
    series_uid: str
    patient: str
    accession: str
    study_date: str
    modality: str
    description: str
    images: int | None


class Pacs:
    """One DICOMweb service.

    Args:
        url: of the service, as ``https://pacs.example/dicom-web``.
        user: its password is in AVATAR_PACS_PASSWORD; without one, a bearer token may be in
            AVATAR_PACS_TOKEN.

    Raises:
        PacsError: not a web address, or a user without a password.
    """

    def __init__(self, url: str, user: str | None = None) -> None:
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # half an address of IPv6, or no number as port
            known = False
        if not known:
            raise PacsError(f"{url}: is no web address; give it as https://HOST/dicom-web")
        self.url = url
        self._client = DICOMwebClient(url, session=_session(url, user), timeout=TIMEOUT_S)
        self._client.set_http_retry_params(
            max_attempts=ATTEMPTS, wait_exponential_multiplier=RETRIED_AFTER_MS
        )

    def series(
        self, *, patient: str | None = None, accession: str | None = None
    ) -> tuple[PacsSeries, ...]:
        """All CT, MR and PET series of a patient or an accession, by study and number.

        Raises:
            PacsError: neither is given, nothing is found, or the service does not answer.
        """
        asked = {"PatientID": patient, "AccessionNumber": accession}
        filters = {name: value for name, value in asked.items() if value}
        if not filters:
            raise PacsError("say which: a patient id or an accession number")
        for value in filters.values():
            if set(value) & set("*?\\"):
                raise PacsError(f"{value!r}: wildcards would bring the images of others")
        found = []
        with self._answering():
            search = partial(self._client.search_for_studies, search_filters=filters)
            for uid, study in _every(search, STUDY_UID):
                self._require_asked(study, filters)
                fields = ["SeriesDescription", "NumberOfSeriesRelatedInstances"]
                within = partial(self._client.search_for_series, uid, fields=fields)
                for _, series in _every(within, SERIES_UID):
                    if _text(series, "00080060") in IMAGING:
                        found.append(_series(study, series))
        if not found:
            said = ", ".join(f"{name} {value}" for name, value in filters.items())
            raise PacsError(f"{self.url}: holds no CT, MR or PET of {said}")
        return tuple(sorted(found, key=lambda s: (s.study_date, s.study_uid, s.series_uid)))

    def _require_asked(self, study: dict[str, Any], filters: dict[str, str]) -> None:
        """A service that knows no filters answers with all that it has."""
        tags = {"PatientID": "00100020", "AccessionNumber": "00080050"}
        for name, asked in filters.items():
            answered = _text(study, tags[name]).strip()
            if answered != asked.strip():
                raise PacsError(
                    f"{self.url}: was asked for {name} {asked} and answers with {answered or 'none'}; its "
                    "answers cannot be trusted, and nothing is taken"
                )

    def pull(self, series: PacsSeries, folder: Path, tell: Tell = lambda done, of: None) -> None:
        """All images of a series as files in a folder.

        Raises:
            PacsError: the service does not answer, or fewer images came than it says it has.
        """
        folder.mkdir(parents=True, exist_ok=True)
        came = 0
        with self._answering():
            images = self._client.iter_series(
                series.study_uid, series.series_uid, media_types=(AS_STORED,)
            )
            for image in images:
                came += 1
                write_dicom(folder / f"{came:05d}.dcm", image)
                tell(came, series.images or came)
        if came == 0 or (series.images is not None and came != series.images):
            raise PacsError(
                f"{self.url}: {came} of {series.images} images of series {series.series_uid} came; ask again"
            )

    def push(self, files: Sequence[Path]) -> int:
        """Send files; how many were kept.

        Raises:
            ImageError: a file that is no DICOM.
            PacsError: the service does not answer, or refuses one of them.
        """
        instances = [read_dataset(path, "only DICOM is sent") for path in files]
        with self._answering():
            answer = self._client.store_instances(instances)
            kept = {
                str(item.get("ReferencedSOPInstanceUID")) for item in answer.get(KEPT_SEQUENCE, ())
            }
        lost = [
            str(path)
            for path, instance in zip(files, instances, strict=True)
            if str(instance.SOPInstanceUID) not in kept
        ]
        if lost:
            raise PacsError(f"{self.url}: did not say that it keeps {', '.join(lost)}")
        return len(instances)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """What goes wrong on the way becomes a sentence."""
        try:
            yield
        except requests.HTTPError as error:
            status = None if error.response is None else error.response.status_code
            raise PacsError(
                f"{self.url}: {_REASONS.get(status or 0, f'answered {status}')}"
            ) from error
        except requests.Timeout as error:
            raise PacsError(f"{self.url}: no answer within {TIMEOUT_S:g} s") from error
        except requests.exceptions.SSLError as error:
            raise PacsError(
                f"{self.url}: its certificate is not trusted; name the authority in REQUESTS_CA_BUNDLE"
            ) from error
        except requests.ConnectionError as error:
            raise PacsError(
                f"{self.url}: nobody answers there; is the address right and the service running?"
            ) from error
        except AvatarError:
            raise
        except Exception as error:  # the client raises whatever it likes on what is no DICOMweb
            raise PacsError(f"{self.url}: does not answer as DICOMweb does ({error})") from error


_REASONS = {
    401: f"wants a user (--user, {PASSWORD_VARIABLE}) or a token ({TOKEN_VARIABLE})",
    403: "this user may not do that",
    404: "there is no DICOMweb service at this address",
    409: "did not keep the files: it has them otherwise, or does not take this kind",
}


def _every(search: Any, tag: str) -> list[tuple[str, dict[str, Any]]]:
    """All answers by their UID; a service that gives the same page for ever is asked no more."""
    found: dict[str, dict[str, Any]] = {}
    while True:
        page = search(limit=PAGE, offset=len(found))
        new = {_text(answer, tag): answer for answer in page if _text(answer, tag) not in found}
        found |= new
        if not new or len(page) < PAGE:
            return list(found.items())


def _session(url: str, user: str | None) -> requests.Session:
    if user is None:
        session = create_session()
        token = os.environ.get(TOKEN_VARIABLE)
        if token:
            session.headers["Authorization"] = f"Bearer {token}"
        return session
    password = os.environ.get(PASSWORD_VARIABLE)
    if password is None:
        raise PacsError(f"{url}: put the password of {user} into {PASSWORD_VARIABLE}")
    return create_session_from_user_pass(username=user, password=password)


def _series(study: dict[str, Any], series: dict[str, Any]) -> PacsSeries:
    count = _text(series, "00201209")
    return PacsSeries(
        study_uid=_text(study, STUDY_UID),
        series_uid=_text(series, SERIES_UID),
        patient=_text(study, "00100020"),
        accession=_text(study, "00080050"),
        study_date=_text(study, "00080020") or "unknown",
        modality=_text(series, "00080060"),
        description=_text(series, "0008103E") or "without description",
        images=int(count) if count.isdigit() else None,
    )


def _text(answer: dict[str, Any], tag: str) -> str:
    values = answer.get(tag, {}).get("Value") or [""]
    value = values[0]
    return str(value.get("Alphabetic", "") if isinstance(value, dict) else value)
