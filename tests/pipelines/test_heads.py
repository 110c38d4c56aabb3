"""Whole heads as the scanner gives them, to masks in the patient's own space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from data.errors import ImageError
from data.io.nifti import read_nifti, read_segmentation
from data.io.study import read_study
from data.samples.sri24 import load_sri24
from data.store import AvatarStore
from models.registration import register, resample
from models.segmentation.scores import dice
from pipelines import assemble
from pipelines.assemble import run_study
from pipelines.cases import read_cases
from pipelines.evaluate import held_out
from pipelines.heads import seen_by_networks
from pipelines.ingest import ingest
from pipelines.sites.glioma import LABEL_ALIASES, LABELS
from pipelines.sites.registry import SITES
from pipelines.weights import segmenter_of

CASES = Path(__file__).parents[2] / "configs" / "cases" / "glioma_labelled.yaml"
PATIENT = "TCGA-FG-6692"
SEQUENCES = ("t1", "t1c", "t2", "flair")


def write_study(folder: Path, native: Path) -> Path:
    """The native head as a study, with the T1 first, as files happen to be ordered."""
    for name in SEQUENCES:
        (folder / f"{name}.nii.gz").symlink_to(native / f"{name}.nii.gz")
    scan = {"sequences": {name: f"{name}.nii.gz" for name in SEQUENCES}}
    study = {"patient_id": PATIENT, "site": "glioma", "scans": [scan]}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder


@pytest.fixture(scope="module")
def study(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("native")
    return write_study(folder, shared / "glioma" / PATIENT / "native")


@pytest.fixture(scope="module")
def reference(shared, study):
    """The consensus mask (SRI24 space) on the native T1c: the stripped T1c of the same examination is
    registered to it, with twelve parameters since the public one was scaled on its way to SRI24.
    """
    file = read_study(study)
    (scan,) = ingest(study, file, SITES[file.site]).scans
    with AvatarStore(study / "store") as store:
        seen, _ = seen_by_networks(store, scan, lambda report: None)
    start = seen.brain.affine @ np.linalg.inv(load_sri24().t1.affine)
    folder = shared / "glioma" / PATIENT
    stripped = read_nifti(folder / f"{PATIENT}_t1c.nii.gz")
    stripped = stripped.with_array(np.clip(stripped.array, 0, None))
    native = scan.sequences["t1c"]
    carry = register(stripped, native, kind="affine", starts=[start], fixed_mask=stripped.array > 0)
    path = folder / f"{PATIENT}_consensus_seg.nii.gz"
    mask = read_segmentation(path, LABELS, LABEL_ALIASES).volume
    whole = mask.with_array((mask.array > 0).astype(np.float32))
    return resample(whole, native, np.linalg.inv(carry)).array > 0.5


@pytest.mark.slow
@pytest.mark.xdist_group("native-head")
@pytest.mark.parametrize(("kind", "least"), [("msnet", 0.85), ("glioma-net", 0.75)])
def test_a_whole_head_becomes_a_mask_on_its_own_grid(study, reference, monkeypatch, kind, least):
    (case,) = read_cases(CASES, [PATIENT])
    segmenter, weights = held_out(segmenter_of(kind), case)
    assert weights != "taught from it"
    monkeypatch.setattr(assemble, "segmenter_of", lambda name: segmenter)
    reports = []
    with AvatarStore(study / "store") as store:
        avatar = run_study(study, store, watch=reports.append)
        scan = avatar.latest_scan
        mask = store.volume(scan.segmentation)
        laid = store.volume(scan.sequences["flair"])
    native = read_nifti(study / "t1c.nii.gz")
    assert mask.same_grid(native)
    found = dice(mask.array > 0, reference)
    print(f"{kind}: whole-tumor Dice {found:.3f} in native space")
    assert found >= least
    given = read_nifti(study / "flair.nii.gz")
    assert np.array_equal(
        laid.array, given.array
    )  # no voxel is interpolated, only its place is known
    assert not laid.same_grid(given)
    (stood,) = (r for r in reports if r.step.startswith("stand upright"))
    assert stood.reused  # it is the same for every segmenter
    (head,) = (p for p in avatar.provenance if p.step == "stand upright")
    assert head.settings["first"] == "t1c"
    assert set(head.settings) == {"first", "t1", "t2", "flair"}
    assert scan.measured("WT").laterality == "right"
    assert not [flag for flag in scan.flags if flag.severity == "stop"]


@pytest.mark.slow
def test_a_head_without_flair_is_refused_before_anything_is_registered(study, tmp_path):
    described = yaml.safe_load((study / "study.yaml").read_text())
    del described["scans"][0]["sequences"]["flair"]
    write_study(tmp_path, study)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(described))
    reports = []
    with (
        AvatarStore(tmp_path / "store") as store,
        pytest.raises(ImageError, match="this study has no flair"),
    ):
        run_study(tmp_path, store, watch=reports.append)
    assert [r.step for r in reports] == ["ingest"]
