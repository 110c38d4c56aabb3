"""CIViC's clinical evidence as it is published: tab-separated, CC0, in the columns of then and of now."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args

from data.errors import KnowledgeError
from data.evidence import Effect, Level, Statement
from data.files import UNREADABLE, open_text

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "variant": ("variant", "molecular_profile"),
    "disease": ("disease",),
    "therapies": ("drugs", "therapies"),
    "type": ("evidence_type",),
    "direction": ("evidence_direction",),
    "level": ("evidence_level",),
    "significance": ("clinical_significance", "significance"),
    "status": ("evidence_status",),
    "id": ("evidence_id",),
    "origin": ("variant_origin",),
}
"""Names of a column: until 2022, and since."""
EFFECTS: Mapping[tuple[str, str], Effect] = {
    ("predictive", "sensitivity/response"): "sensitivity",
    ("predictive", "sensitivityresponse"): "sensitivity",
    ("predictive", "resistance"): "resistance",
    ("predictive", "reduced sensitivity"): "resistance",
    ("diagnostic", "positive"): "diagnostic",
    ("prognostic", "better outcome"): "better outcome",
    ("prognostic", "poor outcome"): "worse outcome",
}
"""What is read, of statements that support it."""
LEVELS = tuple(level for level in get_args(Level) if level != "approval")
MAX_BYTES = 200_000_000
_DATED = re.compile(r"\d{4}-\d{2}(-\d{2})?")


@dataclass(frozen=True)
class CivicImport:
    """What was read, and how many rows were left out and why."""

    statements: tuple[Statement, ...]
    left_out: Mapping[str, int]


def read_civic(path: Path, as_of: str | None = None) -> CivicImport:
    """Accepted statements of CIViC's file of clinical evidence that support an effect.

    Args:
        path: ``…ClinicalEvidenceSummaries.tsv``, plain or gzipped.
        as_of: its date (YYYY-MM or YYYY-MM-DD), where its name does not tell it.

    Raises:
        KnowledgeError: another file, a damaged one, or a date that is not told.
    """
    if not path.is_file():
        raise KnowledgeError(f"{path}: there is no such file")
    when = _date(path, as_of)
    left_out: dict[str, int] = {}
    found = []
    for number, row in enumerate(_rows(path), 2):
        read = _statement(row, when, f"{path}, line {number}")
        if isinstance(read, str):
            left_out[read] = left_out.get(read, 0) + 1
        else:
            found.append(read)
    return CivicImport(tuple(found), left_out)


def _date(path: Path, as_of: str | None) -> str:
    dated = _DATED.search(path.name)
    when = as_of or (dated[0] if dated else "")
    try:
        day = date.fromisoformat(when if len(when) > len("YYYY-MM") else f"{when}-01")
    except ValueError as error:
        said = f"{when!r} is no date" if when else "its date is not in its name"
        raise KnowledgeError(
            f"{path}: {said}; say as of when it is with --as-of YYYY-MM or YYYY-MM-DD"
        ) from error
    if day > datetime.now(UTC).date():
        raise KnowledgeError(f"{path}: {when} has not come yet; give the date of the file")
    return when


def _rows(path: Path) -> list[dict[str, str]]:
    if path.stat().st_size > MAX_BYTES:
        raise KnowledgeError(
            f"{path}: is larger than {MAX_BYTES:,} bytes, which CIViC's files are not"
        )
    try:
        with open_text(path) as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            names = {
                column: next((n for n in given if n in (reader.fieldnames or ())), None)
                for column, given in COLUMNS.items()
            }
            if missing := [column for column, name in names.items() if name is None]:
                raise KnowledgeError(
                    f"{path}: has no column {', '.join(missing)}; give CIViC's ClinicalEvidenceSummaries"
                )
            has_gene = "gene" in (reader.fieldnames or ())
            found = []
            for number, row in enumerate(reader, 2):
                if None in row.values():
                    raise KnowledgeError(
                        f"{path}: line {number} ends too early, so the file is not whole; download it again"
                    )
                told = {c: row[n or ""].strip() for c, n in names.items()}
                found.append(told | {"gene": row["gene"].strip() if has_gene else ""})
            return found
    except (*UNREADABLE, csv.Error) as error:
        raise KnowledgeError(f"{path}: cannot be read ({error}); download it again") from error


def _statement(row: Mapping[str, str], as_of: str, where: str) -> Statement | str:
    """A row as a statement, or why it is left out."""
    if row["status"] != "accepted":
        return "not accepted by CIViC's editors"
    effect = EFFECTS.get((row["type"].lower(), row["significance"].lower()))
    if row["direction"] != "Supports":
        return "does not support what it is about"
    if effect is None:
        return "no effect that is read (predisposing, functional, or not told)"
    level = next((level for level in LEVELS if level == row["level"]), None)
    if level is None:
        raise KnowledgeError(f"{where}: evidence level {row['level']!r}; it is A to E")
    gene, variant = row["gene"], row["variant"]
    if not gene:  # since 2022 a molecular profile has the gene before the variant
        gene, _, variant = variant.partition(" ")
    if not gene or not variant:
        return "no alteration is named"
    if re.search(r"\b(AND|OR|NOT)\b", variant):
        return "more than one alteration at once"
    return Statement(
        gene=gene, alteration=variant, disease=row["disease"] or "cancer", effect=effect,
        needs_germline="germline" in row["origin"].lower() and "somatic" not in row["origin"].lower(),
        therapies=tuple(t.strip() for t in row["therapies"].split(",") if t.strip()), level=level,
        source="CIViC", reference=f"EID{row['id']}", as_of=as_of,
    )  # fmt: skip
