"""An integrated diagnosis by a decision table: rules in order, what decided each and what is missing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf

from data.clinical import Presence
from data.diagnosis import Diagnosis, Grade, Step
from models.genomics.conditions import Condition, Findings, Holds, condition

Written = Annotated[InstanceOf[Condition], BeforeValidator(condition)]
"""A condition as YAML writes it."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GradeRule(_Part):
    """A grade that a finding gives, whatever the microscope says."""

    grade: Grade
    when: Written


class DiagnosisRule(_Part):
    """One line of the table."""

    diagnosis: str = Field(min_length=1)
    when: Written
    grade: Grade | Literal["by histology"] | None = None
    grades: tuple[Grade, ...] = Field(
        default=(), description="that the type has; all where none is listed"
    )
    at_least: GradeRule | None = Field(default=None, description="before the grade by histology")
    suffix: Literal["NOS", "NEC"] | None = Field(
        default=None, description="not otherwise specified, or not elsewhere classified"
    )
    wanted: tuple[str, ...] = Field(
        default=(), description="tests that would tell more, in their order"
    )
    prior: str = Field(description="which growth prior applies to the twin")


class DiagnosisTable(_Part):
    """Rules in their order: the first that holds is the diagnosis."""

    name: str
    as_of: str = Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")
    source: str
    findings: dict[str, str] = Field(description="every finding that a rule looks at, in words")
    rules: tuple[DiagnosisRule, ...] = Field(min_length=1)

    def model_post_init(self, context: object, /) -> None:
        """Every finding has its words."""
        used = set().union(*(_names(rule) for rule in self.rules))
        if used != set(self.findings):
            odd = ", ".join(sorted(used ^ set(self.findings)))
            raise ValueError(f"findings and rules do not fit: {odd}")

    def words(self, name: str) -> str:
        """A finding as people call it."""
        return self.findings[name]


def diagnose(
    table: DiagnosisTable, findings: Findings, histological_grade: Grade | None
) -> Diagnosis | None:
    """The first rule of a table that holds; None where none does."""
    trace = []
    for rule in table.rules:
        held = rule.when.holds(findings)
        trace.append(
            Step(
                diagnosis=rule.diagnosis
                if rule.suffix is None
                else f"{rule.diagnosis}, {rule.suffix}",
                truth=held.truth,
                evidence=tuple(_said(table, findings, name) for name in held.evidence),
                missing=tuple(table.words(name) for name in held.missing),
            )
        )
        if held.truth == "yes":
            return _made(table, rule, held, findings, histological_grade, tuple(trace))
    return None


def _made(
    table: DiagnosisTable,
    rule: DiagnosisRule,
    held: Holds,
    findings: Findings,
    histological_grade: Grade | None,
    trace: tuple[Step, ...],
) -> Diagnosis:
    grade = histological_grade if rule.grade == "by histology" else rule.grade
    doubt: list[str] = []
    if grade is not None and rule.grades and grade not in rule.grades:
        listed = " or ".join(map(str, rule.grades))
        doubt = [f"grade {grade} by histology, which this type has not: it is {listed}"]
        grade = None
    provisional = doubt + [
        f"{table.words(name)} is untested and taken to be absent" for name in held.assumed
    ]
    missing = [*held.missing, *held.assumed]
    if rule.at_least is not None:
        higher = rule.at_least.when.holds(findings)
        if higher.truth == "yes":
            grade = rule.at_least.grade
        elif higher.truth == "unknown" and grade != rule.at_least.grade:
            tests = ", ".join(table.words(name) for name in higher.missing)
            provisional.append(f"grade {rule.at_least.grade} is not excluded: {tests} untested")
            missing += higher.missing
    if rule.grade == "by histology" and grade is None:
        provisional.append("the grade by histology is not known")
    untested = (n for n in rule.wanted if n not in findings or findings[n].state == "untested")
    every = dict.fromkeys([*missing, *untested])
    return Diagnosis(
        name=rule.diagnosis,
        grade=grade,
        suffix=rule.suffix,
        prior=rule.prior,
        provisional=tuple(provisional),
        missing=tuple(table.words(name) for name in every),
        trace=trace,
        table=table.name,
        as_of=table.as_of,
        source=table.source,
    )


def _said(table: DiagnosisTable, findings: Findings, name: str) -> str:
    found = findings[name]
    state: Presence = found.state
    return f"{table.words(name)}: {state}" + (f" ({found.source})" if found.source else "")


def _names(rule: DiagnosisRule) -> set[str]:
    higher = frozenset() if rule.at_least is None else rule.at_least.when.names
    return {*rule.when.names, *higher, *rule.wanted}
