"""Depths and fractions as each caller writes them; what is expected is counted by hand from the records."""

from __future__ import annotations

import gzip

import numpy as np
import pysam
import pytest

from data.errors import VariantError
from data.io.vcf import Note, annotate_vcf, read_vcf

ENGINES = ("columnar", "pysam")
HEAD = """##fileformat=VCFv4.2
##FILTER=<ID=q,Description="x">
##contig=<ID=chr7,length=159345973>
##INFO=<ID=SOMATIC,Number=0,Type=Flag,Description="x">
##INFO=<ID=SS,Number=1,Type=String,Description="x">
##INFO=<ID=STATUS,Number=1,Type=String,Description="x">
{formats}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tNORMAL\tTUMOR
"""
FORMAT = '##FORMAT=<ID={},Number=.,Type=String,Description="x">\n'


def written(tmp_path, *records, head=HEAD, name="calls.vcf"):
    keys = sorted({key for record in records for key in record.split("\t")[8].split(":")})
    text = head.format(formats="".join(map(FORMAT.format, keys))) + "\n".join(records) + "\n"
    path = tmp_path / name
    path.write_text(text)
    return path


def record(ref, alt, form, normal, tumor, *, pos=1000, info="."):
    return f"chr7\t{pos}\t.\t{ref}\t{alt}\t.\tPASS\t{info}\t{form}\t{normal}\t{tumor}"


# Caller: REF, ALT, FORMAT, normal, tumor; of the tumor depth, and reads and fraction for each
# alternative; of the normal depth, and reads for the first alternative.
DIALECTS = {
    "Mutect2": (
        ("C", "T", "GT:AD:AF:DP", "0/0:50,0:0.01:50", "0/1:30,10:0.25:41"), 41, [10], [0.25], (50, 0)),
    "Mutect 1, allele depths without a depth": (
        ("C", "T", "GT:AD:FA", "0:20,0:0.00", "0/1:15,5:0.25"), 20, [5], [0.25], (20, 0)),
    "two alternatives": (
        ("C", "T,G", "GT:AD:DP", "0/0:50,0,1:51", "0/1/2:20,10,10:40"), 40, [10, 10], [0.25, 0.25], (51, 0)),
    "a fraction alone": (
        ("C", "T", "GT:DP:FREQ", "0/0:50:0%", "0/1:40:12.5%"), 40, [None], [0.125], (50, None)),
    "Strelka SNV, tier 1": (
        ("G", "A", "DP:FDP:AU:CU:GU:TU", "78:0:0,0:0,0:78,78:0,0", "66:2:25,27:0,0:39,39:0,0"),
        66, [25], [25 / 64], (78, 0)),
    "Strelka indel, tier 1": (
        ("CG", "C", "DP:DP2:TAR:TIR:TOR", "91:91:87,89:0,0:3,1", "89:89:19,19:57,58:12,11"),
        89, [57], [57 / 76], (91, 0)),
    "VarScan": (
        ("A", "G", "GT:DP:RD:AD:FREQ:DP4", "0/0:11:11:0:0%:10,1,0,0", "0/1:13:9:4:30.77%:5,4,2,2"),
        13, [4], [4 / 13], (11, 0)),
    "VarScan, percent codes and alternatives that differ": (
        ("C", "A/T", "GT:DP:RD:AD:FREQ", "0/1:30:20:10:33%25", "0/1:20:15:5:25%25"),
        20, [None, None], [0.25, None], (30, None)),
    "SomaticSniper, strands": (
        ("A", "G", "GT:DP:DP4", "0/0:20:10,10,0,0", "0/1:20:8,7,3,2"), 20, [5], [0.25], (20, 0)),
    "FreeBayes": (
        ("A", "G", "GT:DP:RO:AO", "0/0:20:20:0", "0/1:20:15:5"), 20, [5], [0.25], (20, 0)),
    "Torrent, corrected by flow": (
        ("A", "G", "GT:DP:RO:AO:FRO:FAO", "0/0:20:19:1:20:0", "0/1:20:14:6:15:5"), 20, [5], [0.25], (20, 0)),
    "Platypus": (("A", "G", "GT:NR:NV", "0/0:20:0", "0/1:20:5"), 20, [5], [0.25], (20, 0)),
    "VarDict": (
        ("A", "G", "GT:DP:VD:AD:AF", "0/0:20:0:20,0:0", "0/1:20:5:15,5:0.25"), 20, [5], [0.25], (20, 0)),
    "Delly, precise": (
        ("C", "<DEL>", "GT:DR:DV:RR:RV", "0/0:9:0:263:0", "0/1:0:184:289:172"),
        461, [172], [172 / 461], (263, 0)),
    "Delly, imprecise": (
        ("C", "]15:80623247]C", "GT:DR:DV:RR:RV", "0/0:9:0:0:0", "0/1:30:10:0:0"), 40, [10], [0.25], (9, 0)),
    "Manta": (("C", "<DUP>", "PR:SR", "20,0:10,0", "10,3:5,2"), 20, [5], [0.25], (30, 0)),
    "GRIDSS": (
        ("C", "C[chr9:1[", "GT:VF:REF:REFPAIR", ".:0:20:10", ".:5:10:5"), 20, [5], [0.25], (30, 0)),
    "CaVEMan": (
        ("A", "G", "GT:FAZ:FCZ:FGZ:FTZ:RAZ:RCZ:RGZ:RTZ", "0|0:10:0:0:0:10:0:0:0", "0|1:8:0:3:0:7:0:2:0"),
        20, [5], [0.25], (20, 0)),
    "fields left off at the end": (
        ("C", "T", "GT:AD:DP:AF", "0/0", "0/1:30,10:40"), 40, [10], [0.25], (None, None)),
    "nothing known": (("C", "T", "GT", "0/0", "0/1"), None, [None], [None], (None, None)),
}  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", DIALECTS)
def test_depths_and_fractions_are_those_of_the_caller(tmp_path, name, engine):
    fields, depth, reads, fractions, normal = DIALECTS[name]
    calls = read_vcf(written(tmp_path, record(*fields)), engine=engine)
    rows = calls.table.to_pylist()
    assert (calls.tumor_sample, calls.normal_sample) == ("TUMOR", "NORMAL")
    assert [row["tumor_depth"] for row in rows] == [depth] * len(rows)
    assert [row["tumor_alt_depth"] for row in rows] == reads
    assert [row["vaf"] for row in rows] == [f if f is None else pytest.approx(f) for f in fractions]
    assert (rows[0]["normal_depth"], rows[0]["normal_alt_depth"]) == normal


