"""Variants that nobody annotated: a panel of the user's own, the shipped index, and what neither knows."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pyarrow as pa
import pytest
from toy_gene import AHEAD, genome, toy, write_fasta, write_gtf
from typer.testing import CliRunner

from app.cli import app
from data.calls import SCHEMA, Calls
from data.errors import KnowledgeError, VariantError
from data.genomics import short_protein_change
from data.io.maf import read_maf, read_maf_cohort
from data.io.panel import read_panel, write_panel
from data.io.vcf import read_vcf
from data.store import AvatarStore
from data.transcripts import Panel
from models.genomics.effect import trimmed
from models.genomics.hotspots import HotspotIndex
from models.genomics.numbering import as_usual
from pipelines.annotate import INDEX, PANEL, annotate, hotspot_index
from pipelines.hotspots import find_hotspots
from pipelines.knowledge import gene_table
from pipelines.panel import build_panel, panel_of, panel_path

PLACE = AHEAD + 763
"""A>T at c.154 of the made-up gene on the forward strand: p.Lys52Ter."""


def calls_of(*rows, build="GRCh38"):
    empty = dict.fromkeys(SCHEMA.names)
    made = [
        empty | {"record": n, "allele": 1, "in_tumor": True, "chromosome": c, "position": p,
                 "reference": r, "alternate": a} | (more[0] if more else {})
        for n, (c, p, r, a, *more) in enumerate(rows)
    ]  # fmt: skip
    return Calls(pa.Table.from_pylist(made, schema=SCHEMA), build, "test", "T", None, "test")


def told(done, *names):
    return [tuple(row[name] for name in names) for row in done.calls.table.to_pylist()]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A FASTA of chromosome 21 with the gene on its forward strand."""
    return write_fasta(tmp_path_factory.mktemp("reference") / "chr21.fa", 1)


@pytest.fixture(scope="module")
def panel(reference):
    gtf = write_gtf(reference.parent / "genes.gtf", [toy(1, AHEAD)])
    return build_panel(gtf, reference, ["TOY"]).panel


def test_a_panel_has_the_transcript_of_the_gtf_with_the_bases_of_the_reference(panel):
    (made,) = panel.transcripts
    wanted = toy(1, AHEAD)
    assert (made.name, made.exons, made.coding) == (wanted.name, wanted.exons, wanted.coding)
    assert made.coding_sequence == wanted.coding_sequence
    assert made.is_mane
    assert panel.build == "GRCh38"
    assert panel.as_of == "2026-05-01"


def test_a_panel_read_back_is_the_same_and_a_damaged_one_is_refused(panel, tmp_path):
    path = tmp_path / "panel.parquet"
    write_panel(path, panel)
    assert read_panel(path) == panel
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(KnowledgeError, match="is damaged; make it again"):
        read_panel(path)


def test_mane_select_is_taken_before_a_longer_transcript(reference, tmp_path):
    mane, other = toy(1, AHEAD), replace(toy(1, AHEAD), name="ENST9", chosen_as="longest coding")
    gtf = write_gtf(tmp_path / "two.gtf", [other, mane])
    (made,) = build_panel(gtf, reference, ["TOY"]).panel.transcripts
    assert (made.name, made.chosen_as) == (mane.name, "MANE Select")


def test_refseq_s_mark_of_mane_is_known(reference, tmp_path):
    other = replace(toy(1, AHEAD), name="NM_1", chosen_as="longest coding")
    gtf = write_gtf(tmp_path / "refseq.gtf", [other, toy(1, AHEAD)])
    gtf.write_text("\ufeff" + gtf.read_text().replace("MANE_Select", "MANE Select") + "\n")
    (made,) = build_panel(gtf, reference, ["TOY"]).panel.transcripts
    assert made.is_mane


def test_a_stop_codon_inside_a_coding_sequence_is_refused():
    gene, at = toy(1), 585
    bases = gene.bases[0][: at - 1] + "TGA" + gene.bases[0][at + 2 :]
    assert (at - 580 + 37) % 3 == 0  # a codon begins there
    with pytest.raises(ValueError, match="has a stop codon inside"):
        replace(gene, bases=(bases,))


