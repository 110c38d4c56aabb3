"""Drugs of a patient's timeline beside what is known of the tumor's alterations."""

from __future__ import annotations

import pytest

from data.evidence import Alteration, Statement
from data.timeline import Event
from models.genomics.treatment_links import treatment_links
from pipelines.interpret import interpret
from pipelines.knowledge import knowledge_from


def said(therapies, effect="sensitivity", level="B"):
    return Statement(
        gene="MGMT", alteration="PROMOTER METHYLATION", disease="glioblastoma", effect=effect,
        therapies=therapies, level=level, source="CIViC", reference="EID1", as_of="2026-01",
    )  # fmt: skip


def links(event, *statements):
    alteration = Alteration(gene="MGMT", kind="promoter methylation", source="record")
    found = interpret([alteration], "glioblastoma", knowledge_from({"civic": statements}))
    return treatment_links([event], found)


def drug(text):
    return Event(day=20, kind="drug", text=text)


@pytest.mark.parametrize(
    ("text", "linked"),
    [
        ("Temozolomide 75 mg/m2 daily", True),
        ("radiotherapy with TMZ", True),
        ("Stupp", True),
        ("temozolomide-like drug X", False),
        ("temozolomide declined by the patient", False),
        ("liposomal temozolomide", False),
        ("Temozolomide-based course", True),
        ("lomustine", False),
    ],
)
def test_a_drug_is_linked_by_its_name_or_a_usual_short_one(text, linked):
    assert bool(links(drug(text), said(("Temozolomide",)))) == linked


def test_one_drug_of_a_combination_is_told_with_the_others():
    (link,) = links(drug("PCV"), said(("Lomustine", "Bevacizumab")))
    assert link.drugs == ("Lomustine", "Bevacizumab")
    assert (link.alteration, link.support.tier) == ("MGMT promoter methylation", "I-B")


def test_the_strongest_statement_stands_for_the_alteration_and_resistance_stands_apart():
    given = (
        said(("Temozolomide",), level="D"),
        said(("Temozolomide",), level="A"),
        said(("Temozolomide",), "resistance", "C"),
    )
    for_it, against = links(drug("temozolomide"), *given)
    assert (for_it.support.tier, for_it.against) == ("I-A", False)
    assert (against.support.tier, against.against) == ("II-C", True)


@pytest.mark.parametrize(
    ("text", "drug_", "linked"),
    [
        ("T-DXd", "Trastuzumab", False),
        ("T-DXd", "Trastuzumab Deruxtecan", True),
        ("fam-trastuzumab deruxtecan-nxki", "Trastuzumab deruxtecan", True),
        ("Herceptin", "Trastuzumab", True),
        ("5-FU", "Fluorouracil", True),
    ],
)
def test_an_antibody_s_conjugate_is_another_drug(text, drug_, linked):
    assert bool(links(drug(text), said((drug_,)))) == linked


def test_only_drugs_are_linked():
    other = Event(day=20, kind="radiotherapy", text="60 Gy with temozolomide")
    assert links(other, said(("Temozolomide",))) == ()
