"""Names and consequences of bare variants, against bcftools csq and biocommons' hgvs."""

from __future__ import annotations

import subprocess
import sys

import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_gene import CHROMOSOME, genome, toy

from models.genomics.effect import IMPACTS, Change, contradicts, effect_of, trimmed
from models.genomics.hgvs import coding_place
from models.genomics.protein import protein_change

GOLDEN = [
    (-1, 211, "T", "C", "missense_variant", "c.122A>G", "p.Gln41Arg"),
    (1, 617, "TCGGACA", "T", "inframe_deletion", "c.76_81del", "p.Arg26_Thr27del"),
    (1, 591, "GAAGAA", "G", "frameshift_variant", "c.50_54del", "p.Glu17AlafsTer14"),
    (1, 503, "G", "GAG", "frameshift_variant", "c.30_31dup", "p.Thr11ArgfsTer42"),
    (-1, 156, "TT", "A", "frameshift_variant&stop_lost", "c.176_177delinsT", "p.Ter59LeuextTer7"),
    (-1, 443, "T", "TGT", "frameshift_variant", "c.23_24dup", "p.Ser9HisfsTer44"),
    (1, 473, "TGTATGC", "T", "start_lost&5_prime_UTR_variant", "c.-2_4del", "p.Met1?"),
    (1, 753, "CC", "CGAA", "frameshift_variant", "c.145delinsGAA", "p.Arg49GlufsTer4"),
    (1, 609, "AAGA", "A", "inframe_deletion", "c.68_70del", "p.Lys23del"),
    (-1, 465, "A", "AAG", "start_lost", "c.1_2insCT", "p.Met1?"),
    (1, 602, "GG", "GTG", "stop_gained&frameshift_variant", "c.60_61insT", "p.Glu21Ter"),
    (1, 585, "T", "TTCGAAG", "inframe_insertion", "c.44_49dup", "p.Glu16_Glu17insValGlu"),
    (1, 763, "A", "T", "stop_gained", "c.154A>T", "p.Lys52Ter"),
    (1, 488, "C", "CGAC", "inframe_insertion", "c.14_15insACG", "p.Arg5dup"),
    (1, 479, "CCA", "CTA", "missense_variant", "c.5C>T", "p.Pro2Leu"),
    (1, 585, "T", "TCGTGTG", "inframe_insertion", "c.43_44insCGTGTG", "p.Phe15delinsSerCysVal"),
    (1, 719, "TGGG", "T", "inframe_deletion&splice_region_variant", "c.111_113del", "p.Met37_Gly38delinsIle"),
    (1, 596, "A", "ACTGCTG", "inframe_insertion", "c.55_60dup", "p.Leu19_Leu20dup"),
    (-1, 309, "GATCGGT", "G", "inframe_deletion", "c.85_90del", "p.Thr29_Asp30del"),
    (1, 613, "CCCG", "A", "protein_altering_variant", "c.71_74delinsA", "p.Thr24_Arg25delinsAsn"),
    (1, 760, "A", "ATGAAG", "stop_gained&frameshift_variant", "c.152_156dup", "p.Asp53Ter"),
    (-1, 297, "TTGC", "A", "protein_altering_variant", "c.100_103delinsT", "p.Ala34_Thr35delinsSer"),
    (1, 641, "G", "T", "synonymous_variant", "c.99G>T", "p.Ser33="),
    (-1, 360, "T", "TGGA", "inframe_insertion&splice_region_variant", "c.39_40insTCC", "p.Ala13_Asn14insSer"),
    (-1, 199, "AAG", "A", "stop_gained&frameshift_variant", "c.132_133del", "p.Phe45Ter"),
    (1, 581, "C", "G", "splice_region_variant&synonymous_variant", "c.39C>G", "p.Ala13="),
]  # fmt: skip
"""Strand, VCF's position and alleles, terms; names as hgvs 1.5.7 (biocommons) gives them for this gene."""


@pytest.mark.parametrize(("strand", "position", "reference", "alternate", *"tcp"), GOLDEN)
def test_names_are_those_of_biocommons_hgvs(strand, position, reference, alternate, t, c, p):
    found = effect_of(toy(strand), trimmed(position, reference, alternate))
    assert (found.consequence, found.hgvs_coding, found.hgvs_protein) == (t, c, p)