def test_without_a_mark_the_longest_coding_transcript_is_taken_and_said(reference, tmp_path):
    gtf = write_gtf(tmp_path / "one.gtf", [replace(toy(1, AHEAD), chosen_as="longest coding")])
    (made,) = build_panel(gtf, reference, ["TOY"]).panel.transcripts
    assert made.chosen_as == "longest coding"


def test_what_is_not_in_the_panel_is_named_with_its_reason(reference, tmp_path):
    shifted = replace(toy(1, AHEAD), gene="MOVED", name="ENST7")
    text = write_gtf(tmp_path / "g.gtf", [toy(1, AHEAD), shifted]).read_text()
    moved = [
        line.replace(str(AHEAD + 719), str(AHEAD + 720)) if "MOVED" in line else line
        for line in text.splitlines()
    ]
    (tmp_path / "g.gtf").write_text("\n".join(moved) + "\n")
    made = build_panel(tmp_path / "g.gtf", reference, ["TOY", "MOVED", "NOWHERE"])
    assert made.panel.genes == ("TOY",)
    assert made.missing == ("NOWHERE",)
    assert made.left_out == {"MOVED": "its coding sequence is no multiple of three"}


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda text: text.replace("GRCh38", "GRCh37"), "is of GRCh37, but .* is GRCh38 by the lengths"),
        (lambda text: text.replace(' "G"; transcript', ' "G"; none'), "no gene_id .* or transcript_id"),
        (lambda text: text.replace("\texon\t", "\texon\t9\t", 1), "has 10 columns where a GTF has 9"),
        (lambda text: text.replace("TOY", "ANOTHER"), "has no coding transcript of the genes"),
        (lambda text: text.replace(f"exon\t{AHEAD + 451}", "exon\tabc"), "has no numbers for start and end"),
    ],
)  # fmt: skip
def test_a_gtf_that_cannot_be_used_is_refused(reference, tmp_path, spoil, match):
    gtf = write_gtf(tmp_path / "g.gtf", [toy(1, AHEAD)])
    gtf.write_text(spoil(gtf.read_text()))
    with pytest.raises(KnowledgeError, match=match):
        build_panel(gtf, reference, ["TOY"])


def test_a_reference_that_cannot_be_used_is_refused(reference, tmp_path):
    gtf = write_gtf(tmp_path / "g.gtf", [toy(1, AHEAD)])
    short = tmp_path / "short.fa"
    short.write_text(">chr21\n" + genome(1) + "\n")
    with pytest.raises(VariantError, match="neither GRCh37 nor GRCh38"):
        build_panel(gtf, short, ["TOY"])
    zipped = tmp_path / "short.fa.gz"
    zipped.write_bytes(gzip.compress(short.read_bytes()))
    with pytest.raises(VariantError, match="plain or bgzipped"):
        build_panel(gtf, zipped, ["TOY"])
    with pytest.raises(VariantError, match="there is no such file"):
        build_panel(gtf, tmp_path / "none.fa", ["TOY"])


def test_the_files_own_annotation_comes_first_then_the_panel_then_the_index(panel):
    calls = calls_of(
        ("chr21", PLACE, "A", "T"),
        ("21", PLACE, "A", "T", {"gene": "X", "annotated_by": "VEP"}),
        ("chr2", 208248388, "C", "T"),
        ("chr2", 5, "C", "T"),
    )
    done = annotate(calls, panel)
    assert told(done, "gene", "hgvs_protein", "annotated_by") == [
        ("TOY", "p.Lys52Ter", PANEL),
        ("X", None, "VEP"),
        ("IDH1", "p.R132H", INDEX),
        (None, None, None),
    ]
    assert done.unnamed == 1
    assert "1 not in the offline index" in done.note


