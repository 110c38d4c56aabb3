"""Reads that support each allele, by the fields that callers write them to.

A rule is a function of a sample in a batch of records; for a record the first rule counts that can tell. Fields
are as their callers document them: GATK/Mutect2, MuSE, VarDict, DRAGEN and others (AD); Strelka (its user
guide, "Somatic variant allele frequencies": tier 1 of AU CU GU TU, or of TAR and TIR); VarScan 2 (RD and AD);
samtools and SomaticSniper (DP4); FreeBayes and Torrent (RO, AO; FRO, FAO); Platypus (NR, NV); Delly (RR, RV
where the breakpoint is precise, else DR, DV); Manta (PR and SR); GRIDSS (VF, REF, REFPAIR); CaVEMan (FAZ..RTZ).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.io.vcf.batch import Batch, Flags, Floats, Sample

FRACTIONS = ("AF", "FA", "VAF", "FREQ", "PM")
"""Fields for the fraction as the caller gives it, where no depths do."""


class Counts(NamedTuple):
    """(n,) reads for the reference and (n, w) for each alternative; NaN where not known."""

    reference: Floats
    alternates: Floats


Rule = Callable[[Sample, Batch], Counts | None]


@dataclass(frozen=True)
class Support:
    """What a sample shows of each allele.

    Args:
        depth: (n,) reads at the place, by the caller's own count where it gives one.
        alternates: (n, w) reads for each alternative.
        fraction: (n, w) of the reads that support an allele; the caller's where no depths are given.
        carried: (n, w) whether the genotype has the allele.
        genotyped: (n,) whether there is a genotype.
    """

    depth: Floats
    alternates: Floats
    fraction: Floats
    carried: Flags
    genotyped: Flags

    @property
    def shows(self) -> Flags:
        """(n, w) whether genotype or reads have the allele, or nothing says that they have not."""
        return ~self.genotyped[:, None] | self.carried | (self.alternates > 0)


def support(sample: Sample, batch: Batch) -> Support:
    """What a sample shows of each allele, by the first rule that can tell."""
    shape = (len(batch), batch.width)
    reference, alternates = np.full(shape[0], np.nan), np.full(shape, np.nan)
    for rule in RULES:
        missing = np.isnan(alternates).all(axis=1)
        counts = rule(sample, batch) if missing.any() else None
        if counts is not None:
            reference = np.where(missing, counts.reference, reference)
            alternates = np.where(missing[:, None], counts.alternates, alternates)
    total = reference + np.nansum(alternates, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        fraction = np.where(total[:, None] > 0, alternates / total[:, None], np.nan)
    if np.isnan(fraction).any():
        fraction = np.where(np.isnan(fraction), _per_allele(sample, FRACTIONS, shape), fraction)
    depth = _first(sample, ("DP", "NR"), shape[0])
    depth = np.where(np.isnan(depth), total, depth)
    return Support(depth, alternates, fraction.clip(0, 1), *_genotypes(sample, shape))


def _by_allele(sample: Sample, batch: Batch) -> Counts | None:
    """AD with a value for the reference and for each alternative."""
    depths = sample.numbers("AD")
    if depths is None or depths.shape[1] < 2:
        return None
    known = ~np.isnan(depths[:, 1:]).all(axis=1)
    padded = _padded(depths[:, 1:], batch.width)
    return Counts(np.where(known, depths[:, 0], np.nan), padded)


def _by_base(sample: Sample, batch: Batch) -> Counts | None:
    """Strelka's SNVs: AU, CU, GU, TU, the first tier of each."""
    tiers = [sample.numbers(f"{base}U") for base in "ACGT"]
    if any(tier is None for tier in tiers):
        return None
    return _of_bases(np.stack([tier[:, 0] for tier in tiers if tier is not None], 1), batch)


def _by_base_and_strand(sample: Sample, batch: Batch) -> Counts | None:
    """CaVEMan: FAZ to RTZ, bases on the forward and the reverse strand."""
    strands = [[sample.numbers(f"{strand}{base}Z") for base in "ACGT"] for strand in "FR"]
    if any(counts is None for strand in strands for counts in strand):
        return None
    bases = [np.stack([c[:, 0] for c in strand if c is not None], 1) for strand in strands]
    return _of_bases(bases[0] + bases[1], batch)


def _by_indel(sample: Sample, batch: Batch) -> Counts | None:
    """Strelka's indels: TAR for the other allele, TIR for the indel, the first tier of each."""
    return _pair(sample, "TAR", "TIR", batch)


def _by_reads(sample: Sample, batch: Batch) -> Counts | None:
    """VarScan: RD, and AD with the one alternative's."""
    return _pair(sample, "RD", "AD", batch)


def _by_strand(sample: Sample, batch: Batch) -> Counts | None:
    """DP4: reference forward and reverse, alternative forward and reverse."""
    depths = sample.numbers("DP4")
    if depths is None or depths.shape[1] < 4:
        return None
    return _one(depths[:, 0] + depths[:, 1], depths[:, 2] + depths[:, 3], batch)


def _by_observation(sample: Sample, batch: Batch) -> Counts | None:
    """FreeBayes RO, AO; Torrent's flow-corrected FRO, FAO first."""
    for reference, alternate in (("FRO", "FAO"), ("RO", "AO")):
        counts = _pair(sample, reference, alternate, batch)
        if counts is not None:
            return counts
    return None


