"""Every survival family on real cohorts, on the same folds: discrimination, Brier score, calibration.

    python benchmarks/survival.py [--repeats N] [COHORT ... | external | bands]

Prints a table for each cohort (mean and standard deviation over folds), whether the stack keeps up with the
best single model (0.005 of Uno's C, 0.002 of the integrated Brier score) and is no worse than Kaplan-Meier;
then what models of TCGA's glioblastomas are worth on UPENN-GBM, and how often 90 % bands hold the truth of
in-silico cohorts; and ends with one line of JSON. Cohorts of a local folder are left out where
``AVATAR_SHARED`` names none.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from data.cohort import Cohort
from data.errors import AvatarError
from models.survival.families.registry import FAMILIES
from pipelines.band_coverage import band_coverage
from pipelines.evaluate_survival import CrossValidated, cross_validate
from pipelines.public_cohorts import LOCAL, PUBLIC, tcga_glioblastoma, upenn_glioblastoma
from pipelines.validate_survival import validate
from pipelines.weights import shared_dir

STACK, BASELINE = "stack", "Kaplan-Meier"
EXTERNAL, BANDS = "external", "bands"
BANDED = {"Cox": 40, "Coxnet": 20, "random survival forest": 10, "stack": 10}
"""In-silico cohorts by family, as many as its fits leave time for."""
HORIZONS, MIDDLE, SHOWN = (6.0, 12.0, 18.0), 12.0, (0.3, 0.4, 0.5, 0.6)
WITHIN_C, WITHIN_BRIER = 0.005, 0.002
out, err = Console(), Console(stderr=True)


def main() -> None:
    """Run and print."""
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("cohorts", nargs="*", help="names; all that can be had without")
    asked.add_argument("--repeats", type=int, default=1)
    told = asked.parse_args()
    figures = []
    validated: list[dict[str, object]] = []
    covered: dict[str, float] = {}
    for name in told.cohorts or (*PUBLIC, *LOCAL, EXTERNAL, BANDS):
        try:
            if name == BANDS:
                covered = bands()
                continue
            if name == EXTERNAL:
                validated = external()
                continue
            cohort = PUBLIC[name]() if name in PUBLIC else LOCAL[name](shared_dir())
        except AvatarError as error:
            err.print(f"left out: {error}")
            continue
        figures.append(run(cohort, told.repeats))
    print(
        json.dumps(
            {
                "benchmark": "survival",
                "repeats": told.repeats,
                "cohorts": figures,
                "external": validated,
                "band_coverage": covered,
            }
        )
    )


def external() -> list[dict[str, object]]:
    """Models of TCGA's glioblastomas on UPENN's, by age, sex, IDH and MGMT."""
    train, test = tcga_glioblastoma(shared_dir()), upenn_glioblastoma(shared_dir())
    title = f"{train.name} ({len(train)}) to {test.name} ({len(test)} patients, all have died)"
    scores = Table("family", "Harrell C", "Uno C", "IBS", "D-calibration p", title=title)
    times = Table("family", "months", "predicted", "observed", "error", "slope", "ICI")
    times.title = "Survival at times; 95 % intervals of a bootstrap over the test patients"
    benefit = Table(
        "family", *(f"{t:.0%}" for t in SHOWN), title="Net benefit by 12 months above a risk of"
    )
    figures: list[dict[str, object]] = []
    for kind, family in FAMILIES.items():
        if kind == BASELINE:
            continue
        with err.status(f"{kind} on {test.name}"):
            found = validate(family(), train, test, HORIZONS)
        scores.add_row(
            kind,
            found.harrell.words,
            found.uno.words,
            found.brier.words,
            f"{found.d_calibration.p:.3f}",
        )
        for horizon, at in found.at.items():
            alive = 1 - at.told.predicted, 1 - at.told.observed
            words = (at.error.words, at.slope.words, at.ici.words)
            times.add_row(kind, f"{horizon:g}", *(f"{a:.3f}" for a in alive), *words)
        curve = found.at[MIDDLE].decision
        shown = [int(np.argmin(np.abs(curve.thresholds - t))) for t in SHOWN]
        benefit.add_row(
            kind, *(f"{curve.model[n]:.3f} (all: {curve.everyone[n]:.3f})" for n in shown)
        )
        figures.append(
            {"family": kind, "harrell": found.harrell.value, "uno": found.uno.value, "ibs": found.brier.value,
             "error": {f"{h:g}": round(at.error.value, 4) for h, at in found.at.items()},
             "ici": {f"{h:g}": round(at.ici.value, 4) for h, at in found.at.items()}}
        )  # fmt: skip
    for table in (scores, times, benefit):
        out.print(table)
    return figures


def bands() -> dict[str, float]:
    """How often 90 % bands hold the truth: Weibull hazards, linear, 300 patients a cohort."""
    table = Table("family", "in-silico cohorts", "truth within the band", "mean width")
    table.title = "Coverage of 90 % bands; standard error over cohorts"
    found = {}
    for kind, cohorts in BANDED.items():
        with err.status(f"bands of {kind}"):
            (told,) = band_coverage({kind: FAMILIES[kind]}, cohorts=cohorts).values()
        error = told.spread / cohorts**0.5
        table.add_row(kind, str(cohorts), f"{told.share:.3f} ± {error:.3f}", f"{told.width:.3f}")
        found[kind] = round(told.share, 4)
    out.print(table)
    return found


def run(cohort: Cohort, repeats: int) -> dict[str, object]:
    """One cohort's table, and its figures."""
    begun = time.perf_counter()
    with err.status(cohort.name) as status:

        def shown(kind: str, done: int, total: int) -> None:
            status.update(f"{cohort.name}: {kind}, {done} of {total} fits")

        found = cross_validate(cohort, FAMILIES, repeats=repeats, on_step=shown)
    seconds = time.perf_counter() - begun
    out.print(_table(cohort, found, seconds))
    gaps, held = _gaps(found)
    weights = ", ".join(f"{kind} {share:.2f}" for kind, share in found[STACK].shares.items())
    out.print(
        f"stack against the best single model: C {gaps['uno']:+.4f}, IBS {gaps['brier']:+.4f}; below "
        f"Kaplan-Meier's IBS by {gaps['below_kaplan_meier']:.4f}: "
        f"{'within' if held else 'NOT within'} the bounds"
    )
    out.print(f"weights: {weights}\n")
    families = {
        kind: {n: round(one.mean(n), 5) for n in ("uno", "harrell", "brier")}
        | {"d_calibration_p": round(one.d_calibration(cohort).p, 5)}
        for kind, one in found.items()
    }
    return {
        "cohort": cohort.name, "patients": len(cohort), "events": cohort.events, "seconds": round(seconds, 1),
        "stack": {name: round(gap, 5) for name, gap in gaps.items()} | {"within": held},
        "families": families,
    }  # fmt: skip