@pytest.mark.parametrize("strand", [1, -1])
def test_each_exchange_of_a_base_has_the_consequence_that_bcftools_gives_it(strand, tmp_path):
    gene, bases = toy(strand), genome(strand)
    first, last = gene.exons[0][0], gene.exons[-1][1]
    made = [
        (p, bases[p - 1], alt)
        for p in range(first, last + 1)
        for alt in "ACGT"
        if alt != bases[p - 1]
    ]
    theirs = by_bcftools(gene, bases, made, tmp_path)
    assert len(made) > 1000
    for one in made:
        ours = set(effect_of(gene, trimmed(*one)).consequence.replace("_variant", "").split("&"))
        if "splice_region" in ours:
            ours.discard("intron")  # bcftools leaves it out there
        assert ours == theirs[one], one


@pytest.mark.parametrize("strand", [1, -1])
def test_an_indel_inside_an_exon_has_the_frame_that_bcftools_gives_it(strand, tmp_path):
    gene, bases = toy(strand), genome(strand)
    low, high = gene.coding
    made = []
    for first, last in gene.exons:
        for p in range(max(first, low) + 6, min(last, high) - 14):
            made += [(p, bases[p - 1 : p + n], bases[p - 1]) for n in (1, 2, 3, 6)]
            made += [
                (p, bases[p - 1], bases[p - 1] + more) for more in ("G", "CA", "GCA", "ACGTGG")
            ]
    theirs = by_bcftools(gene, bases, made, tmp_path)
    for one in made:
        ours = effect_of(gene, trimmed(*one)).consequence
        frame = "frameshift" if (len(one[1]) - len(one[2])) % 3 else "inframe"
        if "stop_gained" not in ours:
            assert frame in ours, one
            assert any(frame in term for term in theirs[one]), one


def by_bcftools(gene, bases, variants, folder):
    """Terms of each variant by bcftools csq, which comes with pysam."""
    fasta, gff, vcf = folder / "g.fa", folder / "g.gff3", folder / "v.vcf"
    fasta.write_text(f">{CHROMOSOME}\n{bases}\n")
    pysam.faidx(str(fasta))
    gff.write_text(gff3(gene))
    head = f"##fileformat=VCFv4.2\n##contig=<ID={CHROMOSOME},length={len(bases)}>\n"
    rows = [f"{CHROMOSOME}\t{p}\t.\t{r}\t{a}\t.\t.\t." for p, r, a in sorted(set(variants))]
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    vcf.write_text(head + columns + "\n".join(rows) + "\n")
    # in a process of its own: a second call in one process remembers the first one's chromosome
    code = "import sys, pysam.bcftools as b; print(b.csq(*sys.argv[1:]))"
    asked = ["-f", str(fasta), "-g", str(gff), "-l", "-Ov", str(vcf)]
    out = subprocess.run(
        [sys.executable, "-c", code, *asked], capture_output=True, text=True, check=True
    ).stdout
    found = {}
    for line in out.splitlines():
        if not line or line.startswith("#"):
            continue
        fields = line.split("\t")
        said = [item[5:] for item in fields[7].split(";") if item.startswith("BCSQ=")]
        terms = {
            term for one in said for csq in one.split(",") for term in csq.split("|")[0].split("&")
        }
        named = {term.replace("_prime_utr", "_prime_UTR") for term in terms}
        found[int(fields[1]), fields[3], fields[4]] = named
    return found


def gff3(gene):
    """As Ensembl writes it, which is what bcftools reads."""
    sign = "+" if gene.strand > 0 else "-"
    first, last = gene.exons[0][0], gene.exons[-1][1]
    rows = [("gene", first, last, ".", "ID=gene:G;Name=TOY;biotype=protein_coding"),
            ("mRNA", first, last, ".", "ID=transcript:T;Parent=gene:G;biotype=protein_coding")]  # fmt: skip
    low, high = gene.coding
    utrs = ("five_prime_UTR", "three_prime_UTR")[:: gene.strand]
    read = 0
    for start, end in gene.exons[:: gene.strand]:
        inside = max(start, low), min(end, high)
        parts = [("exon", start, end, "."), (utrs[0], start, min(end, low - 1), "."),
                 ("CDS", *inside, str(-read % 3)), (utrs[1], max(start, high + 1), end, ".")]  # fmt: skip
        read += max(0, inside[1] - inside[0] + 1)
        rows += [(*part, "Parent=transcript:T") for part in parts if part[1] <= part[2]]
    lines = [
        f"{CHROMOSOME}\t.\t{what}\t{a}\t{b}\t.\t{sign}\t{phase}\t{told}"
        for what, a, b, phase, told in rows
    ]
    return "##gff-version 3\n" + "\n".join(lines) + "\n"


