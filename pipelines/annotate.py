"""Names for calls that their file does not annotate: by the panel, else by the index of hotspots, else none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.calls import SCHEMA, Calls
from data.genome import plain
from data.genomics import Build
from data.transcripts import Panel, Transcript, reverse_complement
from models.genomics.effect import Change, contradicts, effect_of, trimmed
from models.genomics.hotspots import HotspotIndex
from pipelines.hotspots import read_hotspots
from pipelines.knowledge import SHIPPED, gene_table

PANEL, INDEX = "panel", "hotspot index"
NAMES = (
    "gene", "transcript", "is_mane", "consequence", "impact", "hgvs_coding", "hgvs_protein", "annotated_by",
)  # fmt: skip
"""Columns that an annotation fills."""
MANY, MOST_CONTRADICTING = 3, 0.1
"""Reference alleles that are not the panel's, from which on nothing of a file is named: how many, what part."""
REACH = 50
"""Bases that an allele may begin ahead of the place that it changes."""


@cache
def hotspot_index() -> HotspotIndex:
    """The shipped one."""
    return read_hotspots(SHIPPED / "hotspots.csv")


@dataclass(frozen=True)
class Annotated:
    """Calls with their names, and what is to be said of it.

    Args:
        by: how many calls were annotated by whom.
        unnamed: calls that nobody annotates.
        contradicting: calls whose reference allele is not what the panel's build has there.
    """

    calls: Calls
    by: dict[str, int]
    unnamed: int
    contradicting: int
    note: str


def annotate(calls: Calls, panel: Panel | None) -> Annotated:
    """Fill in what the file leaves open, in this order: the file's own, the panel's, the index's.

    Args:
        calls: of a known build; without one nothing is filled in.
        panel: the user's own; None where there is none, or none of this build.
    """
    bare = np.asarray(pc.is_null(calls.table["annotated_by"]))
    if calls.build is None or not bare.any():
        return _told(calls, 0)
    usable = panel if panel is not None and panel.build == calls.build else None
    rows = np.flatnonzero(bare & _near(calls, usable))
    found: dict[int, dict[str, object]] = {}
    contradicting = checked = 0
    wanted = calls.table.select(["chromosome", "position", "reference", "alternate"])
    for row, told in zip(rows, wanted.take(pa.array(rows)).to_pylist(), strict=True):
        told |= {name: told[name].upper() for name in ("reference", "alternate")}
        change = trimmed(told["position"], told["reference"], told["alternate"])
        if change is None or not _is_spelled(change):
            continue
        over = () if usable is None else usable.over(told["chromosome"], *sorted(change.touches))
        wrong = [t for t in over if contradicts(t, told["position"], told["reference"])]
        contradicting += bool(wrong)
        checked += bool(over)
        named = None if wrong else _by_panel(over, change)
        named = named or _by_index(calls.build, told["chromosome"], change)
        if named is not None:
            found[int(row)] = named
    if contradicting >= MANY and contradicting > MOST_CONTRADICTING * checked:
        found = {}  # of another build than it says: what fits does so by chance
    return _told(_filled(calls, found), contradicting)


def _near(calls: Calls, panel: Panel | None) -> NDArray[np.bool_]:
    """Rows that may lie where something is known; most of a genome does not."""
    spans = _spans(calls.build, panel)
    names = calls.table["chromosome"].combine_chunks().dictionary_encode()
    positions = np.asarray(calls.table["position"])
    codes = np.asarray(names.indices)
    near = np.zeros(len(calls), bool)
    for code, name in enumerate(names.dictionary.to_pylist()):
        own = np.flatnonzero(codes == code)
        known = spans.get(plain(name))
        if known is None or not len(own):
            continue
        ends = np.maximum.accumulate(known[:, 1])
        place = np.searchsorted(known[:, 0], positions[own] + REACH, side="right") - 1
        near[own] = (place >= 0) & (ends[np.maximum(place, 0)] >= positions[own])
    return near


