"""``avatar reproduce``: studies whose tables the documents show, run again from their seed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from data.files import replace_atomically

if TYPE_CHECKING:
    from pipelines.coverage import CoverageStudy

app = typer.Typer(help="Run a published or own study again.", no_args_is_help=True)
err = Console(stderr=True)
BASELINES = ("last value", "exponential")


@app.callback()
def _studies() -> None:
    """Run a published or own study again."""


@app.command("coverage")
def coverage(
    prior_class: Annotated[
        str, typer.Option("--class", help="Tumor class, as configs/priors.")
    ] = "glioblastoma",
    patients: Annotated[int, typer.Option(help="In-silico patients.", min=2)] = 60,
    members: Annotated[int, typer.Option(help="Of each ensemble.", min=10)] = 100,
    method: Annotated[str, typer.Option(help="es-mda or laplace.")] = "es-mda",
    seed: Annotated[int, typer.Option()] = 1,
    output: Annotated[
        Path | None, typer.Option(help="Also write the table to this Markdown file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Do the twin's bands hold held-out volumes of in-silico patients, and does it beat simple forecasts?"""
    from models.inference.calibration import METHODS
    from pipelines.coverage import study_coverage

    chosen = next((m for m in METHODS if m == method), None)
    if chosen is None:
        raise typer.BadParameter(f"{method!r}: known are {', '.join(METHODS)}")
    with Progress(console=err, transient=True) as bar:
        task = bar.add_task("in-silico patients", total=patients)
        study = study_coverage(
            prior_class,
            patients=patients,
            members=members,
            method=chosen,
            seed=seed,
            on_patient=lambda done, total: bar.update(task, completed=done),
        )
    text = coverage_text(study)
    if output is not None:
        replace_atomically(output, text.encode())
    sys.stdout.write(study.model_dump_json(indent=1) + "\n" if as_json else text)


def coverage_text(study: CoverageStudy) -> str:
    """The study's table as Markdown."""
    low, high = study.coverage_interval()
    errors = study.errors()
    lines = [
        f"# Coverage of the twin's bands: {study.prior_class}, {study.method}",
        "",
        f"In silico. {study.patients} patients, {study.members} members, seed {study.seed}; "
        f"{len(study.held_out)} held-out volumes (whole tumor and core). The command: "
        f"`avatar reproduce coverage --class {study.prior_class} --patients {study.patients} "
        f"--members {study.members} --method {study.method} --seed {study.seed}`.",
        "",
        "Truth grows on voxels of 2 mm in a varied head and is seen with noise; the twin has voxels of 3 mm, "
        "starts from the first visit's masks, is calibrated on days 30 and 60 and forecasts days 90 and 150, "
        "without treatment. It says that the machinery is sound where its equation is the truth, not that "
        "tumors follow it.",
        "",
        "| | value | 90 % interval |",
        "|---|---|---|",
        f"| held-out volumes in their 90 % band | {100 * study.coverage:.1f} % | "
        f"{100 * low:.1f} to {100 * high:.1f} % |",
        f"| error of the twin's median (mean absolute, of the logarithm) | {errors['twin']:.3f} | |",
    ]
    for name in BASELINES:
        mean, least, most = study.gain(name)
        lines.append(
            f"| error of the {name}, and how much larger it is (paired) | {errors[name]:.3f}, "
            f"+{mean:.3f} | {least:+.3f} to {most:+.3f} |"
        )
    taught = ", ".join(f"{k} {100 * v:.0f} %" for k, v in study.contraction.items())
    ranks = " ".join(str(n) for n in study.rank_histogram())
    lines += [
        "",
        f"Rank histogram of what was seen among the members (flat where bands are right): {ranks}.",
        "",
        f"Variance that the scans took away (median over patients): {taught}.",
        "",
    ]
    return "\n".join(lines)
