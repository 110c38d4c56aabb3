"""Conditions over findings of three states: each holds, does not, or is not known, and says what is missing.

Written in YAML as ``idh_mutation`` (present), ``not idh_mutation`` (tested and absent), ``untested
idh_mutation``, ``unless h3_k27_altered`` (not found; where it is untested the rule holds and says what it takes
for granted), ``{all: [...]}`` and ``{any: [...]}``. The logic is Kleene's of three values: ``any`` holds as
soon as one part does, however much is untested.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Literal, final

from typing_extensions import override

from data.clinical import Presence
from data.diagnosis import Truth


@dataclass(frozen=True)
class Finding:
    """What is known of one thing, and from where."""

    state: Presence
    source: str = ""


Findings = Mapping[str, Finding]
UNTESTED = Finding("untested")


@dataclass(frozen=True)
class Holds:
    """Whether a condition holds.

    Args:
        truth: yes, no or unknown.
        evidence: findings that decided it.
        missing: untested findings that could still decide it.
        assumed: untested findings that were taken to be absent.
    """

    truth: Truth
    evidence: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


class Condition(ABC):
    """Something that findings fulfil or not."""

    @abstractmethod
    def holds(self, findings: Findings) -> Holds:
        """By what is known."""

    @property
    @abstractmethod
    def names(self) -> frozenset[str]:
        """Of the findings that it looks at."""


@dataclass(frozen=True)
class _OfOne(Condition):
    name: str

    @property
    @override
    def names(self) -> frozenset[str]:
        return frozenset({self.name})


@dataclass(frozen=True)
class _OfSome(Condition):
    parts: tuple[Condition, ...]

    @property
    @override
    def names(self) -> frozenset[str]:
        return frozenset().union(*(part.names for part in self.parts))


@final
@dataclass(frozen=True)
class Is(_OfOne):
    """A finding in one state."""

    state: Literal["present", "absent"]

    @override
    def holds(self, findings: Findings) -> Holds:
        found = findings.get(self.name, UNTESTED)
        if found.state == "untested":
            return Holds("unknown", missing=(self.name,))
        return Holds("yes" if found.state == self.state else "no", evidence=(self.name,))


@final
@dataclass(frozen=True)
class Untested(_OfOne):
    """A finding that nobody has looked for."""

    @override
    def holds(self, findings: Findings) -> Holds:
        untested = findings.get(self.name, UNTESTED).state == "untested"
        return (
            Holds("yes", missing=(self.name,)) if untested else Holds("no", evidence=(self.name,))
        )


@final
@dataclass(frozen=True)
class Unless(_OfOne):
    """A finding that is not known to be there."""

    @override
    def holds(self, findings: Findings) -> Holds:
        found = findings.get(self.name, UNTESTED)
        if found.state == "untested":
            return Holds("yes", assumed=(self.name,))
        return Holds("no" if found.state == "present" else "yes", evidence=(self.name,))


@final
@dataclass(frozen=True)
class All(_OfSome):
    """Every one of some conditions."""

    @override
    def holds(self, findings: Findings) -> Holds:
        return _together([part.holds(findings) for part in self.parts], decisive="no")


@final
@dataclass(frozen=True)
class Any(_OfSome):
    """At least one of some conditions."""

    @override
    def holds(self, findings: Findings) -> Holds:
        return _together([part.holds(findings) for part in self.parts], decisive="yes")


def _together(parts: list[Holds], *, decisive: Literal["yes", "no"]) -> Holds:
    """What one of the parts decides alone, else all of them together."""
    deciding = [part for part in parts if part.truth == decisive]
    if deciding:
        return Holds(
            decisive,
            evidence=_all(part.evidence for part in deciding),
            missing=_all(part.missing for part in deciding),
            assumed=_all(part.assumed for part in deciding),
        )
    truths = {part.truth for part in parts}
    other: Truth = "no" if decisive == "yes" else "yes"
    return Holds(
        "unknown" if "unknown" in truths else other,
        evidence=_all(part.evidence for part in parts),
        missing=_all(part.missing for part in parts),
        assumed=_all(part.assumed for part in parts),
    )


def _all(names: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Each once, in order."""
    return tuple(dict.fromkeys(chain.from_iterable(names)))


WRITTEN: Mapping[str, Callable[[str], Condition]] = {
    "": lambda name: Is(name, "present"),
    "not": lambda name: Is(name, "absent"),
    "untested": Untested,
    "unless": Unless,
}
"""By the word before a finding's name."""


def condition(words: object) -> Condition:
    """From what YAML has.

    Raises:
        ValueError: not written as the module says.
    """
    if isinstance(words, str):
        kind, _, name = words.rpartition(" ")
        made = WRITTEN.get(kind)
        if made is None or not name.isidentifier():
            raise ValueError(
                f"{words!r}: a condition is a finding's name, perhaps after not, untested or unless"
            )
        return made(name)
    if isinstance(words, dict) and len(words) == 1:
        ((kind, parts),) = words.items()
        if kind in ("all", "any") and isinstance(parts, list) and parts:
            some = tuple(condition(part) for part in parts)
            return All(some) if kind == "all" else Any(some)
    raise ValueError(f"{words!r}: a condition is a finding, or all or any of a list")
