"""What a cohort takes: seconds and peak memory of each step, what the runner adds, what a second worker gains.

Usage: ``python benchmarks/cohort.py [--patients 12] [--alone 12] [--spacing 2] [--workers 2] [--folder DIR]``.
In-silico patients go through all steps by several workers, and the same command is given once more when all is
done. The first of them (``--alone``) go through them by one worker too, and in a plain loop over the same
function, the peer; each process has one thread. 200 patients take an hour on two cores: each figure is printed
when it is there. With ``--folder`` the studies are made once and kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import yaml
from rich.console import Console
from rich.table import Table

from data.store import AvatarStore
from pipelines.cohort.records import records_of
from pipelines.cohort.run import Finished, Progress, run_cohort
from pipelines.cohort.table import step_table
from pipelines.insilico_cohort import CONFIG, write_insilico_cohort

console = Console(width=110)
LOOP = """
import sys, time
from pathlib import Path
from data.store import AvatarStore
from pipelines.assemble import run_study
started = time.monotonic()
with AvatarStore(Path(sys.argv[1])) as store:
    for folder in sys.argv[2:]:
        run_study(Path(folder), store, despite_flags=True)  # as the cohort's file says
print(time.monotonic() - started)
"""


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=12)
    parser.add_argument(
        "--alone", type=int, default=12, help="patients by one worker and in the loop"
    )
    parser.add_argument("--spacing", type=int, default=2, help="voxels in mm: 1 or 2")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the studies are made, once")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary) / "cohort"
        path = folder / CONFIG
        if not path.is_file():
            write_insilico_cohort(folder, asked.patients, seed=1, spacing_mm=asked.spacing)
        first = sorted((folder / "studies").iterdir())[: asked.alone]
        whole, part = (path.with_name(f"{name}.yaml") for name in ("whole", "alone"))
        whole.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"threads": 1}))
        named = {"studies": [f"studies/{study.name}" for study in first]}
        part.write_text(yaml.safe_dump(yaml.safe_load(whole.read_text()) | named))
        stores = [Path(temporary) / name for name in ("one", "several", "loop")]
        one = run_cohort(part, stores[0], workers=1, on_change=said("one worker"))
        several = run_cohort(
            whole, stores[1], workers=asked.workers, on_change=said(f"{asked.workers} workers")
        )
        summing, _ = commanded("report", whole, stores[1])
        again, told_again = commanded("run", whole, stores[1], "--json")
        loop = looped(first, stores[2])
        with AvatarStore(stores[0]) as left, AvatarStore(stores[1]) as right:
            same = left.digests().items() <= right.digests().items()
        resumed = Resumed(again, json.loads(told_again)["recomputed"])
        figures = told(one, several, summing, resumed, loop, same=same)
    console.print_json(json.dumps(figures), indent=None)


@dataclass(frozen=True)
class Resumed:
    """What the command took when all was done, its start included; patients that it computed."""

    seconds: float
    recomputed: int


def said(what: str) -> Callable[[Progress], None]:
    """Tells of a run at each tenth patient."""
    last = 0

    def shown(progress: Progress) -> None:
        nonlocal last
        finished = progress.done + progress.failed
        if progress.state == "running" and finished // 10 > last // 10:
            last = finished
            console.print(
                f"{what}: {finished} of {progress.total}, {progress.failed} failed, {progress.seconds:.0f} s"
            )

    return shown


def commanded(command: str, *arguments: str | Path) -> tuple[float, str]:
    """Seconds of an ``avatar cohort`` command, and what it printed."""
    config, store, *options = arguments
    words = [sys.executable, "-m", "app.cli", "cohort", command, config, "--store", store, *options]
    started = time.monotonic()
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):  # 1 where patients failed, which the tables tell
        raise SystemExit(done.stderr)
    return time.monotonic() - started, done.stdout


def looped(studies: list[Path], store: Path) -> float:
    """Seconds of the plain loop, in a process of its own; its imports are not counted."""
    done = subprocess.run(
        [sys.executable, "-c", LOOP, str(store), *map(str, studies)],
        capture_output=True, text=True, check=True, env=os.environ | {"AVATAR_THREADS": "1"},
    )  # fmt: skip
    return float(done.stdout)


def told(
    one: Finished, several: Finished, summing: float, again: Resumed, loop: float, *, same: bool
) -> dict[str, object]:
    """The tables, and all figures.

    One worker would take for all patients what it took for the first of them, times what all took in the other
    run by what the first took there.
    """
    steps = step_table(records_of(several.run))
    table = Table("step", "computed", "median s", "95 % s", "processor s", "peak MB")
    table.title = f"{len(several.records)} in-silico patients, {several.workers} workers"
    for row in steps.to_dict("records"):
        table.add_row(
            row["step"], str(row["computed"]), f"{row['seconds_median']:.2f}", f"{row['seconds_p95']:.2f}",
            f"{row['cpu_seconds_all']:.1f}", f"{row['peak_mb']:.0f}",
        )  # fmt: skip
    console.print(table)
    taken = {record.patient: record.seconds for record in several.records}
    compute, alone = sum(taken.values()), sum(record.seconds for record in one.records)
    first = sum(taken[record.patient] for record in one.records)
    overhead = (several.workers * several.seconds + summing - compute) / compute
    efficiency = one.seconds * compute / first / several.seconds / several.workers
    share = again.seconds / several.seconds
    failed = len(several.failed)
    table = Table("", "patients", "seconds", "")
    table.add_row(
        f"{several.workers} workers", str(len(several.records)), f"{several.seconds:.1f}",
        f"{failed} failed; the patients took {compute:.1f} s: with summing up {overhead:.1%} more",
    )  # fmt: skip
    table.add_row("summing up", str(len(several.records)), f"{summing:.1f}", "tables and report")
    table.add_row(
        "all done", str(len(several.records)), f"{again.seconds:.1f}",
        f"{share:.2%} of the first run; {again.recomputed} computed",
    )  # fmt: skip
    table.add_row(
        "one worker", str(len(one.records)), f"{one.seconds:.1f}",
        f"{several.workers} workers on these: efficiency {efficiency:.0%}; same avatars: {same}",
    )  # fmt: skip
    table.add_row(
        "plain loop", str(len(one.records)), f"{loop:.1f}",
        f"one worker takes {one.seconds / loop:.3f} times as long",
    )  # fmt: skip
    console.print(table)
    return {
        "patients": len(several.records), "failed": failed, "workers": several.workers,
        "several_s": several.seconds, "compute_s": compute, "summing_up_s": summing, "overhead": overhead,
        "resumed_s": again.seconds, "resumed_share": share, "recomputed": again.recomputed,
        "alone_patients": len(one.records), "one_worker_s": one.seconds, "one_worker_compute_s": alone,
        "loop_s": loop, "efficiency": efficiency, "same_avatars": same,
        "steps": steps.to_dict("records"), "at": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


if __name__ == "__main__":
    main()