@pytest.mark.parametrize("engine", ENGINES)
def test_the_callers_word_on_somatic_or_germline_is_kept(tmp_path, engine):
    infos = {
        "SOMATIC": "somatic", "SS=2;SOMATIC": "somatic", "SS=1": "germline", "SS=3": "LOH",
        "STATUS=LikelySomatic": "somatic", "STATUS=Germline": "germline", ".": None, "SSX=1": None,
    }  # fmt: skip
    head = HEAD.replace(
        "##INFO=<ID=SS,", '##INFO=<ID=SSX,Number=1,Type=String,Description="">\n##INFO=<ID=SS,'
    )
    records = [
        record("C", "T", "GT:AD:DP", "0/0:50,0:50", "0/1:30,10:40", pos=1000 + n, info=info)
        for n, info in enumerate(infos)
    ]
    calls = read_vcf(written(tmp_path, *records, head=head), engine=engine)
    assert list(calls.texts("status")) == list(infos.values())


def test_an_allele_that_the_tumor_does_not_show_is_marked_and_placeholders_are_none(tmp_path):
    records = (
        record("C", "T", "GT:AD:DP", "0/1:30,10:40", "0/0:40,0:40"),
        record("C", "T", "GT:AD:DP", "0/0:40,0:40", "0/0:38,2:40", pos=1001),
        record("C", "T,<NON_REF>", "GT:AD:DP", "0/0:40,0,0:40", "0/1:30,10,0:40", pos=1002),
        record("C", "T", "AD:DP", "40,0:40", "40,0:40", pos=1003),
    )
    calls = read_vcf(written(tmp_path, *records))
    rows = calls.table.select(["record", "allele", "in_tumor"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (0, 1, False), (1, 1, True), (2, 1, True), (3, 1, True),
    ]  # fmt: skip


EFFECTS = {
    "VEP": (
        'CSQ,Number=.,Type=String,Description="Consequence annotations from Ensembl VEP. Format: '
        'Allele|Consequence|IMPACT|SYMBOL|Feature|HGVSc|HGVSp|PICK|CANONICAL|MANE_SELECT|MAX_AF"',
        "CSQ=T|upstream_gene_variant|MODIFIER|NEAR|ENST2||||YES|NM_2|0.5,"
        "T|stop_gained|HIGH|IDH1|ENST9|||||||,"
        "T|missense_variant|MODERATE|IDH1|ENST1.3|ENST1.3:c.395G>A|ENSP1.1:p.Arg132His||YES|NM_1.2|0.001&0.01",
        ("IDH1", "ENST1.3", True, "missense_variant", "MODERATE", "R132H", 0.01),
    ),
    "SnpEff": (
        "ANN,Number=.,Type=String,Description=\"Functional annotations: 'Allele | Annotation | "
        "Annotation_Impact | "
        "Gene_Name | Gene_ID | Feature_Type | Feature_ID | Transcript_BioType | Rank | HGVS.c | HGVS.p '\"",
        "ANN=T|synonymous_variant|LOW|NEAR|G|transcript|ENST2|pc|1/2|c.3A>G|p.Lys1%3D,"
        "T|missense_variant|MODERATE|IDH1|G|transcript|ENST1.3|pc|4/10|c.395G>A|p.Arg132His",
        ("IDH1", "ENST1.3", None, "missense_variant", "MODERATE", "R132H", None),
    ),
    "Funcotator": (
        'FUNCOTATION,Number=A,Type=String,Description="Functional annotation. Funcotation fields are: '
        "Gencode_34_hugoSymbol|Gencode_34_variantClassification|Gencode_34_annotationTranscript|"
        'Gencode_34_cDnaChange|Gencode_34_proteinChange"',
        "FUNCOTATION=[IDH1|MISSENSE|ENST1.3|c.395G>A|p.R132H]",
        ("IDH1", "ENST1.3", None, "missense_variant", "MODERATE", "R132H", None),
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("annotator", EFFECTS)
def test_the_gene_that_is_hit_is_told_by_its_best_transcript(tmp_path, annotator, engine):
    declared, info, expected = EFFECTS[annotator]
    head = HEAD.replace("##INFO=<ID=SS,", f"##INFO=<ID={declared}>\n##INFO=<ID=SS,")
    line = record("C", "T", "GT:AD:DP", "0/0:50,0:50", "0/1:30,10:40", info=f"SOMATIC;{info}")
    calls = read_vcf(written(tmp_path, line, head=head), engine=engine)
    assert calls.annotator == annotator
    (found,) = calls.variants()
    told = (
        found.gene, found.transcript, found.is_mane, found.consequence, found.impact,
        found.protein_change, found.population_frequency,
    )  # fmt: skip
    assert told == (*expected[:-1], None if expected[-1] is None else pytest.approx(expected[-1]))


def test_each_of_several_alternatives_has_its_own_effect(tmp_path):
    declared = 'CSQ,Number=.,Type=String,Description="Format: Allele|Consequence|IMPACT|SYMBOL"'
    head = HEAD.replace("##INFO=<ID=SS,", f"##INFO=<ID={declared}>\n##INFO=<ID=SS,")
    lines = [
        record("CA", "C,CAT", "GT:AD", "0/0:9,0,0", "1/2:9,5,5",
               info="CSQ=-|frameshift_variant|HIGH|A,AT|inframe_insertion|MODERATE|B"),
        record("C", "T,G", "GT:AD", "0/0:9,0,0", "1/2:9,5,5", pos=1001, info="CSQ=G|stop_gained|HIGH|D"),
        record("C", "<DEL>", "GT:AD", "0/0:9,0", "0/1:9,5", pos=1002, info="CSQ=deletion|x|HIGH|E"),
        record("C", "<DEL>", "GT:AD", "0/0:9,0", "0/1:9,5", pos=1003, info="CSQ=T|x|HIGH|F"),
    ]  # fmt: skip
    calls = read_vcf(written(tmp_path, *lines, head=head))
    assert list(calls.texts("gene")) == ["A", "B", None, "D", "E", None]


@pytest.mark.parametrize(
    ("samples", "lines", "expected", "how"),
    [
        (
            "TCGA-02-0047-10A\tTCGA-02-0047-01A",
            "",
            ("TCGA-02-0047-01A", "TCGA-02-0047-10A"),
            "sample names",
        ),
        ("P7_N\tP7_T", "", ("P7_T", "P7_N"), "sample names"),
        ("A\tblood", "", ("A", "blood"), "sample names: the other is the normal"),
        ("A\tB", "##tumor_sample=B\n##normal_sample=A\n", ("B", "A"), "header lines"),
        ("A\tB", "##PEDIGREE=<Derived=A,Original=B>\n", ("A", "B"), "the header's PEDIGREE"),
        ("A\tB", "", ("B", "A"), "genotypes and reads of 12 records"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_roles_are_told_and_how(tmp_path, samples, lines, expected, how, engine):
    records = [
        record("C", "T", "GT:AD:DP", "0/0:50,0:50", "0/1:30,10:40", pos=1000 + n) for n in range(12)
    ]
    head = HEAD.replace("NORMAL\tTUMOR", samples).replace("{formats}", lines + "{formats}")
    calls = read_vcf(written(tmp_path, *records, head=head), engine=engine)
    assert (calls.tumor_sample, calls.normal_sample, calls.roles_from) == (*expected, how)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("\tC\tT\t", "\tZZ\tT\t"), "REF has letters other than"),
        (("\tC\tT\t", "\tC\tT T\t"), "ALT is no allele|not a readable VCF"),
        (("chr7\t1000", "chr7\t-5"), "POS is not positive|not a readable VCF"),
        (("chr7\t1000", "chr7\tNaN"), "not a readable VCF"),
        (("chr7\t1000", "chr7\t159345990"), "beyond the chromosome's end"),
        (("chr7\t1000", "chr7"), "not a readable VCF"),
        (("30,10", "30,x"), "not a readable VCF"),
        (("length=159345973", "length=159345973>\n##contig=<ID=chr1,length=249250621"), "of GRCh37 and GRCh38"),
    ],
)  # fmt: skip
def test_a_broken_record_is_one_sentence_that_names_the_file(tmp_path, change, said, engine):
    path = written(tmp_path, record("C", "T", "GT:AD:DP", "0/0:50,0:50", "0/1:30,10:40"))
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(VariantError, match=rf"calls\.vcf: .*({said})"):
        read_vcf(path, engine=engine)


def test_a_build_that_is_said_must_be_the_files_and_is_taken_where_the_file_is_silent(tmp_path):
    line = record("C", "T", "GT:AD:DP", "0/0:50,0:50", "0/1:30,10:40")
    path = written(tmp_path, line)
    assert read_vcf(path).build_from == "lengths of the contigs"
    with pytest.raises(
        VariantError, match="is GRCh38 by lengths of the contigs, but GRCh37 was said"
    ):
        read_vcf(path, build="GRCh37")
    silent = written(tmp_path, line, head=HEAD.replace(",length=159345973", ""), name="silent.vcf")
    assert read_vcf(silent).build is None
    assert read_vcf(silent, build="GRCh37").build == "GRCh37"


def test_both_parsers_agree_on_every_field_of_every_shared_file(shared):
    """Callers' dialects, merged callers with VEP 105, and 17 patients, one with 15,000 variants."""
    count = 0
    for path in sorted((shared / "variants" / "vcf").rglob("*.vcf*")):
        if path.suffix == ".tbi":
            continue
        columns, records = (read_vcf(path, engine=engine) for engine in ENGINES)
        assert columns.table.equals(records.table), path
        assert (columns.build, columns.tumor_sample) == (records.build, records.tumor_sample)
        count += 1
    assert count == 23


# Counted by hand from the records: file, position, alternative; of the tumor depth, reads, fraction; of the
# normal depth, reads.
GOLDEN = [
    ("vcf2maf_test_mutect.vcf", 2453125, "G", 206, 30, 30 / 205, 192, 31),
    ("vcf2maf_test_muse.vcf", 8715966, "A", 142, 12, 12 / 142, 105, 0),
    ("vcf2maf_test_strelka.vcf", 118166116, "A", 66, 25, 25 / 64, 122, 0),
    ("vcf2maf_test_strelka.vcf", 102626146, "C", 89, 57, 57 / 76, 91, 0),
    ("vcf2maf_test_varscan.vcf", 2584408, "A", 13, 4, 4 / 13, 11, 0),
    ("vcf2maf_test_delly.vcf", 42843749, "]15:80623247]C", 461, 172, 172 / 461, 263, 0),
    ("tcga_glioma_grch38/TCGA-DU-7294.vcf.gz", 208248388, "T", 92, 39, 39 / 91, 76, None),
]


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: f"{row[0]}:{row[1]}")
def test_real_records_of_each_caller_read_as_counted_by_hand(shared, row):
    name, position, alternate, *expected = row
    calls = read_vcf(shared / "variants" / "vcf" / name)
    (found,) = [
        r
        for r in calls.table.to_pylist()
        if (r["position"], r["alternate"]) == (position, alternate)
    ]
    told = ("tumor_depth", "tumor_alt_depth", "vaf", "normal_depth", "normal_alt_depth")
    assert [found[name] for name in told] == [
        None if value is None else pytest.approx(value) for value in expected
    ]


def test_real_merged_calls_have_their_gene_and_transcript(shared):
    calls = read_vcf(shared / "variants" / "vcf" / "HCC1395_somatic_vep105_grch38.vcf.gz")
    assert (calls.tumor_sample, calls.normal_sample) == ("HCC1395_TUMOR_DNA", "HCC1395_NORMAL_DNA")
    found = {v.protein_change: v for v in calls.variant_set().in_gene("TP53")}
    assert found["R175H"].transcript.startswith("ENST00000269305")
    assert found["R175H"].vaf > 0.9  # the line has lost the other allele


@pytest.mark.parametrize("suffix", [".vcf", ".vcf.gz"])
def test_our_fields_are_added_and_nothing_else_is_touched(shared, tmp_path, suffix):
    source = shared / "variants" / "vcf" / "HCC1395_somatic_vep105_grch38.vcf.gz"
    notes = [Note("TIER", "By AMP/ASCO/CAP"), Note("WHY", 'says "why"')]
    out, again = tmp_path / f"out{suffix}", tmp_path / f"again{suffix}"
    annotate_vcf(
        source, out, notes, {0: [["I-A", "a;b, c"]], 7: [[None, None]], 9: [["III", None]]}
    )
    before = gzip.decompress(source.read_bytes()).splitlines()
    opened = pysam.BGZFile(str(out)) if suffix == ".vcf.gz" else out.open("rb")
    with opened:
        after = opened.read().splitlines()
    added = [line for line in after if line not in set(before)]
    assert [line.split(b",")[0] for line in added[:2]] == [
        b"##INFO=<ID=AVATAR_TIER", b"##INFO=<ID=AVATAR_WHY",
    ]  # fmt: skip
    first, second = added[2:]
    assert first.replace(b";AVATAR_TIER=I-A;AVATAR_WHY=a%3Bb%2C%20c", b"") in before
    assert second.replace(b";AVATAR_TIER=III", b"") in before
    assert len(after) == len(before) + 2
    assert read_vcf(out).table.equals(read_vcf(source).table)
    with pysam.VariantFile(str(out)) as file:
        assert next(iter(file)).info["AVATAR_TIER"] == ("I-A",)
    annotate_vcf(out, again, notes, {})  # replaces what is ours
    with pysam.VariantFile(str(again)) as file:
        assert not any("AVATAR_TIER" in r.info for r in file)
    with pytest.raises(VariantError, match="write to another name"):
        annotate_vcf(out, out, notes, {})


def test_a_region_and_a_bcf_are_read_too(shared, tmp_path):
    path = shared / "variants" / "vcf" / "tcga_glioma_grch38" / "TCGA-06-5416.vcf.gz"
    whole = read_vcf(path).table.to_pandas()
    part = read_vcf(path, region="chr7:55000000-56000000").table.to_pandas()
    within = (whole["chromosome"] == "chr7") & whole["position"].between(55_000_000, 56_000_000)
    assert list(part["position"]) == list(whole["position"][within])
    small = written(tmp_path, record("C", "T", "GT:AD:DP", "0/0:50,0:50", "0/1:30,10:40"))
    with (
        pysam.VariantFile(str(small)) as file,
        pysam.VariantFile(str(tmp_path / "x.bcf"), "wb", header=file.header) as out,
    ):
        for line in file:
            out.write(line)
    assert read_vcf(tmp_path / "x.bcf").table.equals(read_vcf(small).table)


def test_records_are_numbered_across_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("data.io.vcf.columns.PIECE", 4000)
    lines = []
    for n in range(300):
        form = ("GT:AD", "0/0:9,0", "0/1:9,5") if n % 3 else ("GT:DP", "0/0:9", "0/1:14")
        lines.append(record("C", "T", *form, pos=1000 + n))
    calls = read_vcf(written(tmp_path, *lines))
    assert np.array_equal(calls.table["record"], np.arange(300))
    assert np.array_equal(calls.table["position"], 1000 + np.arange(300))
