"""Inherited or not, without a normal sample: from reads made with a known truth, and where nothing tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.genomics_views import burden_words
from data.calls import FROM_MAF, SCHEMA, Calls
from data.copy_number import Segment
from models.genomics.burden import burden
from models.genomics.copy_number import copy_number
from models.genomics.ledger import filter_calls
from models.genomics.origin import origins
from pipelines.interpret import is_hotspot


def calls(**told):
    row = dict.fromkeys(SCHEMA.names) | {
        "record": 0, "allele": 1, "chromosome": "chr1", "position": 100, "reference": "A", "alternate": "T",
        "in_tumor": True, "consequence": "missense_variant", "impact": "MODERATE",
    }  # fmt: skip
    table = pa.Table.from_pylist([row | told], schema=SCHEMA)
    return Calls(table, "GRCh38", "test", "T", None, "the only sample")


def tumor(purity, copies):
    log2 = float(np.log2((purity * copies + 2 * (1 - purity)) / 2))
    segments = [Segment(chromosome="1", start=1, end=1000, log2=log2)]
    return copy_number(segments, "GRCh38", "T", purity=purity)


def origin_of(one, copies=None):
    (found,) = origins(one, copies, is_hotspot)
    return found


@given(st.floats(0.2, 0.5), st.sampled_from([1, 2, 3, 4]), st.data())
def test_deep_reads_of_a_tumor_with_normal_cells_tell_an_inherited_variant(purity, copies, data):
    """Each number of copies that a tumor cell may have kept."""
    kept = data.draw(st.integers(0, copies))
    share = (purity * kept + 1 - purity) / (purity * copies + 2 * (1 - purity))
    somatic = [purity * m / (purity * copies + 2 * (1 - purity)) for m in range(1, copies + 1)]
    found = origin_of(
        calls(tumor_alt_depth=round(share * 4000), tumor_depth=4000), tumor(purity, copies)
    )
    near = min(abs(share - other) for other in somatic) < 0.06
    assert found.label in (("likely germline", "open") if near else ("likely germline",))


@given(st.floats(0.2, 0.5), st.sampled_from([1, 2, 3, 4]))
def test_few_reads_of_what_every_tumor_cell_has_once_fit_no_inherited_variant(purity, copies):
    share = purity / (purity * copies + 2 * (1 - purity))
    inherited = [
        (purity * m + 1 - purity) / (purity * copies + 2 * (1 - purity)) for m in range(copies + 1)
    ]
    found = origin_of(
        calls(tumor_alt_depth=round(share * 4000), tumor_depth=4000), tumor(purity, copies)
    )
    near = min(abs(share - other) for other in inherited) < 0.06
    assert near or found.label == "likely somatic"


def test_a_pure_tumor_leaves_it_open():
    one = calls(tumor_alt_depth=50, tumor_depth=100)
    assert origin_of(one, tumor(1.0, 2)).label == "open"


@pytest.mark.parametrize(
    ("told", "label", "reason"),
    [
        ({"population_frequency": 0.002}, "likely germline", "0.20% of the population have it"),
        ({"population_frequency": 0.0002}, "open", "nothing else tells"),
        ({"gene": "IDH1", "hgvs_protein": "p.Arg132His"}, "likely somatic", "a hotspot"),
        ({"gene": "H3-3A", "hgvs_protein": "p.K28M"}, "likely somatic", "a hotspot"),
        ({"status": "germline"}, "germline", "by the caller"),
        ({"status": "somatic", "population_frequency": 0.2}, "somatic", "by the caller"),
    ],
)
def test_what_tells_without_reads(told, label, reason):
    found = origin_of(calls(**told))
    assert found.label == label
    assert reason in found.reason


def test_calls_that_nobody_annotates_make_no_rate_rather_than_a_low_one():
    bare = calls(consequence=None, impact=None)
    assert burden(bare, 1.0).mutations is None
    assert "nobody says what 1 call(s) do" in burden_words(burden(bare, 1.0))


def test_with_a_normal_sample_nothing_is_guessed():
    beside = replace(calls(population_frequency=0.2), normal_sample="N")
    assert origin_of(beside).label == "against normal"
    assert (
        origin_of(replace(calls(population_frequency=0.2), roles_from=FROM_MAF)).label
        == "against normal"
    )


def test_what_is_likely_inherited_is_filtered_and_not_counted_only_without_a_normal_sample():
    alone = calls(population_frequency=0.002)
    beside = replace(alone, normal_sample="N")
    chosen, unprotected = ("likely germline",), np.zeros(1, bool)
    assert filter_calls(alone, unprotected, chosen).entries[0].removed == 1
    assert filter_calls(beside, unprotected, chosen).entries[0].removed == 0
    assert burden(alone, 1.0).mutations.count == 0
    assert burden(alone, 1.0).without_normal
    assert "upper bound" in burden_words(burden(alone, 1.0))
    assert burden(beside, 1.0).mutations.count == 1
    assert not burden(beside, 1.0).without_normal
