"""YAML and CSV into validated nouns, with one sentence when they do not fit."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from typing_extensions import override

from data.clinical import ClinicalRecord, Markers
from data.errors import AvatarError, ClinicalError, RegimenError
from data.treatment import Regimen, RegimenPlan

Model = TypeVar("Model", bound=BaseModel)
MAX_BYTES = 1_000_000
TEXT_COLUMNS = ("sex", "diagnosis", "vital_status")


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, refusing a key that is written twice."""

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [str(key.value) for key, _ in node.value]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        if repeated:
            raise yaml.YAMLError(f"the key {repeated[0]!r} is written twice")
        return super().construct_mapping(node, deep)


def explain(error: ValidationError) -> str:
    """The first broken rule of a validation error, in a sentence."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        what = "this key is not known; check its spelling"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    given = "" if isinstance(first["input"], dict | list | tuple) else f", got {first['input']!r}"
    return f"{where + ': ' if where else ''}{what}{given}{more}"


def read_yaml(path: Path, kind: type[AvatarError]) -> dict[str, Any]:
    """A YAML mapping.

    Raises:
        AvatarError: of the given kind: no such file, too large, not YAML, or not a mapping.
    """
    if not path.is_file():
        raise kind(f"{path}: is no file")
    if path.stat().st_size > MAX_BYTES:
        raise kind(f"{path}: larger than {MAX_BYTES} bytes; this is not a hand-written file")
    return _mapping(path.read_bytes(), str(path), kind)


def _mapping(text: bytes, name: str, kind: type[AvatarError]) -> dict[str, Any]:
    try:
        content = _StrictLoader(text.decode("utf-8")).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise kind(f"{name}: not valid YAML ({reason})") from error
    if not isinstance(content, dict):
        raise kind(f"{name}: expected 'key: value' lines, found {type(content).__name__}")
    return content


def read_model(path: Path, model: type[Model], kind: type[AvatarError]) -> Model:
    """A YAML file as one noun; errors name the file and the key."""
    content = read_yaml(path, kind)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise kind(f"{path}: {explain(error)}") from error


def read_regimen(path: Path) -> Regimen:
    """A regimen written as courses of radiotherapy and drugs.

    Raises:
        RegimenError: it breaks a rule of :class:`data.treatment.Regimen`.
    """
    plan = read_model(path, RegimenPlan, RegimenError)
    try:
        return plan.expand()
    except ValidationError as error:
        raise RegimenError(f"{path}: {explain(error)}") from error


def parse_plan(text: bytes, name: str) -> RegimenPlan:
    """A regimen of a file that is in memory, such as an uploaded one.

    Raises:
        RegimenError: too large, not YAML, or it breaks a rule of :class:`data.treatment.Regimen`.
    """
    if len(text) > MAX_BYTES:
        raise RegimenError(
            f"{name}: larger than {MAX_BYTES} bytes; this is not a hand-written file"
        )
    try:
        plan = RegimenPlan.model_validate(_mapping(text, name, RegimenError))
        plan.expand()
    except ValidationError as error:
        raise RegimenError(f"{name}: {explain(error)}") from error
    return plan


def read_clinical(path: Path, patient_id: str) -> ClinicalRecord:
    """A record from YAML, or the patient's row of a CSV with a ``patient_id`` column.

    Raises:
        ClinicalError: no such file or patient, an unknown key, or a value out of range.
    """
    if path.suffix.lower() in (".yaml", ".yml"):
        record = read_model(path, ClinicalRecord, ClinicalError)
        if record.patient_id != patient_id:
            raise ClinicalError(
                f"{path}: is the record of {record.patient_id!r}, the study is of {patient_id!r}"
            )
        return record
    if path.suffix.lower() != ".csv":
        raise ClinicalError(f"{path}: a clinical record is a .yaml or a .csv file")
    if not path.is_file():
        raise ClinicalError(f"{path}: is no file")
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            table = list(csv.DictReader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ClinicalError(
            f"{path}: not readable as UTF-8 CSV ({error}); save it as such"
        ) from error
    if table and "patient_id" not in table[0]:
        raise ClinicalError(
            f"{path}: has no patient_id column; it has {', '.join(map(str, table[0]))}"
        )
    rows = [row for row in table if row.get("patient_id") == patient_id]
    if len(rows) != 1:
        raise ClinicalError(f"{path}: {len(rows)} rows for patient {patient_id!r}, expected one")
    if None in rows[0]:
        raise ClinicalError(f"{path}: the row of {patient_id!r} has more cells than the header")
    given: dict[str, Any] = {key: value for key, value in rows[0].items() if value}
    markers = {key: given.pop(key) for key in Markers.model_fields if key in given}
    try:
        return ClinicalRecord.model_validate(
            {
                **{k: v if k in TEXT_COLUMNS else _typed(v) for k, v in given.items()},
                "patient_id": patient_id,
                "markers": markers,
            }
        )
    except ValidationError as error:
        raise ClinicalError(f"{path}: {explain(error)}") from error


def _typed(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number
