"""A cohort's report: by hand, and on real gliomas whose biology is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data.clinical import ClinicalRecord
from data.io.maf import read_maf_cohort
from data.prognosis import DAYS_PER_MONTH
from pipelines.genomics_cohort import Member, altered_genes, cohort_report
from pipelines.interpret import alterations_of, interpret
from pipelines.knowledge import knowledge_of
from pipelines.tcga_glioma import record_of


def member(number, genes, days=None, status=None):
    record = ClinicalRecord(patient_id=f"P{number}", followup_days=days, vital_status=status)
    return Member(f"P{number}", record, frozenset(genes))


def test_frequencies_pairs_and_survival_by_hand():
    members = [member(n, {"A", "B"}, 100 + n, "dead") for n in range(10)]
    members += [member(20 + n, set(), 1000 + n, "dead") for n in range(10)]
    found = cohort_report(members)
    assert (found.patients, found.followed) == (20, 20)
    first = found.frequencies[0]
    assert (first.gene, first.patients, first.share) == ("A", 10, 0.5)
    assert first.low == pytest.approx(0.2993, abs=1e-3)  # Wilson
    (pair,) = found.pairs
    assert (pair.one, pair.other, pair.together) == ("A", "B", 10)
    assert pair.odds_ratio == np.inf
    assert pair.p == pytest.approx(2 / 184756)  # 1 / C(20, 10), both tails
    assert pair.q == pytest.approx(pair.p)
    by = {s.what: s for s in found.survival}
    assert by["A altered"].medians == pytest.approx((104 / 30.4375, 1004 / 30.4375), abs=0.05)
    assert by["A altered"].p < 1e-4


def test_too_few_deaths_give_no_curve_and_nobody_gives_an_empty_report():
    found = cohort_report([member(n, {"A"} if n < 3 else set(), 100, "dead") for n in range(10)])
    assert found.survival == ()
    assert found.pairs == ()
    assert cohort_report([]).frequencies == ()


@pytest.mark.slow
def test_the_gliomas_of_tcga_show_what_is_known_of_them(shared):
    rows = pd.read_csv(shared / "cohorts/tcga_glioma_clinical.csv.gz").set_index("patient")
    knowledge = knowledge_of(None)
    members = []
    seen = set()
    for barcode, calls in read_maf_cohort(
        shared / "variants/maf/tcga_glioma_gdc_grch38.maf.tsv.gz"
    ).items():
        patient = barcode[:12]
        if patient in seen or patient not in rows.index:
            continue
        seen.add(patient)
        row = rows.loc[patient].to_dict() | {"patient": patient}
        days, status = float(row["os_m"]) * DAYS_PER_MONTH, "dead" if row["dead"] == 1 else "alive"
        followed = {"followup_days": days, "vital_status": status} if days == days else {}
        record = record_of(row).model_copy(update=followed)
        variants = calls.in_genes(knowledge.interpreter.knows).variant_set()
        found = interpret(alterations_of(record, variants, None, knowledge), None, knowledge)
        members.append(Member(patient, record, altered_genes(found)))
    report = cohort_report(members)
    assert report.patients > 800
    share = {f.gene: f.share for f in report.frequencies}
    assert 0.40 < share["IDH1"] < 0.60
    pairs = {frozenset((p.one, p.other)): p for p in report.pairs}
    assert pairs[frozenset(("IDH1", "ATRX"))].odds_ratio > 3
    assert pairs[frozenset(("IDH1", "EGFR"))].odds_ratio < 0.2  # they exclude each other
    assert pairs[frozenset(("IDH1", "EGFR"))].q < 1e-6
    by = {s.what: s for s in report.survival}
    assert by["idh mutation present"].medians[0] > 4 * by["idh mutation present"].medians[1]
    assert by["EGFR altered"].medians[0] < 20 < by["EGFR altered"].medians[1]
