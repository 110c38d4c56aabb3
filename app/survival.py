"""``avatar survival``: models of the time to an event, fitted to a cohort, checked, and asked for curves."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from app.options import DEFAULT_STORE, JsonOption, StoreOption

if TYPE_CHECKING:
    from models.survival.cox import CoxModel
    from pipelines.survival_models import Predicted

app = typer.Typer(help="Survival models of a cohort.", no_args_is_help=True)
out, err = Console(), Console(stderr=True)

DictionaryArgument = Annotated[
    Path, typer.Argument(help="Data dictionary (YAML) of a CSV or Parquet table beside it.")
]
HorizonsOption = Annotated[
    list[float] | None, typer.Option("--at", help="Time in the cohort's unit; repeatable.")
]
SCORES = {"harrell": "Harrell C", "brier": "IBS"}
SeedOption = Annotated[int, typer.Option(help="Of folds and fits.")]


@app.command("sample")
def sample_(
    name: Annotated[
        str, typer.Argument(help="GBSG2, WHAS500, veterans, GSE7390, AIDS, lung, rossi.")
    ],
    folder: Annotated[Path, typer.Argument(help="Where to write NAME.csv and NAME.yaml.")],
) -> None:
    """A public cohort as a table with its data dictionary, to try things on."""
    from pipelines.public_cohorts import write_public

    out.print(f"wrote {write_public(name, folder)}")


@app.command("fit")
def fit_(
    dictionary: DictionaryArgument,
    family: Annotated[str, typer.Option(help="Of the models that 'evaluate' lists.")] = "stack",
    name: Annotated[str | None, typer.Option(help="Of the model; the cohort's without.")] = None,
    refits: Annotated[
        int, typer.Option(help="To drawn patients, for the bands: 20 or more, or 0 for none.")
    ] = 50,
    seed: SeedOption = 0,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Fit a model to all patients of a cohort, and keep it in the store as one file."""
    from pipelines.survival_models import fit_and_keep

    with Progress(console=err) as bar:
        task = bar.add_task(f"fitting {family}", total=None)

        def shown(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description="refits for the band")

        path, about = fit_and_keep(
            dictionary, family, store, name=name, refits=refits, seed=seed, on_step=shown
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps({"model": str(path)} | about, indent=1))
        return
    typer.echo(
        f"{path}: {about['family']} on {about['patients']} patients, {about['events']} events"
    )
    for member, weight in about["weights"].items():
        typer.echo(f"  {member}: weight {weight:.2f}")
    typer.echo(
        "'avatar survival evaluate' tells how good such a model is on patients it has not seen."
    )


