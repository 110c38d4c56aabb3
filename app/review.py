"""``avatar review``: the worklist and the masks of readers without the board."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.options import DEFAULT_STORE, JsonOption, StoreOption
from data.errors import ReviewError
from data.files import replace_atomically
from data.io.dicom import read_dataset
from data.io.nifti import encode_nifti
from data.review import STATUSES
from data.store import AvatarStore

if TYPE_CHECKING:
    from data.avatar import Avatar
    from pipelines.follow_up import Kind
    from pipelines.sites.base import Followed

app = typer.Typer(help="Masks under review, without the board.", no_args_is_help=True)
DayOption = Annotated[
    float | None, typer.Option(help="Which scan, in days since diagnosis; the latest by default.")
]
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
    from pipelines.review import cases, whole_volume_ml

    unknown = sorted(set(status or ()) - set(STATUSES))
    if unknown:
        raise ReviewError(f"--status {unknown[0]}: there are {', '.join(STATUSES)}")
    wanted = WorkFilter(statuses=tuple(s for s in STATUSES if s in (status or ())), flagged=flagged)
    with AvatarStore(store, must_exist=True) as opened:
        every, unreadable = cases(opened)
        listed = in_order(((case, opened.volume_since(case.mask(0))) for case in every), wanted)
        found = [(case, since, whole_volume_ml(opened, case)) for case, since in listed]
    for sentence in unreadable:
        err.print(f"[yellow]left out[/yellow] {escape(sentence)}", soft_wrap=True)
    rows = [work_row(case, since, ml) for case, since, ml in found]
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
    kind: Annotated[
        str | None,
        typer.Option(
            help="For DICOM: seg (usual), rtstruct (contours), or sr (what was measured)."
        ),
    ] = None,
    criteria: Annotated[
        str | None, typer.Option(help="For sr: the site's usual ones by default.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """A version of a mask as a file: NIfTI, or a DICOM SEG, RTSTRUCT or SR that refers to its series."""
    from pipelines.export import DicomKind, export_dicom
    from pipelines.review import find_case

    known: dict[str, DicomKind] = {"seg": "seg", "rtstruct": "rtstruct", "sr": "sr"}
    if kind is not None and kind not in known:
        raise ReviewError(f"--kind {kind}: there are {', '.join(known)}")
    if output.exists() and not overwrite:
        raise ReviewError(f"{output}: exists already; choose another name, or say --overwrite")
    as_dicom = output.suffix.lower() == ".dcm"
    if not as_dicom and (kind, series, criteria) != (None, None, None):
        raise ReviewError(f"{output}: --kind, --series and --criteria are for DICOM; name a .dcm")

    with AvatarStore(store, must_exist=True) as opened:
        case = find_case(opened, patient, day)
        ref = case.mask(version)
        if as_dicom:
            if series is None:
                raise ReviewError(
                    f"{output}: a DICOM mask refers to its images: name them by --series"
                )
            followed = followed_by(case.avatar, criteria)
            chosen = known[kind or "seg"]
            export_dicom(opened, case, version, series, output, kind=chosen, followed=followed)
        elif output.name.endswith(".nii.gz"):
            replace_atomically(output, encode_nifti(opened.volume(ref)))
        else:
            raise ReviewError(f"{output}: is written as .nii.gz, or as .dcm for DICOM")
    shown = case.review.version if version is None else version
    if as_dicom:
        name = str(read_dataset(output, "was just written", pixels=False).get("PatientID"))
        if name != patient:
            note = f"by its series it is of patient {name!r}, the avatar is {patient}"
            err.print(f"[yellow]note[/yellow]: {escape(note)}", soft_wrap=True)
    if as_json:
        told = {"file": str(output), "patient": patient, "day": case.scan.day, "version": shown}
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        return
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
    independent: Annotated[
        bool, typer.Option("--independent", help="It was drawn without sight of any mask of it.")
    ] = False,
    as_json: JsonOption = False,
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
            independent=independent,
        )
    changed = review.entries[-1].voxels_changed
    if as_json:
        sys.stdout.write(review.entries[-1].model_dump_json(indent=1) + "\n")
        return
    out.print(
        f"kept version {review.version} of {case.name}: {changed} voxels changed", soft_wrap=True
    )


def followed_by(avatar: Avatar, criteria: str | None) -> Followed | None:
    """The site's criteria of a name; None for the usual ones."""
    from pipelines.sites.registry import SITES

    offered = {f.criteria: f for f in SITES[avatar.site].followed}
    if criteria is not None and criteria not in offered:
        raise ReviewError(
            f"--criteria {criteria}: for {avatar.site} there are {', '.join(offered)}"
        )
    return None if criteria is None else offered[criteria]


