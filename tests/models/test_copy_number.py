"""Segments to arms and genes: by hand, at the limits, and on real tumors against what was published."""

from __future__ import annotations

import gzip

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.clinical import ClinicalRecord, Markers
from data.copy_number import Segment
from data.errors import VariantError
from data.genome import CHROMOSOMES, length_of
from data.io.segments import read_segments
from models.genomics.copy_number import CENTROMERES_MB, GENES, copies_of, copy_number
from pipelines.diagnose import findings_of, integrated_diagnosis
from pipelines.interpret import alterations_of
from pipelines.knowledge import knowledge_of

BUILD = "GRCh38"


def genome(**levels):
    """Segments of the whole genome: a level for an arm or a chromosome, 0 elsewhere."""
    found = []
    for n, chromosome in enumerate(CHROMOSOMES):
        middle = round(CENTROMERES_MB[BUILD][n] * 1e6)
        for arm, low, high in (("p", 1, middle), ("q", middle + 1, length_of(chromosome, BUILD))):
            level = levels.get(f"c{chromosome}{arm}", levels.get(f"c{chromosome}", 0.0))
            found.append(Segment(chromosome=chromosome, start=low, end=high, log2=level))
    return found


def with_gene(segments, gene, level):
    """One gene at another level than its arm."""
    chromosome, low, high = GENES[BUILD][gene]
    found = []
    for s in segments:
        if s.chromosome == chromosome and s.start < low and s.end > high:
            found += [
                s.model_copy(update={"end": low - 1}), s.model_copy(update={"start": high + 1}),
                Segment(chromosome=chromosome, start=low, end=high, log2=level),
            ]  # fmt: skip
        else:
            found.append(s)
    return found


def told(segments, **more):
    return copy_number(segments, BUILD, "T", **more)


def states(segments, record=None, **more):
    record = record or ClinicalRecord(patient_id="P")
    found = findings_of(record, None, told(segments, **more))
    names = ("codeletion_1p19q", "gain7_loss10", "egfr_amplification", "cdkn2a_homozygous_deletion")
    return {name: found[name].state for name in names}


@pytest.mark.parametrize(
    ("segments", "name", "state"),
    [
        (genome(c1p=-0.5, c19q=-0.5), "codeletion_1p19q", "present"),
        (genome(c1p=-0.5), "codeletion_1p19q", "absent"),
        (genome(), "codeletion_1p19q", "absent"),
        ([s for s in genome(c1p=-0.5, c19q=-0.5) if s.chromosome != "19"], "codeletion_1p19q", "untested"),
        ([s for s in genome() if s.chromosome != "19"], "codeletion_1p19q", "absent"),
        (genome(c7=0.4, c10=-0.6), "gain7_loss10", "present"),
        (genome(c7=0.4), "gain7_loss10", "absent"),
        (genome(c7p=0.4, c10=-0.6), "gain7_loss10", "absent"),
        (with_gene(genome(c7=0.4), "EGFR", 2.5), "egfr_amplification", "present"),
        (genome(), "egfr_amplification", "absent"),
        (genome(c7=0.4), "egfr_amplification", "untested"),  # a gain in an unknown purity may hide it
        (with_gene(genome(), "CDKN2A", -1.5), "cdkn2a_homozygous_deletion", "present"),
        (with_gene(genome(), "CDKN2A", -0.6), "cdkn2a_homozygous_deletion", "untested"),
        (genome(), "cdkn2a_homozygous_deletion", "absent"),
    ],
)  # fmt: skip
def test_each_finding_has_three_states(segments, name, state):
    assert states(segments)[name] == state


def test_the_sex_is_not_told_so_nothing_is_called_on_x_and_y():
    male = told(genome(cX=-1.0, cY=-1.0))
    assert male.altered == 0
    assert not [arm for arm in male.arms if arm.name[0] in "XY"]


