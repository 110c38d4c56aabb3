"""``avatar plan``: plans of weekly doses between control and toxicity, as a table and as regimens."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from data.errors import RegimenError
from data.files import replace_atomically
from data.store import AvatarStore

if TYPE_CHECKING:
    from pipelines.plan import PlanFront

err = Console(stderr=True)
out = Console()


def plan(
    patient: str,
    toxicity: Annotated[
        str, typer.Option(help="'physical dose', BED3, or NTCP (necrosis of the brain).")
    ] = "BED3",
    cap: Annotated[float, typer.Option(help="Largest dose of a fraction, Gy.")] = 4.0,
    least: Annotated[float, typer.Option(help="Smallest dose of a fraction, Gy.")] = 1.0,
    risk: Annotated[
        float, typer.Option(help="Level of the superquantile: 0.8 judges by the worst fifth.")
    ] = 0.8,
    weeks: Annotated[int, typer.Option(help="Of treatment, five fractions each.")] = 6,
    points: Annotated[int, typer.Option(help="Budgets that are tried.")] = 9,
    base: Annotated[
        str, typer.Option(help="Shipped regimen whose radiotherapy is planned anew.")
    ] = "stupp",
    seed: Annotated[int, typer.Option(min=0)] = 1,
    write: Annotated[
        Path | None, typer.Option(help="Also write each plan as a regimen (YAML) in this folder.")
    ] = None,
    store: Annotated[Path, typer.Option("--store", help="Folder of the avatar store.")] = Path(
        "store"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """A front of radiotherapy plans: longest control of the worst members for each budget of toxicity.

    A search that was stopped goes on where it was. In silico; no plan is the answer.
    """
    from pipelines.config import regimen_names, regimen_plan
    from pipelines.plan import METRICS, as_regimen, plan_front

    metric = next((m for m in METRICS if m.lower() == toxicity.lower()), None)
    if metric is None:
        raise RegimenError(f"no measure of toxicity {toxicity!r}; known: {', '.join(METRICS)}")
    if base not in regimen_names():
        raise RegimenError(f"no regimen {base!r}; known: {', '.join(regimen_names())}")
    chosen = regimen_plan(base)
    with (
        AvatarStore(store, must_exist=True) as opened,
        Progress(console=err, transient=True) as bar,
    ):
        task = bar.add_task("plans", total=points)
        front = plan_front(
            opened.get(patient),
            opened,
            chosen,
            metric=metric,
            cap_gy=cap,
            least_gy=least,
            level=risk,
            weeks=weeks,
            points=points,
            seed=seed,
            on_point=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if write is not None:
        for n, found in enumerate(front.plans, 1):
            regimen = as_regimen(found, chosen, f"Plan {n} of {chosen.name}")
            text = yaml.safe_dump(regimen.model_dump(mode="json"), sort_keys=False)
            replace_atomically(write / f"plan-{n}.yaml", text.encode())
    if as_json:
        sys.stdout.write(front.model_dump_json(indent=1) + "\n")
        return
    out.print(_table(front))
    out.print(
        f"In silico, {front.members} members, seed {front.seed}, research use only. Control: mean of the worst "
        f"{100 * (1 - front.level):.0f} %, days from the first fraction to progression, without drugs and "
        "without invasion, with the plain response; 'avatar simulate' solves a plan in space."
    )


def _table(front: PlanFront) -> Table:
    from pipelines.plan import UNITS

    table = Table(
        title=f"{front.patient_id}: plans on {front.base}, fractions to {front.cap_gy:g} Gy"
    )
    for head in ("", f"{front.metric} ({UNITS[front.metric]})", "control (d)", "total (Gy)"):
        table.add_column(head, justify="right")
    table.add_column("dose per fraction, week by week (Gy)")
    rows = [(str(n), found) for n, found in enumerate(front.plans, 1)]
    for name, found in [*rows, ("usual", front.standard)]:
        table.add_row(
            name,
            f"{found.toxicity:.4g}",
            f"{found.control_days:.0f}",
            f"{found.total_gy:.1f}",
            "  ".join(f"{dose:.2f}" for dose in found.doses_gy),
        )
    return table
