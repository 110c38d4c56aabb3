"""The ``avatar`` command: one line of output per step, one sentence per mistake."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.bring_in import (
    KeepCharacteristicsOption,
    KeepIdentityOption,
    KeyOption,
    SiteOption,
    progress,
    taken,
    wrote_study,
)
from app.cohort import app as cohort_app
from app.genomics import app as genomics_app
from app.knowledge import app as knowledge_app
from app.options import DEFAULT_STORE, JsonOption, StoreOption
from app.pacs import app as pacs_app
from app.plan import plan
from app.reproduce import app as reproduce_app
from app.review import app as review_app
from app.store import app as store_app
from app.survival import app as survival_app
from app.tables import avatar_table, evaluation_tables
from data.errors import AvatarError, StudyError
from data.files import replace_atomically
from data.store import AvatarStore

if TYPE_CHECKING:  # they import torch, which takes seconds
    from data.imaging import Segmentation
    from pipelines.cases import Case
    from pipelines.evaluate import CaseScores

app = typer.Typer(
    help="Cancer Avatars: scans, variants and record to a patient's avatar. Research use only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
weights_app = typer.Typer(help="Network weights that are not shipped.", no_args_is_help=True)
study_app = typer.Typer(help="Study folders.", no_args_is_help=True)
samples_app = typer.Typer(help="Studies to try things on.", no_args_is_help=True)
train_app = typer.Typer(help="Make the shipped models again.", no_args_is_help=True)
app.add_typer(weights_app, name="weights")
app.add_typer(study_app, name="study")
app.add_typer(samples_app, name="samples")
app.add_typer(train_app, name="train")
app.add_typer(reproduce_app, name="reproduce")
app.add_typer(review_app, name="review")
app.add_typer(pacs_app, name="pacs")
app.add_typer(genomics_app, name="genomics")
app.add_typer(knowledge_app, name="knowledge")
app.add_typer(survival_app, name="survival")
app.add_typer(store_app, name="store")
app.add_typer(cohort_app, name="cohort")
app.command()(plan)

STEPS = 9
SEGMENTER_HELP = (
    "For a glioma: glioma-net (shipped, the default); msnet, deepmedic (weights added once); ensemble (all "
    "that are there). For a soft-tissue sarcoma: sarcoma-net (shipped, the default); "
    "suv-threshold (41 % of the highest SUV)."
)
GROWTH_HELP = (
    "reaction-diffusion: in space, where the scan has a tissue map. Without space: logistic, gompertz, "
    "exponential, competition (sensitive and resistant cells), or a plug-in's."
)
err = Console(stderr=True)
out = Console()


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="Folder with a study.yaml.")],
    store: StoreOption = DEFAULT_STORE,
    segmenter: Annotated[str | None, typer.Option(help=SEGMENTER_HELP)] = None,
    despite_flags: Annotated[
        bool, typer.Option("--despite-flags", help="Segment what the quality gate would refuse.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Files to a stored avatar, step by step; what was done before is not done again."""
    with err.status("Loading the imaging libraries"):
        from pipelines.assemble import run_study
        from pipelines.steps import StepReport

    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with AvatarStore(store) as opened, Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("reading the study", total=STEPS)

        def watch(report: StepReport) -> None:
            mark = "[dim]kept[/dim]" if report.reused else "[green]done[/green]"
            bar.console.print(
                f"{mark}  [bold]{report.step}[/bold]: {escape(report.used)}", highlight=False
            )
            bar.update(task, advance=1, description="working")

        avatar = run_study(
            study, opened, segmenter=segmenter, despite_flags=despite_flags, watch=watch
        )
    if as_json:
        sys.stdout.write(avatar.to_json() + "\n")
    else:
        out.print(avatar_table(avatar))