def test_a_maf_s_insertion_and_deletion_are_named_like_a_vcf_s(panel):
    bases, at = genome(1), 591
    gone = bases[at : at + 5]
    calls = calls_of(
        ("21", AHEAD + at, bases[at - 1] + gone, bases[at - 1]),
        ("21", AHEAD + at + 1, gone, "-"),
        ("21", AHEAD + 503, "G", "GAG"),
        ("21", AHEAD + 503, "-", "AG"),
    )
    names = [c for (c,) in told(annotate(calls, panel), "hgvs_coding")]
    assert names == ["c.50_54del", "c.50_54del", "c.30_31dup", "c.30_31dup"]


def test_a_reference_allele_of_another_build_is_left_unnamed_and_counted(panel):
    other = next(b for b in "CGT" if b != "A")
    done = annotate(calls_of(("21", PLACE, other, "A")), panel)
    assert told(done, "gene") == [(None,)]
    assert done.contradicting == 1
    assert "check the build" in done.note


def test_a_panel_of_the_other_build_is_not_used(panel):
    done = annotate(calls_of(("21", PLACE, "A", "T"), build="GRCh37"), panel)
    assert told(done, "gene") == [(None,)]


def test_without_a_build_nothing_is_looked_up(panel):
    done = annotate(calls_of(("2", 208248388, "C", "T"), build=None), panel)
    assert told(done, "gene") == [(None,)]
    assert "the build is not told" in done.note


@pytest.mark.parametrize(
    ("build", "chromosome", "position", "reference", "alternate", "gene", "name"),
    [
        ("GRCh37", "7", 55259515, "T", "G", "EGFR", "L858R"),
        ("GRCh38", "chr7", 55191822, "T", "G", "EGFR", "L858R"),
        ("GRCh38", "chr7", 55174771, "AGGAATTAAGAGAAGC", "A", "EGFR", "ELREA746del"),
        ("GRCh38", "chr12", 25245351, "C", "A", "KRAS", "G12C"),
        ("GRCh37", "chr7", 140453136, "A", "T", "BRAF", "V600E"),
        ("GRCh38", "chr7", 140753336, "A", "G", "BRAF", "V600A"),  # by its codon
        ("GRCh38", "chr7", 140753337, "C", "G", "BRAF", "V600L"),
        ("GRCh38", "chr7", 140753337, "c", "g", "BRAF", "V600L"),
        ("GRCh38", "chr17", 7675088, "C", "T", "TP53", "R175H"),
        ("GRCh38", "chr15", 90088606, "C", "T", "IDH2", "R172K"),
    ],
)
def test_hotspots_are_where_they_are_published_on_both_builds(
    build, chromosome, position, reference, alternate, gene, name
):
    """Positions: CIViC and ClinVar."""
    done = annotate(calls_of((chromosome, position, reference, alternate), build=build), None)
    ((found, protein, by),) = told(done, "gene", "hgvs_protein", "annotated_by")
    assert (found, short_protein_change(protein), by) == (gene, name, INDEX)


def test_a_silent_exchange_in_a_hotspot_codon_is_not_called_harmless():
    """TP53 c.993G>A ends exon 9: the index knows no borders of exons."""
    done = annotate(calls_of(("17", 7576853, "C", "T"), build="GRCh37"), None)
    assert told(done, "consequence", "annotated_by") == [(None, None)]


def test_a_file_of_another_build_is_not_named_where_it_fits_by_chance(panel):
    bases = genome(1)
    rows = [
        ("21", AHEAD + p, b, "A" if b != "A" else "C")
        for p, b in ((p, "ACGT"[p % 4]) for p in range(586, 646))
    ]
    assert sum(bases[p - 1 - AHEAD] == b for _, p, b, _ in rows) > 5
    done = annotate(calls_of(*rows), panel)
    assert {gene for (gene,) in told(done, "gene")} == {None}
    assert done.contradicting > 30


