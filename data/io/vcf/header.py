"""What a VCF's header says: samples and which is the tumor's, the build, how calls are annotated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from data.errors import VariantError
from data.genome import build_of_lengths
from data.genomics import Build

META = re.compile(r"^##([^=]+)=(.*)$")
ATTRIBUTE = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^,>]*)')
FIXED = ("CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")

TUMOR_NAME = re.compile(r"tumou?r|primary|metasta|recurren", re.IGNORECASE)
NORMAL_NAME = re.compile(r"normal|germline|blood|control", re.IGNORECASE)
TUMOR_BARCODE = re.compile(r"^TCGA-\w\w-\w{4}-0\d")
NORMAL_BARCODE = re.compile(r"^TCGA-\w\w-\w{4}-1\d")
"""Sample type codes of the GDC: 01 to 09 are tumors, 10 to 19 normals."""
NAMED_BUILD: Mapping[Build, re.Pattern[str]] = {
    "GRCh38": re.compile(r"GRCh38|hg38|hs38|GCA_000001405\.15|b38", re.IGNORECASE),
    "GRCh37": re.compile(r"GRCh37|hg19|hs37|b37|GCA_000001405\.1\b", re.IGNORECASE),
}


@dataclass(frozen=True)
class Roles:
    """Which sample is which; ``how`` it was told."""

    tumor: str
    normal: str | None
    how: str


@dataclass(frozen=True)
class Header:
    """The lines before the first record, without their ends."""

    path: Path
    lines: tuple[str, ...]

    @cached_property
    def columns(self) -> list[str]:
        """Names of the columns.

        Raises:
            VariantError: this is no VCF's header.
        """
        last = self.lines[-1] if self.lines else ""
        columns = last.removeprefix("#").split("\t")
        if not self.lines or not self.lines[0].startswith("##fileformat=VCF"):
            raise VariantError(
                f"{self.path}: not a readable VCF; check that its header starts with ##fileformat=VCF "
                "and that the file is complete"
            )
        if not last.startswith("#CHROM") or tuple(columns[: len(FIXED)]) != FIXED:
            raise VariantError(
                f"{self.path}: not a readable VCF (the line #CHROM POS ID ... is missing or not separated by "
                "tabs); check that the file is complete"
            )
        return columns

    @property
    def samples(self) -> list[str]:
        """In the order of the columns."""
        return self.columns[len(FIXED) + 1 :]

    @cached_property
    def meta(self) -> list[tuple[str, str]]:
        """Key and value of each ``##`` line."""
        found = (META.match(line) for line in self.lines)
        return [(m[1], m[2]) for m in found if m]

    def structured(self, key: str) -> list[dict[str, str]]:
        """Attributes of each ``##key=<...>`` line."""
        return [
            {name: text.strip('"') for name, text in ATTRIBUTE.findall(value)}
            for found, value in self.meta
            if found == key and value.startswith("<")
        ]

    def values(self, key: str) -> list[str]:
        """Of each ``##key=value`` line."""
        return [value.strip('" ') for found, value in self.meta if found == key]

    def description(self, info: str) -> str | None:
        """Of an INFO field; None where it is not declared."""
        declared = (line for line in self.structured("INFO") if line.get("ID") == info)
        return next((line.get("Description", "") for line in declared), None)

    @cached_property
    def contigs(self) -> dict[str, int]:
        """Lengths, in bases, of those that give one."""
        return {
            line["ID"]: int(line["length"])
            for line in self.structured("contig")
            if "ID" in line and line.get("length", "").isdigit()
        }

    def build(self, said: Build | None) -> tuple[Build | None, str]:
        """The build and what told it: the lengths of the contigs, else what the file or the study says.

        Raises:
            VariantError: contigs of two builds, or another build than ``said``.
        """
        measured = build_of_lengths(self.contigs)
        if len(measured) > 1:
            raise VariantError(
                f"{self.path}: has contigs of {' and '.join(sorted(measured))}; it was put together from files "
                "of two builds, so lift one over and merge them again"
            )
        found: Build | None = next(iter(measured), None)
        how = "lengths of the contigs"
        if found is None:
            words = [
                *self.values("reference"),
                *(c.get("assembly", "") for c in self.structured("contig")),
            ]
            named = {b for b, pattern in NAMED_BUILD.items() if any(map(pattern.search, words))}
            if len(named) == 1:
                found, how = named.pop(), "the header's name for its reference"
        if said is not None and found not in (None, said):
            raise VariantError(
                f"{self.path}: is {found} by {how}, but {said} was said; correct it, or lift the file over"
            )
        if found is not None:
            return found, how
        return said, "said in the study" if said else "nothing in the file tells it"

    def roles(self, tumor: str | None, normal: str | None) -> Roles | None:
        """Which sample is the tumor: as named, else by header lines, else by names; None if these do not tell.

        Raises:
            VariantError: no samples, or a named one that is not there.
        """
        samples = self.samples
        if not samples:
            raise VariantError(
                f"{self.path}: has no sample columns, so no variant is known to be the tumor's"
            )
        if tumor is not None and tumor == normal:
            raise VariantError(
                f"{self.path}: {tumor!r} is named as both the tumor and the normal sample"
            )
        listed = ", ".join(samples)
        for role, name in (("tumor", tumor), ("normal", normal)):
            if name is not None and name not in samples:
                raise VariantError(
                    f"{self.path}: has no {role} sample {name!r}; its samples are {listed}"
                )
        if tumor is not None:
            others = [s for s in samples if s != tumor]
            told = normal or (others[0] if len(others) == 1 and is_normal(others[0]) else None)
            return Roles(tumor, told, "named in the study")
        for how, (one, other) in (
            ("header lines", self._marked),
            ("the header's PEDIGREE", self._derived),
        ):
            if one in samples and one != normal:
                return Roles(one, other if other in samples else normal, how)
        if len(samples) == 1 and not is_normal(samples[0]):
            return Roles(samples[0], None, "the only sample")
        tumors = [s for s in samples if is_tumor(s) and s != normal]
        normals = [normal] if normal else [s for s in samples if is_normal(s)]
        rest = [s for s in samples if s not in normals]
        if len(tumors) == 1 and len(normals) <= 1:
            return Roles(tumors[0], next(iter(normals), None), "sample names")
        if not tumors and len(rest) == 1 and len(normals) == 1:
            return Roles(rest[0], normals[0], "sample names: the other is the normal")
        return None

    def untold(self) -> VariantError:
        """What to say where nothing tells the tumor's sample."""
        return VariantError(
            f"{self.path}: cannot tell which sample is the tumor (samples: {', '.join(self.samples)}); "
            "name it as tumor_sample under variants: in study.yaml"
        )

    @property
    def _marked(self) -> tuple[str | None, str | None]:
        """By Mutect2's lines."""
        return _only(self.values("tumor_sample")), _only(self.values("normal_sample"))

    @property
    def _derived(self) -> tuple[str | None, str | None]:
        """By a line PEDIGREE=<Derived=TUMOR,Original=NORMAL>."""
        lines = [line for line in self.structured("PEDIGREE") if "Derived" in line]
        if len(lines) != 1:
            return None, None
        return lines[0]["Derived"], lines[0].get("Original")


def is_tumor(sample: str) -> bool:
    """Whether a sample is called a tumor."""
    return bool(TUMOR_BARCODE.search(sample) or _by_name(sample) == "tumor")


def is_normal(sample: str) -> bool:
    """Whether a sample is called a normal."""
    return bool(NORMAL_BARCODE.search(sample) or _by_name(sample) == "normal")


def _by_name(sample: str) -> str | None:
    if NORMAL_NAME.search(sample):
        return "normal"
    if TUMOR_NAME.search(sample):
        return "tumor"
    last = re.split(r"[_.\-]", sample)[-1].upper()
    return {"T": "tumor", "N": "normal"}.get(last)


def _only(values: list[str]) -> str | None:
    return values[0] if len(values) == 1 else None
