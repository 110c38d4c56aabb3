"""All calls of a variant file in columns: one row for each alternative allele, fast for 200,000 and more.

:class:`~data.genomics.Variant` is one of them, as the avatar keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.genomics import Build, Variant, VariantSet

TEXT = pa.string()
PASSED = pa.array(["PASS", ".", ""])
FROM_MAF = "Tumor_Sample_Barcode"
"""What tells the tumor of a MAF, which as a rule lists what was called against a normal sample."""
AROUND = 5
"""Bases on both sides of a call's position that its context holds."""
SCHEMA = pa.schema(
    {
        "record": pa.int64(),  # number of the record in the file, from 0
        "allele": pa.int16(),  # number of the alternative in its record, from 1
        "chromosome": TEXT,
        "position": pa.int32(),  # one-based, as in VCF
        "id": TEXT,
        "reference": TEXT,
        "alternate": TEXT,
        "filters": TEXT,  # as in VCF: PASS, or what it failed, with ; between
        "status": TEXT,  # somatic, germline, LOH or unknown by the caller; null where it does not say
        "in_tumor": pa.bool_(),  # whether the tumor sample shows the allele
        "tumor_depth": pa.int32(),
        "tumor_alt_depth": pa.int32(),
        "vaf": pa.float32(),  # alternative reads of all that support an allele, in the tumor
        "normal_depth": pa.int32(),
        "normal_alt_depth": pa.int32(),
        "gene": TEXT,
        "transcript": TEXT,
        "is_mane": pa.bool_(),  # whether the file calls the transcript MANE Select
        "consequence": TEXT,  # Sequence Ontology terms with & between
        "impact": TEXT,
        "hgvs_coding": TEXT,
        "hgvs_protein": TEXT,
        "annotated_by": TEXT,  # the annotator, "panel" or "hotspot index"; null: nobody says what it is
        "context": TEXT,  # reference bases: AROUND before the position, then from it on
        "population_frequency": pa.float32(),  # the highest that the annotation gives
    }
)
"""The columns. Null is not known, never zero."""


@dataclass(frozen=True, eq=False)
class Calls:
    """A table by :data:`SCHEMA`, in the order of the file, and what the file says of itself.

    Args:
        build_from: what told the build.
        roles_from: what told tumor from normal.
        annotator: whose annotations were read.
    """

    table: pa.Table
    build: Build | None
    build_from: str
    tumor_sample: str
    normal_sample: str | None
    roles_from: str
    annotator: str | None = None

    def __post_init__(self) -> None:
        """Hold to the schema."""
        if self.table.schema != SCHEMA:
            raise ValueError(f"columns {self.table.schema.names} where {SCHEMA.names} belong")

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def where(self, keep: NDArray[np.bool_]) -> Calls:
        """The rows where ``keep`` is true."""
        return replace(self, table=self.table.filter(pa.array(keep)))

    @property
    def is_tumor_only(self) -> bool:
        """Whether no normal sample was there to tell what is inherited."""
        return self.normal_sample is None and self.roles_from != FROM_MAF

    @property
    def passed(self) -> NDArray[np.bool_]:
        """Whether the caller's filters let each row through; none applied is no filter."""
        filters = self.table["filters"]
        return np.asarray(pc.or_(pc.is_null(filters), pc.is_in(filters, value_set=PASSED)))

    @property
    def in_tumor(self) -> Calls:
        """The rows that the tumor shows."""
        return self.where(np.asarray(self.table["in_tumor"]))

    def in_genes(self, known: Callable[[str], bool]) -> Calls:
        """The rows whose gene is known."""
        genes = self.table["gene"].combine_chunks().dictionary_encode()
        listed = genes.dictionary.to_pylist()
        named = pa.array([bool(name) and known(name) for name in listed], pa.bool_())
        at = pc.fill_null(named.take(genes.indices), False)
        return self.where(np.asarray(at))

    def texts(self, column: str) -> NDArray[np.object_]:
        """A column of text, None where it is not known."""
        return np.asarray(self.table[column].to_pandas(), dtype=object)

    def variants(self) -> tuple[Variant, ...]:
        """Each row as a value of its own."""
        return tuple(_variant(row) for row in self.table.to_pylist())

    def variant_set(self) -> VariantSet:
        """The alleles that the tumor shows, as the avatar keeps them."""
        shown = self.in_tumor
        return VariantSet(
            build=self.build,
            tumor_sample=self.tumor_sample,
            normal_sample=self.normal_sample,
            roles_from=self.roles_from,
            variants=shown.variants(),
        )


def _variant(row: dict[str, Any]) -> Variant:
    known = {name: row[name] for name in row if name in Variant.model_fields}
    filters = tuple(row["filters"].split(";")) if row["filters"] else ()
    vaf = None if row["vaf"] is None else round(row["vaf"], 4)
    return Variant.model_validate(known | {"filters": filters, "vaf": vaf})


def calls_of(batches: Iterable[pa.Table], **told: object) -> Calls:
    """Calls from pieces of the table, whose records may be in any order."""
    table = pa.concat_tables([SCHEMA.empty_table(), *batches])
    place = np.asarray(table["record"]) * 2**15 + np.asarray(table["allele"])
    if (np.diff(place) < 0).any():
        table = table.take(np.argsort(place))
    return Calls(table.combine_chunks(), **told)  # type: ignore[arg-type]
