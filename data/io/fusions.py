"""Fusion calls as STAR-Fusion, Arriba, FusionCatcher and cBioPortal write them, told apart by their columns."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data.errors import VariantError
from data.files import UNREADABLE, open_text
from data.fusions import Frame, Fusion

MAX_BYTES = 200_000_000
IN_FRAME = frozenset({"inframe", "in-frame", "in_frame", "in frame"})
OUT_OF_FRAME = frozenset(
    {"frameshift", "out-of-frame", "out_of_frame", "out of frame", "stop-codon"}
)
_STAR_GENE = re.compile(r"^([^\^]+)(?:\^.*)?$")


@dataclass(frozen=True)
class Layout:
    """A caller's columns; those of reads are summed."""

    caller: str
    genes: tuple[str, str]
    frame: str
    junction: tuple[str, ...]
    spanning: tuple[str, ...]
    breakpoints: tuple[str, str] | None = None
    confidence: str | None = None
    sample: str | None = None
    status: str | None = None


LAYOUTS = (
    Layout(
        "STAR-Fusion", ("LeftGene", "RightGene"), "PROT_FUSION_TYPE", ("JunctionReadCount",),
        ("SpanningFragCount",), ("LeftBreakpoint", "RightBreakpoint"),
    ),
    Layout(
        "Arriba", ("gene1", "gene2"), "reading_frame", ("split_reads1", "split_reads2"),
        ("discordant_mates",), ("breakpoint1", "breakpoint2"), "confidence",
    ),
    Layout(
        "FusionCatcher", ("Gene_1_symbol(5end_fusion_partner)", "Gene_2_symbol(3end_fusion_partner)"),
        "Predicted_effect", ("Spanning_unique_reads",), ("Spanning_pairs",),
        ("Fusion_point_for_gene_1(5end_fusion_partner)", "Fusion_point_for_gene_2(3end_fusion_partner)"),
    ),
    Layout(
        "cBioPortal", ("Site1_Hugo_Symbol", "Site2_Hugo_Symbol"), "Site2_Effect_On_Frame",
        ("Tumor_Split_Read_Count",), ("Tumor_Paired_End_Read_Count",), sample="Sample_Id", status="SV_Status",
    ),
)  # fmt: skip
"""FusionCatcher's spanning unique reads are those across the junction."""


def read_fusions(path: Path, sample: str | None = None) -> tuple[Fusion, ...]:
    """All fusions of a file, in its order; an empty list where the caller found none.

    Args:
        path: tab-separated, plain or gzipped.
        sample: whose, where the file has several.

    Raises:
        VariantError: no such file, none of the layouts, a line that ends too early, reads that are no
            number, or a sample that is not told.
    """
    if not path.is_file():
        raise VariantError(f"{path}: there is no such file")
    if path.stat().st_size > MAX_BYTES:
        raise VariantError(f"{path}: is larger than {MAX_BYTES:,} bytes; give one tumor's fusions")
    try:
        with open_text(path) as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            names = [name.removeprefix("#") for name in reader.fieldnames or ()]
            reader.fieldnames = names
            rows = list(reader)
    except (*UNREADABLE, csv.Error) as error:
        raise VariantError(f"{path}: cannot be read ({error}); export it again") from error
    layout = next((one for one in LAYOUTS if set(one.genes) <= set(names)), None)
    if layout is None:
        known = ", ".join(one.caller for one in LAYOUTS)
        raise VariantError(
            f"{path}: has none of the columns of fusion calls; give the table of {known}"
        )
    return tuple(
        _fusion(path, number, row, layout) for number, row in _own(path, rows, layout, sample)
    )


def _own(
    path: Path, rows: list[dict[str, str]], layout: Layout, sample: str | None
) -> list[tuple[int, dict[str, str]]]:
    """The rows of one sample, with their line."""
    numbered = list(enumerate(rows, 2))
    if layout.sample is None:
        return numbered
    for number, row in numbered:
        if not row.get(layout.sample):
            raise VariantError(f"{path}: line {number} ends too early; export the file again")
    named = list(dict.fromkeys(row[layout.sample] for row in rows))
    if sample is None and len(named) > 1:
        raise VariantError(
            f"{path}: has {len(named)} samples; set fusions.sample in study.yaml to one of "
            f"{', '.join(named[:4])}" + (" ..." if len(named) > 4 else "")
        )
    if sample is not None and sample not in named:
        raise VariantError(f"{path}: has no sample {sample!r}; there is {', '.join(named[:4])}")
    return [(n, row) for n, row in numbered if sample is None or row[layout.sample] == sample]


def _fusion(path: Path, number: int, row: Mapping[str, str | None], layout: Layout) -> Fusion:
    genes = [row.get(name) for name in layout.genes]
    if None in genes:
        raise VariantError(f"{path}: line {number} ends too early; export the file again")
    five, three = (_gene(name or "") for name in genes)
    points = [row.get(name) or "" for name in layout.breakpoints or ()]
    return Fusion(
        five_prime=five, three_prime=three, frame=_frame(row.get(layout.frame)),
        confidence=(row.get(layout.confidence) or None) if layout.confidence else None,
        junction_reads=_sum(path, number, row, layout.junction),
        spanning_reads=_sum(path, number, row, layout.spanning),
        breakpoints=(points[0], points[1]) if all(points) and len(points) == 2 else None,
        against=_against(row, layout), caller=layout.caller,
    )  # fmt: skip


def _against(row: Mapping[str, str | None], layout: Layout) -> str | None:
    """A structural variant of DNA is a fusion only where its frame says so, and a germline one is none."""
    if layout.status is None:
        return None
    if (row.get(layout.status) or "").strip().upper() == "GERMLINE":
        return "germline by its table"
    if _frame(row.get(layout.frame)) == "not told":
        return "a structural variant whose reading frame is not told"
    return None


def _gene(text: str) -> str | None:
    """The symbol; Arriba names the genes beside a breakpoint that lies in none, with their distance."""
    named = _STAR_GENE.match(text.strip())
    name = named[1].strip() if named else ""
    return None if name in ("", ".", "NA") or "(" in name or "," in name else name


def _frame(text: str | None) -> Frame:
    said = (text or "").strip().lower()
    if said in IN_FRAME:
        return "in frame"
    return "out of frame" if said in OUT_OF_FRAME else "not told"


def _sum(
    path: Path, number: int, row: Mapping[str, str | None], columns: tuple[str, ...]
) -> int | None:
    told = [
        text for name in columns if (text := (row.get(name) or "").strip()) not in ("", ".", "NA")
    ]
    try:
        counts = [int(text) for text in told]
        if any(count < 0 for count in counts):
            raise ValueError("below zero")
    except ValueError as error:
        raise VariantError(
            f"{path}: line {number} has {' and '.join(told)} as its reads, which is no count; correct it"
        ) from error
    return sum(counts) if counts else None