def _by_coverage(sample: Sample, batch: Batch) -> Counts | None:
    """Platypus: NR reads at the place, NV of them with the variant, by alternative."""
    reads, variant = sample.numbers("NR"), sample.numbers("NV")
    if reads is None or variant is None:
        return None
    alternates = _padded(variant, batch.width)
    return Counts(reads[:, 0] - np.nansum(alternates, axis=1), alternates)


def _by_junction(sample: Sample, batch: Batch) -> Counts | None:
    """Delly: reads over the junction where there are any, else pairs of reads."""
    reads, pairs = _pair(sample, "RR", "RV", batch), _pair(sample, "DR", "DV", batch)
    if reads is None or pairs is None:
        return reads or pairs
    precise = reads.reference + reads.alternates[:, 0] > 0
    return Counts(
        np.where(precise, reads.reference, pairs.reference),
        np.where(precise[:, None], reads.alternates, pairs.alternates),
    )


def _by_pairs_and_splits(sample: Sample, batch: Batch) -> Counts | None:
    """Manta: spanning pairs PR and split reads SR, each reference and alternative."""
    found = [
        c for c in (sample.numbers("PR"), sample.numbers("SR")) if c is not None and c.shape[1] > 1
    ]
    if not found:
        return None
    summed = np.nansum([c[:, :2] for c in found], axis=0)
    return _one(summed[:, 0], summed[:, 1], batch)


def _by_fragment(sample: Sample, batch: Batch) -> Counts | None:
    """GRIDSS: VF fragments with the breakpoint, REF reads and REFPAIR pairs without."""
    variant, reads, pairs = (sample.numbers(key) for key in ("VF", "REF", "REFPAIR"))
    if variant is None or reads is None:
        return None
    without = reads[:, 0] + (0 if pairs is None else np.nan_to_num(pairs[:, 0]))
    return _one(without, variant[:, 0], batch)


def _by_remainder(sample: Sample, batch: Batch) -> Counts | None:
    """AD, or VarDict's VD, with the one alternative's reads only; the others are the reference's."""
    depth = sample.numbers("DP")
    for key in ("VD", "AD"):
        reads = sample.numbers(key)
        if reads is not None and depth is not None and reads.shape[1] == 1:
            others = depth[:, 0] - reads[:, 0]
            return _one(np.where(others >= 0, others, np.nan), reads[:, 0], batch)
    return None


RULES: tuple[Rule, ...] = (
    _by_allele,
    _by_base,
    _by_indel,
    _by_reads,
    _by_base_and_strand,
    _by_strand,
    _by_observation,
    _by_coverage,
    _by_junction,
    _by_pairs_and_splits,
    _by_fragment,
    _by_remainder,
)


def _pair(sample: Sample, reference: str, alternate: str, batch: Batch) -> Counts | None:
    one, other = sample.numbers(reference), sample.numbers(alternate)
    if one is None or other is None:
        return None
    if reference == "TAR" or other.shape[1] == 1:  # two values are tiers there, not alternatives
        return _one(one[:, 0], other[:, 0], batch)
    return Counts(one[:, 0], _padded(other, batch.width))


def _one(reference: Floats, alternate: Floats, batch: Batch) -> Counts:
    """Of a count for all alternatives together: known where there is one alternative."""
    alternates = np.full((len(batch), batch.width), np.nan)
    alternates[:, 0] = np.where(batch.counted == 1, alternate, np.nan)
    return Counts(reference, alternates)


def _of_bases(counts: Floats, batch: Batch) -> Counts:
    """``counts``: (n, 4) of A, C, G, T."""
    rows = np.arange(len(counts))
    padded = np.column_stack([counts, np.full(len(counts), np.nan)])

    def of(bases: NDArray[np.object_]) -> Floats:
        places = {"A": 0, "C": 1, "G": 2, "T": 3}
        return np.asarray(padded[rows, [places.get(base, 4) for base in bases]])

    columns = [of(batch.alleles[:, n]) for n in range(batch.width)]
    return Counts(of(batch.references), np.column_stack(columns))


def _padded(values: Floats, width: int) -> Floats:
    """(n, width): cut, or filled with NaN."""
    out = np.full((len(values), width), np.nan)
    shared = min(width, values.shape[1])
    out[:, :shared] = values[:, :shared]
    return out


def _first(sample: Sample, keys: tuple[str, ...], count: int) -> Floats:
    for key in keys:
        values = sample.numbers(key)
        if values is not None:
            return np.asarray(values[:, 0])
    return np.full(count, np.nan)


def _per_allele(sample: Sample, keys: tuple[str, ...], shape: tuple[int, ...]) -> Floats:
    for key in keys:
        values = sample.numbers(key)
        if values is not None and not np.isnan(values).all():
            return _padded(values, shape[1])
    return np.full(shape, np.nan)


def _genotypes(sample: Sample, shape: tuple[int, ...]) -> tuple[Flags, Flags]:
    """(n, w) whether the genotype has each alternative; (n,) whether there is one."""
    texts = sample.texts("GT")
    if texts is None:
        return np.zeros(shape, bool), np.zeros(shape[0], bool)
    codes, unique = pd.factorize(texts, use_na_sentinel=False)
    known = [_alleles_of(text, shape[1]) for text in unique]
    carried = np.array([alleles for alleles, _ in known], bool).reshape(-1, shape[1])
    return carried[codes], np.array([told for _, told in known], bool)[codes]


def _alleles_of(genotype: object, width: int) -> tuple[list[bool], bool]:
    numbers = [
        n
        for n in (genotype if isinstance(genotype, str) else "").replace("|", "/").split("/")
        if n.isdigit()
    ]
    return [str(n + 1) in numbers for n in range(width)], bool(numbers)
