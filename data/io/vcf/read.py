"""Reading a VCF, by columns or record by record: the same calls either way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pysam

from data.calls import Calls, calls_of
from data.errors import VariantError
from data.genomics import Build
from data.io.vcf import columns, records
from data.io.vcf.annotations import Annotator, annotator_of
from data.io.vcf.batch import Batch, Flags, Sample
from data.io.vcf.depths import support
from data.io.vcf.header import Header, Roles
from data.io.vcf.rows import KEYS, rows

Engine = Literal["columnar", "pysam"]
WORKERS = 2
MOST_RECORDS = 10_000_000
"""A whole genome has five million variants that a person was born with."""
FEWEST_RECORDS, LEAST_SHARE = 10, 0.8
"""From which two samples are told apart by their reads: so many records, and of these so large a part."""

Given = TypeVar("Given")
Made = TypeVar("Made")


def read_vcf(
    path: Path,
    *,
    tumor_sample: str | None = None,
    normal_sample: str | None = None,
    build: Build | None = None,
    region: str | None = None,
    engine: Engine | None = None,
) -> Calls:
    """All alternative alleles of a VCF, with what tumor and normal show of each.

    Args:
        path: VCF, plain, gzipped or bgzipped; or BCF.
        tumor_sample: where header lines, PEDIGREE, the samples' names and their reads do not tell it.
        build: where neither the contigs' lengths nor the header's reference tell it.
        region: only this, ``chr7:55019000-55212000``; the file needs an index.
        engine: ``columnar`` unless a region or a BCF is read, which pysam does.

    Raises:
        VariantError: no such file, a broken header or record, a tumor sample that cannot be told, contigs of
            two builds.
    """
    if not path.is_file():
        raise VariantError(f"{path}: there is no such file")
    by_record = engine == "pysam" or region is not None or path.suffix == ".bcf"
    verbosity = pysam.set_verbosity(0)
    try:
        if by_record:
            return _by_record(path, tumor_sample, normal_sample, build, region)
        return _by_column(path, tumor_sample, normal_sample, build)
    except VariantError:
        raise
    except NotImplementedError as error:  # what pysam raises for plain gzip
        raise VariantError(f"{path}: is gzipped, not bgzipped; recompress it with bgzip") from error
    except (
        Exception
    ) as error:  # of a broken file htslib's wrapper and Arrow raise whatever they like
        words = " ".join(str(error).split())[:200]
        raise VariantError(
            f"{path}: not a readable VCF ({words}); check that it is complete"
        ) from error
    finally:
        pysam.set_verbosity(verbosity)


@dataclass(frozen=True)
class _Told:
    """What is known of a file before its records."""

    header: Header
    roles: Roles
    build: Build | None
    build_from: str
    annotator: Annotator | None

    def rows(self, batch: Batch) -> pa.Table:
        return rows(self.header, batch, self.build, self.annotator)

    def calls(self, tables: Iterable[pa.Table]) -> Calls:
        return calls_of(
            tables,
            build=self.build,
            build_from=self.build_from,
            tumor_sample=self.roles.tumor,
            normal_sample=self.roles.normal,
            roles_from=self.roles.how,
            annotator=self.annotator.name if self.annotator else None,
        )


def _told(
    header: Header,
    tumor: str | None,
    normal: str | None,
    build: Build | None,
    annotator: Annotator | None,
    first: Callable[[Roles], Iterable[Batch]],
) -> _Told:
    """``first``: some records, with the samples in the roles given."""
    roles = header.roles(tumor, normal)
    if roles is None and len(header.samples) == 2 and normal is None:
        one, other = header.samples
        roles = told_by_reads(first(Roles(one, other, "not told yet")), one, other)
    if roles is None:
        raise header.untold()
    told, how = header.build(build)
    return _Told(header, roles, told, how, annotator)


def told_by_reads(batches: Iterable[Batch], one: str, other: str) -> Roles | None:
    """The sample that has the alleles is the tumor, where most records show them in one only."""
    ours = theirs = 0
    for batch in batches:
        if batch.normal is None:
            continue
        first, second = (_has(sample, batch) for sample in (batch.tumor, batch.normal))
        ours, theirs = ours + int((first & ~second).sum()), theirs + int((second & ~first).sum())
    count = ours + theirs
    if count < FEWEST_RECORDS or max(ours, theirs) < LEAST_SHARE * count:
        return None
    how = f"genotypes and reads of {count} records"
    return Roles(one, other, how) if ours > theirs else Roles(other, one, how)


def _has(sample: Sample, batch: Batch) -> Flags:
    shown = support(sample, batch)
    reads = np.nan_to_num(shown.fraction[:, 0]) >= 0.05
    return np.where(shown.genotyped, shown.carried.any(axis=1), reads)


def _by_column(path: Path, tumor: str | None, normal: str | None, build: Build | None) -> Calls:
    with columns.opened(path) as file:
        header = columns.read_header(path, file)
        annotator = annotator_of(header)
        key = annotator.key if annotator else "CSQ"
        pieces = columns.pieces(path, file)
        first = next(pieces, b"")

        def batches(piece: bytes, roles: Roles) -> Iterator[Batch]:
            if not piece:
                return iter(())
            return columns.batches(header, piece, roles.tumor, roles.normal, KEYS, key)

        told = _told(header, tumor, normal, build, annotator, lambda roles: batches(first, roles))

        def read(piece: bytes) -> tuple[int, list[pa.Table]]:
            found = list(batches(piece, told.roles))
            return sum(map(len, found)), [told.rows(batch) for batch in found]

        tables: list[pa.Table] = []
        number = 0
        with ThreadPoolExecutor(WORKERS) as pool:
            for count, part in _in_order(pool, read, chain([first], pieces)):
                tables += [_renumbered(table, number) for table in part]
                number += count
                if number > MOST_RECORDS:
                    raise VariantError(
                        f"{path}: has more than {MOST_RECORDS:,} records; give the tumor's calls alone"
                    )
    return told.calls(tables)


def _by_record(
    path: Path, tumor: str | None, normal: str | None, build: Build | None, region: str | None
) -> Calls:
    header = records.header_of(path)
    annotator = annotator_of(header)
    key = annotator.key if annotator else "CSQ"

    def batches(roles: Roles) -> Iterator[Batch]:
        return records.batches(path, region, roles.tumor, roles.normal, KEYS, key)

    told = _told(header, tumor, normal, build, annotator, batches)
    return told.calls(told.rows(batch) for batch in batches(told.roles))


def _renumbered(table: pa.Table, number: int) -> pa.Table:
    place = table.schema.get_field_index("record")
    return table.set_column(place, table.schema.field(place), pc.add(table["record"], number))


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Given], Made], given: Iterable[Given]
) -> Iterator[Made]:
    """Results in the order given, with no more in hand than there are workers and one."""
    waiting: deque[Future[Made]] = deque()
    for item in given:
        waiting.append(pool.submit(work, item))
        if len(waiting) > WORKERS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
