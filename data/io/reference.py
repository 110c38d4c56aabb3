"""A reference genome as FASTA, plain or bgzipped with its index, by chromosome and one-based position."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pysam

from data.calls import AROUND, SCHEMA, Calls
from data.errors import VariantError
from data.genome import CHROMOSOMES, build_of_lengths, plain, refseq_chromosome
from data.genomics import Build

BASES = frozenset("ACGT")


class Reference:
    """An open reference; its build is told by the lengths of its chromosomes.

    Args:
        path: names of chromosomes with or without ``chr``, or RefSeq's.

    Raises:
        VariantError: no FASTA, gzipped rather than bgzipped, or of neither build.
    """

    build: Build

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _opened(path)
        self._contigs: dict[str, str] = {}
        for name in self._file.references:
            refseq = refseq_chromosome(name)
            chromosome = refseq[0] if refseq else plain(name)
            if chromosome in CHROMOSOMES:
                self._contigs.setdefault(chromosome, name)
        told = dict(zip(self._file.references, self._file.lengths, strict=True))
        found = build_of_lengths({name: told[own] for name, own in self._contigs.items()})
        if len(found) != 1:
            self._file.close()
            raise VariantError(
                f"{path}: by the lengths of its sequences it is neither GRCh37 nor GRCh38; give one of these"
            )
        self.build = found.pop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def has(self, chromosome: str) -> bool:
        """Whether a chromosome is in the file."""
        return plain(chromosome) in self._contigs

    def bases(self, chromosome: str, first: int, last: int) -> str:
        """From ``first`` to ``last``, both included, in upper case; what lies beyond an end is left out.

        Raises:
            VariantError: the file is damaged.
        """
        try:
            contig = self._contigs[plain(chromosome)]
            return self._file.fetch(contig, max(0, first - 1), last).upper()
        except (OSError, ValueError) as error:
            raise VariantError(
                f"{self.path}: cannot be read at {chromosome}:{first} ({error}); check that it is whole, and "
                "make its index again"
            ) from error


def _opened(path: Path) -> pysam.FastaFile:
    if not path.is_file():
        raise VariantError(f"{path}: there is no such file")
    verbosity = pysam.set_verbosity(0)
    try:
        return pysam.FastaFile(str(path))
    except (OSError, ValueError) as error:
        raise VariantError(
            f"{path}: cannot be read as a FASTA; it has to be plain or bgzipped (not gzipped), and its index "
            "(.fai) has to be beside it or the folder writable"
        ) from error
    finally:
        pysam.set_verbosity(verbosity)


def with_context(calls: Calls, path: Path) -> Calls:
    """Calls with the bases around each that does not tell them itself.

    Raises:
        VariantError: the reference cannot be used, or calls of another build, or of an unknown one that it
            contradicts.
    """
    with Reference(path) as reference:
        if calls.build not in (None, reference.build):
            raise VariantError(
                f"{path}: is {reference.build} by the lengths of its chromosomes, the variants are of "
                f"{calls.build}; give the reference that they were called on"
            )
        wanted = calls.table.select(["chromosome", "position", "reference"])
        bare = np.flatnonzero(np.asarray(pc.is_null(calls.table["context"])))
        found: list[str | None] = calls.table["context"].to_pylist()
        for n, told in zip(bare, wanted.take(pa.array(bare)).to_pylist(), strict=True):
            if not reference.has(told["chromosome"]) or told["position"] <= AROUND:
                continue
            first = told["position"] - AROUND
            text = reference.bases(told["chromosome"], first, told["position"] + AROUND)
            there = text[AROUND : AROUND + len(told["reference"])]
            spelled = set(there) <= BASES and set(told["reference"]) <= BASES
            if spelled and not told["reference"].startswith(there):
                raise VariantError(
                    f"{path}: has {there} at {told['chromosome']}:{told['position']}, where the variants' "
                    f"reference allele is {told['reference'][:20]}; give the reference that they were called on"
                )
            found[int(n)] = text
    build, how = calls.build, calls.build_from
    if build is None and len(bare):
        build, how = reference.build, "reference alleles, which are those of the reference given"
    column = pa.array(found, SCHEMA.field("context").type)
    place = calls.table.schema.get_field_index("context")
    table = calls.table.set_column(place, SCHEMA.field("context"), column)
    return replace(calls, table=table, build=build, build_from=how)
