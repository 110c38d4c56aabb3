"""``avatar genomics``: what a patient's variants mean, and why two runs differ."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from math import inf, isfinite
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.options import DEFAULT_STORE, JsonOption, StoreOption
from data.avatar import Avatar
from data.errors import VariantError
from data.evidence import STRONG
from data.store import AvatarStore
from models.genomics.treatment_links import treatment_links

app = typer.Typer(help="Variants, diagnosis and evidence of a patient.", no_args_is_help=True)
out = Console()
err = Console(stderr=True)

PatientArgument = Annotated[str, typer.Argument(help="Patient id in the store.")]
OtherOption = Annotated[Path, typer.Option("--with", help="The other store, with the later run.")]
EveryOption = Annotated[bool, typer.Option("--all", help="Tier III and IV too.")]


@app.command("show")
def show(
    patient: PatientArgument,
    store: StoreOption = DEFAULT_STORE,
    every: EveryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Integrated diagnosis with its missing tests, mutations as a whole, and alterations by tier."""
    with AvatarStore(store, must_exist=True) as opened:
        avatar = opened.get(patient)
    if as_json:
        parts = {"patient_id", "diagnosis", "burden", "interpretations", "knowledge"}
        typer.echo(avatar.model_dump_json(indent=1, include=parts))
        return
    from pipelines.interpret import fusion_doubt

    out.print(_diagnosis(avatar), highlight=False)
    found = [i for i in avatar.interpretations if every or i.tier in STRONG]
    shown = f"{len(found)} of {len(avatar.interpretations)} alterations in known genes"
    title = shown if every else f"{shown}: tier I and II; --all for the rest"
    table = Table("tier", "alteration", "why", "resistance", "oncogenicity", title=title)
    for one in found:
        said = one.oncogenicity
        points = "-" if said is None else f"{said.category} ({said.total:+d})"
        label = (f"label: {one.label}",) if one.label else ()
        why = "; ".join((one.reason, *label, *one.notes))
        table.add_row(
            one.tier,
            escape(one.alteration.name),
            escape(why),
            escape(", ".join(one.resisted)) or "-",
            points,
        )
    out.print(table)
    for fusion in avatar.fusions or ():
        doubt = f"; not interpreted: {against}" if (against := fusion_doubt(fusion)) else ""
        out.print(escape(f"fusion {fusion.name} ({fusion.told}){doubt}"), highlight=False)
    for link in treatment_links(avatar.timeline.events, avatar.interpretations):
        told, drugs = link.support.statement, " + ".join(link.drugs)
        out.print(
            escape(
                f"given on day {link.event.day:g}: {link.event.text}; {link.alteration}: {told.effect} "
                f"in {told.disease} ({drugs}, {link.support.tier}, {told.source} {told.reference})"
            )
        )
    for source in avatar.knowledge:
        out.print(f"knowledge: {source.name} as of {source.as_of}, {source.statements} statements")


def _diagnosis(avatar: Avatar) -> str:
    found = avatar.diagnosis
    if found is None:
        return f"{avatar.patient_id}: {escape(avatar.record.diagnosis or 'diagnosis unknown')}"
    lines = [f"{avatar.patient_id}: {escape(found.title)} ({escape(found.table)}, {found.as_of})"]
    if found.missing:
        lines.append(f"  not tested: {escape(', '.join(found.missing))}")
    lines += [f"  provisional: {escape(doubt)}" for doubt in found.provisional]
    burden = avatar.burden
    if burden is not None and burden.mutations is not None:
        rate = burden.mutations
        lines.append(
            f"  {rate.per_mb:.1f} nonsynonymous mutations per Mb (95 % interval {rate.low:.1f} to "
            f"{rate.high:.1f})"
        )
    lines += [f"  {h.pattern}: {escape(h.reason)}" for h in (burden.hints if burden else ())]
    if burden is not None and burden.unannotated:
        lines.append(f"  {burden.unannotated} call(s) are not annotated: what they do is not known")
    if burden is not None and burden.without_normal:
        lines.append("  no normal sample: what was inherited is told by heuristics")
    if burden is not None and burden.signatures is not None:
        shares = ", ".join(f"{e.signature} {e.share:.0%}" for e in burden.signatures.notable)
        lines.append(f"  {escape(burden.signatures.title)}; {escape(shares)}")
    return "\n".join(lines)


