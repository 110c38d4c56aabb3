"""What a cohort takes: seconds and peak memory of each step, what the runner adds, what a second worker gains.

Usage: ``python benchmarks/cohort.py [--patients 12] [--spacing 2] [--workers 2] [--folder FOLDER]``. In-silico
patients go through all steps, in one run: by one worker, by several, and once more where all is done; each
worker has one thread. The peer is the same function in a plain loop over the same patients. With ``--folder``
the studies are made once and kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import yaml
from rich.console import Console
from rich.table import Table

from data.store import AvatarStore
from pipelines.cohort.records import records_of
from pipelines.cohort.run import Finished, run_cohort
from pipelines.cohort.table import step_table
from pipelines.insilico_cohort import write_insilico_cohort

console = Console(width=110)
LOOP = """
import sys, time
from pathlib import Path
from data.store import AvatarStore
from pipelines.assemble import run_study
started = time.monotonic()
with AvatarStore(Path(sys.argv[2])) as store:
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        run_study(folder, store)
print(time.monotonic() - started)
"""


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=12)
    parser.add_argument("--spacing", type=int, default=2, help="voxels in mm: 1 or 2")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the studies are made, once")
    parser.add_argument("--no-loop", action="store_true", help="leave the plain loop out")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary) / "cohort"
        path = write_insilico_cohort(folder, asked.patients, seed=1, spacing_mm=asked.spacing)
        settings = yaml.safe_load(path.read_text()) | {"threads": 1}
        path.write_text(yaml.safe_dump(settings))
        stores = [Path(temporary) / name for name in ("one", "several", "loop")]
        one = run_cohort(path, stores[0], workers=1)
        several = run_cohort(path, stores[1], workers=asked.workers)
        again = run_cohort(path, stores[1], workers=asked.workers)
        loop = None if asked.no_loop else looped(folder / "studies", stores[2])
        with AvatarStore(stores[0]) as first, AvatarStore(stores[1]) as second:
            same = first.digests() == second.digests()
        figures = told(one, several, again, loop, same=same)
    console.print_json(json.dumps(figures), indent=None)


def looped(studies: Path, store: Path) -> float:
    """Seconds of the plain loop, in a process of its own; its imports are not counted."""
    done = subprocess.run(
        [sys.executable, "-c", LOOP, str(studies), str(store)],
        capture_output=True, text=True, check=True, env=os.environ | {"AVATAR_THREADS": "1"},
    )  # fmt: skip
    return float(done.stdout)


def told(
    one: Finished, several: Finished, again: Finished, loop: float | None, *, same: bool
) -> dict[str, object]:
    """The tables, and all figures."""
    steps = step_table(records_of(several.run)) if several.run.exists() else step_table({})
    table = Table("step", "computed", "median s", "95 % s", "processor s", "peak MB")
    table.title = f"{len(several.records)} in-silico patients, {several.workers} workers"
    for row in steps.to_dict("records"):
        table.add_row(
            row["step"], str(row["computed"]), f"{row['seconds_median']:.2f}", f"{row['seconds_p95']:.2f}",
            f"{row['cpu_seconds_all']:.1f}", f"{row['peak_mb']:.0f}",
        )  # fmt: skip
    console.print(table)
    compute = sum(record.seconds for record in one.records)
    table = Table("", "seconds", "")
    overhead = (one.seconds - compute) / compute
    gain = one.seconds / several.seconds
    table.add_row("one worker", f"{one.seconds:.1f}", f"{overhead:.1%} more than its patients took")
    table.add_row(
        f"{several.workers} workers", f"{several.seconds:.1f}",
        f"{gain:.2f} times as fast: efficiency {gain / several.workers:.0%}; same avatars: {same}",
    )  # fmt: skip
    share = again.seconds / several.seconds
    table.add_row("all done", f"{again.seconds:.1f}", f"{share:.2%}; {again.recomputed} computed")
    if loop is not None:
        table.add_row(
            "plain loop", f"{loop:.1f}", f"one worker takes {one.seconds / loop:.2f} times as long"
        )
    console.print(table)
    return {
        "patients": len(one.records), "one_worker_s": one.seconds, "compute_s": compute, "overhead": overhead,
        "workers": several.workers, "several_s": several.seconds, "efficiency": gain / several.workers,
        "resumed_s": again.seconds, "resumed_share": share, "recomputed": again.recomputed, "loop_s": loop,
        "same_avatars": same, "steps": steps.to_dict("records"), "at": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


if __name__ == "__main__":
    main()
