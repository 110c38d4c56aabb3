"""Rates, spectra and what they hint at: by hand, by simulation where the truth is known, and on real tumors."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.calls import SCHEMA, Calls
from data.errors import VariantError
from data.io.maf import read_maf_cohort
from data.io.signatures import read_signatures
from data.io.vcf import read_vcf
from data.store import AvatarStore
from models.genomics.burden import burden, rate
from models.genomics.spectrum import CHANNELS, channels, counts, exchanges, fit
from pipelines.signatures import fitted, import_signatures, with_signatures

TCGA_MB = 35.0
"""Megabases of the TCGA exomes."""
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def calls(*rows):
    """Calls from (reference, alternate, context) and what else is told."""
    told = [
        {"record": n, "allele": 1, "chromosome": "chr1", "position": n + 1, "in_tumor": True, "filters": "PASS",
         "reference": row[0], "alternate": row[1], "context": row[2], **(row[3] if len(row) > 3 else {})}
        for n, row in enumerate(rows)
    ]  # fmt: skip
    table = pa.Table.from_pylist(told, schema=SCHEMA)
    return Calls(table, "GRCh38", "test", "T", None, "test")


def of_channel(name, reverse=False):
    """A call of a channel, on either strand."""
    before, one, other, after = name[0], name[2], name[4], name[6]
    context = f"GGGG{before}{one}{after}GGGG"
    if reverse:
        context = context[::-1].translate(COMPLEMENT)
        one, other = one.translate(COMPLEMENT), other.translate(COMPLEMENT)
    return one, other, context


def test_each_channel_is_found_on_both_strands():
    assert len(set(CHANNELS)) == 96
    for reverse in (False, True):
        found = channels(calls(*(of_channel(name, reverse) for name in CHANNELS)))
        assert found.tolist() == list(range(96))


def test_what_is_no_substitution_or_does_not_stand_where_it_says_has_no_channel():
    odd = calls(
        ("C", "T", None), ("C", "T", "GGGGACAGGGG"), ("C", "T", "GGGGATAGGGG"), ("CA", "C", "GGGGACAGGGG"),
        ("-", "T", "GGGGACAGGGG"), ("C", "T", "GGGGNCAGGGG"), ("C", "T", "GG"),
    )  # fmt: skip
    assert [CHANNELS[n] if n >= 0 else None for n in channels(odd)] == [
        None, "A[C>T]A", None, None, None, None, None,
    ]  # fmt: skip
    assert exchanges(odd).tolist() == [2, 2, 2, -1, -1, 2, 2]


@settings(deadline=None)
@given(st.integers(0, 3000), st.floats(0.5, 60))
def test_a_rate_has_the_exact_interval(count, megabases):
    found = rate(count, megabases)
    assert found.low <= found.per_mb <= found.high
    assert (found.low == 0) == (count == 0)


def test_rates_by_hand():
    none, ten = rate(0, 1.0), rate(10, 1.0)  # Garwood 1936: 0 to 3.69, and 4.80 to 18.39
    assert none.high == pytest.approx(3.6889, abs=1e-3)
    assert (ten.low, ten.high) == pytest.approx((4.7954, 18.3904), abs=1e-3)


def test_only_nonsynonymous_calls_that_passed_count():
    told = calls(
        ("C", "T", None, {"consequence": "missense_variant"}),
        (
            "C",
            "T",
            None,
            {"consequence": "missense_variant&splice_region_variant", "filters": None},
        ),
        ("C", "T", None, {"consequence": "missense_variant", "filters": "panel_of_normals"}),
        ("C", "T", None, {"consequence": "missense_variant", "in_tumor": False}),
        ("C", "T", None, {"consequence": "synonymous_variant"}),
        ("C", "T", None, {"consequence": "intron_variant"}),
        ("CA", "C", "GGGGCAAAAAA", {"consequence": "frameshift_variant"}),
    )
    found = burden(told, 2.0)
    assert (found.mutations.count, found.mutations.per_mb) == (3, 1.5)
    assert (found.indels, found.in_repeats.count) == (1, 1)
    assert (found.substitutions["C>T"], found.without_context, found.spectrum) == (4, 4, ())
    assert burden(told, None).mutations is None
    assert burden(told, None).hints == ()


@pytest.mark.parametrize(
    ("reference", "alternate", "context", "inside"),
    [
        ("A", "-", "GGGGGAAAAAAG", True), ("-", "A", "CCAAAAAGGGG", True), ("A", "-", "GGGGGAAAAGGG", False),
        ("AG", "-", "GGGGGAGAGAGAG", False), ("AA", "-", "GGGGGAAAAAAGG", True), ("A", "-", None, None),
    ],
)  # fmt: skip
def test_an_indel_in_a_run_of_one_base(reference, alternate, context, inside):
    found = burden(calls((reference, alternate, context)), 1.0)
    assert found.indels == 1
    assert (found.in_repeats and found.in_repeats.count == 1) == inside


def mixture(seed, shares, total, signatures):
    """A spectrum drawn from a mixture."""
    random = np.random.default_rng(seed)
    return random.multinomial(total, signatures @ np.array(shares))


def signatures(seed=1, k=4):
    """Distributions over the channels, unlike each other."""
    return np.random.default_rng(seed).dirichlet(np.full(96, 0.1), size=k).T


def test_a_fit_finds_a_known_mixture_and_its_interval_holds_it():
    known, shares = signatures(), (0.6, 0.3, 0.1, 0.0)
    held = []
    for seed in range(30):
        found = fit(
            mixture(seed, shares, 500, known), known, ("a", "b", "c", "d"), draws=100, seed=seed
        )
        told = {e.signature: e for e in found.exposures}
        assert found.cosine > 0.95
        assert sum(e.share for e in found.exposures) == pytest.approx(1)
        held += [told[n].low <= s <= told[n].high for n, s in zip("abc", shares, strict=False)]
    assert np.mean(held) > 0.85
    with pytest.raises(ValueError, match="0 substitutions"):
        fit(np.zeros(96, int), known, ("a", "b", "c", "d"))


def table_text(known, names):
    rows = zip(CHANNELS, known, strict=True)
    lines = ["\t".join((name, *(f"{x:.9f}" for x in row))) for name, row in rows]
    return "\n".join(["\t".join(("Type", *names)), *lines]) + "\n"


def test_a_table_in_the_store_is_fitted_to_a_spectrum_and_says_its_name(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text(table_text(signatures(), ("A", "B", "C", "D")))
    drawn = mixture(3, (0.7, 0.3, 0.0, 0.0), 400, signatures())
    bare = burden(calls(("C", "T", "AAAAACAAAAA")), 1.0)
    found = bare.model_copy(update={"spectrum": tuple(drawn.tolist())})
    with AvatarStore(tmp_path / "store") as store:
        assert with_signatures(found, store) == found
        import_signatures(path, store)
        done = with_signatures(found, store).signatures
        assert with_signatures(bare.model_copy(update={"spectrum": ()}), store).signatures is None
        path.write_text("nothing")
        with pytest.raises(VariantError, match="channels"):
            import_signatures(path, store)
        assert with_signatures(found, store).signatures == done
    assert done.table == "mine.txt"
    assert done.notable[0].signature == "A"
    assert "400 substitutions: cosine" in done.title
    with pytest.raises(VariantError, match="no spectrum to fit it to"):
        fitted(bare.model_copy(update={"spectrum": ()}), path)


def test_a_table_of_signatures_is_read_in_any_order_and_a_wrong_one_refused(tmp_path):
    known = signatures(k=2)
    path = tmp_path / "signatures.tsv"
    rows = [f"{name}\t{a:.9f}\t{b:.9f}" for name, (a, b) in zip(CHANNELS, known, strict=True)]
    path.write_text("\n".join(["Type\tSBS1\tSBS11", *rows[::-1]]))
    found = read_signatures(path, CHANNELS)
    assert found.names == ("SBS1", "SBS11")
    assert found.values == pytest.approx(known, abs=1e-6)
    for text, words in (
        ("\n".join(["Type\tSBS1\tSBS11", *rows[:-1]]), "each of 96 channels once"),
        ("\n".join(["Type\tSBS1\tSBS11", *(r.replace("0.", "1.") for r in rows)]), "sum to 1"),
        ("nothing", "channels"),
        ("", "no table"),
        ("Type\tSBS1\nA[C>A]A\tx", "no table"),
    ):
        path.write_text(text)
        with pytest.raises(VariantError, match=words):
            read_signatures(path, CHANNELS)


@pytest.fixture(scope="module")
def cohort(shared):
    since = perf_counter()
    found = read_maf_cohort(shared / "variants/maf/tcga_glioma_gdc_grch38.maf.tsv.gz")
    print(f"read {len(found)} tumors in {perf_counter() - since:.2f} s")
    return found


def test_987_spectra_of_real_tumors_have_every_base_where_it_says(cohort):
    since = perf_counter()
    spectra = np.array([counts(channels(one), 96) for one in cohort.values()])
    print(f"{len(spectra)} spectra in {perf_counter() - since:.2f} s")
    single = sum(int((exchanges(one) >= 0).sum()) for one in cohort.values())
    assert spectra.shape == (987, 96)
    assert spectra.sum() == single


def test_hypermutated_tumors_are_told_apart(cohort):
    hints = {
        name: {hint.pattern: hint.reason for hint in burden(one, TCGA_MB).hints}
        for name, one in cohort.items()
    }
    found = {name[:15]: set(told) for name, told in hints.items() if told}
    assert found["TCGA-06-5416-01"] == found["TCGA-19-5956-01"] == {"POLE-like"}
    assert found["TCGA-DU-6407-02"] == {
        "temozolomide-like"
    }  # a recurrence; the tumor before has few
    assert "TCGA-DU-6407-01" not in found
    assert found["TCGA-HT-8564-01"] == {"mismatch-repair-like"}
    assert len(found) <= 8
    (pole,) = (told for name, told in hints.items() if name.startswith("TCGA-06-5416"))
    assert "POLE V411L in the exonuclease domain" in pole["POLE-like"]


def test_a_small_panel_with_few_mutations_is_not_called_hypermutated():
    some = calls(*(("C", "T", None, {"consequence": "missense_variant"}) for _ in range(12)))
    found = burden(some, 0.5)
    assert found.mutations.per_mb == 24
    assert found.hints == ()


def test_a_vcf_without_neighbours_tells_polymerase_epsilon_by_its_variant(shared):
    path = shared / "variants/vcf/tcga_glioma_grch38/TCGA-06-5416.vcf.gz"
    found = burden(read_vcf(path), TCGA_MB)
    (hint,) = found.hints
    assert hint.pattern == "POLE-like"
    assert "POLE V411L" in hint.reason
    assert found.spectrum == ()
    assert found.in_repeats is None
