"""A VCF written again with fields of our own: every other byte of header and records stays as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pysam

from data.errors import VariantError
from data.files import written_whole
from data.io.vcf.columns import opened, pieces, read_header

PREFIX = "AVATAR_"
"""Of each field that is ours; those of an earlier run are replaced."""
UNSAFE = re.compile(r"[\s;=,%]")


@dataclass(frozen=True)
class Note:
    """One of our INFO fields, with a value for each alternative allele (Number=A)."""

    name: str
    description: str

    @property
    def line(self) -> bytes:
        """Its declaration in the header."""
        said = self.description.replace("\\", "\\\\").replace('"', '\\"')
        return f'##INFO=<ID={PREFIX}{self.name},Number=A,Type=String,Description="{said}">'.encode()


def annotate_vcf(
    source: Path,
    target: Path,
    notes: Sequence[Note],
    values: Mapping[int, Sequence[Sequence[str | None]]],
) -> None:
    """Write ``source`` again with ``notes`` in its INFO; bgzipped where the target's name ends in .gz.

    Args:
        values: for a record's number in the file, for each of its alternatives, each note's value or None.

    Raises:
        VariantError: the target is the source, or the source cannot be read.
    """
    if target.resolve() == source.resolve():
        raise VariantError(f"{target}: is the file that is read; write to another name")
    with written_whole(target) as path:
        out = pysam.BGZFile(str(path), "wb", None) if target.suffix == ".gz" else path.open("wb")
        with out:
            for line in _lines(source, notes, values):
                out.write(line)


def _lines(
    source: Path, notes: Sequence[Note], values: Mapping[int, Sequence[Sequence[str | None]]]
) -> Iterator[bytes]:
    declared = f"##INFO=<ID={PREFIX}".encode()
    with opened(source) as file:
        header = read_header(source, file)
        parts = pieces(source, file)
        first = next(parts, b"")
        end = b"\r\n" if first.partition(b"\n")[0].endswith(b"\r") else b"\n"
        kept = (line.encode() for line in header.lines[:-1])
        yield from (line + end for line in kept if not line.startswith(declared))
        yield from (note.line + end for note in notes)
        yield header.lines[-1].encode() + end
        number = 0
        for piece in chain([first], parts):
            for line in piece.splitlines(keepends=True):
                if not line.strip():
                    continue
                ours = number in values or PREFIX.encode() in line
                yield _noted(line, notes, values.get(number, ())) if ours else line
                number += 1


def _noted(line: bytes, notes: Sequence[Note], values: Sequence[Sequence[str | None]]) -> bytes:
    fields = line.rstrip(b"\r\n").split(b"\t")
    kept = [
        item
        for item in fields[7].split(b";")
        if item != b"." and not item.startswith(PREFIX.encode())
    ]
    alternates = fields[4].count(b",") + 1
    between = (
        "," if len(values) <= alternates else "/"
    )  # as VarScan parts what tumor and normal have
    for n, note in enumerate(notes):
        said = [allele[n] for allele in values] + [None] * (alternates - len(values))
        if any(said):
            text = between.join("." if value is None else _escaped(value) for value in said)
            kept.append(f"{PREFIX}{note.name}={text}".encode())
    fields[7] = b";".join(kept) or b"."
    return b"\t".join(fields) + line[len(line.rstrip(b"\r\n")) :]


def _escaped(value: str) -> str:
    """By VCF 4.3, section 1.2: reserved characters as percent codes."""
    return UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", value)
