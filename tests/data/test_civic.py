"""CIViC's evidence in the columns of then and of now, and files that are none."""

from __future__ import annotations

import gzip

import pytest

from data.errors import KnowledgeError
from data.io.civic import read_civic

OLD = ("gene", "variant", "disease", "drugs", "evidence_type", "evidence_direction", "evidence_level",
       "clinical_significance", "evidence_status", "evidence_id", "variant_origin")  # fmt: skip
NEW = ("molecular_profile", "disease", "therapies", "evidence_type", "evidence_direction", "evidence_level",
       "significance", "evidence_status", "evidence_id", "variant_origin")  # fmt: skip
# Made for this test; the numbers are no identifiers of CIViC.
ROWS = [
    {
        "gene": gene, "variant": variant, "disease": disease, "drugs": drugs, "evidence_type": kind,
        "evidence_direction": direction, "evidence_level": level, "clinical_significance": effect,
        "evidence_status": status, "evidence_id": f"900{number}", "variant_origin": origin,
    }
    for number, (gene, variant, disease, drugs, kind, direction, level, effect, status, origin) in enumerate(
        [
            ("GENE1", "A10T", "Glioma", "Onedrug,Twodrug", "Predictive", "Supports", "B",
             "Sensitivity/Response", "accepted", "Somatic"),
            ("GENE1", "LOSS", "", "Onedrug", "Predictive", "Supports", "C",
             "Resistance", "accepted", "Rare Germline"),
            ("GENE1", "A10T", "", "", "Predictive", "Does Not Support", "B", "Resistance", "accepted", ""),
            ("GENE2", "MUTATION", "", "", "Predisposing", "Supports", "C", "Pathogenic", "accepted", ""),
            ("GENE2", "A1T AND C2G", "", "", "Prognostic", "Supports", "D", "Poor Outcome", "accepted", ""),
            ("GENE2", "A1T", "", "", "Prognostic", "Supports", "D", "Poor Outcome", "submitted", ""),
        ],
        1,
    )
]  # fmt: skip


def table(columns, rows):
    """Tab-separated text of some columns."""
    return "\n".join(
        ["\t".join(columns), *("\t".join(row.get(c, "") for c in columns) for row in rows)]
    )


def renamed(row):
    """A row in the columns of now."""
    return row | {
        "molecular_profile": f"{row['gene']} {row['variant']}", "therapies": row.get("drugs", ""),
        "significance": row["clinical_significance"].replace("/", ""),
    }  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("columns", "change"), [(OLD, dict), (NEW, renamed)], ids=["then", "now"])
def test_accepted_statements_are_read_and_the_others_counted(tmp_path, columns, change, packed):
    text = table(columns, [change(row) for row in ROWS]).encode()
    path = tmp_path / "2025-06-evidence.tsv"
    path.write_bytes(gzip.compress(text) if packed else text)
    found = read_civic(path)
    first, second = found.statements
    assert (first.gene, first.alteration, first.effect, first.level) == (
        "GENE1",
        "A10T",
        "sensitivity",
        "B",
    )
    assert first.therapies == ("Onedrug", "Twodrug")
    assert (first.reference, first.as_of, first.needs_germline) == ("EID9001", "2025-06", False)
    assert (second.effect, second.needs_germline, second.disease) == ("resistance", True, "cancer")
    assert sum(found.left_out.values()) == 4
    assert len(found.left_out) == 4


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("evidence.tsv", table(OLD, ROWS), "--as-of"),
        ("2025-06.tsv", table(OLD[:4], ROWS), "has no column"),
        ("2025-06.tsv", table(OLD, [ROWS[0] | {"evidence_level": "Z"}]), "it is A to E"),
        ("2025-06.tsv", b"\x1f\x8bnot gzip", "download it again"),
        ("2025-06.tsv", b"\xff\xfe\x00bad", "download it again"),
        ("2025-06.tsv", "", "has no column"),
        ("2025-06.tsv", table(OLD, ROWS)[:-40], "ends too early"),
        ("2025-13.tsv", table(OLD, ROWS), "is no date"),
        ("2125-01.tsv", table(OLD, ROWS), "has not come yet"),
    ],
)
def test_another_file_is_refused_with_the_remedy(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(KnowledgeError, match=words):
        read_civic(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(KnowledgeError, match="no such file"):
        read_civic(tmp_path / "evidence.tsv")


def test_a_mark_of_the_byte_order_is_no_part_of_a_column(tmp_path):
    path = tmp_path / "2025-06.tsv"
    path.write_text(table(OLD, ROWS), encoding="utf-8-sig")
    assert len(read_civic(path).statements) == 2


def test_the_real_file_of_2021(shared):
    found = read_civic(shared / "knowledge/civic_ClinicalEvidenceSummaries_2021-02.tsv.gz")
    assert len(found.statements) + sum(found.left_out.values()) == 3706
    assert {s.as_of for s in found.statements} == {"2021-02"}
    vemurafenib = [s for s in found.statements if (s.gene, s.alteration) == ("BRAF", "V600E")]
    assert any(s.level == "A" and "Vemurafenib" in s.therapies for s in vemurafenib)
