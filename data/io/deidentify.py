"""Take the person out of DICOM images: PS3.15's basic profile, with dates moved instead of removed.

What is to be done with which attribute is the standard's Table E.1-1 as dicom-anonymizer ships it; it is
applied at every depth. UIDs and the patient's name come from a secret key, so that a study stays one study and
a patient one patient, now and in later imports, and nobody without the key finds the way back. All times of a
patient move by the same span, so that what lies between them stays.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from importlib import import_module
from typing import Any

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pydicom.valuerep import DA, TM

from data.errors import ImageError
from data.io.dicom import IMAGING
from data.io.suv import local_moment

TABLE = "dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c"
PROFILE = "PS3.15 2026c basic profile, modified dates"
SUSPECT_CLASSES = ("1.2.840.10008.5.1.4.1.1.7",)
"""Secondary captures: screenshots and scanned paper."""
MOST_DAYS = 3650
DAY_S = 86_400
DEEPEST = 20
PERSONAL_DATES = ("PatientBirthDate", "PatientBirthTime")
CHARACTERISTICS = ("PatientWeight", "PatientSize", "PatientSex", "PatientAge")
"""Of the option to retain them: without a weight a PET has no SUV."""
NUMBERS = ("DS", "IS", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV")
BYTES = ("OB", "OW", "OF", "OD", "OL", "OV", "UN")
META = (
    "MediaStorageSOPClassUID",
    "MediaStorageSOPInstanceUID",
    "TransferSyntaxUID",
    "ImplementationClassUID",
    "FileMetaInformationVersion",
)
"""What a file's head has to say; the rest names machines."""


@dataclass(frozen=True)
class Secret:
    """The key that pseudonyms, UIDs and the shift of dates come from.

    Args:
        key: at least 16 random bytes; whoever has it can tell which pseudonym is whose.
        keep_characteristics: leave weight, size, sex and age.
    """

    key: bytes
    keep_characteristics: bool = False

    def __post_init__(self) -> None:
        if len(self.key) < 16:
            raise ValueError(f"a key has at least 16 bytes, got {len(self.key)}")

    def digest(self, what: str, value: str) -> int:
        """128 bits that nobody without the key can make of a value."""
        mac = hmac.new(self.key, f"{what}\0{value}".encode(), hashlib.sha256)
        return int.from_bytes(mac.digest()[:16], "big")

    def uid(self, uid: str) -> str:
        """The UID that stands for another, the same each time."""
        return f"2.25.{self.digest('uid', uid)}" if uid else uid

    def pseudonym(self, patient_id: str) -> str:
        """The name of a patient from now on."""
        return f"PSEUDO-{self.digest('patient', patient_id) % 16**10:010X}"

    def shift(self, patient_id: str) -> timedelta:
        """By how much a patient's times move back: days and seconds, up to ten years."""
        number = self.digest("dates", patient_id)
        return timedelta(days=1 + number % MOST_DAYS, seconds=1 + number // MOST_DAYS % (DAY_S - 1))


def deidentify(dataset: Dataset, secret: Secret) -> Dataset:
    """A copy of an image without what tells whose it is.

    Raises:
        ImageError: not a CT, MR or PET image, one that may show text in its picture, or without a patient id.
    """
    _require_plain_image(dataset)
    patient = str(dataset.get("PatientID", "")).strip()
    if not patient:
        raise ImageError(
            "has no PatientID, so that images of one patient cannot be kept together; give it one at the source"
        )
    zone = str(dataset.get("TimezoneOffsetFromUTC") or "")
    cleaner = _Cleaner(secret, secret.shift(patient), zone)
    made = cleaner.cleaned(dataset, depth=0)
    made.PatientID = made.PatientName = secret.pseudonym(patient)
    made.PatientIdentityRemoved = "YES"
    made.LongitudinalTemporalInformationModified = "MODIFIED"
    made.DeidentificationMethod = PROFILE
    chosen = [
        ("113100", "Basic Application Confidentiality Profile"),
        ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ]
    if secret.keep_characteristics:
        chosen.append(("113108", "Retain Patient Characteristics Option"))
    made.DeidentificationMethodCodeSequence = Sequence([_coded(*code) for code in chosen])
    made.file_meta = _meta(dataset, made)
    return made


def _require_plain_image(dataset: Dataset) -> None:
    modality = str(dataset.get("Modality", ""))
    if modality not in IMAGING:
        raise ImageError(
            f"is {modality or 'of no modality'}; only {', '.join(IMAGING)} are taken in without names"
        )
    kind = [str(part).upper() for part in dataset.get("ImageType", []) or []]
    burned = str(dataset.get("BurnedInAnnotation", "")).upper()
    captured = str(dataset.get("SOPClassUID", "")) in SUSPECT_CLASSES or "SCREEN SAVE" in kind
    if burned == "YES" or (captured and burned != "NO"):
        raise ImageError(
            "may show a name in its picture (burned-in text); look at it and crop it first"
        )


class _Cleaner:
    def __init__(self, secret: Secret, shift: timedelta, zone: str) -> None:
        self.secret = secret
        self.shift = shift
        self.zone = zone

    def cleaned(self, dataset: Dataset, *, depth: int) -> Dataset:
        if depth > DEEPEST:
            raise ImageError(f"has sequences nested more than {DEEPEST} deep; export it again")
        made = Dataset()
        for element in dataset:
            found = self._element(element, dataset, depth)
            if found is not None:
                made.add(found)
        return made

    def _element(self, element: DataElement, whole: Dataset, depth: int) -> DataElement | None:
        tag, keyword = element.tag, keyword_for_tag(element.tag)
        if tag.is_private or tag.group in (0x0002, 0x0004) or element.VR == "UN":
            return None
        if self.secret.keep_characteristics and keyword in CHARACTERISTICS:
            return element
        rule = _rule(tag)
        if keyword in PERSONAL_DATES or (rule == "X" and element.VR not in ("DA", "DT", "TM")):
            return None if rule == "X" else DataElement(tag, element.VR, "")
        if element.VR in ("DA", "DT", "TM"):
            return DataElement(tag, element.VR, self._moved(element, keyword, whole))
        if rule == "U" or (element.VR == "UI" and rule is not None):
            return DataElement(tag, element.VR, _each(element.value, self.secret.uid))
        if element.VR == "SQ" and rule in (None, "U*"):
            items = [self.cleaned(item, depth=depth + 1) for item in element.value]
            if keyword == "RadiopharmaceuticalInformationSequence":
                self._complete_injections(element.value, items, whole)
            if rule == "U*":
                items = [_references(item) for item in items]
            return DataElement(tag, "SQ", Sequence(items))
        if rule is None:
            return element
        return (
            None if element.VR == "SQ" else DataElement(tag, element.VR, _dummy(element.VR, rule))
        )

    def _complete_injections(
        self, tracers: Iterable[Dataset], items: Iterable[Dataset], image: Dataset
    ) -> None:
        """An injection whose time is told alone gets its day: moved by itself it may fall on another one."""
        for tracer, item in zip(tracers, items, strict=True):
            day, time = image.get("SeriesDate"), tracer.get("RadiopharmaceuticalStartTime")
            if day and time and not tracer.get("RadiopharmaceuticalStartDateTime"):
                moment = local_moment(f"{day}{time}", "")
                if moment is not None:
                    item.RadiopharmaceuticalStartDateTime = _stamp(moment - self.shift)

    def _moved(self, element: DataElement, keyword: str, whole: Dataset) -> object:
        def moved(text: str) -> str:
            if not text.strip():
                return ""
            try:
                return self._shifted(text, element.VR, keyword, whole)
            except (ValueError, OverflowError):  # not a date at all: nothing is kept of it
                return ""

        return _each(element.value, moved)

    def _shifted(self, text: str, kind: str, keyword: str, whole: Dataset) -> str:
        if kind == "DT":
            moment = local_moment(text, self.zone)
            return "" if moment is None else _stamp(moment - self.shift)
        other = whole.get(
            keyword.replace("Time", "Date") if kind == "TM" else keyword.replace("Date", "Time")
        )
        paired = isinstance(other, str) and bool(other.strip())
        if kind == "DA":
            clock = TM(other) if paired else time()
            return f"{datetime.combine(DA(text), clock) - self.shift:%Y%m%d}"
        day = DA(other) if paired else datetime(2000, 1, 2).date()
        return _stamp(datetime.combine(day, TM(text)) - self.shift)[8:]


def _references(item: Dataset) -> Dataset:
    """Only what another image is known by."""
    made = Dataset()
    for element in item:
        if element.VR == "UI" or element.keyword == "ReferencedFrameNumber":
            made.add(element)
    return made


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M%S}" + (f".{moment.microsecond:06d}" if moment.microsecond else "")


