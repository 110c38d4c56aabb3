"""What the ``avatar`` command prints: tables within 80 columns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import groupby
from statistics import fmean
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from app.words import BEHIND
from data.avatar import Avatar

if TYPE_CHECKING:  # it imports torch, which takes seconds
    from pipelines.evaluate import CaseScores, Evaluation, Interval


def _dice(region: str, row: CaseScores) -> float:
    return row.regions[region].dice


def evaluation_tables(result: Evaluation) -> tuple[Table, Table]:
    """Per case and over all cases."""
    names = tuple(result.summary)
    against = result.geometry_dice is not None
    cases = Table(title=f"{result.segmenter}: Dice per case (research use only)")
    cases.add_column("case, reference")
    for column in (*names, *(["WT by\ngeometry"] * against), "HD95 WT\nmm", "AUROC", "CPU s"):
        cases.add_column(column, justify="right", no_wrap=True)
    for case, rows in groupby(result.cases, key=lambda row: row.case):
        windows = list(rows)
        first = windows[0]

        def over(value: Callable[[CaseScores], float], digits: int = 3) -> str:
            return f"{fmean(value(row) for row in windows):.{digits}f}"  # noqa: B023 - used at once

        dice = [over(partial(_dice, name)) for name in names]
        if against:
            dice.append(over(lambda row: row.geometry_dice or 0.0))
        told = "-"
        if all(row.error_auroc is not None for row in windows):
            told = over(lambda row: row.error_auroc or 0.0)
        named = f"{escape(case)}\n[dim]{escape(first.reference_by or 'unknown')}[/dim]"
        if first.window is not None:
            named += f"[dim], mean of {len(windows)} windows[/dim]"
        if first.weights != "never taught from it":
            named += f"\n[dim]weights: {first.weights}[/dim]"
        distance = over(lambda row: row.regions["WT"].hd95_mm, 1)
        cases.add_row(named, *dice, distance, told, over(lambda row: row.cpu_seconds, 1))
    cases.caption = "AUROC: of disagreement between opinions for wrong voxels; 0.5 is chance."
    if against:
        cases.caption += (
            "\nBy geometry: an ellipsoid in the middle of the image, of the size that suits best."
        )

    def shown(value: Interval, digits: int) -> str:
        if value.low is None:
            return f"{value.mean:.{digits}f}"
        return (
            f"{value.mean:.{digits}f}\n[dim]{value.low:.{digits}f} to {value.high:.{digits}f}[/dim]"
        )

    count = len({row.case for row in result.cases})
    mean = Table(title=f"Mean of {count} (95 % bootstrap interval)")
    mean.add_column("")
    for region in names:
        mean.add_column(region, justify="right", no_wrap=True)
    regions = [result.summary[r] for r in names]
    for label, name, digits in (
        ("Dice", "dice", 3),
        ("surface Dice at 1 mm", "surface_dice", 3),
        ("HD95, mm", "hd95_mm", 1),
        ("volume error, mL", "volume_error_ml", 1),
        ("lesion-wise Dice", "lesion_dice", 3),
    ):
        mean.add_row(label, *(shown(getattr(region, name), digits) for region in regions))
        if name == "dice" and result.geometry_dice is not None:
            mean.add_row("Dice by geometry alone", shown(result.geometry_dice, digits))
    if all(region.agreement_off is not None for region in regions):
        off = [shown(region.agreement_off, 3) for region in regions if region.agreement_off]
        mean.add_row("|agreement of opinions - Dice|", *off)
    missed = [f"{r.lesions_missed} of {r.lesions}\n{r.lesions_false} false" for r in regions]
    mean.add_row("lesions missed", *missed)
    return cases, mean


def avatar_table(avatar: Avatar) -> Table:
    """One avatar in a few lines."""
    table = Table(title=f"{avatar.patient_id} ({avatar.origin}) - research use only")
    table.add_column("part")
    table.add_column("what is known")
    scan = avatar.latest_scan
    for m in scan.measurements if scan else ():
        size = f"{m.volume_ml:.1f} mL"
        if m.longest_diameter_mm is not None:
            size += f", {m.longest_diameter_mm:.0f} x {m.perpendicular_diameter_mm:.0f} mm axial"
        table.add_row(m.name, f"{size}{', ' + m.laterality if m.laterality else ''}")
    if scan:
        table.add_row("Mask", escape(scan.segmenter))
        for flag in scan.flags:
            table.add_row(
                f"[red]{flag.code}[/red]", escape(f"{flag.finding}; look at {flag.look_at}")
            )
    if avatar.variants:
        named = [
            f"{v.gene} {v.protein_change}" for v in avatar.variants.variants if v.alters_protein
        ]
        table.add_row(
            "Variants",
            f"{avatar.calls.rows if avatar.calls else 0} calls; {escape(', '.join(named[:6]))}",
        )
    table.add_row("Prior class", avatar.prior_class)
    if avatar.survival:
        s = avatar.survival
        median = "not reached" if s.median_months is None else f"{s.median_months:.0f} months"
        table.add_row("Survival (model)", f"median {median}")
    if avatar.is_behind_its_masks:
        table.add_row("[red]Mask signed since[/red]", BEHIND)
    for f in avatar.forecasts:
        middle = f.progression_days[1]
        when = f"beyond {f.horizon_days:.0f} days" if middle is None else f"day {middle:.0f}"
        table.add_row(f"In silico: {escape(f.regimen)}", f"median progression {when}")
    return table
