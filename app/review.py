"""``avatar review``: the worklist and the masks of readers without the board."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data.errors import ReviewError
from data.files import replace_atomically
from data.io.nifti import encode_nifti
from data.review import STATUSES
from data.store import AvatarStore

app = typer.Typer(help="Masks under review, without the board.", no_args_is_help=True)
StoreOption = Annotated[Path, typer.Option("--store", help="Folder of the avatar store.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DayOption = Annotated[
    float | None, typer.Option(help="Which scan, in days since diagnosis; the latest by default.")
]
DEFAULT_STORE = Path("store")
err = Console(stderr=True)
out = Console()


@app.command("list")
def list_cases(
    store: StoreOption = DEFAULT_STORE,
    status: Annotated[
        list[str] | None, typer.Option(help=f"Only these: {', '.join(STATUSES)}; may be repeated.")
    ] = None,
    flagged: Annotated[
        bool, typer.Option("--flagged", help="Only what the quality gate found something in.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Cases in the order of the worklist: unsigned first, the oldest before younger ones."""
    from app.review_views import WorkFilter, in_order, work_row
    from pipelines.review import cases

    unknown = sorted(set(status or ()) - set(STATUSES))
    if unknown:
        raise ReviewError(f"--status {unknown[0]}: there are {', '.join(STATUSES)}")
    wanted = WorkFilter(statuses=tuple(s for s in STATUSES if s in (status or ())), flagged=flagged)
    with AvatarStore(store, must_exist=True) as opened:
        every, unreadable = cases(opened)
        found = in_order(((case, opened.volume_since(case.mask(0))) for case in every), wanted)
    for sentence in unreadable:
        err.print(f"[yellow]left out[/yellow] {escape(sentence)}", soft_wrap=True)
    rows = [work_row(case, since) for case, since in found]
    if as_json:
        sys.stdout.buffer.write(TypeAdapter(list[Any]).dump_json(rows, indent=1) + b"\n")
        return
    table = Table(title=f"{len(rows)} cases in {store} (research use only)")
    shown = ("Patient", "Scan (day)", "Status", "Quality gate", "Assigned to", "Version")
    for head in shown:
        table.add_column(head)
    for row in rows:
        cells = [f"{row[h]:g}" if isinstance(row[h], float) else str(row[h]) for h in shown]
        table.add_row(*map(escape, cells))
    out.print(table)


@app.command("export")
def export_mask(
    patient: str,
    output: Annotated[Path, typer.Argument(help="A .nii.gz, or a .dcm for DICOM.")],
    store: StoreOption = DEFAULT_STORE,
    day: DayOption = None,
    version: Annotated[
        int | None, typer.Option(help="0 is the mask before review; the latest by default.", min=0)
    ] = None,
    series: Annotated[
        Path | None, typer.Option(help="For DICOM: folder of the series that was segmented.")
    ] = None,
    contours: Annotated[
        bool, typer.Option("--contours", help="An RTSTRUCT instead of a SEG.")
    ] = False,
) -> None:
    """A version of a mask as a file: NIfTI, or a DICOM SEG or RTSTRUCT that refers to its series."""
    from pipelines.review import export_dicom, find_case

    with AvatarStore(store, must_exist=True) as opened:
        case = find_case(opened, patient, day)
        ref = case.mask(version)
        if output.suffix == ".dcm":
            if series is None:
                raise ReviewError(
                    f"{output}: a DICOM mask refers to its images: name them by --series"
                )
            export_dicom(opened, case, version, series, output, contours=contours)
        elif output.name.endswith(".nii.gz"):
            replace_atomically(output, encode_nifti(opened.volume(ref)))
        else:
            raise ReviewError(f"{output}: is written as .nii.gz, or as .dcm for DICOM")
    shown = case.review.version if version is None else version
    out.print(f"wrote {output}: version {shown} of {case.name}", soft_wrap=True)


@app.command("import")
def import_mask(
    patient: str,
    mask: Annotated[
        Path, typer.Argument(help="A NIfTI label map, or a DICOM SEG or RTSTRUCT (.dcm).")
    ],
    reader: Annotated[str, typer.Option(help="Who drew it; stands in the record.")],
    store: StoreOption = DEFAULT_STORE,
    day: DayOption = None,
    base: Annotated[
        int | None,
        typer.Option(help="The version that it was made from; refused if it is not the latest."),
    ] = None,
    comment: Annotated[str, typer.Option(help="For the record.")] = "",
) -> None:
    """A mask that was drawn elsewhere as the next version of a case; it must lie on the scan's grid."""
    from pipelines.review import find_case, read_reader_mask, save_version

    with AvatarStore(store, must_exist=True) as opened:
        case = find_case(opened, patient, day)
        review = save_version(
            opened,
            case,
            read_reader_mask(opened, case, mask),
            base=case.review.version if base is None else base,
            by=reader,
            at=datetime.now(UTC).replace(microsecond=0),
            comment=comment or f"imported from {mask.name}",
        )
    changed = review.entries[-1].voxels_changed
    out.print(
        f"kept version {review.version} of {case.name}: {changed} voxels changed", soft_wrap=True
    )
