"""Small cohorts that differ from patient to patient, and take part of a second each."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import psutil
import yaml
from conftest import write_nifti

SIDE = 64


def write_patient(
    folder: Path, name: str, seed: int, *, side: int = SIDE, **changes: object
) -> Path:
    """A study with its own mask, of the site that has neither twin nor network."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((side, side, side), np.uint8)
    low = rng.integers(4, side // 2, 3)
    size = rng.integers(4, side // 3, 3)
    mask[tuple(slice(a, a + b) for a, b in zip(low, size, strict=True))] = 1
    for sequence in ("t1c", "flair"):
        image = rng.integers(20, 900, mask.shape).astype(np.int16)
        write_nifti(folder / f"{sequence}.nii.gz", image, np.diag([2.0, 2, 2, 1]))
    write_nifti(folder / "mask.nii.gz", mask, np.diag([2.0, 2, 2, 1]))
    record = {
        "patient_id": name, "age_years": 40 + seed % 40, "sex": "female" if seed % 2 else "male",
        "followup_days": 100 * (seed + 1), "vital_status": "dead" if seed % 3 else "alive",
    }  # fmt: skip
    (folder / "record.yaml").write_text(yaml.safe_dump(record))
    scan = {
        "sequences": {s: f"{s}.nii.gz" for s in ("t1c", "flair")},
        "segmentation": "mask.nii.gz",
    }
    study = {"patient_id": name, "site": "generic", "origin": "in-silico", "scans": [scan]}
    study |= {"record": "record.yaml"} | changes
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder


def write_cohort(folder: Path, count: int, *, side: int = SIDE, **settings: object) -> Path:
    """``count`` patients and the file that runs them."""
    for n in range(count):
        write_patient(folder / "studies" / f"P{n:02d}", f"P{n:02d}", n, side=side)
    folder.mkdir(parents=True, exist_ok=True)
    told = {"name": "small", "studies": ["studies/*"]} | settings
    (folder / "cohort.yaml").write_text(yaml.safe_dump(told))
    return folder / "cohort.yaml"


def has_ended(process: subprocess.Popen, seconds: float) -> bool:
    """Whether a process ends within some seconds."""
    try:
        process.wait(seconds)
    except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
        return False
    return True