def test_a_maf_without_names_of_changes_is_named_and_keeps_its_own_where_nothing_is_known(tmp_path):
    path = tmp_path / "bare.maf"
    columns = ("Hugo_Symbol", "Chromosome", "Start_Position", "Reference_Allele", "Tumor_Seq_Allele2",
               "Tumor_Sample_Barcode", "Variant_Classification", "NCBI_Build")  # fmt: skip
    rows = [
        ("IDH1", "2", "209113112", "C", "T", "T", "Missense_Mutation", "GRCh37"),
        ("TTN", "2", "179400000", "C", "T", "T", "Missense_Mutation", "GRCh37"),
    ]
    path.write_text("\n".join("\t".join(row) for row in (columns, *rows)) + "\n")
    done = annotate(read_maf(path), None)
    assert told(done, "gene", "hgvs_protein", "annotated_by") == [
        ("IDH1", "p.R132H", INDEX), ("TTN", None, "MAF"),
    ]  # fmt: skip


@pytest.mark.parametrize(("build", "position"), [("GRCh37", 1295228), ("GRCh38", 1295113)])
def test_the_tert_promoter_is_known_by_its_place(build, position):
    done = annotate(calls_of(("chr5", position, "G", "A"), build=build), None)
    assert told(done, "gene", "hgvs_coding", "consequence") == [
        ("TERT", "c.-124C>T", "upstream_gene_variant")
    ]


def test_each_observed_panel_variant_has_the_name_that_vep_gave_it_or_none(shared):
    """The index names no observed variant wrongly: 2,599 with genomic and protein names."""
    import pandas as pd

    table = shared / "knowledge/tcga_glioma_panel_observed_grch38.tsv.gz"
    seen = pd.read_csv(table, sep="\t", dtype=str)
    rows = zip(seen.Chromosome, seen.Start_Position.astype(int), seen.Reference_Allele,
               seen.Tumor_Seq_Allele2, strict=True)  # fmt: skip
    done = annotate(calls_of(*rows), None)
    known = 0
    for variant, published in zip(done.calls.variants(), seen.itertuples(), strict=True):
        if variant.hgvs_protein is None:
            continue
        known += 1
        theirs = variant.model_copy(
            update={"hgvs_protein": published.HGVSp_Short, "transcript": published.Transcript_ID}
        )
        assert variant.gene == gene_table().current(published.Hugo_Symbol)
        assert variant.protein_change == as_usual(theirs, gene_table()).protein_change
    print(f"{known} of {len(seen)} observed variants are in the index, all with the right name")
    assert known > 300


@pytest.mark.slow
def test_the_index_knows_most_hotspots_and_half_of_all_in_patients_that_it_was_not_made_from(
    shared,
):
    maf = shared / "variants/maf"
    old = ("mc3_gbm_panel", "mc3_lgg_panel", "tcga_brca_firehose_panel", "tcga_luad_firehose_panel")
    cohorts = {
        "GRCh38": [maf / "tcga_glioma_gdc_grch38.maf.tsv.gz"],
        "GRCh37": [maf / f"{name}_grch37.tsv.gz" for name in old],
    }
    genes = gene_table()
    tumors = read_maf_cohort(cohorts["GRCh38"][0], build="GRCh38")
    patients = sorted({barcode[:12] for barcode in tumors})
    counted = dict.fromkeys(("all", "allele", "codon", "hotspots", "hotspots known"), 0)
    for fold in range(5):
        out = set(patients[fold::5])
        index = HotspotIndex(find_hotspots(cohorts, genes, leave_out=out), "test")
        for barcode, calls in tumors.items():
            if barcode[:12] not in out or len(calls) > 1000:  # hypermutated
                continue
            for variant in calls.in_genes(lambda symbol: genes.find(symbol) is not None).variants():
                change = trimmed(variant.position, variant.reference, variant.alternate)
                if (
                    not variant.alters_protein
                    or len(change.reference) != 1
                    or len(change.alternate) != 1
                ):
                    continue
                found = index.find("GRCh38", variant.chromosome, change)
                counted["all"] += 1
                if found is not None:
                    counted[found.seen_as] += 1
                if variant.protein_change in genes.find(variant.gene).hotspots:
                    counted["hotspots"] += 1
                    counted["hotspots known"] += found is not None
    exact = counted["allele"] / counted["all"]
    either = (counted["allele"] + counted["codon"]) / counted["all"]
    print(f"{counted}: {exact:.1%} by the allele, {either:.1%} with the codon")
    assert exact > 0.45
    assert either > 0.5
    assert counted["hotspots known"] > 0.98 * counted["hotspots"]


