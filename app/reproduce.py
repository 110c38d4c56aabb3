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
    from pipelines.chaudhuri2023 import Revisited
    from pipelines.coverage import CoverageStudy

app = typer.Typer(help="Run a published or own study again.", no_args_is_help=True)
err = Console(stderr=True)
BASELINES = ("last value", "exponential")


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
    lines += [
        "",
        "Targets about the core of day 60, of equal size: all brain within a margin, and where the calibrated "
        "twin has most cells. Share of what the core grew by day 150 that each covers (PREDICT-GBM's measure):",
        "",
        "| margin | usual target | model's target | gain (paired 90 % interval) |",
        "|---|---|---|---|",
    ]
    for margin_mm in sorted({s.margin_mm for s in study.spread}):
        usual, model, (gain, least, most) = study.target_gain(margin_mm)
        lines.append(
            f"| {margin_mm:g} mm | {100 * usual:.1f} % | {100 * model:.1f} % | {100 * gain:+.1f} % "
            f"({100 * least:+.1f} to {100 * most:+.1f} %) |"
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


@app.command("chaudhuri2023")
def chaudhuri2023(
    patients: Annotated[
        int | None, typer.Option(help="Of the cohort; as configs/studies says by default.", min=2)
    ] = None,
    seed: Annotated[int, typer.Option()] = 1,
    threads: Annotated[int, typer.Option(help="Patients at once.", min=1)] = 2,
    output: Annotated[
        Path | None, typer.Option(help="Also write the table to this Markdown file, with a figure.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Plans for 100 in-silico patients: toxicity saved, by largest fraction and measure of toxicity."""
    from pipelines.chaudhuri2023 import cohort_config, revisit

    config = cohort_config()
    if patients is not None:
        config = config.model_copy(update={"patients": patients})
    with Progress(console=err, transient=True) as bar:
        task = bar.add_task("patients", total=config.patients)
        found = revisit(
            config,
            seed=seed,
            threads=threads,
            on_patient=lambda done, total: bar.update(task, completed=done),
        )
    text = revisited_text(found, output)
    if output is not None:
        replace_atomically(output.with_suffix(".png"), revisited_figure(found))
        replace_atomically(output, text.encode())
    sys.stdout.write(found.model_dump_json(indent=1) + "\n" if as_json else text)


def revisited_text(found: Revisited, output: Path | None) -> str:
    """Both tables as Markdown, with what is assumed."""
    import numpy as np

    from models.inference.prior import beliefs
    from models.policy.toxicity import ntcp_of
    from pipelines.chaudhuri2023 import METRICS
    from pipelines.config import organ

    config = found.config
    brain = organ("brain")
    standard = np.full((1, config.weeks), config.standard_dose_gy)
    usual = float(ntcp_of(brain, np.ones(1), np.array([config.brain_share]))(standard, 5)[0])
    total = config.standard_dose_gy * 5 * config.weeks
    lines = [
        f"# 16.7 % revisited: {config.paper}",
        "",
        f"In silico: {config.patients} patients, seed {found.seed}; "
        f"`avatar reproduce chaudhuri2023 --patients {config.patients} --seed {found.seed}`. Weekly doses "
        "are chosen on a twin calibrated on two volumes before treatment, by the superquantile at "
        f"{config.level:g} of the days to progression (1.40 times the volume at the start of treatment), "
        f"against {total:g} Gy in fractions of {config.standard_dose_gy:g} Gy. No patient was treated.",
        "",
        "The paper's medians: 16.7 % (10 Gy) less dose for the same control, or 6 days more control for "
        "60 Gy. Its priors could not be read; those used here are listed below.",
        "",
        "The saving comes from the freedom to give larger fractions while toxicity is measured as physical "
        "dose. NTCP is that of brain necrosis (Burman 1991); its savings are shares of a small probability: "
        f"the standard course has {100 * usual:.1f} %.",
        "",
    ]
    if output is not None:
        lines += [f"![Toxicity saved by cap and measure]({output.with_suffix('.png').name})", ""]
    tables = (
        ("Toxicity saved for the same control (%)", "reduction", 100.0),
        ("Days of progression that the saving plan loses in truth", "true_lost_days", 1.0),
        ("Days of control gained for the same toxicity, as the twin expects", "gained_days", 1.0),
        ("Days of progression gained for the same toxicity, in truth", "true_gained_days", 1.0),
    )
    for title, what, scale in tables:
        lines += [f"**{title}**, median over patients (90 % interval)", ""]
        lines += ["| largest fraction | " + " | ".join(METRICS) + " |", "|---" * 4 + "|"]
        for cap in config.caps_gy:
            cells = []
            for metric in METRICS:
                middle, low, high = (scale * v for v in found.median(cap, metric, what))
                cells.append(f"{middle:z.1f} ({low:z.1f} to {high:z.1f})")
            lines.append(f"| {cap:g} Gy | " + " | ".join(cells) + " |")
        lines.append("")
    lines += [
        "**Assumed**",
        "",
        "| parameter | median | log sd | source | confirmed |",
        "|---" * 5 + "|",
    ]
    lines += [
        f"| {name} | {b.median:g} {b.unit} | {b.log_sd:g} | {b.source} | {'yes' if b.confirmed else 'no'} |"
        for name, b in beliefs(config)
    ]
    return "\n".join([*lines, ""])


def revisited_figure(found: Revisited) -> bytes:
    """Median toxicity saved by cap, one line a measure; a PNG."""
    import io

    from matplotlib.figure import Figure

    from app.views import COLORS
    from pipelines.chaudhuri2023 import METRICS

    figure = Figure(figsize=(7.0, 4.0), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    caps = found.config.caps_gy
    for metric, color in zip(METRICS, COLORS, strict=False):
        told = [[100.0 * v for v in found.median(cap, metric, "reduction")] for cap in caps]
        middle, low, high = zip(*told, strict=True)
        axes.plot(caps, middle, "o-", color=color, label=metric)
        axes.fill_between(caps, low, high, color=color, alpha=0.18)
    axes.axhline(16.7, color="#888", linestyle="--", linewidth=1, label="paper: 16.7 % of the dose")
    axes.set(xlabel="largest fraction (Gy)", ylabel="toxicity saved for the same control (%)")
    axes.set_title(f"In silico, {found.config.patients} patients", fontsize=10)
    axes.legend(frameon=False, loc="upper left", fontsize=8)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()
