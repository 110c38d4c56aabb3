"""``avatar knowledge``: what is known of alterations, and from when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.options import DEFAULT_STORE, JsonOption, StoreOption
from data.store import AvatarStore

app = typer.Typer(help="Knowledge on alterations: sources and imports.", no_args_is_help=True)
import_app = typer.Typer(help="Bring in a knowledge base.", no_args_is_help=True)
app.add_typer(import_app, name="import")

AsOfOption = Annotated[
    str | None, typer.Option("--as-of", help="Date of the file, where its name does not tell it.")
]
FileArgument = Annotated[
    Path, typer.Argument(help="CIViC's ClinicalEvidenceSummaries, TSV, plain or gzipped.")
]


@import_app.command("civic")
def import_civic_(
    file: FileArgument,
    store: StoreOption = DEFAULT_STORE,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read CIViC's clinical evidence (CC0) into a store, in place of an earlier import."""
    from pipelines.knowledge import import_civic

    with AvatarStore(store) as opened:
        found = import_civic(file, opened, as_of)
    if as_json:
        told = {"statements": len(found.statements), "left_out": dict(found.left_out)}
        typer.echo(json.dumps(told, indent=1))
        return
    typer.echo(
        f"{len(found.statements)} statements of CIViC as of {found.statements[0].as_of} in {store}"
    )
    for reason, count in found.left_out.items():
        typer.echo(f"  left out: {count} ({reason})")


@import_app.command("oncoref")
def import_oncoref_(
    file: Annotated[
        Path, typer.Argument(help="oncoref's wheel, or driver-variant-evidence.csv out of it.")
    ],
    store: StoreOption = DEFAULT_STORE,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the driver mutations of oncoref (Apache-2.0), which count as a prediction each."""
    from pipelines.knowledge import import_oncoref

    with AvatarStore(store) as opened:
        found = import_oncoref(file, opened, as_of)
    if as_json:
        told = {"changes": len(found.changes), "as_of": found.as_of, "cited": found.cited}
        typer.echo(json.dumps(told, indent=1))
        return
    typer.echo(
        f"{len(found.changes)} driver mutations of {found.name} as of {found.as_of} in {store}"
    )
    typer.echo(f"  from {found.cited}")


@import_app.command("signatures")
def import_signatures_(
    file: Annotated[
        Path, typer.Argument(help="96 channels (A[C>A]A) by signatures, as COSMIC lays it out.")
    ],
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Keep a table of mutational signatures, which later runs fit to each tumor's spectrum."""
    from pipelines.signatures import import_signatures

    with AvatarStore(store) as opened:
        table = import_signatures(file, opened)
    if as_json:
        typer.echo(json.dumps({"signatures": table.names}, indent=1))
        return
    typer.echo(
        f"{len(table.names)} signatures of {file.name} in {store}: {', '.join(table.names[:8])}"
    )


@app.command("list")
def list_(store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """The sources that interpretations are made with, their date, and how much of each is understood."""
    from pipelines.annotate import hotspot_index
    from pipelines.knowledge import knowledge_of
    from pipelines.panel import panels_of
    from pipelines.signatures import kept_name

    with AvatarStore(store) as opened:
        sources = knowledge_of(opened).sources
        panels = [panel.title for panel in panels_of(opened)]
        signatures = kept_name(opened)
    hotspots = hotspot_index()
    if as_json:
        told = {
            "sources": [s.model_dump(mode="json") for s in sources],
            "panels": panels,
            "hotspots": {"alleles": len(hotspots.hotspots), "source": hotspots.source},
            "signatures": signatures,
        }
        typer.echo(json.dumps(told, indent=1))
        return
    table = Table("source", "as of", "statements", "not understood", title="Knowledge")
    for s in sources:
        table.add_row(s.name, s.as_of, str(s.statements), str(s.not_understood))
    out = Console()
    out.print(table)
    own = "; ".join(panels) or "no panel ('avatar genomics build-panel' makes one)"
    out.print(
        escape(
            f"Variants that their file does not annotate are named by: {own}; then {len(hotspots.hotspots)} "
            f"hotspot alleles ({hotspots.source}), which are far from all there is."
        )
    )
    out.print(escape(f"Signatures: {signatures or 'no table imported'}"))