@pytest.mark.parametrize(
    ("patient", "gene", "name"),
    [("TCGA-DU-7294", "IDH1", "R132H"), ("TCGA-FG-6692", "EGFR", "A289V")],
)
def test_a_flagship_patient_without_annotations_keeps_what_matters(
    shared, tmp_path, patient, gene, name
):
    path = shared / "glioma" / patient / f"{patient}.vcf.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)
    bare = tmp_path / "bare.vcf"
    bare.write_text("".join(without_csq(line) for line in lines if "ID=CSQ" not in line))
    done = annotate(read_vcf(bare), None)
    names = {(v.gene, v.protein_change) for v in done.calls.variants() if v.annotated_by == INDEX}
    assert (gene, name) in names
    assert done.unnamed > 0


def without_csq(line):
    if line.startswith("#"):
        return line
    fields = line.split("\t")
    fields[7] = ";".join(i for i in fields[7].split(";") if not i.startswith("CSQ=")) or "."
    return "\t".join(fields)


BARE = """##fileformat=VCFv4.2
##contig=<ID=chr2,length=242193529>
##contig=<ID=chr21,length=46709983>
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Depths">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tTUMOR
chr2\t208248388\t.\tC\tT,*\t.\tPASS\tDB\tAD\t30,10,1
chr21\t{place}\trs1\tA\tT\t9\t.\t.\tAD\t30,10
chr21\t9000000\t.\tA\tG\t9\t.\t.\tAD\t30,10
"""


def test_the_commands_make_a_panel_and_write_a_file_with_its_names(reference, tmp_path):
    gtf = write_gtf(tmp_path / "genes.gtf", [toy(1, AHEAD)])
    listed, store = tmp_path / "genes.txt", tmp_path / "store"
    listed.write_text("TOY\nNOWHERE  # not in the file\n")
    asked = [
        "genomics",
        "build-panel",
        "--gtf",
        str(gtf),
        "--fasta",
        str(reference),
        "--genes",
        str(listed),
    ]
    ran = CliRunner().invoke(app, [*asked, "--store", str(store), "--json"])
    assert ran.exit_code == 0, ran.output
    said = json.loads(ran.stdout)
    assert said["transcripts"] == {"TOY": toy(1).name}
    assert said["missing"] == ["NOWHERE"]
    with AvatarStore(store) as opened:
        assert isinstance(panel_of(opened, "GRCh38"), Panel)
        assert panel_of(opened, "GRCh37") is None
        assert str(panel_path(opened, "GRCh38")) == said["panel"]
    bare, out = tmp_path / "bare.vcf", tmp_path / "out.vcf"
    bare.write_text(BARE.format(place=PLACE))
    ran = CliRunner().invoke(
        app, ["genomics", "annotate", str(bare), "--out", str(out), "--store", str(store), "--json"]
    )
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["named_by"] == {INDEX: 1, PANEL: 1}
    records = [line for line in out.read_text().splitlines() if not line.startswith("#")]
    assert "AVATAR_HGVSP=p.R132H,." in records[0]
    assert records[0].split("\t")[7].startswith("DB;")
    assert "AVATAR_HGVSP=p.Lys52Ter" in records[1]
    assert "AVATAR_BY=panel" in records[1]
    assert "AVATAR_GENE" not in records[2]
    assert "AVATAR_VAF=0.25" in records[2]


def test_the_shipped_index_says_where_it_is_from():
    assert "TCGA" in hotspot_index().source
    assert len(hotspot_index().hotspots) > 500
