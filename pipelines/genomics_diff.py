"""Why two runs of a patient's genomics differ: what went in, and which statement or point moved a tier."""

from __future__ import annotations

from dataclasses import dataclass

from data.avatar import Avatar
from data.evidence import Interpretation, Statement
from data.provenance import Provenance


@dataclass(frozen=True)
class Change:
    """One difference.

    Args:
        what: an alteration, or a part of the result.
        before, after: as each run has it; "not there" where it has not.
        why: reasons that can be told from both results.
    """

    what: str
    before: str
    after: str
    why: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """What differs in the input, and what differs in the result."""

    causes: tuple[str, ...]
    changes: tuple[Change, ...]


ABSENT = "not there"


def differences(before: Avatar, after: Avatar) -> Difference:
    """Compare the genomics of two avatars of one patient; empty where nothing differs."""
    causes = (*_inputs(before, after), *_knowledge(before, after), *_disease(before, after))
    return Difference(
        causes, (*_diagnosis(before, after), *_burden(before, after), *_tiers(before, after))
    )


def _annotate(avatar: Avatar) -> Provenance | None:
    return next((p for p in avatar.provenance if p.step == "annotate"), None)


def _inputs(before: Avatar, after: Avatar) -> list[str]:
    one, other = _annotate(before), _annotate(after)
    told = []
    files = [{s.role: s for s in step.sources} if step else {} for step in (one, other)]
    for role in sorted(files[0].keys() | files[1].keys()):
        a, b = files[0].get(role), files[1].get(role)
        if (a and a.sha256) != (b and b.sha256):
            told.append(
                f"{role}: {a.name if a else ABSENT} became {b.name if b else ABSENT}, with other content"
            )
    versions = [step.versions if step else {} for step in (one, other)]
    told += [
        f"{name} {versions[0].get(name, ABSENT)} became {versions[1].get(name, ABSENT)}"
        for name in sorted(versions[0].keys() | versions[1].keys())
        if versions[0].get(name) != versions[1].get(name)
    ]
    for name in ("capture_mb", "panel"):
        set_ = [step.settings.get(name) if step else None for step in (one, other)]
        if set_[0] != set_[1]:
            told.append(f"{name} {set_[0] or ABSENT} became {set_[1] or ABSENT}")
    return told


def _knowledge(before: Avatar, after: Avatar) -> list[str]:
    known = [{s.name: s for s in avatar.knowledge} for avatar in (before, after)]
    told = []
    for name in sorted(known[0].keys() | known[1].keys()):
        a, b = known[0].get(name), known[1].get(name)
        if a is None or b is None:
            found = a or b
            verb = "came in" if a is None else "is gone"
            told.append(f"knowledge {name} {verb} ({found.statements if found else 0} statements)")
        elif a.sha256 != b.sha256:
            told.append(
                f"knowledge {name}: as of {a.as_of}, {a.statements} statements, became as of {b.as_of}, "
                f"{b.statements} statements"
            )
    return told


def _disease(before: Avatar, after: Avatar) -> list[str]:
    named = [
        step.settings.get("disease") if step else None for step in map(_annotate, (before, after))
    ]
    return [] if named[0] == named[1] else [f"the disease {named[0]} became {named[1]}"]


def _diagnosis(before: Avatar, after: Avatar) -> list[Change]:
    titles = [a.diagnosis.title if a.diagnosis else ABSENT for a in (before, after)]
    if titles[0] == titles[1]:
        return []
    steps = [a.diagnosis.trace if a.diagnosis else () for a in (before, after)]
    moved = tuple(
        f"{b.diagnosis}: {'; '.join(b.evidence) or 'no evidence'}"
        for a, b in zip(*steps, strict=False)
        if (a.truth, a.evidence) != (b.truth, b.evidence)
    )
    return [Change("integrated diagnosis", titles[0], titles[1], moved)]


def _burden(before: Avatar, after: Avatar) -> list[Change]:
    told = []
    for avatar in (before, after):
        rate = avatar.burden.mutations if avatar.burden else None
        hints = ", ".join(h.pattern for h in avatar.burden.hints) if avatar.burden else ""
        told.append(
            (f"{rate.per_mb:.2f} per Mb" if rate else "unknown") + (f", {hints}" if hints else "")
        )
    return [] if told[0] == told[1] else [Change("mutations", told[0], told[1], ())]


def _tiers(before: Avatar, after: Avatar) -> list[Change]:
    found = [{_key(i): i for i in avatar.interpretations} for avatar in (before, after)]
    changes = []
    for key in sorted(found[0].keys() | found[1].keys()):
        a, b = found[0].get(key), found[1].get(key)
        if a is None or b is None:
            one = a or b
            if one is not None:
                name = one.alteration.name
                why = (_missing(one, after if b is None else before),)
                changes.append(Change(name, a.tier if a else ABSENT, b.tier if b else ABSENT, why))
        elif a.tier != b.tier:
            changes.append(Change(a.alteration.name, a.tier, b.tier, _reasons(a, b)))
    return changes


def _missing(found: Interpretation, other: Avatar) -> str:
    """Why an alteration is not in the other run."""
    calls = _annotate(other)
    known = {s.name for s in other.knowledge}
    told = {s.statement.source.lower() for s in (*found.support, *found.resistance)}
    if calls is not None and found.alteration.variant is not None and told - known - {"approvals"}:
        return "no knowledge was about this gene in the other run, which keeps it among its calls alone"
    return (
        "the other run's files or record do not have it, or no knowledge there was about the gene"
    )


def _key(found: Interpretation) -> tuple[str, ...]:
    seen = found.alteration
    place = ""
    if seen.variant is not None:
        v = seen.variant
        place = f"{v.chromosome}:{v.position}:{v.reference}:{v.alternate}"
    return seen.gene, seen.kind, seen.partner or "", place


def _reasons(before: Interpretation, after: Interpretation) -> tuple[str, ...]:
    said = [
        {_named(s.statement): f"{s.kinship} disease" for s in (*one.support, *one.resistance)}
        for one in (before, after)
    ]
    told = [f"gone: {name}" for name in sorted(said[0].keys() - said[1].keys())]
    told += [f"new: {name}" for name in sorted(said[1].keys() - said[0].keys())]
    told += [
        f"{name}: {said[0][name]} became {said[1][name]}"
        for name in sorted(said[0].keys() & said[1].keys())
        if said[0][name] != said[1][name]
    ]
    points = [one.oncogenicity.total if one.oncogenicity else 0 for one in (before, after)]
    if points[0] != points[1]:
        told.append(f"{points[0]:+d} points of oncogenicity became {points[1]:+d}")
    if not told:
        told = [f"{before.reason}; became: {after.reason}"]
    return tuple(told)


def _named(statement: Statement) -> str:
    what = ", ".join(statement.therapies) or statement.effect
    return f"{statement.source} {statement.reference} ({what}, {statement.disease})"
