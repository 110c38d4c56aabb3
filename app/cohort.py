"""``avatar cohort``: many studies in one go."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from app.options import DEFAULT_STORE, JsonOption, StoreOption
from app.words import clock
from data.errors import StoreError, StudyError

if TYPE_CHECKING:
    from pipelines.cohort.run import Finished
    from pipelines.cohort.run import Progress as RunProgress

app = typer.Typer(help="Many studies in one go: run, go on, sum up.", no_args_is_help=True)
out, err = Console(), Console(stderr=True)
SOME_FAILED = 1
INTERRUPTED = 130
SHOWN_FAILURES = 5

ConfigArgument = Annotated[Path, typer.Argument(help="COHORT.yaml: where the studies are.")]
RetryOption = Annotated[
    bool, typer.Option("--retry-failed", help="Also those whose input was to blame.")
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume/--no-resume", help="Leave out whose inputs are as they were, by their digests."
    ),
]


@app.command("run")
def run_(
    config: ConfigArgument,
    store: StoreOption = DEFAULT_STORE,
    resume: ResumeOption = True,
    retry_failed: RetryOption = False,
    why: Annotated[
        bool, typer.Option("--why", help="Only tell what would be run, and why.")
    ] = False,
    only: Annotated[
        str | None, typer.Option(help="Stop each patient after this step: scan, tissue ...")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; by cores and memory without.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run all studies of a cohort; the same command goes on after any kind of stop.

    Exit code 1 where some patients failed, 2 where nothing could be run or no tables written, 130 where it was
    stopped.
    """
    from pipelines.cohort.run import REPORT, plan, run_cohort

    if why:
        _why(
            [
                (p.study.patient, p.why)
                for p in plan(config, store, resume=resume, retry_failed=retry_failed)
            ],
            as_json=as_json,
        )
        return
    with _stoppable() as asked, Live(console=err, refresh_per_second=4, transient=True) as live:

        def shown(progress: RunProgress) -> None:
            live.update(_progress(progress, asked()))

        found = run_cohort(
            config, store, resume=resume, retry_failed=retry_failed, until=only, workers=workers,
            on_change=shown, is_asked_to_stop=asked,
        )  # fmt: skip
    path = found.run / REPORT
    report = path if path.exists() else None
    unsummed = ""
    if found.records and (found.recomputed or report is None):
        try:
            report = _sum_up(config, store)
        except StoreError as error:  # what the patients came to is told all the same
            report, unsummed = None, f"no tables: {error}"
    if as_json:
        told = {"report": None if report is None else str(report)}
        typer.echo(json.dumps(_told(found) | told, indent=1))
    else:
        _summary(found, report)
    if unsummed:
        err.print(Text(unsummed, "yellow"), soft_wrap=True)
    if found.stopped:
        err.print(Text(f"stopped: {found.stopped}", "yellow"), soft_wrap=True)
        raise typer.Exit(INTERRUPTED if found.was_asked else 2)
    if unsummed:
        raise typer.Exit(2)
    if found.failed:
        raise typer.Exit(SOME_FAILED)


@contextmanager
def _stoppable() -> Iterator[Callable[[], int]]:
    """Counts Ctrl-C: the first lets the patients in hand finish, the second does not."""
    count = 0

    def asked(*_: object) -> None:
        nonlocal count
        count += 1

    before = signal.signal(signal.SIGINT, asked), signal.signal(signal.SIGTERM, asked)
    try:
        yield lambda: count
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


def _why(rows: list[tuple[str, str]], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([{"patient": p, "why": why} for p, why in rows], indent=1))
        return
    table = Table("patient", "is run because it")
    for patient, why in rows:
        if why:
            table.add_row(escape(patient), escape(why))
    out.print(table)
    out.print(f"{sum(bool(why) for _, why in rows)} of {len(rows)} patients would be run")


def _progress(shown: RunProgress, asked: int) -> RenderableType:
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}")
    )  # fmt: skip
    finished = shown.done + shown.failed
    pace = (
        "" if not finished else f"{60 * finished / max(shown.seconds, 1e-9):.1f} patients a minute"
    )
    left = "" if shown.seconds_left is None else f"{pace}, {clock(shown.seconds_left)} left"
    if shown.state != "running":
        left = shown.state
    bar.add_task(shown.name, total=shown.total, completed=finished, left=left)
    parts: list[RenderableType] = [bar]
    table = Table("step", "computed", "s each", "in hand", box=None, pad_edge=False)
    running = list(shown.running.values())
    for step in dict.fromkeys([*shown.steps, *running]):
        count = shown.steps.get(step, 0)
        each = f"{shown.step_seconds.get(step, 0.0) / count:.1f}" if count else ""
        table.add_row(step, str(count), each, str(running.count(step) or ""))
    if table.row_count:
        parts.append(table)
    words = f"{shown.done} done, {shown.failed} failed, {shown.kept} kept; {shown.workers} workers"
    parts.append(Text(words, "dim"))
    for patient, error in shown.failures[-SHOWN_FAILURES:]:
        parts.append(Text.assemble((f"{patient}: ", "red"), error))
    if asked:
        what = f"finishing {len(shown.running)} patients; Ctrl-C again stops at once"
        parts.append(Text(what, "yellow"))
    return Group(*parts)


