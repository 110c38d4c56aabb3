"""Segmenters side by side on the labelled real cases: Dice and CPU seconds of each way.

    python benchmarks/segmentation.py            (needs AVATAR_SHARED and the weights that are not shipped)

Prints a table per way and ends with one JSON line. The references: a consensus of algorithms (silver
standard) for TCGA, experts for BRATS 2013. Empty masks as in models/segmentation/scores.py. CPU seconds
are of one run on one core, transforms and resampling included, the networks loaded before.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from data.errors import AvatarError
from models.segmentation.base import Segmenter
from models.segmentation.own import GliomaNet
from models.segmentation.regions import REGIONS
from pipelines.cases import Case, read_cases
from pipelines.evaluate import Evaluation, evaluate
from pipelines.weights import WEIGHTS_OF, segmenter_of, shared_dir

CASES = Path(__file__).parents[1] / "configs" / "cases" / "glioma_labelled.yaml"
PAIR = ("t1c", "flair")
Way = tuple[str, Segmenter, tuple[str, ...] | None]


def ways() -> list[Way]:
    """What is compared: name, segmenter, and the sequences it may see."""
    found: list[Way] = [
        ("own, torch", GliomaNet(engine="torch"), None),
        ("own, OpenVINO f32", GliomaNet(), None),
        ("own, OpenVINO bf16", GliomaNet(precision="bf16"), None),
        ("own, T1c and FLAIR", GliomaNet(), PAIR),
    ]
    for kind in WEIGHTS_OF:
        try:
            found.append((kind, segmenter_of(kind), None))
        except AvatarError as error:
            sys.stderr.write(f"without {kind}: {error}\n")
    return found


def table(name: str, result: Evaluation) -> dict[str, object]:
    """Print one way and return its figures."""
    rows = {}
    for row in result.cases:
        dice = {region: round(row.regions[region].dice, 3) for region in REGIONS}
        rows[row.case] = {**dice, "cpu_s": row.cpu_seconds}
        shown = " ".join(f"{value:6.3f}" for value in dice.values())
        print(f"{name:20} {row.case:24} {shown} {row.cpu_seconds:7.2f}", flush=True)
    mean = {region: round(result.summary[region].dice.mean, 3) for region in REGIONS}
    shown = " ".join(f"{value:6.3f}" for value in mean.values())
    print(f"{name:20} {'mean of ' + str(len(rows)):24} {shown}\n", flush=True)
    return {"cases": rows, "mean": mean}


def main() -> int:
    """Run every way on every case that it accepts."""
    if not (shared_dir() / "glioma").is_dir():
        sys.stderr.write(f"{shared_dir()}: no labelled cases here; set AVATAR_SHARED\n")
        return 2
    torch.set_num_threads(1)
    cases: list[Case] = read_cases(CASES)
    head = " ".join(f"{region:>6}" for region in REGIONS)
    print(f"{'way':20} {'case':24} {head} {'CPU s':>7}")
    figures = {}
    for name, segmenter, only in ways():
        if segmenter.kind == "glioma-net":
            evaluate(cases[:1], segmenter, only=only)
        figures[name] = table(name, evaluate(cases, segmenter, only=only))
    print(json.dumps({"benchmark": "segmentation", "ways": figures}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
