"""``avatar pacs``: series out of a PACS as a study, results back into it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.bring_in import (
    KeepCharacteristicsOption,
    KeepIdentityOption,
    KeyOption,
    SiteOption,
    progress,
    taken,
    wrote_study,
)
from app.options import JsonOption
from data.io.dicomweb import Pacs, PacsSeries

app = typer.Typer(help="A PACS over DICOMweb.", no_args_is_help=True)
UrlOption = Annotated[str, typer.Option(help="Of the service, as https://HOST/dicom-web.")]
UserOption = Annotated[
    str | None, typer.Option(help="Its password is read from AVATAR_PACS_PASSWORD.")
]
PatientOption = Annotated[str | None, typer.Option(help="Patient id in the PACS.")]
AccessionOption = Annotated[str | None, typer.Option(help="Accession number of the examination.")]
out = Console()


@app.command("list")
def list_series(
    url: UrlOption,
    patient: PatientOption = None,
    accession: AccessionOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """The CT, MR and PET series of a patient or an examination, to pick from."""
    found = Pacs(url, user).series(patient=patient, accession=accession)
    if as_json:
        rows: list[Any] = [s.__dict__ for s in found]
        sys.stdout.buffer.write(TypeAdapter(list[Any]).dump_json(rows, indent=1) + b"\n")
        return
    out.print(_table(url, found))


@app.command("pull")
def pull(
    folder: Annotated[Path, typer.Argument(help="The new study folder.")],
    url: UrlOption,
    take: Annotated[
        list[str], typer.Option(help="Number in the list and what it is, as 3=t1c; repeatable.")
    ],
    patient: PatientOption = None,
    accession: AccessionOption = None,
    user: UserOption = None,
    site: SiteOption = "glioma",
    keep_identity: KeepIdentityOption = False,
    keep_characteristics: KeepCharacteristicsOption = False,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Picked series as a study folder, without the person they are of."""
    from pipelines.dicom_import import user_secret
    from pipelines.pacs import pull_study

    picked, pacs = taken(take), Pacs(url, user)
    secret = None if keep_identity else user_secret(key, keep_characteristics=keep_characteristics)
    found = pacs.series(patient=patient, accession=accession)
    with progress("Bringing images") as tell:
        made = pull_study(pacs, found, picked, folder, secret=secret, site=site, tell=tell)
    wrote_study(made, as_json=as_json)


@app.command("push")
def push(
    files: Annotated[list[Path], typer.Argument(help="DICOM files, as 'avatar review export'.")],
    url: UrlOption,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send results. They belong to the study that their series came from."""
    count = Pacs(url, user).push(files)
    if as_json:
        sys.stdout.write(
            json.dumps({"url": url, "kept": [str(path) for path in files]}, indent=1) + "\n"
        )
        return
    out.print(f"{url} keeps {count} file(s)", soft_wrap=True)


def _table(url: str, found: tuple[PacsSeries, ...]) -> Table:
    table = Table(title=escape(f"{len(found)} series in {url}"))
    for head in ("No.", "Patient", "Accession", "Date", "Modality", "Description", "Images"):
        table.add_column(head)
    for number, s in enumerate(found, 1):
        cells = (number, s.patient, s.accession, s.study_date, s.modality, s.description)
        images = "unknown" if s.images is None else str(s.images)
        table.add_row(*(escape(str(cell)) for cell in cells), images)
    return table
