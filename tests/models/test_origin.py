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


FAR = 0.16
"""Between shares of reads that 4,000 reads with their bias tell apart."""


def shares_of(purity, copies):
    """Of inherited variants by the copies that a tumor cell has, and of somatic ones."""
    cells = purity * copies + 2 * (1 - purity)
    inherited = [(purity * m + 1 - purity) / cells for m in range(copies + 1)]
    return [*inherited, 1.0], [purity * m / cells for m in range(1, copies + 1)]


@given(st.floats(0.2, 0.5), st.sampled_from([1, 2, 3, 4]), st.data())
def test_deep_reads_of_an_inherited_variant_are_never_called_somatic(purity, copies, data):
    """Each number of copies that a tumor cell may have kept."""
    inherited, somatic = shares_of(purity, copies)
    share = data.draw(st.sampled_from(inherited))
    one = calls(tumor_alt_depth=round(share * 4000), tumor_depth=4000)
    found = origin_of(one, tumor(purity, copies))
    near = min(abs(share - other) for other in somatic) < FAR
    assert found.label in (("likely germline", "open") if near else ("likely germline",))


@given(st.floats(0.2, 0.9), st.sampled_from([1, 2, 3, 4]), st.data())
def test_deep_reads_of_a_somatic_variant_are_called_so_where_no_inherited_one_is_near(
    purity, copies, data
):
    inherited, somatic = shares_of(purity, copies)
    share = data.draw(st.sampled_from(somatic))
    one = calls(tumor_alt_depth=round(share * 4000), tumor_depth=4000)
    near = min(abs(share - other) for other in inherited) < FAR
    assert near or origin_of(one, tumor(purity, copies)).label == "likely somatic"


@pytest.mark.parametrize(
    ("alternate", "depth", "purity", "copies", "label"),
    [
        (100, 100, 0.6, 2, "likely germline"),  # from both parents
        (60, 60, 0.7, 1, "likely germline"),
        (441, 1000, 0.7, 2, "open"),  # with the bias of mapping
        (500, 1000, 0.6, 2.4, "open"),
        (60, 1000, 0.7, 2, "likely somatic"),  # in some cells
    ],
)
def test_bias_and_both_parents_are_thought_of(alternate, depth, purity, copies, label):
    one = calls(tumor_alt_depth=alternate, tumor_depth=depth)
    assert origin_of(one, tumor(purity, copies)).label == label


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
    maf = replace(calls(population_frequency=0.2), roles_from=FROM_MAF)
    assert origin_of(maf).label == "not told"


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
