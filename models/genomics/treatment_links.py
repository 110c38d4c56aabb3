"""What a tumor's alterations say of the drugs that a patient was given: by the drug's name in the record."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from data.evidence import Interpretation, Support
from data.timeline import Event

CONJUGATES = "deruxtecan|emtansine|vedotin|govitecan|soravtansine|mafodotin|ravtansine"
"""What makes another drug of an antibody."""
NOT_GIVEN = re.compile(
    r"\b(declined|refused|not given|planned|considered|offered|contraindicated|never)\b"
)
SHORT: Mapping[str, str] = {
    "tmz": "temozolomide", "temodal": "temozolomide", "temodar": "temozolomide", "ccnu": "lomustine",
    "pcv": "procarbazine lomustine vincristine", "t-dxd": "trastuzumab deruxtecan",
    "t-dm1": "trastuzumab emtansine", "stupp": "temozolomide",
    "5-fu": "fluorouracil", "herceptin": "trastuzumab", "enhertu": "trastuzumab deruxtecan",
    "kadcyla": "trastuzumab emtansine", "avastin": "bevacizumab", "tagrisso": "osimertinib",
    "keytruda": "pembrolizumab", "voranigo": "vorasidenib",
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
        if event.kind != "drug" or NOT_GIVEN.search(event.text.lower()):
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
    told = [*words, *(SHORT[word] for word in words if word in SHORT)]
    return " ".join(told).replace("-", " ")


def _names(text: str, drug: str) -> bool:
    """Whether a text names a drug, and not one that is made of it or only like it."""
    name = re.escape(drug.lower().replace("-", " "))
    found = re.search(rf"(?<!liposomal )\b{name}\b(?! (?:like|{CONJUGATES}))", text)
    return found is not None