def _told(found: Finished) -> dict[str, object]:
    return {
        "run": str(found.run),
        "patients": found.patients,
        "done": sum(record.status == "done" for record in found.records),
        "failed": [
            record.model_dump(include={"patient", "fault", "error"}) for record in found.failed
        ],
        "recomputed": found.recomputed,
        "workers": found.workers,
        "seconds": round(found.seconds, 2),
        "stopped": found.stopped,
    }


def _summary(found: Finished, report: Path | None) -> None:
    done = sum(record.status == "done" for record in found.records)
    if found.failed:
        table = Table(
            "patient", "fault", "what and what to do", title=f"{len(found.failed)} failed"
        )
        for record in found.failed:
            table.add_row(escape(record.patient), record.fault, escape(record.error))
        out.print(table)
    out.print(
        f"{done} of {found.patients} patients have their avatar; {found.recomputed} were run now, by "
        f"{found.workers} workers in {clock(found.seconds)}"
    )
    if report is not None:
        out.print(escape(f"{report} and the tables beside it"), soft_wrap=True, highlight=False)


def _sum_up(config: Path, store: Path) -> Path:
    """The tables and the report of a run."""
    from app.cohort_report import write_report
    from data.store import AvatarStore
    from pipelines.cohort.records import records_of, run_of
    from pipelines.cohort.table import step_table, sum_up

    told, run = run_of(config, store)
    with AvatarStore(store) as opened, Progress(console=err, transient=True) as bar:
        task = bar.add_task("table", total=None)

        def shown(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        summed = sum_up(run, told, opened, on_step=shown)
        bar.update(task, description="report")
        return write_report(
            run, told.name, summed.table, step_table(records_of(run)), opened, on_step=shown
        )


@app.command("report")
def report_(config: ConfigArgument, store: StoreOption = DEFAULT_STORE) -> None:
    """Write the tables and the quality report of a run again, from the avatars and records as they are."""
    out.print(escape(str(_sum_up(config, store))), soft_wrap=True, highlight=False)


@app.command("simulate")
def simulate_(
    folder: Annotated[Path, typer.Argument(help="Of the new cohort.")],
    n: Annotated[int, typer.Option("--n", min=1, help="Patients.")] = 20,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 1,
    spacing: Annotated[int, typer.Option(help="Voxels of the scans: 1 or 2 mm.")] = 2,
) -> None:
    """In-silico patients with scans, variants, records and outcomes, and the truth of them."""
    from pipelines.insilico_cohort import TRUTH, write_insilico_cohort

    with Progress(console=err, transient=True) as bar:
        task = bar.add_task("patients", total=n)
        path = write_insilico_cohort(
            folder, n, seed=seed, spacing_mm=spacing,
            on_step=lambda done, total: bar.update(task, completed=done),
        )  # fmt: skip
    out.print(
        f"avatar cohort run {path}   runs them; {folder / TRUTH} has what is true of them",
        soft_wrap=True, highlight=False,
    )  # fmt: skip


@app.command("plan")
def plan_(
    config: ConfigArgument, store: StoreOption = DEFAULT_STORE, retry_failed: RetryOption = False
) -> None:
    """Say for Snakemake who is to be run; their earlier records go, the avatars stay."""
    from pipelines.cohort.run import write_plan

    planned = write_plan(config, store, retry_failed=retry_failed)
    out.print(f"{sum(bool(one.why) for one in planned)} of {len(planned)} patients are to be run:")
    command = (
        "snakemake --snakefile workflow/Snakefile --profile workflow/profiles/local "
        f"--config cohort={config} store={store}"
    )
    out.print(escape(command), soft_wrap=True, highlight=False)


@app.command("task")
def task_(
    config: ConfigArgument,
    patient: Annotated[list[str], typer.Argument(help="As 'run --why' calls them.")],
    store: StoreOption = DEFAULT_STORE,
    attempt: Annotated[
        int, typer.Option(min=1, help="Which one it is; after a second one a failure is no error.")
    ] = 1,
) -> None:
    """Single patients of a cohort, in this process, as on a cluster; failures are in their records.

    Exit code 1 where memory or disk were lacking and another attempt may do.
    """
    from pipelines.cohort.discover import discover
    from pipelines.cohort.records import run_of
    from pipelines.cohort.run import MOST_ATTEMPTS
    from pipelines.cohort.task import run_patient

    told, run = run_of(config, store)
    found = {study.patient: study for study in discover(told, config.parent, run)}
    unknown = [name for name in patient if name not in found]
    if unknown:
        raise StudyError(
            f"{config}: has no patient {unknown[0]!r}; 'avatar cohort run --why' lists them"
        )
    faults = []
    for name in patient:
        record = run_patient(found[name], told, store, run, attempts=attempt)
        out.print(escape(f"{name}: {record.error or record.status}"), soft_wrap=True)
        faults.append(record.fault)
    if attempt < MOST_ATTEMPTS and set(faults) & {"storage", "budget"}:
        raise typer.Exit(SOME_FAILED)
