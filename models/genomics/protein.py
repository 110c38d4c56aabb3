"""A protein change taken apart, so that knowledge about a codon or an exon can be held against it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from data.genomics import short_protein_change

ChangeKind = Literal[
    "substitution", "synonymous", "nonsense", "frameshift", "deletion", "insertion", "duplication",
    "deletion-insertion", "start lost", "extension",
]  # fmt: skip
_WRITTEN = re.compile(r"([A-Z*])(\d+)(?:_([A-Z*])(\d+))?(.*)")

_EXCHANGED = re.compile(r"(\d+)_(\d+)([A-Z]+)>([A-Z]+)")
_STRETCH = re.compile(r"([A-Z]*)(\d+)(?:_([A-Z]?)(\d+))?(>|ins|del|dup)([A-Z]*)")
_RUN = re.compile(r"([A-Z]{2,})(\d+)(fs|[A-Z]{2,})(.*)")


@dataclass(frozen=True)
class ProteinChange:
    """From residue ``start`` to ``end`` (one-based), by HGVS in one-letter code.

    Args:
        reference: first residue.
        alternate: what a substitution puts there, or the letters of an insertion; empty where not told.
    """

    kind: ChangeKind
    start: int
    end: int
    reference: str
    alternate: str = ""

    @property
    def net_length(self) -> int | None:
        """Residues gained (lost if negative) where the reading frame is kept; None where it is not known."""
        replaced = self.end - self.start + 1
        match self.kind:
            case "deletion":
                return -replaced
            case "duplication":
                return replaced
            case "insertion":
                return len(self.alternate) or None
            case "deletion-insertion":
                return len(self.alternate) - replaced
            case "substitution" | "synonymous":
                return 0
            case _:
                return None

    @property
    def truncates(self) -> bool:
        """Whether the protein ends early, or never begins."""
        return self.kind in ("nonsense", "frameshift", "start lost")


def protein_change(written: str) -> ProteinChange | None:
    """Read ``R132H``, ``E746_A750del``, ``p.Gly12Cys``, ``L747_P753delinsS``, ``V2fs*3``, and Oncotator's
    ``ELREA746del`` and ``771_771A>AYVMA``. None where it is none: ``X963_splice`` tells where, not what.
    """
    short = short_protein_change(written).replace("%3D", "=")
    older = _older(short)
    if older is not None:
        return older
    found = _WRITTEN.fullmatch(short)
    if found is None:
        return None
    first, start, _, end, rest = found.groups()
    at, to = int(start), int(end or start)
    if rest in ("=", first):
        return ProteinChange("synonymous", at, to, first)
    if first == "M" and at == 1 and end is None:
        return ProteinChange("start lost", at, to, first)
    if re.fullmatch(r"[A-Z]?fs.*", rest, re.IGNORECASE):
        return ProteinChange("frameshift", at, to, first)
    if first == "*":
        return ProteinChange("extension", at, to, first)
    if rest == "*":
        return ProteinChange("nonsense", at, to, first, "*")
    if re.fullmatch(r"[A-Z]", rest):
        return ProteinChange("substitution", at, to, first, rest)
    return _range(rest.lower(), rest, at, to, first)


def _older(short: str) -> ProteinChange | None:
    """Spellings before HGVS was settled: Oncotator's, COSMIC's."""
    exchanged = _EXCHANGED.fullmatch(short)
    if exchanged is not None:
        return _exchange(int(exchanged[1]), exchanged[3], exchanged[4])
    run = _RUN.fullmatch(short)
    if run is not None and run[3] == "fs":
        return ProteinChange("frameshift", int(run[2]), int(run[2]), run[1][0])
    if run is not None and not run[4]:
        return _exchange(int(run[2]), run[1], run[3])
    stretch = _STRETCH.fullmatch(short)
    if stretch is None or (len(stretch[1]) == 1 and stretch[5] != ">"):
        return None
    letters, at, _, to, what, new = stretch.groups()
    low = int(at)
    high = int(to) if to else low + max(len(letters), 1) - 1
    kinds: dict[str, ChangeKind] = {
        ">": "deletion-insertion", "ins": "insertion", "del": "deletion", "dup": "duplication",
    }  # fmt: skip
    return ProteinChange(kinds[what], low, high, letters[:1], new if what in (">", "ins") else "")


def _exchange(at: int, old: str, new: str) -> ProteinChange:
    while old and new and old[0] == new[0]:
        at, old, new = at + 1, old[1:], new[1:]
    if not old:
        return ProteinChange("insertion", at - 1, at, "", new)
    kind: ChangeKind = "deletion-insertion" if new else "deletion"
    return ProteinChange(kind, at, at + len(old) - 1, old[0], new)


def _range(lowered: str, rest: str, at: int, to: int, first: str) -> ProteinChange | None:
    kinds: dict[str, ChangeKind] = {
        "delins": "deletion-insertion", "del": "deletion", "dup": "duplication", "ins": "insertion",
    }  # fmt: skip
    for start, kind in kinds.items():
        if lowered.startswith(start):
            letters = "".join(re.findall(r"[A-Z]", rest[len(start) :]))
            if kind == "deletion-insertion" and rest.endswith("*"):
                return ProteinChange("nonsense", at, to, first, "*")
            return ProteinChange(kind, at, to, first, letters if "ins" in kind else "")
    return None


def renumbered(written: str, by: int, beyond: int = 0) -> str:
    """A change in one-letter code with the number of every residue past a place moved."""
    return re.sub(
        r"(?<=[A-Z])\d+",
        lambda found: str(int(found[0]) + (by if int(found[0]) > beyond else 0)),
        written,
    )


def recoded(written: str, by: int, beyond: int) -> str:
    """A coding change (``c.3082+2T>A``) with the number of every base past a place moved."""
    return re.sub(
        r"(?:(?<=c\.)|(?<=_))\d+",
        lambda found: str(int(found[0]) + (by if int(found[0]) > beyond else 0)),
        written,
    )