def test_a_part_of_a_gene_that_is_lost_is_a_loss_of_it():
    chromosome, low, high = GENES[BUILD]["CDKN2A"]
    half = low + (high - low) // 3
    rest = [s for s in genome() if s.chromosome != chromosome]
    segments = [
        *rest, Segment(chromosome=chromosome, start=1, end=low - 1, log2=0.0),
        Segment(chromosome=chromosome, start=low, end=half, log2=-4.0),
        Segment(chromosome=chromosome, start=half + 1, end=length_of(chromosome, BUILD), log2=0.0),
    ]  # fmt: skip
    assert states(segments)["cdkn2a_homozygous_deletion"] == "present"


def test_purity_settles_what_a_ratio_alone_leaves_open():
    shallow = with_gene(genome(), "CDKN2A", -0.8)
    assert states(shallow)["cdkn2a_homozygous_deletion"] == "untested"
    assert states(shallow, purity=0.45)["cdkn2a_homozygous_deletion"] == "present"
    assert states(shallow, purity=1.0)["cdkn2a_homozygous_deletion"] == "absent"


@given(st.floats(0.1, 1.0), st.floats(1.5, 6.0), st.floats(0.0, 30.0))
def test_copies_are_those_that_make_the_ratio(purity, ploidy, copies):
    mean = purity * ploidy + 2 * (1 - purity)
    seen = purity * copies + 2 * (1 - purity)
    if seen > 0:
        from math import log2

        assert copies_of(log2(seen / mean), purity, ploidy) == pytest.approx(copies, abs=1e-6)


@given(st.floats(0, 1), st.floats(-2, 2))
def test_an_arm_is_called_by_the_share_that_is_beyond(share, level):
    end = round(CENTROMERES_MB[BUILD][0] * 1e6)
    cut = max(1, min(end - 1, round(share * end)))
    arm = told(
        [
            Segment(chromosome="1", start=1, end=cut, log2=level),
            Segment(chromosome="1", start=cut + 1, end=end, log2=0.0),
        ]
    ).arm("1p")
    beyond = cut / end if abs(level) >= 0.1 else 0.0
    assert arm.covered == pytest.approx(1.0, abs=1e-3)
    if abs(beyond - 0.8) > 1e-6 and abs(beyond - 0.2) > 1e-6:
        whole = ("gain" if level > 0 else "loss") if beyond >= 0.8 else None
        assert arm.call == (whole or ("partial" if beyond > 0.2 else "neutral"))


def test_a_record_and_segments_that_contradict_each_other_leave_it_unknown():
    record = ClinicalRecord(patient_id="P", markers=Markers(codeletion_1p19q="present"))
    found = findings_of(record, None, told(genome()))["codeletion_1p19q"]
    assert found.state == "untested"
    assert "the record says present" in found.source


def test_segments_make_a_diagnosis_and_alterations():
    record = ClinicalRecord(patient_id="P", markers=Markers(idh_mutation="absent"))
    segments = told(with_gene(genome(c7=0.4, c10=-0.6), "EGFR", 2.5))
    found = integrated_diagnosis(record, None, segments)
    assert (found.name, found.grade) == ("Glioblastoma, IDH-wildtype", 4)
    (egfr,) = alterations_of(record, None, segments, knowledge_of(None))
    assert (egfr.name, egfr.source) == ("EGFR amplification", "segments")


SEG = (
    "ID\tchrom\tloc.start\tloc.end\tnum.mark\tseg.mean\n"
    "T1\t1\t1\t1000\t10\t-0.5\nT1\tchr23\t5\t900\t3\t0.1\nT1\tM\t1\t5\t1\t0\n"
)


WHOLE = "ID\tchrom\tloc.start\tloc.end\tnum.mark\tseg.mean\n" + "".join(
    f"T1\t{n}\t1\t{length_of(str(n), 'GRCh37')}\t10\t{{}}\n" for n in range(1, 23)
)


