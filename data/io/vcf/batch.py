"""Records of one FORMAT as a VCF gives them, whichever parser read them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.io.vcf.text import Bytes, Places

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Sample(ABC):
    """One sample's fields in ``n`` records that have the same FORMAT."""

    @abstractmethod
    def texts(self, key: str) -> NDArray[np.object_] | None:
        """(n,) what a field says, None where it is missing; None for a key that FORMAT has not."""

    @abstractmethod
    def numbers(self, key: str) -> Floats | None:
        """(n, most values) a field's numbers, NaN where one is missing; None for a key that FORMAT has not."""


@dataclass(frozen=True)
class Annotated:
    """Where in a text the annotations of each record start and end."""

    data: Bytes
    starts: Places
    ends: Places

    @cached_property
    def is_encoded(self) -> bool:
        """Whether a sign may be written as % and two digits."""
        return bool((self.data == ord("%")).any())


@dataclass(frozen=True)
class Batch:
    """``n`` records.

    Args:
        record: number of each in the file.
        alternates: as in VCF, with commas between.
        info: values of the keys that are read, null where a record has not the key, "" for a flag.
        annotations: of the annotator's key.
    """

    record: NDArray[np.int64]
    chromosome: pa.StringArray
    position: NDArray[np.int64]
    id: pa.StringArray
    reference: pa.StringArray
    alternates: pa.StringArray
    filters: pa.StringArray
    info: dict[str, pa.StringArray]
    annotations: Annotated
    tumor: Sample
    normal: Sample | None

    def __len__(self) -> int:
        return len(self.record)

    @cached_property
    def counted(self) -> NDArray[np.int64]:
        """(n,) alternatives of each record."""
        return np.asarray(pc.count_substring(self.alternates, ",")).astype(np.int64) + 1

    @property
    def width(self) -> int:
        """The most alternatives of a record."""
        return int(self.counted.max(initial=1))

    @cached_property
    def alleles(self) -> NDArray[np.object_]:
        """(n, width) alternatives, None where a record has fewer."""
        lists = [text.split(",") for text in self.alternates.to_pylist()]
        padded = [row + [None] * (self.width - len(row)) for row in lists]
        return np.array(padded, object).reshape(-1, self.width)

    @cached_property
    def references(self) -> NDArray[np.object_]:
        """(n,) text."""
        return np.array(self.reference.to_pylist(), object)


def parted(alternates: pa.StringArray) -> pa.StringArray:
    """Alternatives with commas between: VarScan has a slash where tumor and normal have different ones."""
    if not pc.any(pc.match_substring(alternates, "/")).as_py():
        return alternates
    return pc.replace_substring_regex(alternates, "^([ACGTN]+)/([ACGTN]+)$", r"\1,\2")
