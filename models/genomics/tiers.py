"""From statements to a tier: what fits an alteration, how closely, in which disease, and what follows.

The rules are those of AMP/ASCO/CAP (Li 2017): an approval or validated evidence in this type of tumor is
I-A, clinical evidence I-B; what is approved or shown in another type, and case studies, are II-C, preclinical
evidence II-D; what is common in the population or silent is IV; the rest is of unknown significance, III.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from data.evidence import (
    HERE,
    Alteration,
    Interpretation,
    Kinship,
    Level,
    Oncogenicity,
    Precision,
    Statement,
    Support,
    Tier,
)
from models.genomics.diseases import DiseaseGraph
from models.genomics.genes import GeneTable
from models.genomics.oncogenicity import COMMON, Judge, is_silent
from models.genomics.patterns import Codon, ExactChange, Pattern, change_of, pattern

TIERS_HERE: dict[Level, Tier] = {
    "approval": "I-A", "A": "I-A", "B": "I-B", "C": "II-C", "D": "II-D", "E": "III",
}  # fmt: skip
TIERS_ELSEWHERE: dict[Level, Tier] = {
    "approval": "II-C", "A": "II-C", "B": "II-C", "C": "II-C", "D": "II-D", "E": "III",
}  # fmt: skip
OF_ONE_DISEASE = ("diagnostic", "better outcome", "worse outcome")
"""Effects that say nothing of a tumor of another type."""
TIERS: tuple[Tier, ...] = get_args(Tier)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True)
class _Read:
    statement: Statement
    pattern: Pattern


class Interpreter:
    """Holds alterations against statements.

    Args:
        statements: of all sources.
        genes: roles, exons, aliases.
        diseases: what is a kind of what.
        judge: of oncogenicity.
    """

    def __init__(
        self,
        statements: Iterable[Statement],
        genes: GeneTable,
        diseases: DiseaseGraph,
        judge: Judge,
    ) -> None:
        self.genes, self.diseases, self.judge = genes, diseases, judge
        self._by_gene: dict[str, list[_Read]] = {}
        unread = []
        for statement in statements:
            symbol = genes.current(statement.gene)
            read = pattern(statement.alteration, statement.gene, genes.find(symbol))
            if read is None:
                unread.append(statement)
            else:
                self._by_gene.setdefault(symbol, []).append(_Read(statement, read))
        self.unread = tuple(unread)
        """Statements whose alteration is not understood: they match nothing."""

    def knows(self, symbol: str) -> bool:
        """Whether a gene is of the panel, or a statement is about it."""
        return self.genes.find(symbol) is not None or self.genes.current(symbol) in self._by_gene

    def interpret(
        self, alteration: Alteration, disease: str | None, *, hypermutated: bool = False
    ) -> Interpretation:
        """Tier, reason and statements of an alteration in a patient's disease (None: not known).

        In a hypermutated tumor a lost gene counts for less: many are hit by chance.
        """
        points = None
        if alteration.kind == "small variant":
            points = self.judge.points(alteration, hypermutated=hypermutated)
        found = self._supports(alteration, disease, points)
        for_it = tuple(s for s in found if s.statement.effect != "resistance")
        against = tuple(s for s in found if s.statement.effect == "resistance")
        tier, reason = self._tier(alteration, found, points)
        return Interpretation(
            alteration=alteration, tier=tier, reason=reason, oncogenicity=points,
            support=for_it, resistance=against, notes=_notes(alteration),
        )  # fmt: skip

    def _supports(
        self, alteration: Alteration, disease: str | None, points: Oncogenicity | None
    ) -> list[Support]:
        oncogenic = points is None or points.is_oncogenic
        found = []
        for read in self._by_gene.get(self.genes.current(alteration.gene), ()):
            if not read.pattern.fits(alteration, oncogenic=oncogenic):
                continue
            if read.statement.needs_germline and not alteration.is_germline:
                continue
            kinship, steps = self.diseases.kinship(disease, read.statement.disease)
            if (
                kinship in ("related", "another", "unknown")
                and read.statement.effect in OF_ONE_DISEASE
            ):
                continue
            here = self._speaks_of_it(read.statement, kinship)
            tiers = TIERS_HERE if here else TIERS_ELSEWHERE
            found.append(
                Support(
                    statement=read.statement,
                    precision=read.pattern.precision,
                    kinship=kinship,
                    steps=steps,
                    tier=tiers[read.statement.level],
                )
            )
        closest = _closest(found)
        telling = _telling(closest)
        return sorted(closest, key=lambda support: (support not in telling, _rank(support)))

    def _speaks_of_it(self, statement: Statement, kinship: Kinship) -> bool:
        """Whether a statement is on the patient's type of tumor; evidence on any cancer at all is not."""
        if kinship not in HERE:
            return False
        told = self.diseases.find(statement.disease)
        return statement.level == "approval" or (
            told is not None and self.diseases.is_organ(told.name)
        )

    def _tier(
        self, alteration: Alteration, found: Sequence[Support], points: Oncogenicity | None
    ) -> tuple[Tier, str]:
        variant = alteration.variant
        frequency = None if variant is None else variant.population_frequency
        if frequency is not None and frequency >= COMMON:
            return "IV", f"{frequency:.1%} of the population have it (at least {COMMON:.0%})"
        if is_silent(alteration, change_of(alteration)):
            return "IV", "synonymous, and off the splice sites"
        best = min(_telling(found), key=_rank, default=None)
        if best is not None and best.tier != "III":
            return best.tier, _sentence(best)
        named = "" if points is None else f"; {points.category} ({points.total:+d} points)"
        if best is not None:
            return "III", f"only inferential evidence ({best.statement.reference}){named}"
        known = bool(self._by_gene.get(self.genes.current(alteration.gene)))
        whose = "no statement names it" if known else f"no statement is about {alteration.gene}"
        if known and points is not None and not points.is_oncogenic:
            whose += ", and what is said of the gene as a whole does not hold for it"
        return "III", whose + named


