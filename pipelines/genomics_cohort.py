"""Many patients' genomics in one report: how often, what goes together, and survival by what was found.

A gene counts as altered where a variant is at least likely oncogenic or of tier I or II, or where it is
amplified, lost or fused. Everything here is exploratory: no cut-off and no pair was named before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from lifelines import KaplanMeierFitter
from lifelines.statistics import logrank_test
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, fisher_exact

from data.avatar import Avatar
from data.clinical import ClinicalRecord
from data.evidence import STRONG, Interpretation
from data.prognosis import DAYS_PER_MONTH
from data.store import AvatarStore
from models.genomics.fraction import interval

LEAST_PATIENTS, LEAST_EVENTS = 5, 5
"""Altered patients for a pair to be tested, and deaths on either side for a curve to be told."""


@dataclass(frozen=True)
class Member:
    """One patient of a cohort."""

    patient_id: str
    record: ClinicalRecord
    genes: frozenset[str]


@dataclass(frozen=True)
class Frequency:
    """A gene, and the share of patients in whom it is altered, with Wilson's interval."""

    gene: str
    patients: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Pair:
    """Two genes: the odds ratio of their being altered together, Fisher's p and its false discovery rate."""

    one: str
    other: str
    together: int
    odds_ratio: float
    p: float
    q: float


@dataclass(frozen=True)
class SurvivalBy:
    """Survival with and without an alteration or marker: patients, deaths, medians in months, log-rank p."""

    what: str
    patients: tuple[int, int]
    deaths: tuple[int, int]
    medians: tuple[float, float]
    p: float


@dataclass(frozen=True)
class CohortReport:
    """What a cohort shows."""

    patients: int
    followed: int
    frequencies: tuple[Frequency, ...]
    pairs: tuple[Pair, ...]
    survival: tuple[SurvivalBy, ...]


def member_of(avatar: Avatar) -> Member | None:
    """A patient whose variants were read; None of one who was not sequenced."""
    if avatar.calls is None and avatar.copy_number is None:
        return None
    return Member(avatar.patient_id, avatar.record, altered_genes(avatar.interpretations))


def members_of(store: AvatarStore) -> tuple[Member, ...]:
    """The sequenced patients of a store."""
    found = (member_of(store.get(patient)) for patient in store.patients())
    return tuple(member for member in found if member is not None)


def altered_genes(found: Iterable[Interpretation]) -> frozenset[str]:
    """Genes that count as altered."""
    return frozenset(
        one.alteration.gene
        for one in found
        if one.alteration.kind != "signature"
        and (one.oncogenicity is None or one.oncogenicity.is_oncogenic or one.tier in STRONG)
    )


def cohort_report(members: Sequence[Member]) -> CohortReport:
    """Frequencies, pairs and survival."""
    genes = sorted({gene for member in members for gene in member.genes})
    altered = np.array([[gene in m.genes for gene in genes] for m in members], bool)
    altered = altered.reshape(len(members), len(genes))
    months, dead = _followed([m.record for m in members])
    return CohortReport(
        patients=len(members),
        followed=int(np.isfinite(months).sum()),
        frequencies=_frequencies(genes, altered),
        pairs=_pairs(genes, altered),
        survival=tuple(_survival(members, genes, altered, months, dead)),
    )


def _followed(records: Sequence[ClinicalRecord]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    known = [r.followup_days is not None and r.vital_status is not None for r in records]
    days = [r.followup_days or 0.0 for r in records]
    months = np.where(known, np.array(days, float) / DAYS_PER_MONTH, np.nan)
    return months, np.array([r.vital_status == "dead" for r in records], bool)


def _frequencies(genes: Sequence[str], altered: NDArray[np.bool_]) -> tuple[Frequency, ...]:
    counts, total = altered.sum(0), np.full(len(genes), len(altered))
    low, high = interval(counts, total)
    found = [
        Frequency(gene, int(n), float(n / len(altered)), float(a), float(b))
        for gene, n, a, b in zip(genes, counts, low, high, strict=True)
    ]
    return tuple(sorted(found, key=lambda f: (-f.patients, f.gene)))


def _pairs(genes: Sequence[str], altered: NDArray[np.bool_]) -> tuple[Pair, ...]:
    often = [n for n in range(len(genes)) if altered[:, n].sum() >= LEAST_PATIENTS]
    tested = []
    for one, other in combinations(often, 2):
        a, b = altered[:, one], altered[:, other]
        table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
        odds, p = fisher_exact(table)
        tested.append((genes[one], genes[other], int(table[0][0]), float(odds), float(p)))
    if not tested:
        return ()
    rates = false_discovery_control([p for *_, p in tested])
    found = [Pair(*row, float(q)) for row, q in zip(tested, rates, strict=True)]
    return tuple(sorted(found, key=lambda pair: pair.p))


def _survival(
    members: Sequence[Member],
    genes: Sequence[str],
    altered: NDArray[np.bool_],
    months: NDArray[np.float64],
    dead: NDArray[np.bool_],
) -> Iterable[SurvivalBy]:
    groups: dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]] = {
        f"{gene} altered": (altered[:, n], ~altered[:, n]) for n, gene in enumerate(genes)
    }
    for marker in type(members[0].record.markers).model_fields if members else ():
        states = np.array([getattr(m.record.markers, marker) for m in members])
        groups[f"{marker.replace('_', ' ')} present"] = states == "present", states == "absent"
    for name, (one, other) in groups.items():
        sides = [side & np.isfinite(months) for side in (one, other)]
        deaths = [int((side & dead).sum()) for side in sides]
        if min(deaths) < LEAST_EVENTS:
            continue
        fits = [KaplanMeierFitter().fit(months[side], dead[side]) for side in sides]
        test = logrank_test(months[sides[0]], months[sides[1]], dead[sides[0]], dead[sides[1]])
        yield SurvivalBy(
            name, (int(sides[0].sum()), int(sides[1].sum())), (deaths[0], deaths[1]),
            (float(fits[0].median_survival_time_), float(fits[1].median_survival_time_)), float(test.p_value),
        )  # fmt: skip