@app.command("build-panel")
def build_panel_(
    gtf: Annotated[
        Path, typer.Option(help="Gene annotation: GENCODE's, Ensembl's or RefSeq's GTF.")
    ],
    fasta: Annotated[
        Path, typer.Option(help="The reference it is of: plain, or bgzipped with its .gzi.")
    ],
    genes: Annotated[
        Path | None,
        typer.Option(help="Symbols, one a line; without it those that knowledge is about."),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Make what unannotated variants are named with, for one build, in place of an earlier panel."""
    from data.io.panel import write_panel
    from pipelines.knowledge import gene_table
    from pipelines.panel import build_panel, panel_path, symbols_of

    table = gene_table()
    wanted = table.genes if genes is None else symbols_of(genes)
    with AvatarStore(store) as opened, err.status(f"Reading {escape(gtf.name)}"):
        made = build_panel(gtf, fasta, wanted, table.current)
        path = panel_path(opened, made.panel.build)
        write_panel(path, made.panel)
    chosen = Counter(t.chosen_as for t in made.panel.transcripts)
    if as_json:
        told = {
            "panel": str(path), "build": made.panel.build, "annotation": made.panel.annotation,
            "as_of": made.panel.as_of, "transcripts": {t.gene: t.name for t in made.panel.transcripts},
            "chosen_as": chosen, "missing": made.missing, "left_out": made.left_out,
        }  # fmt: skip
        typer.echo(json.dumps(told, indent=1))
        return
    how = ", ".join(f"{count} {name}" for name, count in chosen.items())
    typer.echo(f"{made.panel.title} ({how}): {path}")
    if made.missing:
        typer.echo(f"  not in {gtf.name}: {', '.join(made.missing)}")
    for symbol, why in made.left_out.items():
        typer.echo(f"  left out: {symbol} ({why})")


@app.command("annotate")
def annotate_(
    file: Annotated[Path, typer.Argument(help="VCF, plain or gzipped.")],
    output: Annotated[
        Path, typer.Option("--out", help="VCF to write; bgzipped if it ends in .gz.")
    ],
    tumor: Annotated[str | None, typer.Option(help="Tumor sample, where it is not told.")] = None,
    normal: Annotated[str | None, typer.Option(help="Normal sample, where it is not told.")] = None,
    build: Annotated[
        str | None, typer.Option(help="GRCh37 or GRCh38, where the file does not tell it.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Write a VCF again with gene, names and fraction in INFO; all else stays byte for byte."""
    from pipelines.annotate_file import annotate_file, build_named

    with AvatarStore(store) as opened, err.status(f"Reading {escape(file.name)}"):
        done = annotate_file(
            file, output, opened, tumor_sample=tumor, normal_sample=normal, build=build_named(build)
        )
    if as_json:
        told = {"named_by": done.by, "unnamed": done.unnamed, "contradicting": done.contradicting}
        typer.echo(json.dumps({"file": str(output), "calls": len(done.calls)} | told, indent=1))
        return
    typer.echo(f"{output}: {len(done.calls)} calls, {done.note}")


@app.command("signatures")
def signatures_(
    patient: PatientArgument,
    table: Annotated[
        Path,
        typer.Option(help="96 channels (A[C>A]A) by signatures, as COSMIC lays it out."),
    ],
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Fit a table of mutational signatures to a patient's spectrum, with bootstrap intervals."""
    from pipelines.signatures import fitted

    with AvatarStore(store, must_exist=True) as opened:
        avatar = opened.get(patient)
    if avatar.burden is None:
        raise VariantError(f"{patient}: has no variants in {store}, so that there is no spectrum")
    done = fitted(avatar.burden, table)
    if as_json:
        typer.echo(done.model_dump_json(indent=1))
        return
    shown = Table("signature", "share (95 % of bootstrap)", title=escape(done.title))
    for one in done.notable:
        shown.add_row(escape(one.signature), f"{one.share:.1%} ({one.low:.1%} to {one.high:.1%})")
    out.print(shown)


@app.command("cohort")
def cohort(store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """All sequenced patients of a store: altered genes, what goes together, survival by marker."""
    from pipelines.genomics_cohort import cohort_report, members_of

    with AvatarStore(store, must_exist=True) as opened:
        report = cohort_report(members_of(opened))
    if as_json:
        typer.echo(json.dumps(_finite(asdict(report)), indent=1, allow_nan=False))
        return
    out.print(
        f"{report.patients} sequenced patients, {report.followed} of them followed; exploratory"
    )
    genes = Table("gene", "patients", "share (95 % interval)", title="Altered genes")
    for f in report.frequencies:
        genes.add_row(
            escape(f.gene), str(f.patients), f"{f.share:.0%} ({f.low:.0%} to {f.high:.0%})"
        )
    pairs = Table("genes", "together", "odds ratio", "p", "false discovery", title="Pairs")
    for p in report.pairs:
        pairs.add_row(
            escape(f"{p.one}, {p.other}"),
            str(p.together),
            f"{p.odds_ratio:.2g}",
            f"{p.p:.2g}",
            f"{p.q:.2g}",
        )
    curves = Table("by", "patients", "deaths", "median (months)", "log-rank p", title="Survival")
    for s in report.survival:
        medians = " / ".join("not reached" if m == inf else f"{m:.1f}" for m in s.medians)
        curves.add_row(
            escape(s.what),
            "{} / {}".format(*s.patients),
            "{} / {}".format(*s.deaths),
            medians,
            f"{s.p:.2g}",
        )
    for table in (genes, pairs, curves):
        if table.row_count:
            out.print(table)


def _finite(value: Any) -> Any:
    """For JSON, which has no infinity: null where a median is not reached or an odds ratio has no bound."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not isfinite(value) else value


@app.command("diff")
def diff(
    patient: PatientArgument,
    other: OtherOption,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Why two runs of a patient differ: files, knowledge and versions, and what moved each tier."""
    from pipelines.genomics_diff import differences

    with (
        AvatarStore(store, must_exist=True) as first,
        AvatarStore(other, must_exist=True) as second,
    ):
        found = differences(first.get(patient), second.get(patient))
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1))
        return
    if not found.causes and not found.changes:
        out.print("Both runs say the same, from the same files and knowledge.")
        return
    for cause in found.causes:
        out.print(f"input: {escape(cause)}", highlight=False)
    table = Table("what", "before", "after", "why", title=f"{len(found.changes)} differences")
    for change in found.changes:
        why = escape("\n".join(change.why)) or "-"
        table.add_row(escape(change.what), change.before, change.after, why)
    out.print(table)
