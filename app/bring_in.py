"""What commands that bring images in share: options, a progress bar, and how picked series are written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from data.errors import StudyError

SiteOption = Annotated[str, typer.Option(help="glioma, sarcoma or generic.")]
KeepIdentityOption = Annotated[
    bool, typer.Option("--keep-identity", help="Leave the person in; out by default.")
]
KeepCharacteristicsOption = Annotated[
    bool,
    typer.Option("--keep-characteristics", help="Leave weight, size, sex, age (PET needs it)."),
]
KeyOption = Annotated[
    Path | None, typer.Option(help="Of the pseudonyms; the user's own by default.")
]


def wrote_study(folder: Path, *, as_json: bool) -> None:
    """Say what to do with a new study folder."""
    if as_json:
        sys.stdout.write(json.dumps({"study": str(folder)}) + "\n")
        return
    words = f"wrote {folder}: look at its study.yaml, then 'avatar run {folder}'"
    Console().print(words, soft_wrap=True, markup=False, highlight=False)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error; it is told how many are done, and of how many."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def taken(given: Sequence[str]) -> dict[str, int]:
    """Sequence to number, from words like ``3=t1c``.

    Raises:
        StudyError: written otherwise, or one sequence twice.
    """
    picked: dict[str, int] = {}
    for words in given:
        number, _, sequence = words.partition("=")
        if not (number.isascii() and number.isdecimal()) or not sequence:
            raise StudyError(f"--take {words}: is written as 3=t1c, a number in the list of series")
        if sequence in picked:
            raise StudyError(f"--take {words}: {sequence} is taken twice")
        if int(number) in picked.values():
            raise StudyError(f"--take {words}: series {number} is taken twice")
        picked[sequence] = int(number)
    return picked