def _spans(build: Build | None, panel: Panel | None) -> dict[str, NDArray[np.int64]]:
    """(n, 2) first and last known positions by chromosome, sorted by the first."""
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for transcript in panel.transcripts if panel else ():
        spans[transcript.chromosome].append(transcript.span)
    if build is not None:
        for chromosome, places in hotspot_index().places(build).items():
            spans[chromosome] += [(at, at) for at in places]
        for gene in gene_table().genes.values():
            if gene.promoter is not None:
                at = [on[build] for on in gene.promoter.places.values() if build in on]
                spans[gene.promoter.chromosome] += [(place, place) for place in at]
    return {name: np.array(sorted(found), np.int64) for name, found in spans.items()}


def _is_spelled(change: Change) -> bool:
    return set(change.reference + change.alternate) <= set("ACGT")


def _by_panel(over: Sequence[Transcript], change: Change) -> dict[str, object] | None:
    """By the transcript on which the effect is gravest."""
    told = [(effect, t) for t in over if (effect := effect_of(t, change)) is not None]
    if not told:
        return None
    effect, transcript = min(told, key=lambda one: one[0].rank)
    return {
        "gene": transcript.gene, "transcript": transcript.name, "is_mane": transcript.is_mane,
        "consequence": effect.consequence, "impact": effect.impact, "hgvs_coding": effect.hgvs_coding,
        "hgvs_protein": effect.hgvs_protein, "annotated_by": PANEL,
    }  # fmt: skip


def _by_index(build: Build, chromosome: str, change: Change) -> dict[str, object] | None:
    spot = hotspot_index().find(build, chromosome, change)
    if spot is not None:
        return {
            "gene": spot.gene, "transcript": spot.transcript, "is_mane": None,
            "consequence": spot.consequence, "impact": spot.impact, "hgvs_coding": spot.hgvs_coding,
            "hgvs_protein": spot.hgvs_protein, "annotated_by": INDEX,
        }  # fmt: skip
    if len(change.reference) != 1 or len(change.alternate) != 1:
        return None
    for symbol, gene in gene_table().genes.items():
        known = gene.promoter
        place = None if known is None else known.place(build, chromosome, change.first)
        if known is None or place is None:
            continue
        read = str if known.strand > 0 else reverse_complement
        return {
            "gene": symbol, "transcript": None, "is_mane": None, "consequence": "upstream_gene_variant",
            "impact": "MODIFIER", "hgvs_protein": None, "annotated_by": INDEX,
            "hgvs_coding": f"c.{place}{read(change.reference)}>{read(change.alternate)}",
        }  # fmt: skip
    return None


def _filled(calls: Calls, found: dict[int, dict[str, object]]) -> Calls:
    if not found:
        return calls
    rows = np.fromiter(found, np.int64)
    places = np.full(len(calls), -1, np.int64)
    places[rows] = np.arange(len(rows))
    at = pa.array(places, mask=places < 0)
    table = calls.table
    for name in NAMES:
        new = pa.array([values[name] for values in found.values()], SCHEMA.field(name).type)
        column = pc.if_else(pa.array(places < 0), table[name], new.take(at))
        table = table.set_column(table.schema.get_field_index(name), SCHEMA.field(name), column)
    return replace(calls, table=table)


def _told(calls: Calls, contradicting: int) -> Annotated:
    """A call with a consequence that is not named any closer keeps its file's annotation."""
    own = pc.and_(pc.is_null(calls.table["annotated_by"]), pc.is_valid(calls.table["consequence"]))
    by_file = pc.if_else(own, calls.annotator or "its file", calls.table["annotated_by"])
    place = calls.table.schema.get_field_index("annotated_by")
    table = calls.table.set_column(place, SCHEMA.field("annotated_by"), by_file)
    calls = replace(calls, table=table)
    counted = pc.value_counts(calls.table["annotated_by"].combine_chunks()).to_pylist()
    by = {one["values"]: one["counts"] for one in counted if one["values"] is not None}
    unnamed = len(calls) - sum(by.values())
    return Annotated(calls, by, unnamed, contradicting, _words(calls, by, unnamed, contradicting))


def _words(calls: Calls, by: dict[str, int], unnamed: int, contradicting: int) -> str:
    parts = [f"{count} calls named by {name}" for name, count in by.items()]
    if unnamed:
        parts.append(f"{unnamed} not in the offline index")
    if unnamed and calls.build is None:
        parts.append("the build is not told, so none could be looked up")
    if contradicting:
        parts.append(
            f"{contradicting} whose reference allele is not what {calls.build} has there: check the build"
        )
    return "; ".join(parts)