def _each(value: Any, change: Callable[[str], str]) -> str | list[str]:
    if isinstance(value, MultiValue | list):
        return [change(str(v)) for v in value]
    return change("" if value is None else str(value))


def _dummy(vr: str, rule: str) -> object:
    if vr in BYTES:
        return b""
    if rule in ("Z", "X/Z") or vr == "AT":
        return None
    if vr in NUMBERS:
        return 0
    if vr == "AS":
        return "000Y"
    return "http://removed.invalid" if vr == "UR" else "REMOVED"


def _table() -> Iterator[tuple[str, list[tuple[int, ...]]]]:
    table = import_module(TABLE)
    names = {
        "X": "X_TAGS", "U": "U_TAGS", "U*": "X_Z_U_STAR_TAGS", "Z": "Z_TAGS", "X/Z": "X_Z_TAGS",
        "D": "D_TAGS", "Z/D": "Z_D_TAGS", "X/D": "X_D_TAGS", "X/Z/D": "X_Z_D_TAGS",
    }  # fmt: skip
    for rule, name in names.items():
        yield rule, getattr(table, name)


_RULES = {tag: rule for rule, tags in _table() for tag in tags if len(tag) == 2}
_REPEATING = [(tag, rule) for rule, tags in _table() for tag in tags if len(tag) == 4]
"""Overlays and curves: group, element, and the masks of both that count."""


def _rule(tag: BaseTag) -> str | None:
    found = _RULES.get((tag.group, tag.element))
    if found is not None:
        return found
    for (group, element, of_group, of_element), rule in _REPEATING:
        same = tag.group & of_group == group & of_group
        if same and tag.element & of_element == element & of_element:
            return rule
    return "X" if tag.group & 0xFF00 in (0x5000, 0x6000) else None


def _coded(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def _meta(source: Dataset, made: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    for keyword in META:
        value = getattr(source, "file_meta", Dataset()).get(keyword)
        if value is not None:
            setattr(meta, keyword, value)
    meta.MediaStorageSOPInstanceUID = UID(str(made.get("SOPInstanceUID", "")))
    return meta
