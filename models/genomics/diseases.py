"""Diseases in a graph of what is a kind of what, and how far one is from another."""

from __future__ import annotations

from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field

from data.evidence import Kinship


class Disease(BaseModel):
    """A disease, what it is a kind of, and what else it is called."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kinds_of: tuple[str, ...] = ()
    also: tuple[str, ...] = Field(default=(), description="other names, for reading sources")


class DiseaseGraph(BaseModel):
    """Diseases by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: str
    source: str
    diseases: tuple[Disease, ...]

    def model_post_init(self, context: object, /) -> None:
        """Every disease that another is a kind of is listed before it, so that there is no circle."""
        seen: set[str] = set()
        for disease in self.diseases:
            unknown = [name for name in disease.kinds_of if name not in seen]
            if unknown or disease.name in seen:
                raise ValueError(
                    f"{disease.name}: {unknown or 'twice'}; list what it is a kind of first"
                )
            seen.add(disease.name)

    @cached_property
    def _by_name(self) -> dict[str, Disease]:
        named = {d.name.lower(): d for d in self.diseases}
        return {a.lower(): d for d in self.diseases for a in d.also} | named

    def find(self, written: str) -> Disease | None:
        """A disease by any of its names; None where it is not in the graph."""
        return self._by_name.get(written.strip().lower())

    def above(self, name: str) -> dict[str, int]:
        """What a disease is a kind of, itself included, with the steps to it."""
        steps, layer, n = {name: 0}, [name], 1
        while layer:
            parents = {p for child in layer for p in self._by_name[child.lower()].kinds_of}
            layer = [p for p in parents if p not in steps]
            steps |= dict.fromkeys(layer, n)
            n += 1
        return steps

    def kinship(self, patient: str | None, told: str) -> tuple[Kinship, int | None]:
        """How a statement's disease stands to the patient's, and the steps between both.

        Only what is the same or broader speaks of this tumor: a statement on a narrower one holds for some such
        patients only.
        """
        if patient is None or (one := self.find(patient)) is None:
            return "unknown", None
        other = self.find(told)
        if other is None:
            return "another", None
        upwards, also = self.above(one.name), self.above(other.name)
        if other.name in upwards:
            return ("same" if upwards[other.name] == 0 else "broader"), upwards[other.name]
        if one.name in also:
            return "narrower", also[one.name]
        shared = {name: upwards[name] + also[name] for name in upwards if name in also}
        shared = {name: n for name, n in shared.items() if self.is_organ(name)}
        return ("related", min(shared.values())) if shared else ("another", None)

    def is_organ(self, name: str) -> bool:
        """Whether two kinds of this are related, as two solid tumors as such are not."""
        return name not in ROOTS


ROOTS = ("cancer", "solid tumor")
"""What stands above every organ."""
