"""``avatar store``: whether it is whole, copies of it, and avatars that travel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Protocol

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from app.options import DEFAULT_STORE, JsonOption, StoreOption
from data.files import user_folder
from data.store import AvatarStore

app = typer.Typer(help="The avatar store: check, back up, restore, move.", no_args_is_help=True)
out, err = Console(), Console(stderr=True)

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        help="postgresql+psycopg://USER@HOST/NAME, which several machines share; the password comes from "
        "PGPASSWORD or ~/.pgpass.",
    ),
]
BackupArgument = Annotated[Path, typer.Argument(help="Folder of the copy.")]
KeyOption = Annotated[
    Path | None, typer.Option(help="Signing key; made in your configuration folder when needed.")
]


class Tell(Protocol):
    """Told how much is done."""

    def __call__(self, done: int, total: int) -> None:
        """Of all."""


@contextmanager
def _progress(what: str) -> Iterator[Tell]:
    with Progress(console=err, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@app.command("init")
def init_(store: StoreOption = DEFAULT_STORE, database: DatabaseOption = None) -> None:
    """Make a store; with --database in PostgreSQL, its volumes in a folder that all machines share."""
    with AvatarStore(store, url=database) as made:
        out.print(escape(f"{store}: {len(made.patients())} avatars, in {made.database.where}"))


@app.command("check")
def check_(
    store: StoreOption = DEFAULT_STORE,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Bring back, forget or move aside; an avatar is never removed."
        ),
    ] = False,
    backup: Annotated[Path | None, typer.Option(help="To bring damaged parts back from.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Read all rows and files: is each what was written? Exit code 1 where something is lost."""
    from data.store.check import HARMLESS, check_store

    with (
        AvatarStore(store, must_exist=True) as opened,
        _opened(backup) as other,
        _progress("reading files") as tell,
    ):
        found = check_store(opened, repair=repair, backup=other, on_step=tell)
    if as_json:
        rows = [asdict(one) for one in found.findings]
        told = {"rows": found.rows, "files": found.files, "whole": found.is_whole, "findings": rows}
        typer.echo(json.dumps(told, indent=1))
    else:
        table = Table("finding", "what", "remedy", title=f"{found.rows} rows, {found.files} files")
        for one in found.findings:
            color = "yellow" if one.kind in HARMLESS else "red"
            done = f"[green]{one.repaired}[/green]" if one.repaired else escape(one.remedy)
            table.add_row(f"[{color}]{one.kind}[/{color}]", escape(one.what), done)
        out.print(table if found.findings else f"{found.rows} rows, {found.files} files: all whole")
    if not found.is_whole:
        raise typer.Exit(1)


@contextmanager
def _opened(folder: Path | None) -> Iterator[AvatarStore | None]:
    if folder is None:
        yield None
        return
    with AvatarStore(folder, must_exist=True) as store:
        yield store


@app.command("gc")
def gc_(
    store: StoreOption = DEFAULT_STORE,
    older_than: Annotated[
        float, typer.Option(min=0, help="Hours; younger files may be of a run in progress.")
    ] = 24.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove files that nothing in the store names any more."""
    from data.store.check import collect_garbage

    with AvatarStore(store, must_exist=True) as opened:
        removed = collect_garbage(opened, older_than=3600 * older_than, dry_run=dry_run)
    if as_json:
        files = [{"file": str(path), "bytes": size} for path, size in removed]
        typer.echo(json.dumps({"removed": not dry_run, "files": files}, indent=1))
        return
    for path, _ in removed:
        out.print(escape(str(path)), soft_wrap=True, highlight=False)
    size = sum(size for _, size in removed) / 1e6
    out.print(f"{len(removed)} files, {size:.1f} MB{' would be' if dry_run else ''} removed")


@app.command("backup")
def backup_(
    copy: BackupArgument, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False
) -> None:
    """Copy a store whole, while it may be in use; a second backup copies only what is new."""
    from data.store.backup import back_up

    with AvatarStore(store, must_exist=True) as opened, _progress("copying") as tell:
        done = back_up(opened, copy, on_step=tell)
    if as_json:
        typer.echo(json.dumps(asdict(done), indent=1))
    else:
        out.print(
            escape(f"{copy}: {done.rows} rows, {done.files} files, {done.new_files} of them new")
        )
    _tell_lost(done.lost)


def _tell_lost(lost: tuple[str, ...]) -> None:
    for what in lost:
        err.print(f"[red]damaged, and so not copied:[/red] {escape(what)}", soft_wrap=True)
    if lost:
        raise typer.Exit(1)


@app.command("restore")
def restore_(
    copy: BackupArgument,
    folder: Annotated[Path, typer.Argument(help="Of the new store.")],
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """A new store from a backup, after all of it was found to be as it was written."""
    from data.store.backup import restore

    with _progress("copying") as tell:
        done = restore(copy, folder, url=database, on_step=tell)
    if as_json:
        typer.echo(json.dumps(asdict(done), indent=1))
    else:
        out.print(escape(f"{folder}: {done.rows} rows, {done.files} files"))
    _tell_lost(done.lost)


@app.command("export")
def export_(
    patient: str,
    file: Annotated[Path, typer.Argument(help="The bundle to write, as P001.avatar.")],
    store: StoreOption = DEFAULT_STORE,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """One avatar with its scans, tables and reviews as one signed file."""
    from data.store.bundle import read_signer, write_bundle

    signer = read_signer(key or _key())
    with AvatarStore(store, must_exist=True) as opened:
        manifest = write_bundle(opened, patient, file, signer)
    if as_json:
        typer.echo(manifest.model_dump_json(indent=1))
        return
    out.print(
        escape(f"{file}: {patient}, {len(manifest.members)} files, signed by {manifest.signer}")
    )


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A bundle by 'avatar store export'.")],
    store: StoreOption = DEFAULT_STORE,
    trust: Annotated[
        list[str] | None, typer.Option(help="Fingerprint of a signer; repeatable.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Another avatar of the same patient.")
    ] = False,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a signed avatar into the store, from yourself or a signer that you trust."""
    from data.store.bundle import read_bundle, read_signer

    own = key or _key()
    trusted = {*(trust or ()), *([read_signer(own).fingerprint] if own.exists() else [])}
    with AvatarStore(store) as opened:
        manifest = read_bundle(opened, file, trusted=frozenset(trusted), replace=replace)
    if as_json:
        typer.echo(manifest.model_dump_json(indent=1))
        return
    out.print(escape(f"{manifest.patient_id}, signed by {manifest.signer}, is in {store}"))


def _key() -> Path:
    return user_folder() / "signing.key"
