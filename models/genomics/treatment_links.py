"""What a tumor's alterations say of the drugs that a patient was given: by the drug's name in the record."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from data.evidence import Interpretation, Support
from data.timeline import Event

SHORT: Mapping[str, str] = {
    "tmz": "temozolomide", "temodal": "temozolomide", "temodar": "temozolomide", "ccnu": "lomustine",
    "pcv": "procarbazine lomustine vincristine", "t-dxd": "trastuzumab deruxtecan",
    "t-dm1": "trastuzumab emtansine", "stupp": "temozolomide",
}  # fmt: skip
"""Names in use for drugs and courses, and the drugs that they stand for."""


@dataclass(frozen=True)
class TreatmentLink:
    """A drug that was given, and the closest statement on an alteration that names it.

    Args:
        drugs: of the statement; the drug may be one of several.
    """

    event: Event
    alteration: str
    drugs: tuple[str, ...]
    support: Support

    @property
    def against(self) -> bool:
        """Whether the statement is of resistance."""
        return self.support.statement.effect == "resistance"


def treatment_links(
    events: Iterable[Event], found: Iterable[Interpretation]
) -> tuple[TreatmentLink, ...]:
    """Of each drug in the order given: what speaks for it, then what speaks of resistance."""
    interpreted = list(found)
    links = []
    for event in events:
        if event.kind != "drug":
            continue
        text = _spelled_out(event.text)
        for effect in ("sensitivity", "resistance"):
            for one in interpreted:
                of_it = [
                    s
                    for s in (*one.support, *one.resistance)
                    if s.statement.effect == effect
                    and any(_names(text, drug) for drug in s.statement.therapies)
                ]
                if of_it:  # the strongest is the first
                    drugs = of_it[0].statement.therapies
                    links.append(TreatmentLink(event, one.alteration.name, drugs, of_it[0]))
    return tuple(links)


def _spelled_out(text: str) -> str:
    words = re.findall(r"[\w-]+", text.lower())
    return " ".join([*words, *(SHORT[word] for word in words if word in SHORT)])


def _names(text: str, drug: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(drug.lower())}(?![\w-])", text) is not None
