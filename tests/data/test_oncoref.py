"""oncoref's driver mutations: out of its wheel or its table, and what a named driver counts."""

from __future__ import annotations

import csv
import json
import zipfile

import pytest
from typer.testing import CliRunner

from app.cli import app
from data.errors import KnowledgeError
from data.evidence import Alteration
from data.genomics import Variant
from data.io.oncoref import COLUMNS, IN_WHEEL, read_oncoref
from data.store import AvatarStore
from pipelines.knowledge import import_oncoref, knowledge_of

ROWS = [
    ("EGFR", "p.A289D", "Table S4", "DOI:10.1/x"),
    ("EGFR", "p.Ala289Thr", "Table S4", "DOI:10.1/x"),
    ("NOWHERE", "p.A1C", "Table S4", "DOI:10.1/x"),
]


def table(path, rows=ROWS, columns=COLUMNS):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def wheel(path, source):
    with zipfile.ZipFile(path, "w") as file:
        told = zipfile.ZipInfo(IN_WHEEL, (2026, 9, 2, 0, 0, 0))
        file.writestr(told, source.read_bytes())
    return path


def points(store, change):
    variant = Variant(
        chromosome="7", position=1, reference="A", alternate="C", gene="EGFR", hgvs_protein=change,
        consequence="missense_variant", impact="MODERATE",
    )  # fmt: skip
    alteration = Alteration(gene="EGFR", kind="small variant", variant=variant, source="test")
    found = knowledge_of(store).interpreter.interpret(alteration, "glioblastoma").oncogenicity
    return {point.code: point for point in found.points}


def test_a_wheel_tells_its_version_and_the_date_of_its_table(tmp_path):
    path = wheel(tmp_path / "oncoref-9.8.7-py3-none-any.whl", table(tmp_path / "t.csv"))
    found = read_oncoref(path)
    assert (found.name, found.as_of, found.cited) == (
        "oncoref 9.8.7",
        "2026-09-02",
        "10.1/x, Table S4",
    )
    assert ("EGFR", "A289T") in found.changes


def test_a_driver_is_one_point_and_the_source_is_listed(tmp_path):
    with AvatarStore(tmp_path / "store") as store:
        before = points(store, "p.A289D")
        import_oncoref(table(tmp_path / "t.csv"), store, "2026-09-02")
        after = points(store, "p.A289D")
        assert set(after) - set(before) == {"OP1"}
        assert "a driver by several predictions (oncoref: 10.1/x, Table S4)" in after["OP1"].reason
        assert "OP1" not in points(store, "p.A289V")
        (listed,) = (s for s in knowledge_of(store).sources if s.name == "oncoref")
    assert (listed.statements, listed.not_understood, listed.as_of) == (3, 1, "2026-09-02")


@pytest.mark.parametrize(
    ("spoil", "as_of", "match"),
    [
        (lambda p: table(p), None, "does not tell its date; say it with --as-of"),
        (lambda p: table(p), "soon", "'soon' is no date"),
        (lambda p: table(p, [("a", "b", "c")], COLUMNS[:3]), "2026-01-01", "has no column doi"),
        (lambda p: table(p, []), "2026-01-01", "has no column gene_symbol"),
        (lambda p: p.write_bytes(b"\xff\xfe\x00"), "2026-01-01", "cannot be read"),
        (lambda p: zipfile.ZipFile(p, "w").close(), "2026-01-01", "cannot be read"),
    ],
)
def test_what_is_no_table_of_drivers_is_refused(tmp_path, spoil, as_of, match):
    path = tmp_path / "t.csv"
    spoil(path)
    with pytest.raises(KnowledgeError, match=match):
        read_oncoref(path, as_of)


def test_the_real_table_of_oncoref_is_imported_by_the_command(shared, tmp_path):
    path = shared / "knowledge/oncoref_driver_variant_evidence.csv"
    asked = ["knowledge", "import", "oncoref", str(path), "--as-of", "2026-09-02"]
    ran = CliRunner().invoke(app, [*asked, "--store", str(tmp_path / "store"), "--json"])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["changes"] == 579
    with AvatarStore(tmp_path / "store") as store:
        assert "OP1" in points(store, "p.A289V")
