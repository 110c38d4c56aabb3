"""Mutations per megabase, indels in repeats, and patterns that a tumor's mutations suggest.

Limits: 10 nonsynonymous mutations per Mb are many (Campbell 2017, doi:10.1016/j.cell.2017.09.048). Polymerase
epsilon's errors are C>A in TCT and C>T in TCG (SBS10a, b), with few indels; temozolomide's are C>T off CpG, in
CC and CT above all (SBS11); defects of mismatch repair leave indels in runs of one base, 0.395 per Mb and more
in MSIseq (Huang 2015, doi:10.1038/srep13321), which without many mutations is rather an artifact. These are
hints, no assays.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.stats import chi2

from data.burden import Hint, MutationBurden, Rate
from data.calls import Calls
from models.genomics.origin import is_common_enough
from models.genomics.protein import protein_change
from models.genomics.spectrum import BASES, CHANNELS, EXCHANGES, channels, counts, exchanges

MANY_PER_MB = 10.0
LEAST_SUBSTITUTIONS, LEAST_MUTATIONS = 50, 50
"""Below, shares of a spectrum say nothing, and a rate (of a small panel) little."""
MOST_UNANNOTATED = 0.1
"""Share of calls whose effect nobody names, above which a rate would be far too low."""
POLE_DOMAIN = (268, 471)
POLE_SHARE, POLE_TRANSVERSIONS, POLE_INDELS = 0.25, 0.15, 0.05
TEMOZOLOMIDE_SHARE, TEMOZOLOMIDE_INDELS, OFF_CPG, IN_CC_CT = 0.85, 0.10, 0.70, 0.50
REPEATS_PER_MB, RUN = 0.395, 5
NONSYNONYMOUS = (
    "missense_variant", "stop_gained", "stop_lost", "start_lost", "frameshift_variant", "inframe_insertion",
    "inframe_deletion", "protein_altering_variant",
)  # fmt: skip


def rate(count: int, megabases: float) -> Rate:
    """Events per megabase with the exact interval of 95 % of a Poisson count (Garwood 1936)."""
    low = 0.0 if count == 0 else float(chi2.ppf(0.025, 2 * count) / 2)
    high = float(chi2.ppf(0.975, 2 * count + 2) / 2)
    return Rate(
        count=count, megabases=megabases, per_mb=count / megabases, low=low / megabases,
        high=high / megabases,
    )  # fmt: skip


def burden(calls: Calls, capture_mb: float | None) -> MutationBurden:
    """All of it, of the calls that passed, that the tumor shows and that are not known to be inherited.

    Args:
        calls: of one tumor.
        capture_mb: megabases whose mutations would have been found; None where it is not declared.
    """
    calls = _counted(calls)
    exchanged, placed = exchanges(calls), channels(calls)
    by_exchange = counts(exchanged, len(EXCHANGES))
    spectrum = counts(placed, len(CHANNELS))
    indels = _indels(calls)
    context = calls.texts("context")
    told = np.array([isinstance(text, str) for text in context], bool)
    runs = _in_runs(calls, indels & told)
    rates = {}
    unannotated = int(calls.table["consequence"].null_count)
    if capture_mb is not None:
        if unannotated <= MOST_UNANNOTATED * len(calls):
            rates["mutations"] = rate(int(_nonsynonymous(calls).sum()), capture_mb)
        if told[indels].any():
            rates["in_repeats"] = rate(int(runs.sum()), capture_mb)
    found = MutationBurden(
        substitutions=dict(zip(EXCHANGES, by_exchange.tolist(), strict=True)),
        spectrum=tuple(spectrum.tolist()) if spectrum.any() else (),
        without_context=int(by_exchange.sum() - spectrum.sum()),
        indels=int(indels.sum()),
        unannotated=unannotated,
        without_normal=calls.is_tumor_only,
        **rates,
    )
    return found.model_copy(update={"hints": tuple(_hints(found, calls))})


def _counted(calls: Calls) -> Calls:
    inherited = np.asarray(pc.equal(pc.fill_null(calls.table["status"], ""), "germline"))
    inherited |= is_common_enough(calls)
    return calls.where(calls.passed & np.asarray(calls.table["in_tumor"]) & ~inherited)


def _nonsynonymous(calls: Calls) -> NDArray[np.bool_]:
    terms = pc.fill_null(calls.table["consequence"], "")
    return np.asarray(pc.match_substring_regex(terms, "|".join(NONSYNONYMOUS)))


def _indels(calls: Calls) -> NDArray[np.bool_]:
    reference, alternate = calls.table["reference"], calls.table["alternate"]
    longer = pc.not_equal(pc.binary_length(reference), pc.binary_length(alternate))
    gap = pc.or_(pc.equal(reference, "-"), pc.equal(alternate, "-"))
    letters = pc.match_substring_regex(alternate, "^(?:[ACGTN]+|-)$")
    return np.asarray(pc.and_(pc.or_(longer, gap), letters))


def _in_runs(calls: Calls, at: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Indels of one kind of base that lie in a run of at least :data:`RUN` of it."""
    found = np.zeros(len(calls), bool)
    references, alternates = calls.texts("reference"), calls.texts("alternate")
    for n, text in zip(np.flatnonzero(at), calls.texts("context")[at], strict=True):
        bases = set(_changed(references[n], alternates[n]))
        found[n] = len(bases) == 1 and bases.pop() * RUN in text.upper()
    return found