def _closest(found: Iterable[Support]) -> list[Support]:
    """Without statements that a closer one of the same source, disease, effect and therapy makes needless."""
    kept: dict[tuple[object, ...], Support] = {}
    for support in sorted(found, key=_rank):
        told = support.statement
        kept.setdefault(
            (told.source, told.reference, told.disease, told.effect, told.therapies), support
        )
    return list(kept.values())


def _telling(found: Sequence[Support]) -> Sequence[Support]:
    """What decides the tier: on the gene as a whole, in another tumor type, only where nothing is closer."""
    closer = [s for s in found if s.precision != "gene" or s.kinship in HERE]
    return closer or found


def _rank(support: Support) -> tuple[int, int, int, int]:
    far = 99 if support.steps is None else support.steps
    return (
        TIERS.index(support.tier),
        LEVELS.index(support.statement.level),
        PRECISIONS.index(support.precision),
        far,
    )


def _notes(alteration: Alteration) -> tuple[str, ...]:
    variant = alteration.variant
    written = variant.protein_change if variant else None
    notes = []
    if written and change_of(alteration) is None and not written.endswith("_splice"):
        notes.append(
            f"the protein change {written} is not understood: only its consequence was looked at"
        )
    if alteration.origin:
        notes.append(f"no normal sample; {alteration.origin}, a heuristic")
    return tuple(notes)


KINSHIPS: dict[Kinship, str] = {
    "same": "this tumor type",
    "broader": "{}, of which this tumor is a kind",
    "narrower": "{}, a kind of this tumor type",
    "related": "{}, a related tumor type",
    "another": "{}, another tumor type",
    "unknown": "{}, while this patient's disease is not known here",
}


def _sentence(best: Support) -> str:
    told = best.statement
    where = KINSHIPS[best.kinship].format(told.disease)
    what = ", ".join(told.therapies) or told.effect
    if told.level == "approval":
        when = ", ".join(f"{agency} {day:%Y-%m-%d}" for agency, day in told.approved.items())
        held = f"approved ({when})"
    else:
        held = f"evidence level {told.level} ({told.source} {told.reference})"
    against = "resistance to " if told.effect == "resistance" else ""
    return f"{against}{what}: {held} in {where}; named by its {best.precision}"


def known_active(
    statements: Iterable[Statement], genes: GeneTable
) -> dict[str, tuple[Pattern, ...]]:
    """What is known to be active, by gene: classes of the table, and what approvals and validated evidence name
    more closely than by the gene as a whole.
    """
    found: dict[str, list[Pattern]] = {}
    for symbol, gene in genes.genes.items():
        read = (pattern(written, symbol, gene) for written in gene.active)
        found[symbol] = [one for one in read if one is not None]
    for statement in statements:
        if statement.level not in ("approval", "A") or statement.effect != "sensitivity":
            continue
        symbol = genes.current(statement.gene)
        named = pattern(statement.alteration, statement.gene, genes.find(symbol))
        if isinstance(named, ExactChange | Codon):
            found.setdefault(symbol, []).append(named)
    return {symbol: tuple(patterns) for symbol, patterns in found.items()}