def _table(cohort: Cohort, found: dict[str, CrossValidated], seconds: float) -> Table:
    title = (
        f"{cohort.name}: {len(cohort)} patients, {cohort.events} events, {cohort.covariates.shape[1]} "
        f"covariates ({seconds:.0f} s)"
    )
    table = Table("family", "Uno C", "Harrell C", "IBS", "D-calibration p", title=title)
    for kind, one in found.items():
        table.add_row(
            kind,
            *(f"{one.mean(n):.3f} ± {one.spread(n):.3f}" for n in ("uno", "harrell")),
            f"{one.mean('brier'):.4f} ± {one.spread('brier'):.4f}",
            f"{one.d_calibration(cohort).p:.3f}",
        )
    return table


def _gaps(found: dict[str, CrossValidated]) -> tuple[dict[str, float], bool]:
    """The stack against the best single model and the baseline, and whether it keeps up."""
    single = [one for kind, one in found.items() if kind not in (STACK, BASELINE)]
    stack = found[STACK]
    gaps = {
        "uno": stack.mean("uno") - max(one.mean("uno") for one in single),
        "brier": stack.mean("brier") - min(one.mean("brier") for one in single),
        "below_kaplan_meier": found[BASELINE].mean("brier") - stack.mean("brier"),
    }
    held = gaps["uno"] >= -WITHIN_C and gaps["brier"] <= WITHIN_BRIER
    return gaps, held and gaps["below_kaplan_meier"] >= 0


if __name__ == "__main__":
    main()
