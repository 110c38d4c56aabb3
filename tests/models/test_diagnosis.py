"""The decision table of WHO CNS5: an example of every class, every state of every finding, and no guesses."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.genomics.conditions import All, Any, Finding, Is, Unless, Untested, condition
from models.genomics.diagnosis import DiagnosisTable, diagnose
from pipelines.config import diagnosis_table

CNS5 = diagnosis_table("cns5")
YES, NO, UNTESTED = (Finding(state) for state in ("present", "absent", "untested"))
STATES = (YES, NO, UNTESTED)

# Louis 2021, doi:10.1093/neuonc/noab106, table 1 and what it says of each type: findings, grade, and the title.
EXAMPLES = {
    "H3 K27M in the thalamus": (
        {"h3_k27_altered": YES, "midline": YES, "idh_mutation": NO}, 3,
        "Diffuse midline glioma, H3 K27-altered, CNS WHO grade 4"),
    "H3 G34R in a hemisphere": (
        {"h3_g34_mutation": YES, "hemispheric": YES, "midline": NO, "idh_mutation": NO,
         "h3_k27_altered": NO}, 4,
        "Diffuse hemispheric glioma, H3 G34-mutant, CNS WHO grade 4"),
    "IDH mutant and codeleted, grade 2": (
        {"idh_mutation": YES, "codeletion_1p19q": YES}, 2,
        "Oligodendroglioma, IDH-mutant and 1p/19q-codeleted, CNS WHO grade 2"),
    "IDH mutant and codeleted, grade 3": (
        {"idh_mutation": YES, "codeletion_1p19q": YES, "tert_promoter_mutation": YES}, 3,
        "Oligodendroglioma, IDH-mutant and 1p/19q-codeleted, CNS WHO grade 3"),
    "IDH mutant and codeleted, but grade 4 by histology": (
        {"idh_mutation": YES, "codeletion_1p19q": YES, "grade_4_histology": YES}, 4,
        "Oligodendroglioma, IDH-mutant and 1p/19q-codeleted"),
    "IDH mutant, not codeleted": (
        {"idh_mutation": YES, "codeletion_1p19q": NO, "cdkn2a_homozygous_deletion": NO, "necrosis": NO,
         "microvascular_proliferation": NO}, 2,
        "Astrocytoma, IDH-mutant, CNS WHO grade 2"),
    "IDH mutant, ATRX lost, 1p/19q untested": (
        {"idh_mutation": YES, "atrx_loss": YES}, 3, "Astrocytoma, IDH-mutant, CNS WHO grade 3"),
    "IDH mutant astrocytoma of grade 2 with CDKN2A deleted": (
        {"idh_mutation": YES, "codeletion_1p19q": NO, "cdkn2a_homozygous_deletion": YES}, 2,
        "Astrocytoma, IDH-mutant, CNS WHO grade 4"),
    "IDH mutant astrocytoma with necrosis": (
        {"idh_mutation": YES, "codeletion_1p19q": NO, "necrosis": YES}, 3,
        "Astrocytoma, IDH-mutant, CNS WHO grade 4"),
    "IDH mutant, 1p/19q untested, ATRX retained": (
        {"idh_mutation": YES, "atrx_loss": NO}, 2, "Diffuse glioma, IDH-mutant, NOS, CNS WHO grade 2"),
    "IDH wildtype with necrosis": (
        {"idh_mutation": NO, "necrosis": YES}, 4, "Glioblastoma, IDH-wildtype, CNS WHO grade 4"),
    "IDH wildtype of low grade with +7/-10": (
        {"idh_mutation": NO, "gain7_loss10": YES}, 2, "Glioblastoma, IDH-wildtype, CNS WHO grade 4"),
    "IDH wildtype of low grade with a TERT promoter mutation": (
        {"idh_mutation": NO, "tert_promoter_mutation": YES}, 3, "Glioblastoma, IDH-wildtype, CNS WHO grade 4"),
    "IDH wildtype of low grade with EGFR amplified": (
        {"idh_mutation": NO, "egfr_amplification": YES}, 3, "Glioblastoma, IDH-wildtype, CNS WHO grade 4"),
    "IDH wildtype with microvascular proliferation": (
        {"idh_mutation": NO, "microvascular_proliferation": YES}, None,
        "Glioblastoma, IDH-wildtype, CNS WHO grade 4"),
    "IDH wildtype, none of these": (
        {"idh_mutation": NO, "grade_4_histology": NO, "necrosis": NO, "microvascular_proliferation": NO,
         "tert_promoter_mutation": NO, "egfr_amplification": NO, "gain7_loss10": NO}, 2,
        "Diffuse glioma, IDH-wildtype, NEC, CNS WHO grade 2"),
    "IDH untested": ({"necrosis": YES, "tert_promoter_mutation": YES}, 4,
        "Diffuse glioma, NOS, CNS WHO grade 4"),
    "nothing tested": ({}, None, "Diffuse glioma, NOS"),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_class_has_its_example(name):
    findings, grade, title = EXAMPLES[name]
    assert diagnose(CNS5, findings, grade).title == title


def test_every_rule_of_the_table_is_reached_by_an_example():
    reached = {
        diagnose(CNS5, findings, grade).trace[-1].diagnosis
        for findings, grade, _ in EXAMPLES.values()
    }
    named = {r.diagnosis if r.suffix is None else f"{r.diagnosis}, {r.suffix}" for r in CNS5.rules}
    assert reached == named


def test_what_is_missing_is_listed_and_what_was_taken_for_granted_is_said():
    nothing = diagnose(CNS5, {}, None)
    assert nothing.missing[0] == "IDH1 R132 or IDH2 R172 mutation"
    assert "TERT promoter mutation" in nothing.missing
    wildtype = diagnose(CNS5, {"idh_mutation": NO, "necrosis": YES}, 4)
    assert wildtype.provisional == (
        "H3 K27 alteration is untested and taken to be absent",
        "H3 G34 mutation is untested and taken to be absent",
    )
    mutant = diagnose(CNS5, {"idh_mutation": YES, "codeletion_1p19q": NO}, 2)
    assert mutant.provisional[0].startswith("grade 4 is not excluded: CDKN2A/B homozygous deletion")
    lacking = diagnose(CNS5, {"idh_mutation": NO, "tert_promoter_mutation": NO}, 2)
    assert (lacking.suffix, lacking.missing[:2]) == (
        "NEC",
        ("EGFR amplification", "gain of chromosome 7 and loss of 10"),
    )


def test_the_trace_tells_each_rule_with_its_evidence_and_its_source():
    found = {"idh_mutation": Finding("present", "IDH1 R132H, VAF 43 %"), "codeletion_1p19q": YES}
    *before, last = diagnose(CNS5, found, 2).trace
    assert last.truth == "yes"
    assert last.evidence[0] == "IDH1 R132 or IDH2 R172 mutation: present (IDH1 R132H, VAF 43 %)"
    assert {step.truth for step in before} <= {"no", "unknown"}


def states(*names):
    return st.fixed_dictionaries({name: st.sampled_from(STATES) for name in names})


@given(states(*CNS5.findings), st.sampled_from([None, 2, 3, 4]))
def test_some_rule_always_holds_and_no_wildtype_is_called_mutant(findings, grade):
    found = diagnose(CNS5, findings, grade)
    assert found is not None
    idh = findings["idh_mutation"].state
    assert ("IDH-mutant" in found.name) <= (idh == "present")
    assert ("IDH-wildtype" in found.name) <= (idh == "absent")
    assert found.suffix != "NOS" or found.missing


@pytest.mark.parametrize("name", CNS5.findings)
def test_a_finding_that_becomes_known_never_turns_a_certain_answer_over(name):
    """Where an answer neither lacks a test nor takes it for granted, its result makes no difference."""
    for findings, grade, _ in EXAMPLES.values():
        if findings.get(name, UNTESTED) != UNTESTED:
            continue
        answer = diagnose(CNS5, findings, grade)
        if CNS5.words(name) in answer.missing:
            continue
        for state in (YES, NO):
            other = diagnose(CNS5, findings | {name: state}, grade)
            certain = {
                "h3_k27_altered",
                "h3_g34_mutation",
                "midline",
            }  # with two of these it is another tumor
            assert name in certain or other.title == answer.title, (findings, name)


# Kleene 1952: the truth of both, of either.
TRUTH = {"yes": YES, "no": NO, "unknown": UNTESTED}
BOTH = {("yes", "yes"): "yes", ("no", "yes"): "no", ("no", "unknown"): "no", ("no", "no"): "no",
        ("unknown", "yes"): "unknown", ("unknown", "unknown"): "unknown"}  # fmt: skip


@pytest.mark.parametrize(("one", "other"), [*product(TRUTH, repeat=2)])
def test_conditions_follow_the_logic_of_three_values(one, other):
    findings = {"a": TRUTH[one], "b": TRUTH[other]}
    pair = tuple(sorted((one, other)))
    both = All((Is("a", "present"), Is("b", "present"))).holds(findings)
    assert both.truth == BOTH[pair]
    opposite = {"yes": "no", "no": "yes", "unknown": "unknown"}
    either = Any((Is("a", "present"), Is("b", "present"))).holds(findings)
    assert either.truth == opposite[BOTH[tuple(sorted(opposite[truth] for truth in (one, other)))]]
    assert set(both.missing) == {
        n for n, f in findings.items() if f == UNTESTED and both.truth == "unknown"
    }


def test_conditions_are_read_as_they_are_written():
    assert condition("not x") == Is("x", "absent")
    assert condition("untested x") == Untested("x")
    assert condition({"any": ["x", {"all": ["unless y"]}]}) == Any(
        (Is("x", "present"), All((Unless("y"),)))
    )
    assert Unless("y").holds({}).assumed == ("y",)
    assert Unless("y").holds({"y": YES}).truth == "no"
    assert Untested("y").holds({"y": NO}).truth == "no"
    for wrong in (
        "perhaps x",
        "x y z",
        "",
        7,
        {"all": []},
        {"all": ["x"], "any": ["y"]},
        {"none": ["x"]},
    ):
        with pytest.raises(ValueError, match="a condition is"):
            condition(wrong)


def test_a_table_whose_words_and_rules_do_not_fit_is_refused():
    table = {"name": "x", "as_of": "2021", "source": "y", "findings": {"a": "A"},
             "rules": [{"diagnosis": "D", "when": "a", "prior": "glioma"}]}  # fmt: skip
    with pytest.raises(ValidationError, match="as_of"):
        DiagnosisTable.model_validate(table)
    known = table | {"as_of": "2021-08"}
    assert DiagnosisTable.model_validate(known).words("a") == "A"
    with pytest.raises(ValidationError, match="do not fit: b"):
        DiagnosisTable.model_validate(known | {"findings": {"a": "A", "b": "B"}})
