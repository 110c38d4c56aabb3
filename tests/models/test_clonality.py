"""Copies of a variant per tumor cell: from reads made with a known truth, and where nothing can be said."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.calls import SCHEMA, Calls
from data.copy_number import Segment
from models.genomics.clonality import clonality, local_copies
from models.genomics.copy_number import copy_number


def calls(alternate, depth, chromosome="chr1", position=100):
    row = {
        "record": 0, "allele": 1, "chromosome": chromosome, "position": position, "reference": "A",
        "alternate": "T", "in_tumor": True, "tumor_alt_depth": alternate, "tumor_depth": depth,
    }  # fmt: skip
    return Calls(pa.Table.from_pylist([row], schema=SCHEMA), "GRCh38", "test", "T", None, "test")


def tumor(purity, copies=2.0, chromosome="1"):
    """One segment with a number of copies in the tumor's cells."""
    mean = 2.0
    log2 = float(np.log2((purity * copies + 2 * (1 - purity)) / mean))
    segments = [Segment(chromosome=chromosome, start=1, end=1000, log2=log2)]
    return copy_number(segments, "GRCh38", "T", purity=purity)


@given(st.floats(0.2, 1.0), st.integers(1, 6), st.sampled_from([0.3, 1.0]))
def test_deep_reads_tell_whether_every_cell_has_it(purity, copies, share):
    """One copy of the variant in a share of the tumor's cells."""
    depth = 200_000
    fraction = purity * share / (purity * copies + 2 * (1 - purity))
    (told,) = clonality(calls(round(fraction * depth), depth), tumor(purity, copies))
    assert told == ("in every cell" if share == 1.0 else "in some cells")


def test_few_reads_leave_it_open():
    assert clonality(calls(4, 10), tumor(0.8)) == ["open"]


@pytest.mark.parametrize(
    ("seen", "number"),
    [
        (calls(40, 100), None),
        (calls(40, 100), copy_number([], "GRCh38", "T", purity=0.8)),
        (calls(40, 100, position=5000), tumor(0.8)),
        (calls(40, 100, chromosome="chrX"), tumor(0.8, chromosome="X")),
        (calls(None, None), tumor(0.8)),
        (calls(0, 0), tumor(0.8)),
        (calls(40, 100), tumor(0.8).model_copy(update={"purity": None})),
    ],
)
def test_without_purity_segment_or_reads_nothing_is_said(seen, number):
    assert clonality(seen, number) == ["not known"]


def test_copies_are_those_of_the_segment():
    assert local_copies(calls(1, 2), tumor(0.6, 4)) == pytest.approx([4.0])