@app.command("follow")
def follow_scans(
    patient: str,
    store: StoreOption = DEFAULT_STORE,
    criteria: Annotated[
        str | None, typer.Option(help="The site's usual ones by default; see the error for all.")
    ] = None,
    affine: Annotated[
        bool, typer.Option("--affine", help="Register with stretching; rigidly by default.")
    ] = False,
    baseline: Annotated[
        float | None,
        typer.Option(
            help="Day of the scan that others are compared with; the first by default, or by RANO 2.0 "
            "the first one after radiotherapy."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Lesions from scan to scan, and the response at each by RANO 2.0 or RECIST 1.1."""
    with err.status("Loading the imaging libraries"):
        from app.follow_up_views import alignment_words, target_rows
        from pipelines.follow_up import follow
        from pipelines.steps import StepReport

    def watch(report: StepReport) -> None:
        err.print(f"{report.step}: {report.used}" + (" (reused)" if report.reused else ""))

    with AvatarStore(store, must_exist=True) as opened:
        avatar = opened.get(patient)
        followed = followed_by(avatar, criteria)
        kind: Kind = "affine" if affine else "rigid"
        with err.status("Registering the scans"):
            found = follow(opened, avatar, followed, kind=kind, baseline=baseline, watch=watch)
    responses = found.responses()
    for day, laid in zip(found.days, found.aligned, strict=True):
        for doubt in () if laid is None else laid.alignment.doubts:
            err.print(f"[yellow]registration of day {day:g} is in doubt[/yellow]: {escape(doubt)}")
    if as_json:
        sys.stdout.write(found.summary().model_dump_json(indent=1) + "\n")
        return
    rows = target_rows(found, responses)
    table = Table(title=f"{patient} by {found.criteria.name} (research use only)")
    for head in rows[0]:
        table.add_column(head)
    for row in rows:
        table.add_row(*map(escape, row.values()))
    out.print(table)
    for response in responses[found.baseline + 1 :]:
        said = [
            f"day {response.day:g}: {response.category}, {response.reason}.",
            *response.provisos,
        ]
        out.print(" ".join(said), soft_wrap=True)
    for laid in found.aligned:
        if laid is not None:
            out.print(alignment_words(laid.alignment), soft_wrap=True)


@app.command("statistics")
def statistics(store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """First masks against signed ones (edited and independent apart), readers against each other, time."""
    with err.status("Loading the imaging libraries"):
        from app.review_views import agreement_rows, statistics_rows, time_words
        from pipelines.agreement import statistics_of
        from pipelines.review import cases

    with AvatarStore(store, must_exist=True) as opened:
        every, unreadable = cases(opened)
        found = statistics_of(opened, every)
    for sentence in unreadable:
        err.print(f"[yellow]left out[/yellow] {escape(sentence)}", soft_wrap=True)
    if as_json:
        sys.stdout.write(found.model_dump_json(indent=1) + "\n")
        return
    out.print(time_words(found), soft_wrap=True)
    for title, rows in (
        ("First masks against signed ones", statistics_rows(found)),
        ("Two readers on one scan", agreement_rows(found)),
    ):
        if rows:
            table = Table(title=f"{title} (research use only)")
            for head in rows[0]:
                table.add_column(head)
            for row in rows:
                table.add_row(*(escape(str(cell)) for cell in row.values()))
            out.print(table)