def _changed(reference: str, alternate: str) -> str:
    """The bases that are gained or lost, of VCF's way of writing or MAF's."""
    if "-" in (reference, alternate):
        return reference if alternate == "-" else alternate
    shorter = min(len(reference), len(alternate))
    return reference[shorter:] or alternate[shorter:]


def _hints(found: MutationBurden, calls: Calls) -> Iterable[Hint]:
    many, total = found.mutations, sum(found.substitutions.values())
    if many is None or many.per_mb < MANY_PER_MB or many.count < LEAST_MUTATIONS:
        return
    told = f"{many.per_mb:.1f} nonsynonymous mutations per Mb"
    patterns: list[Hint] = []
    if total >= LEAST_SUBSTITUTIONS:
        patterns = [*_pole(found, total, _pole_changes(calls)), *_temozolomide(found, total)]
    if not any(hint.pattern == "POLE-like" for hint in patterns):  # which has some of everything
        patterns += _repair(found)
    patterns = patterns or [Hint(pattern="hypermutated", reason="of no known pattern")]
    yield from (hint.model_copy(update={"reason": f"{told}; {hint.reason}"}) for hint in patterns)


def _repair(found: MutationBurden) -> Iterable[Hint]:
    repeats = found.in_repeats
    if repeats is not None and repeats.per_mb >= REPEATS_PER_MB:
        reason = (
            f"{repeats.per_mb:.2f} indels in runs of one base per Mb (at least {REPEATS_PER_MB})"
        )
        yield Hint(pattern="mismatch-repair-like", reason=reason)


def _pole_changes(calls: Calls) -> list[str]:
    genes = calls.texts("gene")
    changes = (protein for protein in calls.texts("hgvs_protein")[genes == "POLE"] if protein)
    parted = ((text, protein_change(text)) for text in changes)
    first, last = POLE_DOMAIN
    return [
        text.removeprefix("p.")
        for text, change in parted
        if change is not None and change.kind == "substitution" and first <= change.start <= last
    ]


def _pole(found: MutationBurden, total: int, changes: list[str]) -> Iterable[Hint]:
    transversions = found.substitutions["C>A"] / total
    in_place = _share(found, ("T[C>A]T", "T[C>T]G"))
    named = f"POLE {', '.join(changes)} in the exonuclease domain" if changes else ""
    few_indels = found.indels / total < POLE_INDELS
    by_place = in_place is not None and in_place >= POLE_SHARE
    if few_indels and (by_place or (changes and transversions >= POLE_TRANSVERSIONS)):
        shares = f"{transversions:.0%} C>A"
        if in_place is not None:
            shares += f", {in_place:.0%} C>A in TCT or C>T in TCG"
        reason = "; ".join(part for part in (named, shares, "few indels") if part)
        yield Hint(pattern="POLE-like", reason=reason)


def _temozolomide(found: MutationBurden, total: int) -> Iterable[Hint]:
    transitions = found.substitutions["C>T"] / total
    if transitions < TEMOZOLOMIDE_SHARE or found.indels / total > TEMOZOLOMIDE_INDELS:
        return
    if not found.spectrum:
        unplaced = (
            f"{transitions:.0%} C>T; the bases beside them are not known, which would tell more"
        )
        yield Hint(pattern="temozolomide-like", reason=unplaced)
        return
    of_all = {after: _share(found, [f"{b}[C>T]{after}" for b in BASES]) or 0.0 for after in BASES}
    off_cpg = 1 - of_all["G"] / sum(of_all.values())
    in_cc_ct = (of_all["C"] + of_all["T"]) / sum(of_all.values())
    if off_cpg >= OFF_CPG and in_cc_ct >= IN_CC_CT:
        reason = f"{transitions:.0%} C>T, of these {in_cc_ct:.0%} in CC or CT and {1 - off_cpg:.0%} in CpG"
        yield Hint(pattern="temozolomide-like", reason=reason)


def _share(found: MutationBurden, names: Iterable[str]) -> float | None:
    """Of all placed substitutions; None without sequence context."""
    if not found.spectrum:
        return None
    return sum(found.spectrum[CHANNELS.index(name)] for name in names) / sum(found.spectrum)
