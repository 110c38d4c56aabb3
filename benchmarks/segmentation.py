"""Dice of the project's own network, and of MSNet beside it, on the labelled real cases.

    python benchmarks/segmentation.py            (needs AVATAR_SHARED; MSNet where four sequences exist)

Prints a table (Dice of whole tumor, core and enhancing; CPU seconds) and ends with one JSON line.
The references: a consensus of algorithms (silver standard) for TCGA, experts for BRATS 2013. A region
that neither has scores 1, one that only the reference or only the network has scores 0.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from data.errors import AvatarError
from data.imaging import Segmentation, Volume
from data.io.nifti import read_nifti, read_segmentation
from models.segmentation.base import Segmenter
from pipelines.sites.glioma import LABEL_ALIASES, LABELS
from pipelines.weights import segmenter_of, shared_dir

TCGA = ("TCGA-DU-7294", "TCGA-FG-6692")
BRATS2013 = ("brats_2013_pat0001_1", "brats_2013_pat0004_1")
BRATS2013_ALIASES = {3: 1, 4: 3}
"""BRATS 2013 tells non-enhancing (3) from necrotic (1) core; the glioma table does not."""
REGIONS = ("WT", "TC", "ET")
Case = tuple[str, dict[str, Volume], Volume | None, Segmentation]


def cases(shared: Path) -> list[Case]:
    """Name, images, brain mask and reference of each labelled case."""
    found: list[Case] = []
    for name in TCGA:
        folder = shared / "glioma" / name
        images = {
            s: read_nifti(folder / f"{name}_{s}.nii.gz") for s in ("t1", "t1c", "t2", "flair")
        }
        images = {s: v.with_array(np.clip(v.array, 0, None)) for s, v in images.items()}
        mask = read_segmentation(folder / f"{name}_consensus_seg.nii.gz", LABELS, LABEL_ALIASES)
        found.append((name, images, None, mask))
    for name in BRATS2013:
        folder = shared / "glioma" / "brats2013_nc" / name
        images = {s: read_nifti(folder / f"{s}_z.nii.gz") for s in ("t1c", "flair")}
        mask = read_segmentation(folder / "OTMultiClass.nii.gz", LABELS, BRATS2013_ALIASES)
        found.append((name, images, read_nifti(folder / "brainmask.nii.gz"), mask))
    return found


def dice(found: Segmentation, meant: Segmentation, region: str) -> float:
    """Dice of one region."""
    a, b = found.mask(region), meant.mask(region)
    return 1.0 if not (a.any() or b.any()) else float(2 * (a & b).sum() / (a.sum() + b.sum()))


def main() -> int:
    """Run both segmenters on every case they accept."""
    shared = shared_dir()
    if not (shared / "glioma").is_dir():
        sys.stderr.write(f"{shared}: no labelled cases here; set AVATAR_SHARED\n")
        return 2
    segmenters: list[Segmenter] = [segmenter_of("glioma-net")]
    try:
        segmenters.append(segmenter_of("msnet"))
    except AvatarError as error:
        sys.stderr.write(f"without MSNet: {error}\n")
    rows = []
    print(f"{'case':24} {'segmenter':12} {'WT':>6} {'TC':>6} {'ET':>6} {'CPU s':>7}")
    for name, images, brain, meant in cases(shared):
        for segmenter in segmenters:
            if any(s not in images for s in segmenter.requires):
                continue
            started = time.process_time()
            found = Segmentation(segmenter.segment(images, brain), LABELS)
            seconds = time.process_time() - started
            scores = {r: round(dice(found, meant, r), 3) for r in REGIONS}
            rows.append(
                {"case": name, "segmenter": segmenter.kind, **scores, "cpu_s": round(seconds, 1)}
            )
            shown = " ".join(f"{scores[r]:6.3f}" for r in REGIONS)
            print(f"{name:24} {segmenter.kind:12} {shown} {seconds:7.1f}", flush=True)
    own = [row for row in rows if row["segmenter"] == "glioma-net"]
    mean = {r: round(float(np.mean([row[r] for row in own])), 3) for r in REGIONS}
    print(f"{'mean of four':24} {'glioma-net':12} " + " ".join(f"{mean[r]:6.3f}" for r in REGIONS))
    print(json.dumps({"benchmark": "segmentation", "rows": rows, "glioma_net_mean": mean}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