@app.command("evaluate")
def evaluate_(
    dictionary: DictionaryArgument,
    family: Annotated[
        list[str] | None, typer.Option(help="Only these families; repeatable, all without.")
    ] = None,
    at: HorizonsOption = None,
    repeats: Annotated[int, typer.Option(min=1, help="Of the cross-validation.")] = 1,
    folds: Annotated[int, typer.Option(min=2, help="Of each repeat.")] = 5,
    draws: Annotated[
        int,
        typer.Option("--optimism", min=0, help="Bootstrap draws for Harrell's optimism; 0: none."),
    ] = 0,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Cross-validate families on a cohort: discrimination, Brier score, calibration and AUC at times."""
    from data.io.cohort import read_cohort
    from pipelines.evaluate_survival import cross_validate
    from pipelines.optimism import optimism
    from pipelines.survival_models import families_named, summary

    cohort, _ = read_cohort(dictionary)
    chosen = families_named(family)
    with Progress(console=err) as bar:
        task = bar.add_task("fits", total=None)

        def shown(kind: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=kind)

        found = cross_validate(
            cohort, chosen, folds=folds, repeats=repeats, horizons=tuple(at or ()), seed=seed, on_step=shown
        )  # fmt: skip
        better = {
            kind: optimism(family, cohort, draws=draws, seed=seed, on_step=partial(shown, kind))
            for kind, family in chosen.items()
            if draws
        }
    told = summary(cohort, found, tuple(at or ()), better)
    if as_json:
        typer.echo(json.dumps(told, indent=1, allow_nan=False))
        return
    title = f"{cohort.name}: {len(cohort)} patients, {cohort.events} events; mean ± deviation over folds"
    table = Table("family", "Uno C", "Harrell C", "IBS", "D-calibration p", title=escape(title))
    for kind, one in told["families"].items():
        table.add_row(
            kind, *(f"{one[n]['mean']:.3f} ± {one[n]['spread']:.3f}" for n in ("uno", "harrell", "brier")),
            f"{one['d_calibration_p']:.3f}",
        )  # fmt: skip
    out.print(table)
    if at:
        out.print(_calibration(told, cohort.unit))
    if draws:
        out.print(_optimism(told, draws))


def _calibration(told: dict[str, Any], unit: str) -> Table:
    table = Table(
        "family", "at", "predicted", "observed", "intercept", "slope", "ICI", "E90", "AUC"
    )
    table.title = "Calibration and AUC of out-of-fold predictions"
    for kind, one in told["families"].items():
        for horizon, c in one["calibration"].items():
            if isinstance(c, str):
                table.add_row(kind, f"{horizon} {unit}", c)
                continue
            names = ("predicted", "observed", "intercept", "slope", "ici", "e90", "auc")
            words = ("none" if c[n] is None else f"{c[n]:.3f}" for n in names)
            table.add_row(kind, f"{horizon} {unit}", *words)
    return table


def _optimism(told: dict[str, Any], draws: int) -> Table:
    table = Table("family", "score", "on its own patients", "optimism", "corrected", "draws fitted")
    table.title = f"Harrell's bootstrap, {draws} draws"
    for kind, one in told["families"].items():
        for name, score in one["optimism"].items():
            numbers = (f"{score[n]:.3f}" for n in ("apparent", "optimism", "corrected"))
            table.add_row(kind, SCORES[name], *numbers, str(score["draws"]))
    return table


@app.command("incidence")
def incidence_(
    dictionary: DictionaryArgument,
    at: Annotated[list[float], typer.Option(help="Time in the cohort's unit; repeatable.")],
    by: Annotated[str | None, typer.Option(help="A category, whose levels are told apart.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Competing events: how many have had each by times (Aalen-Johansen), beside one less Kaplan-Meier."""
    from pipelines.competing_events import incidence_rows

    told, rows = incidence_rows(dictionary, tuple(at), by)
    if as_json:
        typer.echo(json.dumps({"cohort": told.name, "rows": [vars(row) for row in rows]}, indent=1))
        return
    table = Table(
        "group", f"at ({told.time.unit})", told.event.name, "competing event", "neither",
        "1 - Kaplan-Meier (too high)",
    )  # fmt: skip
    table.title = escape(f"{told.name}: shares who have had each event")
    for row in rows:
        numbers = (row.event, row.competing, row.neither, row.naive)
        table.add_row(escape(row.group), f"{row.time:g}", *(f"{number:.3f}" for number in numbers))
    out.print(table)


@app.command("modalities")
def modalities_(
    dictionary: DictionaryArgument,
    repeats: Annotated[int, typer.Option(min=1, help="Of the cross-validation.")] = 2,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """What each modality (clinical, molecular, imaging) adds to the others; a patient may lack any of them."""
    from data.io.cohort import read_cohort
    from pipelines.modalities import ALL, what_each_adds

    cohort, told = read_cohort(dictionary)
    names = dict.fromkeys(one.modality for one in told.covariates.values() if one.modality)
    parts = {
        name: tuple(key for key, one in told.covariates.items() if one.modality == name) for name in names
    }  # fmt: skip
    with Progress(console=err) as bar:
        task = bar.add_task("fits", total=None)
        found, each = what_each_adds(
            cohort, parts, repeats=repeats, seed=seed,
            on_step=lambda kind, done, total: bar.update(
                task, completed=done, total=total, description=kind
            ),
        )  # fmt: skip
    if as_json:
        together = {score: found[ALL].mean(score) for score in ("uno", "harrell", "brier")}
        rows = [asdict(one) for one in each]
        typer.echo(
            json.dumps({"cohort": cohort.name, "all": together, "modalities": rows}, indent=1)
        )
        return
    table = Table(
        "modality", "known of", "Uno C alone", "adds to Uno C (90 %)", "adds to IBS (90 %)", ""
    )
    table.title = escape(f"{cohort.name}: all together Uno C {found[ALL].mean('uno'):.3f}")
    for one in each:
        gaps = (one.adds_concordance, one.adds_brier)
        words = (f"{gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})" for gap in gaps)
        helps = "" if any(gap.is_told_apart for gap in gaps) else "not told apart from nothing"
        table.add_row(escape(one.name), f"{one.known:.0%}", f"{one.alone:.3f}", *words, helps)
    out.print(table)


@app.command("simulate")
def simulate_(
    patient: Annotated[str, typer.Argument(help="An avatar of the store.")],
    regimen: Annotated[
        list[str], typer.Option(help="A shipped regimen's name or a YAML file; repeatable.")
    ],
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Survival under regimens, by the survival model joined with the twin. In silico."""
    from data.store import AvatarStore
    from pipelines.joint_survival import joint_survival

    with AvatarStore(store, must_exist=True) as opened:
        avatar = opened.get(patient)
    with err.status("Simulating"):
        found = [joint_survival(avatar, name) for name in regimen]
    if as_json:
        rows = [
            {
                "regimen": one.regimen, "months": one.months.tolist(), "median_months": one.median_months,
                "progression_months": one.progression_months, "survival": one.joint.middle[0].tolist(),
                "low": one.joint.lower[0].tolist(), "high": one.joint.upper[0].tolist(),
                "without_the_twin": one.alone.tolist(), "assumptions": one.assumptions,
            }
            for one in found
        ]  # fmt: skip
        typer.echo(json.dumps({"patient": patient, "in_silico": True, "regimens": rows}, indent=1))
        return
    from app.survival_views import joint_rows

    rows = joint_rows(found)
    table = Table(*rows[0], title=escape(f"{patient}: survival since the scan. In silico"))
    for row in rows:
        table.add_row(*(escape(cell) for cell in row.values()))
    out.print(table)
    for words in found[0].assumptions:
        out.print(escape(words))


@app.command("predict")
def predict_(
    model: Annotated[
        str, typer.Argument(help="Of the store, shipped ('avatar survival models'), or a file.")
    ],
    patients: Annotated[Path, typer.Argument(help="CSV or Parquet with the model's covariates.")],
    at: HorizonsOption = None,
    lived: Annotated[
        float, typer.Option(help="Time that the patients have lived already, in the model's unit.")
    ] = 0.0,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Each patient's survival at times and median; no number for who is unlike all of the fit's patients."""
    from pipelines.survival_models import predict

    about, found = predict(model, patients, store, tuple(at or ()), lived=lived)
    if as_json:
        rows = [one.row() for one in found]
        typer.echo(json.dumps({"model": about, "patients": rows}, indent=1, allow_nan=False))
        return
    horizons = list(found[0].survival) if found else []
    title = (
        f"{about['family']} on {about['cohort']} ({about['patients']} patients, {about['events']} events): "
        f"probability of no {about['event']}"
        + (f", having lived {lived:g} {about['unit']}" if lived else "")
    )
    unit = about["unit"]
    table = Table("patient", *(f"at {h:g} {unit}" for h in horizons), f"median ({unit})", "remarks")
    table.title = escape(title)
    for one in found:
        table.add_row(escape(one.id), *_cells(one, horizons), escape(one.remark) or "-")
    out.print(table)
    out.print(
        "In brackets: the 90 % band of the model's curve, at each time by itself; not the spread of single "
        "patients. Research use only."
    )


def _cells(one: Predicted, horizons: list[float]) -> list[str]:
    if one.outside:
        return ["no number"] * (len(horizons) + 1)
    middle, low, high = ("not reached" if time is None else f"{time:.4g}" for time in one.median)
    banded = not any(np.isnan(edge) for edges in one.survival.values() for edge in edges)
    shown = [
        f"{value:.2f}" + (f" ({least:.2f} to {most:.2f})" if banded else " (no band)")
        for value, least, most in one.survival.values()
    ]
    told = banded and {middle, low, high} != {middle}
    return [*shown, f"{middle} ({low} to {high})" if told else middle]


@app.command("explain")
def explain_(
    model: Annotated[str, typer.Argument(help="Of the store, or shipped.")],
    patients: Annotated[Path, typer.Argument(help="CSV or Parquet with the model's covariates.")],
    at: Annotated[float, typer.Option(help="Time in the model's unit at which to tell it.")],
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """What drives each patient's curve: a shipped model's exact factors, Shapley values of any other."""
    from pipelines.explain_survival import explain

    with Progress(console=err, transient=True) as bar:
        task = bar.add_task("patients", total=None)
        about, found = explain(
            model, patients, store, at,
            on_step=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    if as_json:
        rows = [asdict(one) | {"factors": [f.model_dump() for f in one.factors]} for one in found]
        typer.echo(json.dumps({"model": about, "at": at, "patients": rows}, indent=1))
        return
    exact = any(one.factors for one in found)
    effect = "factor on the hazard (90 %)" if exact else "moves the probability by"
    table = Table("patient", "covariate", "value", effect)
    table.title = escape(
        f"{about['family']} on {about['cohort']}: no {about['event']} by {at:g} {about['unit']}"
    )
    for one in found:
        table.add_section()
        if one.outside:
            table.add_row(escape(one.id), escape("; ".join(one.outside)), "", "no number")
            continue
        mean = "" if one.mean is None else f"; the cohort's mean is {one.mean:.2f}"
        table.add_row(escape(one.id), "all", f"{one.survival:.2f}{mean}", "")
        for f in one.factors:
            words = f"{f.hazard_ratio:.2f} ({f.low:.2f} to {f.high:.2f})"
            table.add_row("", escape(f.name), escape(f.value), words)
        for s in one.shares:
            table.add_row("", escape(s.name), escape(s.value), f"{100 * s.share:+.1f} points")
    out.print(table)
    out.print(
        "Factors multiply to the patient's hazard against the mean patient of the fit. Research use only."
        if exact
        else "Shapley values of the model's own probability, without a band: covariates that go together "
        "share what either does. Research use only."
    )


@app.command("models")
def models_(
    name: Annotated[
        str | None, typer.Argument(help="Of a shipped one: what it wants to know.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """The shipped survival models, and those of the store; or the covariates of one."""
    from pipelines.config import survival_model, survival_models
    from pipelines.survival_models import FOLDER, SUFFIX

    if name is not None:
        _one_model(survival_model(name), as_json=as_json)
        return

    own = sorted(path.stem for path in (store / FOLDER).glob(f"*{SUFFIX}"))
    shipped = [survival_model(name) for name in survival_models()]
    if as_json:
        rows = [m.model_dump(include={"name", "title", "patients", "events", "concordance_out_of_fold"})
                for m in shipped]  # fmt: skip
        typer.echo(json.dumps({"shipped": rows, "store": own}, indent=1))
        return
    table = Table("model", "predicts", "patients", "events", "Harrell C out of fold")
    for model in shipped:
        table.add_row(
            model.name, model.title, str(model.patients), str(model.events),
            f"{model.concordance_out_of_fold:.3f}",
        )  # fmt: skip
    out.print(table)
    out.print(f"in the store: {', '.join(own) or 'none'}")


def _one_model(model: CoxModel, *, as_json: bool) -> None:
    if as_json:
        typer.echo(model.model_dump_json(exclude={"replicates"}))
        return
    table = Table("column", "is", "unit or levels", "seen", "may be unknown")
    table.title = escape(
        f"{model.name}: {model.title}; a table for 'predict' has these columns, and patient"
    )
    for name, told in model.covariates.items():
        seen = model.seen[name]
        spread = ", ".join(seen.levels) if seen.levels else f"{seen.low:g} to {seen.high:g}"
        table.add_row(
            name, model.label(name), ", ".join(told.levels) or told.unit, spread, "yes" if seen.gaps else "no"
        )  # fmt: skip
    out.print(table)


@app.command("keep")
def keep_(
    name: Annotated[
        str, typer.Argument(help="A shipped model's name, or a data dictionary (YAML).")
    ],
    table: Annotated[
        Path | None, typer.Argument(help="Its table, as the model's configuration describes it.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Keep a cohort in the store: for patients like this one, and for the board's research page."""
    from pipelines.ship_survival import keep_for

    path, cohort = keep_for(name, table, store)
    out.print(f"{path}: {len(cohort)} patients, {cohort.events} events")