@app.command()
def show(patient: str, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """A stored avatar, as a table or as JSON."""
    with AvatarStore(store, must_exist=True) as opened:
        avatar = opened.get(patient)
    if as_json:
        sys.stdout.write(avatar.to_json() + "\n")
    else:
        out.print(avatar_table(avatar))


@app.command()
def simulate(
    patient: str,
    regimen: Annotated[str, typer.Option(help="A shipped regimen's name or a YAML file.")],
    store: StoreOption = DEFAULT_STORE,
    growth: Annotated[str, typer.Option(help=GROWTH_HELP)] = "reaction-diffusion",
    incomplete_repair: Annotated[
        bool, typer.Option(help="Damage of a fraction is not all repaired before the next.")
    ] = False,
    repopulation: Annotated[
        bool, typer.Option(help="Growth speeds up from a kick-off day of radiotherapy on.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """One regimen on a stored avatar: in-silico volume and time to progression with a 90 % band."""
    from models.inference.prior import ResponseOptions
    from pipelines.simulate import simulate_avatar

    options = ResponseOptions(incomplete_repair=incomplete_repair, repopulation=repopulation)
    with (
        AvatarStore(store, must_exist=True) as opened,
        Progress(console=err, transient=True) as bar,
    ):
        task = bar.add_task("simulating", total=None)
        result = simulate_avatar(
            opened.get(patient),
            regimen,
            opened,
            growth=growth,
            options=options,
            on_member=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        sys.stdout.write(result.model_dump_json(indent=1) + "\n")
        return
    what = f"{escape(result.regimen)}, {result.region}, {result.growth} ({result.model})"
    table = Table(title=f"{patient}: {what}")
    table.add_column("")
    table.add_column("median", justify="right")
    table.add_column("90 % band", justify="right")
    for n in range(0, len(result.days), max(1, len(result.days) // 8)):
        low, mid, high = (
            curve[n] / 1000
            for curve in (
                result.volume_mm3.lower,
                result.volume_mm3.median,
                result.volume_mm3.upper,
            )
        )
        table.add_row(f"day {result.days[n]:.0f}", f"{mid:.2f} mL", f"{low:.2f} to {high:.2f} mL")
    early, middle, late = (
        "beyond" if d is None else f"day {d:.0f}" for d in result.progression_days
    )
    table.add_row("progression", middle, f"{early} to {late}")
    table.add_row("dose", f"{result.total_dose_gy:.1f} Gy", f"BED {result.bed_gy:.1f} Gy")
    table.add_row("no clonogen left (TCP)", f"{100 * result.tumor_control:.2g} %", "")
    out.print(table)
    for option in result.options:
        out.print(f"With {option}.")
    out.print(f"In silico, {result.members} members, research use only.")


@app.command()
def board(
    store: StoreOption = DEFAULT_STORE,
    port: Annotated[int, typer.Option(help="TCP port on this machine.", min=1, max=65535)] = 8501,
) -> None:
    """Serve the board on http://127.0.0.1:PORT until Ctrl-C."""
    from app.serve import serve

    if not store.exists():
        raise StudyError(f"{store}: there is no store yet; 'avatar run STUDY' makes one")
    out.print(f"Board on [bold]http://127.0.0.1:{port}[/bold]  (Ctrl-C ends it)", highlight=False)
    serve(store.resolve(), port)


@app.command()
def demo(
    store: StoreOption = Path("runs/demo-store"),
    study: Annotated[Path | None, typer.Option(help="Run this study instead.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the demo studies go.")] = Path("runs/studies"),
    serve_board: Annotated[bool, typer.Option("--board/--no-board")] = True,
    port: Annotated[int, typer.Option()] = 8501,
) -> None:
    """Make the demo patients, run them, show a summary and serve the board."""
    from data.samples.public_cases import PATIENT as PUBLIC
    from data.samples.public_cases import write_public_study
    from pipelines.insilico import (
        FOLLOWED,
        PATIENT,
        write_followed_study,
        write_insilico_study,
    )

    if study is not None:
        run(study, store)
    else:
        with err.status("Growing an in-silico patient on the SRI24 atlas"):
            write_insilico_study(folder / PATIENT)
        run(folder / PATIENT, store)
        with err.status("Following another one over four scans"):
            write_followed_study(folder / FOLLOWED)
        run(folder / FOLLOWED, store)
        try:
            with err.status("Fetching a public brain-tumor MR"):
                write_public_study(folder / PUBLIC)
            run(folder / PUBLIC, store)
        except AvatarError as error:
            err.print(f"[yellow]The public case is left out:[/yellow] {escape(str(error))}")
    if serve_board:
        board(store, port)


@weights_app.command("add")
def weights_add(file: Path) -> None:
    """Add a weights file (checked by its sha256) to the cache."""
    from pipelines.weights import add_weights

    out.print(f"added {add_weights(file)}")


@study_app.command("init")
def study_init(
    folder: Path,
    patient: Annotated[str, typer.Option(help="How the patient is called.")],
    site: SiteOption = "glioma",
) -> None:
    """Write a study.yaml from the NIfTI and VCF files in a folder, by their names."""
    from pipelines.study_init import guess_study

    path = guess_study(folder, patient, site)
    out.print(f"wrote {path}: check which file is which before running it")


@study_app.command("series")
def study_series(
    source: Annotated[Path, typer.Argument(help="A folder, zip or tar of DICOM files.")],
    as_json: JsonOption = False,
) -> None:
    """The image series in a folder or an archive, to pick from."""
    from pipelines.dicom_import import guessed, opened

    with progress("Reading headers") as tell, opened(source, tell) as found:
        summaries = [series.summary for series in found.series]
        best = guessed(found.series)
    for sentence in found.damaged:
        err.print(f"[yellow]damaged[/yellow] {escape(sentence)}", soft_wrap=True)
    if as_json:
        out.print_json(data=[summary.model_dump() for summary in summaries])
        return
    patients = sorted({summary.patient for summary in summaries})
    one = f" of patient {patients[0]}" if len(patients) == 1 else ""
    table = Table(title=escape(f"{len(summaries)} series in {source}{one}"))
    heads = {"No.": "number", "Patient": "patient", "Date": "study_date", "Modality": "modality"}
    heads |= {
        "Description": "description",
        "Images": "images",
        "Size": "size",
        "Looks like": "looks_like",
    }
    if one:
        del heads["Patient"]
    for head in heads:
        table.add_column(head)
    for summary in summaries:
        told = (getattr(summary, name) for name in heads.values())
        table.add_row(*(escape("" if cell is None else str(cell)) for cell in told))
    out.print(table)
    takes = " ".join(f"--take {number}={kind}" for kind, number in best.items()) or "--take 1=t1c"
    out.print(f"avatar study import {source} NEW_FOLDER {takes}", soft_wrap=True)


@study_app.command("import")
def study_import(
    source: Annotated[Path, typer.Argument(help="A folder, zip or tar of DICOM files.")],
    folder: Annotated[Path, typer.Argument(help="The new study folder.")],
    take: Annotated[
        list[str] | None,
        typer.Option(help="Number of a series and what it is, as 3=t1c; may be repeated."),
    ] = None,
    site: SiteOption = "glioma",
    keep_identity: KeepIdentityOption = False,
    keep_characteristics: KeepCharacteristicsOption = False,
    despite_damaged: Annotated[
        bool, typer.Option("--despite-damaged", help="Leave damaged files out.")
    ] = False,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Picked series as a study folder with its study.yaml, without the person they are of."""
    from pipelines.dicom_import import opened, user_secret
    from pipelines.dicom_import import take as take_series

    picked = taken(take or ())
    secret = None if keep_identity else user_secret(key, keep_characteristics=keep_characteristics)
    with progress("Reading headers, then taking series") as tell, opened(source, tell) as found:
        made = take_series(
            found, picked, folder,
            secret=secret, site=site, despite_damaged=despite_damaged, tell=tell,
        )  # fmt: skip
    wrote_study(made, as_json=as_json)


@study_app.command("regimen")
def study_regimen(
    plan_file: Annotated[Path, typer.Argument(help="A DICOM RTPLAN.")],
    output: Annotated[Path, typer.Argument(help="The regimen, a new .yaml.")],
    start_day: Annotated[float, typer.Option(help="Of the first fraction, since the scan.")] = 0.0,
    per_week: Annotated[
        int, typer.Option(help="Fractions a week; a plan does not say.", min=1, max=14)
    ] = 5,
    dose: Annotated[
        str | None, typer.Option(help="Name of its dose map under 'planning' in study.yaml.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """A radiotherapy plan as a regimen to simulate."""
    from data.errors import StudyError
    from data.io.rtplan import read_rtplan
    from data.samples.shared_cases import write_yaml

    if output.exists():
        raise StudyError(f"{output}: exists already; choose another name")
    if output.suffix not in (".yaml", ".yml"):
        raise StudyError(f"{output}: a regimen is written as .yaml")
    plan_ = read_rtplan(plan_file, start_day=start_day, per_week=per_week, dose=dose)
    write_yaml(output, plan_.model_dump(mode="json", exclude_defaults=True))
    if as_json:
        sys.stdout.write(plan_.model_dump_json(indent=1) + "\n")
        return
    out.print(f"wrote {output}: {plan_.source}", soft_wrap=True)


@samples_app.command("tcga")
def samples_tcga(patient: str, folder: Path) -> None:
    """A study folder of a TCGA case from AVATAR_SHARED, by reference."""
    from pipelines.shared_studies import write_shared_study

    out.print(f"wrote {write_shared_study(patient, folder)}")


@samples_app.command("in-silico")
def samples_insilico(folder: Path) -> None:
    """The in-silico demo patient as a study folder."""
    from pipelines.insilico import write_insilico_study

    out.print(f"wrote {write_insilico_study(folder)}")


@samples_app.command("followed")
def samples_followed(folder: Path) -> None:
    """An in-silico patient with four scans as a study folder, to calibrate the twin on."""
    from pipelines.insilico import write_followed_study

    out.print(f"wrote {write_followed_study(folder)}")


@train_app.command("survival")
def train_survival(
    name: Annotated[str, typer.Argument(help="A configuration of configs/survival.")],
    table: Annotated[Path, typer.Argument(help="CSV or Parquet that the configuration describes.")],
    validation: Annotated[
        Path | None, typer.Option(help="Table of the validation cohort, where it names one.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for NAME.json and NAME.md.")] = Path(),
    seed: Annotated[int, typer.Option(help="Of folds and draws.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Fit a shipped survival model, measure it, and write it with its model card."""
    from pipelines.model_card import model_card
    from pipelines.ship_survival import ship

    with Progress(console=err) as bar:
        task = bar.add_task("fits", total=None)
        made = ship(
            name, table, validation=validation, seed=seed,
            on_step=lambda step, done, total: bar.update(
                task, description=step, completed=done, total=total
            ),
        )  # fmt: skip
    model = made.model
    replace_atomically(output / f"{name}.json", (model.model_dump_json() + "\n").encode())
    replace_atomically(output / f"{name}.md", model_card(made).encode())
    if as_json:
        typer.echo(json.dumps({"model": str(output / f"{name}.json"), "patients": model.patients,
                               "events": model.events, "harrell": model.concordance_out_of_fold}))  # fmt: skip
        return
    out.print(
        f"{output / name}.json and .md: {model.patients} patients, {model.events} events, out-of-fold "
        f"concordance {model.concordance_out_of_fold}"
    )


@train_app.command("recurrence")
def train_recurrence(
    mafs: list[Path],
    output: Annotated[Path, typer.Option(help="The table to write.")],
    source: Annotated[
        str, typer.Option(help="Which cohorts they are, for the table's first line.")
    ],
) -> None:
    """Count in how many patients each protein change of the panel's genes is seen, in MAFs of cohorts."""
    from pipelines.knowledge import gene_table
    from pipelines.recurrence import patients_by_change, write_recurrence

    found = patients_by_change(mafs, gene_table())
    write_recurrence(output, found, source)
    out.print(f"{len(found)} changes seen in two patients or more: {output}")


@train_app.command("hotspots")
def train_hotspots(
    output: Annotated[Path, typer.Option(help="The index to write.")],
    source: Annotated[
        str, typer.Option(help="Which cohorts they are, for the index's first line.")
    ],
    grch37: Annotated[list[Path] | None, typer.Option(help="A MAF of GRCh37; repeatable.")] = None,
    grch38: Annotated[list[Path] | None, typer.Option(help="A MAF of GRCh38; repeatable.")] = None,
) -> None:
    """Index the alleles that two patients or more have, on both builds, from MAFs of cohorts."""
    from pipelines.hotspots import find_hotspots, write_hotspots
    from pipelines.knowledge import gene_table

    found = find_hotspots({"GRCh37": grch37 or [], "GRCh38": grch38 or []}, gene_table())
    write_hotspots(output, found, source)
    both = sum(len(spot.positions) == 2 for spot in found)
    out.print(f"{len(found)} alleles, {both} of them on both builds: {output}")


@train_app.command("segmenter")
def train_segmenter(
    config: Path,
    output: Path,
    start_from: Annotated[
        Path | None, typer.Option("--from", help="Weights of an earlier stage to begin with.")
    ] = None,
    cases: Annotated[
        Path | None, typer.Option(help="Real cases to be taught from (configs/cases/*.yaml).")
    ] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option(help="A case not to be taught from; may be repeated.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after this long; the same command goes on.", min=0.1)
    ] = None,
) -> None:
    """Train one of the own networks; a run that was stopped goes on where it was."""
    from data.io.structured import read_model
    from pipelines.cases import read_cases
    from pipelines.training import TrainingConfig, source_of, train
    from pipelines.weights import segmenter_of

    settings = read_model(config, TrainingConfig, StudyError)
    listed = [] if cases is None else read_cases(cases)
    unknown = set(leave_out or ()) - {case.name for case in listed}
    if unknown:
        raise StudyError(f"--leave-out {', '.join(sorted(unknown))}: no such case in {cases}")
    chosen = [case for case in listed if case.name not in (leave_out or ())]
    with Progress(console=err) as bar:
        source = source_of(
            settings,
            chosen,
            teacher=lambda: segmenter_of("msnet"),
            track=lambda taught: bar.track(taught, description="reading cases"),
        )
        task = bar.add_task("training", total=settings.iterations)
        complete = train(
            settings,
            output,
            source,
            taught_from=[case.name for case in chosen],
            start_from=start_from,
            stop_after_seconds=None if minutes is None else 60.0 * minutes,
            on_step=lambda step, loss: bar.update(
                task, completed=step, description=f"training, loss {loss:.3f}"
            ),
        )
    if not complete:
        err.print("Stopped in time; the same command goes on.")


@app.command()
def evaluate(
    cases: Annotated[Path, typer.Argument(help="Labelled cases, as configs/cases/*.yaml.")],
    segmenter: Annotated[str | None, typer.Option(help=SEGMENTER_HELP)] = None,
    only: Annotated[
        str | None, typer.Option(help="Sequences to show it, by comma: t1c,flair.")
    ] = None,
    windows: Annotated[
        int | None,
        typer.Option(
            help="Of crops about the tumor: judge so many random windows of each, instead of as many as "
            "the list says; 0 judges the crops as they are.",
            min=0,
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Score a segmenter on labelled cases: a table, and pictures of the worst in the store."""
    with err.status("Loading the imaging libraries"):
        from pipelines.cases import read_cases
        from pipelines.evaluate import Gallery
        from pipelines.evaluate import evaluate as evaluate_cases
        from pipelines.sites.registry import SITES
        from pipelines.weights import segmenter_of

    gallery = Gallery()
    with Progress(console=err, transient=True) as bar:
        listed = read_cases(cases)
        if windows is not None:
            listed = [replace(case, windows=windows) for case in listed]
        task = bar.add_task("segmenting", total=sum(case.windows or 1 for case in listed))

        def on_case(case: Case, found: Segmentation, scores: CaseScores) -> None:
            gallery.add(case, found, scores)
            bar.update(task, advance=1)

        shown = None if only is None else tuple(only.split(","))
        kind = segmenter or SITES[listed[0].site].default_segmenter or "none"
        result = evaluate_cases(listed, segmenter_of(kind), only=shown, doubt=True, on_case=on_case)
    parts = [cases.stem, Path(kind).name, *(shown or ())]
    folder = store / "evaluations" / "-".join(parts)
    replace_atomically(
        folder / "evaluation.json", (result.model_dump_json(indent=1) + "\n").encode()
    )
    gallery.write(folder / "worst.png")
    if as_json:
        sys.stdout.write(result.model_dump_json(indent=1) + "\n")
        return
    for table in evaluation_tables(result):
        out.print(table)
    for name, why in result.refused.items():
        out.print(f"[yellow]refused[/yellow] {name}: {escape(why)}")
    err.print(f"Scores and pictures of the worst cases: {folder}", soft_wrap=True)


def _complain(sentence: str) -> NoReturn:
    """One sentence on stderr, as it is (a name in brackets is not markup), and exit code 2."""
    err.print(Text.assemble(("error: ", "red"), sentence), highlight=False, soft_wrap=True)
    raise SystemExit(2)


def main() -> None:
    """Entry point: mistakes of the user end with one sentence and exit code 2."""
    try:
        app()
    except AvatarError as error:
        _complain(str(error))
    except OSError as error:
        _complain(f"{error.filename or 'a file'}: {error.strerror or error}")
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
