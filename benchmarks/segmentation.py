"""Segmenters side by side on the labelled real cases: Dice, CPU seconds and peak memory of each way.

    python benchmarks/segmentation.py [CASE ...] [--way WAY ...]     (needs AVATAR_SHARED and, for the
                                                                      peers, weights that are not shipped)

Prints a table per way and ends with one JSON line. The references: a consensus of algorithms (silver
standard) for TCGA, experts for BRATS 2013. The own network's masks of the TCGA cases are drawn by weights
that were not taught from that case (benchmarks/folds). Empty masks as in models/segmentation/scores.py.

"Own, the tutorial way" is the same network as it is run in MONAI's tutorials: torch, eager, single
precision, windows of 128^3 at 1 mm that overlap by one half, over the whole volume. Each way and case has
a process of its own on one core. CPU seconds are of drawing the mask, transforms and resampling included:
the median of four runs after a first one, or that one where it takes more than 20 s. Peak memory is of the
whole process, from the import of the libraries and the reading of the files to the mask.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from safetensors.torch import load_file
from typing_extensions import override

from data.errors import AvatarError, ImageError
from data.imaging import Segmentation, Volume
from data.io.structured import read_model
from models.segmentation.base import Network, Segmenter, brain_mask, predict_in_network_space
from models.segmentation.glioma_net import (
    REQUIRED,
    SEQUENCES,
    SPACING_MM,
    build_glioma_net,
    z_score,
)
from models.segmentation.msnet import MSNet
from models.segmentation.own import WEIGHTS, GliomaNet, calibrated
from models.segmentation.regions import REGIONS
from models.segmentation.scores import dice
from pipelines.cases import CaseList, read_cases
from pipelines.evaluate import held_out
from pipelines.sites.glioma import LABELS
from pipelines.weights import segmenter_of, shared_dir

Array = NDArray[np.float32]
CASES = Path(__file__).parents[1] / "configs" / "cases" / "glioma_labelled.yaml"
PAIR = ("t1c", "flair")
TUTORIAL, SHIPPED, DOUBT = "own, tutorial way", "own, as shipped", "own, with opinions"
WAYS = (
    SHIPPED,
    "own, OpenVINO f32",
    "own, torch f32",
    "own, T1c and FLAIR",
    DOUBT,
    TUTORIAL,
    "MSNet axial",
    "MSNet three views",
    "DeepMedic",
)
QUICK_S, RUNS = 20.0, 5
WINDOW, OVERLAP = (128, 128, 128), 0.5


class TutorialWay(Network):
    """The own network by sliding windows over the whole volume, in eager torch."""

    kind: Literal["glioma-net-tutorial"] = "glioma-net-tutorial"
    weights: Path = WEIGHTS

    @property
    @override
    def requires(self) -> tuple[str, ...]:
        return REQUIRED

    @property
    @override
    def citation(self) -> str:
        return GliomaNet().citation

    @override
    def regions(self, images: Mapping[str, Volume], brain: Volume | None) -> Array:
        self.require(images, brain)
        given = tuple(name for name in SEQUENCES if name in images)
        net = build_glioma_net()
        net.load_state_dict(load_file(self.weights))
        net.eval()

        def predict(stack: Array, inside: NDArray[np.bool_]) -> Array:
            scaled = np.zeros((len(SEQUENCES), *inside.shape), np.float32)
            for image, name in zip(stack, given, strict=True):
                scaled[SEQUENCES.index(name)] = z_score(image, inside)
            with torch.inference_mode():
                whole = torch.from_numpy(scaled)[None]
                logits = sliding_window_inference(whole, WINDOW, 1, net, overlap=OVERLAP)
            return np.asarray(logits.sigmoid()[0].numpy() * inside)

        reference = images[REQUIRED[0]]
        found = predict_in_network_space(
            images,
            given,
            brain_mask(brain, reference),
            predict,
            axis_codes="RAS",
            spacing_mm=SPACING_MM,
            crop=False,
            reference=reference,
        )
        return calibrated(found)

    @override
    def cleaned(self, labels: NDArray[np.uint8], voxel_mm3: float) -> NDArray[np.uint8]:
        return GliomaNet().cleaned(labels, voxel_mm3)


def segmenter_for(way: str) -> Segmenter:
    """What a way stands for.

    Raises:
        AvatarError: its weights are not on this machine.
    """
    if way == TUTORIAL:
        return TutorialWay()
    if way == "MSNet three views":
        return MSNet(weights=MSNet.model_validate(segmenter_of("msnet")).weights, views="three")
    if not way.startswith("own"):
        return segmenter_of({"MSNet axial": "msnet", "DeepMedic": "deepmedic"}[way])
    if way == "own, OpenVINO f32":
        return GliomaNet(precision="f32")
    if way == "own, torch f32":
        return GliomaNet(engine="torch", precision="f32")
    return GliomaNet()


def measure(way: str, name: str) -> dict[str, float | str]:
    """One way on one case, in a process of its own."""
    torch.set_num_threads(1)
    (case,) = read_cases(CASES, [name])
    segmenter, weights = held_out(segmenter_for(way), case)
    images = case.images
    if way == "own, T1c and FLAIR":
        images = {key: images[key] for key in PAIR}
    spent: list[float] = []
    while len(spent) < RUNS and (len(spent) == 0 or spent[0] < QUICK_S):
        started = time.process_time()
        try:
            if way == DOUBT:
                mask = segmenter.examine(images, case.brain).labels
            else:
                mask = segmenter.segment(images, case.brain)
        except ImageError as error:
            return {"refused": str(error)}
        spent.append(time.process_time() - started)
    seconds = float(np.median(spent[1:] or spent))
    found, reference = Segmentation(mask, LABELS), case.reference
    assert reference is not None
    row: dict[str, float | str] = {
        region: round(dice(found.mask(region), reference.mask(region)), 4) for region in REGIONS
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        **row,
        "cpu_s": round(seconds, 2),
        "peak_gb": round(peak * (1 if sys.platform == "darwin" else 1024) / 1e9, 2),
        "weights": weights,
    }


def run(way: str, names: list[str]) -> dict[str, object]:
    """Print one way on every case and return its figures."""
    rows = {}
    for name in names:
        with get_context("spawn").Pool(1) as pool:  # memory is counted from zero
            rows[name] = pool.apply(measure, (way, name))
        if "refused" in rows[name]:
            print(f"{way:19} {name:21} refused: {rows.pop(name)['refused'][:60]}", flush=True)
        else:
            print(line(way, name, rows[name]), flush=True)
    if not rows:
        return {"cases": rows, "mean": None}
    keys = (*REGIONS, "cpu_s", "peak_gb")
    mean = {key: round(float(np.mean([row[key] for row in rows.values()])), 3) for key in keys}
    mean["peak_gb"] = max(row["peak_gb"] for row in rows.values())
    print(line(way, f"mean of {len(rows)}", mean) + "\n", flush=True)
    return {"cases": rows, "mean": mean}


def line(way: str, case: str, row: Mapping[str, object]) -> str:
    """One row of the table."""
    shown = " ".join(f"{row[region]:6.3f}" for region in REGIONS)
    note = "  (fold)" if row.get("weights") == "a fold without it" else ""
    return f"{way:19} {case:21} {shown} {row['cpu_s']:8.2f} {row['peak_gb']:6.2f}{note}"


def main() -> int:
    """Run every way whose weights are at hand on every case."""
    os.environ["OMP_NUM_THREADS"] = "1"
    options = argparse.ArgumentParser(description=main.__doc__)
    options.add_argument("cases", nargs="*", metavar="CASE", help="of configs/cases; default all")
    options.add_argument(
        "--way", action="append", choices=WAYS, help="default all; may be repeated"
    )
    chosen = options.parse_args()
    if not (shared_dir() / "glioma").is_dir():
        sys.stderr.write(f"{shared_dir()}: no labelled cases here; set AVATAR_SHARED\n")
        return 2
    listed = [case.name for case in read_model(CASES, CaseList, AvatarError).cases]
    names = chosen.cases or listed
    print(f"{'way':19} {'case':21} {'WT':>6} {'TC':>6} {'ET':>6} {'CPU s':>8} {'GB':>6}")
    figures = {}
    for way in chosen.way or WAYS:
        try:
            segmenter_for(way)
        except AvatarError as error:
            sys.stderr.write(f"without {way}: {error}\n")
            continue
        figures[way] = run(way, names)
    summary = None
    if TUTORIAL in figures and SHIPPED in figures:
        slow, quick = figures[TUTORIAL]["mean"], figures[SHIPPED]["mean"]
        ratio = slow["cpu_s"] / quick["cpu_s"]
        gained = {region: round(quick[region] - slow[region], 4) for region in REGIONS}
        print(f"as shipped against the tutorial way: {ratio:.0f} x the speed; Dice {gained}")
        summary = {"times_faster": round(ratio, 1), "dice_gained": gained}
    print(json.dumps({"benchmark": "segmentation", "ways": figures, "shipped": summary}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
