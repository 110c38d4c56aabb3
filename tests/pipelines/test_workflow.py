"""The same cohort through Snakemake, and on PostgreSQL with four workers: the same avatars."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from cohorts import has_ended, write_cohort
from postgresql import served

from data.store import AvatarStore
from data.store.check import check_store
from pipelines.cohort.records import records_of
from pipelines.cohort.run import run_cohort

ROOT = Path(__file__).parents[2]
COUNT = 8
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cohort")]


def digests(folder):
    with AvatarStore(folder) as store:
        return store.digests()


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    run_cohort(write_cohort(folder, COUNT, side=96), folder / "store")
    return digests(folder / "store")


@pytest.fixture
def snakemake():
    """Of an environment of its own, 'make workflow'."""
    found = ROOT / ".venv-snakemake" / "bin" / "snakemake"
    if not found.exists():
        pytest.skip("Snakemake is not installed; 'make workflow' does")
    return str(found)


HOME = Path(sys.executable).parent


def start(snakemake, path, store, programs=HOME):
    """Plan, then run in the background, with ``avatar`` of a folder."""
    env = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    plan = ["avatar", "cohort", "plan", str(path), "--store", str(store)]
    subprocess.run(plan, env=env, check=True, capture_output=True)
    command = [
        snakemake, "--snakefile", str(ROOT / "workflow" / "Snakefile"), "--directory", str(path.parent),
        "--profile", str(ROOT / "workflow" / "profiles" / "local"), "--cores", "2",
        "--config", f"cohort={path}", f"store={store}",
    ]  # fmt: skip
    log = (path.parent / "snakemake.log").open("a")
    return subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)


def test_snakemake_makes_the_same_avatars_and_after_a_kill_only_what_was_in_hand(
    snakemake, expected, tmp_path
):
    path, store = write_cohort(tmp_path, COUNT, side=96), tmp_path / "store"
    broken = path.parent / "studies" / "P03" / "t1c.nii.gz"
    whole = broken.read_bytes()
    broken.write_bytes(b"x")
    process = start(snakemake, path, store)
    records = store / "runs" / "small" / "patients"
    deadline = time.monotonic() + 240
    while len(list(records.glob("P*.json"))) < 3:
        assert not has_ended(process, 0.1)
        assert time.monotonic() < deadline
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {p.name: p.stat().st_mtime_ns for p in records.glob("P*.json")}
    assert 3 <= len(kept) < COUNT
    process = start(snakemake, path, store)
    assert process.wait(300) == 0, (path.parent / "snakemake.log").read_text()[-3000:]
    again = [n for n, at in kept.items() if (records / n).stat().st_mtime_ns != at]
    assert len(again) <= 2  # what two cores had in hand
    found = records_of(store / "runs" / "small")
    assert {p for p, r in found.items() if r.status == "failed"} == {"P03"}
    assert "not a readable NIfTI" in found["P03"].error
    assert digests(store) == {p: d for p, d in expected.items() if p != "P03"}
    assert "P03" in (store / "runs" / "small" / "quality.html").read_text()
    broken.write_bytes(whole)
    process = start(snakemake, path, store)
    assert process.wait(300) == 0
    assert digests(store) == expected
    with AvatarStore(store) as opened:
        assert [f for f in check_store(opened).findings if f.kind != "orphan"] == []


def test_a_job_that_is_killed_each_time_keeps_the_tables_from_nobody(snakemake, tmp_path):
    path, store = write_cohort(tmp_path, 3, side=16), tmp_path / "store"
    killed = tmp_path / "programs" / "avatar"
    killed.parent.mkdir()
    killed.write_text(
        f'#!/bin/sh\ncase "$*" in *" task "*" P01 "*) kill -9 $$ ;; esac\nexec {HOME}/avatar "$@"\n'
    )
    killed.chmod(0o755)
    process = start(snakemake, path, store, killed.parent)
    assert process.wait(300) != 0
    run = store / "runs" / "small"
    table = pd.read_parquet(run / "cohort.parquet").set_index("patient")
    assert table["status"].to_dict() == {"P00": "done", "P01": "not run", "P02": "done"}
    assert "Not run to the end:</b> P01" in (run / "quality.html").read_text()
    process = start(snakemake, path, store)
    assert process.wait(300) == 0, (path.parent / "snakemake.log").read_text()[-3000:]
    assert {r.status for r in records_of(run).values()} == {"done"}


def test_four_workers_on_postgresql_make_the_same_avatars(expected, tmp_path):
    path = write_cohort(tmp_path, COUNT, side=96)
    with served() as url:
        AvatarStore(tmp_path / "store", url=url).close()
        found = run_cohort(path, tmp_path / "store", workers=4)
        assert found.failed == ()
        assert digests(tmp_path / "store") == expected
        with AvatarStore(tmp_path / "store") as store:
            assert check_store(store).findings == ()
        assert run_cohort(path, tmp_path / "store").recomputed == 0
