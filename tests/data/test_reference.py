"""A reference genome gives the bases beside variants, and only its own build's."""

from __future__ import annotations

import pyarrow as pa
import pytest
from toy_gene import AHEAD, genome, write_fasta

from data.calls import SCHEMA, Calls
from data.errors import VariantError
from data.io.reference import Reference, with_context


@pytest.fixture(scope="module")
def fasta(tmp_path_factory):
    return write_fasta(tmp_path_factory.mktemp("reference") / "chr21.fa", 1)


def calls(build, *rows):
    empty = dict.fromkeys(SCHEMA.names)
    made = [
        empty | {"record": n, "allele": 1, "chromosome": c, "position": p, "reference": r, "alternate": "T"}
        for n, (c, p, r) in enumerate(rows)
    ]  # fmt: skip
    return Calls(pa.Table.from_pylist(made, schema=SCHEMA), build, "test", "T", None, "test")


def test_bases_are_those_of_one_based_positions_under_any_name(fasta):
    with Reference(fasta) as reference:
        assert reference.build == "GRCh38"
        for name in ("21", "chr21"):
            assert reference.bases(name, AHEAD + 1, AHEAD + 9) == genome(1)[:9]
        assert reference.bases("21", 1, 3) == "NNN"
        assert not reference.has("chr1")


def test_calls_get_the_five_bases_before_them_and_those_after(fasta):
    base = genome(1)[100]
    found = with_context(calls("GRCh38", ("21", AHEAD + 101, base), ("chr1", 5000, "A")), fasta)
    assert found.texts("context").tolist() == [genome(1)[95:106], None]


def test_a_call_s_own_context_stays_and_an_untold_build_is_told(fasta):
    base = genome(1)[100]
    given = calls(None, ("21", AHEAD + 101, base), ("21", AHEAD + 101, base))
    place = given.table.schema.get_field_index("context")
    own = given.table.set_column(place, SCHEMA.field("context"), pa.array(["A" * 11, None]))
    found = with_context(Calls(own, None, "nothing", "T", None, "test"), fasta)
    assert found.texts("context").tolist() == ["A" * 11, genome(1)[95:106]]
    assert (found.build, found.build_from) == (
        "GRCh38", "reference alleles, which are those of the reference given"
    )  # fmt: skip


def test_another_reference_is_refused(fasta):
    base = genome(1)[100]
    other = next(b for b in "ACGT" if b != base)
    with pytest.raises(VariantError, match="where the variants' reference allele is"):
        with_context(calls(None, ("21", AHEAD + 101, other)), fasta)
    with pytest.raises(VariantError, match=r"is GRCh38 by the lengths .* variants are of GRCh37"):
        with_context(calls("GRCh37", ("21", AHEAD + 101, base)), fasta)
