"""Names of changes by HGVS (v21): coding places, and protein changes from two proteins.

A change that could be told at several places is told at the last of them in the direction of the transcript
(the 3' rule); an insertion that repeats what is before it is a duplication.
"""

from __future__ import annotations

from data.genomics import AMINO_ACIDS
from data.transcripts import Transcript, reverse_complement

_THREE = {one: three for three, one in AMINO_ACIDS.items()}


def coding_place(transcript: Transcript, position: int) -> str:
    """``395``, ``-124``, ``*12``, ``3082+2``: a position of the forward strand, as HGVS counts it."""
    index = transcript.index(position)
    if index is not None:
        return _counted(transcript, index)
    near = []
    for first, last in transcript.exons:
        near += [(abs(position - edge), edge) for edge in (first, last)]
    # of an intron's middle the exon before it counts
    distance, edge = min(near, key=lambda n: (n[0], n[1] * transcript.strand))
    offset = (position - edge) * transcript.strand
    at = transcript.index(edge) or 0
    if at == 0 and offset < 0:  # ahead of the first exon
        return _counted(transcript, offset)
    if at == len(transcript.spliced) - 1 and offset > 0:
        return _counted(transcript, at + offset)
    return f"{_counted(transcript, at)}{'+' if offset > 0 else '-'}{distance}"


def _counted(transcript: Transcript, index: int) -> str:
    coding = index - transcript.coding_start
    beyond = coding - len(transcript.coding_sequence)
    if coding < 0:
        return str(coding)
    return f"*{beyond + 1}" if beyond >= 0 else str(coding + 1)


def shifted(
    transcript: Transcript, position: int, reference: str, alternate: str
) -> tuple[int, str, str]:
    """A pure insertion or deletion at the last place, in the transcript's direction, where it can be told.

    Args:
        transcript: whose direction, and whose bases.
        position: of the first base of ``reference``, or the one behind an insertion.
        reference: without what it shares with ``alternate``.
        alternate: likewise.
    """
    if bool(reference) == bool(alternate):
        return position, reference, alternate
    moved = reference or alternate
    while True:
        ahead = position + len(reference) if transcript.strand > 0 else position - 1
        base = transcript.reference(ahead, ahead)
        if base is None or base != (moved[0] if transcript.strand > 0 else moved[-1]):
            break
        moved = moved[1:] + base if transcript.strand > 0 else base + moved[:-1]
        position += transcript.strand
    return (position, moved, "") if reference else (position, "", moved)


def coding_change(transcript: Transcript, position: int, reference: str, alternate: str) -> str:
    """``c.395G>A``, ``c.2235_2249del``, ``c.35dup``: alleles of the forward strand without shared ends."""
    position, reference, alternate = shifted(transcript, position, reference, alternate)
    if not reference:
        before = position - len(alternate) if transcript.strand > 0 else position
        repeated = transcript.reference(before, before + len(alternate) - 1)
        if repeated == alternate:
            return f"c.{_range(transcript, before, before + len(alternate) - 1)}dup"
        around = _range(transcript, position - 1, position)
        return f"c.{around}ins{_read(transcript, alternate)}"
    place = _range(transcript, position, position + len(reference) - 1)
    if not alternate:
        return f"c.{place}del"
    new = _read(transcript, alternate)
    if len(reference) == len(alternate) == 1:
        return f"c.{place}{_read(transcript, reference)}>{new}"
    if len(reference) > 1 and alternate == reverse_complement(reference):
        return f"c.{place}inv"
    return f"c.{place}delins{new}"


def _range(transcript: Transcript, first: int, last: int) -> str:
    ends = [coding_place(transcript, p) for p in (first, last)[:: transcript.strand]]
    return ends[0] if first == last else "_".join(ends)


def _read(transcript: Transcript, bases: str) -> str:
    return bases if transcript.strand > 0 else reverse_complement(bases)


def residues(letters: str) -> str:
    """In three-letter code."""
    return "".join(_THREE[letter] for letter in letters)


def protein_change(before: str, after: str, *, gained: int, codons: tuple[int, int]) -> str:
    """``p.Arg132His``, ``p.Glu746_Ala750del``, ``p.Arg97ProfsTer23`` from two proteins with their stops.

    Args:
        before: the reference's, its stop included.
        after: the tumor's, up to its first stop; without one where none is reached.
        gained: bases, lost ones below 0.
        codons: first and last that the change reaches, from 0; the first is named where nothing changes.
    """
    if before == after:
        return f"p.{_at(before, min(codons[0], len(before) - 1))}="
    if after[:1] != "M":
        return "p.Met1?"
    head = 0
    while head < min(len(before), len(after)) and before[head] == after[head]:
        head += 1
    if head == len(before) - 1:  # the stop itself
        return _extended(before, after, head)
    rest = len(before) - 1 - codons[1]
    intact = rest > 0 and after[len(after) - rest :] == before[codons[1] + 1 :]
    if gained % 3 == 0 and intact and len(after) == len(before) + gained // 3:
        return _in_frame(before, after, head)
    if head < len(after) and after[head] == "*":
        return f"p.{_at(before, head)}Ter"
    if gained % 3:
        return _shifted_frame(before, after, head)
    if rest <= 0:
        return "p.?"  # over the stop and past it: no form of HGVS says what then follows
    last = max(codons[1], head)  # a stop within what is new
    return f"p.{_stretch(before, head, last)}delins{residues(after[head:])}"


def _shifted_frame(before: str, after: str, head: int) -> str:
    if head >= len(after):
        return f"p.{_at(before, head)}fs"
    ends = f"Ter{len(after) - head}" if after.endswith("*") else "Ter?"
    return f"p.{_at(before, head)}{residues(after[head])}fs{ends}"


def _extended(before: str, after: str, head: int) -> str:
    if head >= len(after):
        return f"p.{_at(before, head)}extTer?"
    ends = f"Ter{len(after) - head - 1}" if after.endswith("*") else "Ter?"
    return f"p.{_at(before, head)}{residues(after[head])}ext{ends}"


def _in_frame(before: str, after: str, head: int) -> str:
    """What lies between the shared beginning and the shared end."""
    tail = 0
    while tail < min(len(before), len(after)) - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    if not old:
        repeated = before[head - len(new) : head]
        if repeated == new:
            return f"p.{_stretch(before, head - len(new), head - 1)}dup"
        return f"p.{_stretch(before, head - 1, head)}ins{residues(new)}"
    place = _stretch(before, head, head + len(old) - 1)
    if not new:
        return f"p.{place}del"
    if len(old) == len(new) == 1:
        return f"p.{place}{residues(new)}"
    return f"p.{place}delins{residues(new)}"


def _stretch(protein: str, first: int, last: int) -> str:
    return _at(protein, first) if first == last else f"{_at(protein, first)}_{_at(protein, last)}"


def _at(protein: str, index: int) -> str:
    return f"{residues(protein[index])}{index + 1}"