@settings(deadline=None)
@given(
    st.sampled_from([1, -1]), st.integers(460, 830), st.integers(0, 6), st.text("ACGT", max_size=6)
)
def test_alleles_with_shared_ends_are_the_same_variant(strand, position, length, new):
    bases = genome(strand)
    old = bases[position - 1 : position - 1 + length]
    bare = trimmed(position, old, new) if old or new else None
    wide = trimmed(
        position - 2,
        bases[position - 3 : position - 1] + old,
        bases[position - 3 : position - 1] + new,
    )
    assert wide == bare
    if bare is None:
        return
    assert not contradicts(toy(strand), position, old or "-")
    found = effect_of(toy(strand), bare)
    if found is not None and found.hgvs_protein not in (None, "p.?"):
        assert protein_change(found.hgvs_protein) is not None, found
        assert found.impact == IMPACTS[found.consequence.split("&")[0]]


@settings(deadline=None)
@given(st.sampled_from([1, -1]), st.integers(455, 835), st.integers(1, 9))
def test_a_deletion_is_named_alike_wherever_in_a_repeat_it_is_called(strand, position, length):
    gene, bases = toy(strand), genome(strand)
    named = effect_of(gene, trimmed(position, bases[position - 1 : position - 1 + length], ""))
    if bases[position - 1] == bases[position - 1 + length]:
        moved = bases[position : position + length]
        again = effect_of(gene, trimmed(position + 1, moved, ""))
        if named is not None and again is not None:
            assert again.hgvs_coding == named.hgvs_coding


def test_places_are_counted_as_hgvs_counts_them():
    gene = toy(1)
    assert coding_place(gene, gene.coding[0]) == "1"
    assert coding_place(gene, gene.coding[0] - 1) == "-1"
    assert (
        coding_place(gene, gene.exons[0][0] - 100) == "-125"
    )  # 25 bases of exon are before the start
    assert coding_place(gene, gene.coding[1] + 3) == "*3"
    assert coding_place(gene, 513) == "37+1"
    assert coding_place(gene, 579) == "38-1"


def test_a_promoter_variant_is_told_upstream_of_the_gene():
    gene = toy(-1)
    at = gene.exons[-1][1] + 99  # 25 bases of exon are before the start
    base = genome(-1)[at - 1]
    found = effect_of(gene, trimmed(at, base, "A" if base != "A" else "C"))
    assert found.consequence == "upstream_gene_variant"
    assert found.hgvs_coding.startswith("c.-124")


def test_another_reference_base_contradicts_the_panel():
    base = genome(1)[475]
    other = next(b for b in "ACGT" if b != base)
    assert contradicts(toy(1), 476, other)
    assert contradicts(toy(1), 475, genome(1)[474] + other)
    assert not contradicts(toy(1), 476, base)


def test_an_insertion_that_leaves_the_start_codon_is_told_alike_wherever_it_is_called():
    first, second = (effect_of(toy(-1), Change(at, "", "T")) for at in (466, 467))
    assert first == second
    assert (first.consequence, first.hgvs_coding) == ("5_prime_UTR_variant", "c.1dup")


@pytest.mark.parametrize(("last", "name"), [(58, "p.Ser58del"), (57, "p.Arg57_Ser58del")])
def test_a_deletion_of_the_last_residues_leaves_the_stop(last, name):
    gene = toy(1)
    begin = gene.coding[1] - 2 - 3 * (59 - last)
    found = effect_of(gene, Change(begin, genome(1)[begin - 1 : gene.coding[1] - 3], ""))
    assert (found.consequence, found.hgvs_protein) == ("inframe_deletion", name)