def test_ratios_of_a_tumor_with_many_gains_are_no_copies(tmp_path):
    """Ratios are to the sample's own mean, so that they cannot all be high."""
    (tmp_path / "x.seg").write_text(WHOLE.format(*[0.58] * 11, *[-0.9] * 11))
    assert len(read_segments(tmp_path / "x.seg", "GRCh37")[1]) == 22


@pytest.mark.parametrize("packed", [False, True])
def test_a_seg_file_is_read_with_x_as_a_number(tmp_path, packed):
    path = tmp_path / ("x.seg.gz" if packed else "x.seg")
    path.write_bytes(gzip.compress(SEG.encode()) if packed else SEG.encode())
    name, found = read_segments(path, "GRCh37")
    assert name == "T1"
    assert [(s.chromosome, s.start, s.end, s.log2) for s in found] == [
        ("1", 1, 1000, -0.5),
        ("X", 5, 900, 0.1),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SEG.replace("seg.mean", "value"), "no column for log2"),
        (SEG + "T2\t1\t1\t5\t1\t0\n", "has 2 samples and none is named"),
        (SEG.replace("-0.5", "x"), "its mean is no number"),
        (SEG.replace("-0.5", "40"), "no copies"),
        (WHOLE.format(*[2.0] * 22), "4.0 times the sample's mean on average, as copies would be"),
        (SEG.replace("\t1000\t", "\t249250622\t"), "of another build"),
        (SEG.replace("\t1\t1000", "\t2000\t1000"), "no valid start and end"),
        ("ID\tchrom\tloc.start\tloc.end\tnum.mark\tseg.mean\n", "has a header and no segment"),
        ("", "is no table of segments"),
        (SEG.replace("-0.5\n", "-0.5\t9\n"), "is no table of segments"),
    ],
)
def test_what_is_no_table_of_segments_is_refused(tmp_path, text, words):
    path = tmp_path / "x.seg"
    path.write_text(text)
    with pytest.raises(VariantError, match=words):
        read_segments(path, "GRCh37")


def test_real_tumors_agree_with_the_published_calls(shared):
    """Arrays of 2008 are of hg18, which is refused as GRCh37; arms differ little, so their ends are cut."""
    folder = shared / "variants/cnv"
    path = folder / "tcga_gbm_broad_080528.seg.gz"
    frame = pd.read_csv(path, sep="\t").dropna()
    with pytest.raises(VariantError, match="of another build"):
        read_segments(path, "GRCh37", frame["ID"].iloc[0])
    text = (folder / "tcga_gbm_sampleTable.txt").read_text().replace("\r", "\n")
    mapping = text.split("#copynumber")[1].split("#colors")[0].splitlines()
    patients = dict(line.split("\t")[:2] for line in mapping if "\t" in line.strip())
    cohort = pd.read_csv(shared / "cohorts/tcga_glioma_clinical.csv.gz").set_index("patient")
    agree, amplified = [], []
    for sample, rows in frame.groupby("ID"):
        if patients.get(sample) not in cohort.index:
            continue
        published = cohort.loc[patients[sample]]
        segments = []
        for row in rows.itertuples(index=False):
            chromosome = {23: "X", 24: "Y"}.get(row[1], str(int(row[1])))
            end = min(int(row[3]), length_of(chromosome, "GRCh37"))
            if row[2] < end:
                segments.append(
                    Segment(chromosome=chromosome, start=int(row[2]), end=end, log2=row[5])
                )
        found = copy_number(segments, "GRCh37", sample)
        record = ClinicalRecord(patient_id="P")
        state = findings_of(record, None, found)["gain7_loss10"].state
        if isinstance(published["c710"], str) and state != "untested":
            agree.append((state == "present") == published["c710"].startswith("Gain"))
        if published["egfr_cn"] == 2:
            amplified.append(next(g.call for g in found.genes if g.gene == "EGFR"))
    print(f"+7/-10 agrees in {sum(agree)} of {len(agree)} tumors ({sum(agree) / len(agree):.0%})")
    assert len(agree) > 150
    assert sum(agree) / len(agree) > 0.85
    assert amplified.count("amplification") >= 11
