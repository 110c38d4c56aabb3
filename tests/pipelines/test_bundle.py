"""The shipped network as a MONAI bundle: MONAI runs it, and no foreign bundle runs here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml

from data.errors import WeightsError
from data.io.nifti import read_nifti
from models.segmentation.glioma_net import SEQUENCES, build_glioma_net
from models.segmentation.own import BUNDLE, WHOLE_TUMOR_CUT, GliomaNet
from models.segmentation.scores import dice
from pipelines.bundle import open_bundle
from pipelines.weights import segmenter_of

CONFIG = yaml.safe_load((BUNDLE / "configs" / "inference.yaml").read_text())


@pytest.fixture
def bundle(tmp_path):
    return shutil.copytree(BUNDLE, tmp_path / "bundle")


def test_the_bundle_describes_the_network_that_is_shipped():
    given = {k: v for k, v in CONFIG["network_def"].items() if k != "_target_"}
    net = build_glioma_net()
    assert type(net).__name__ == CONFIG["network_def"]["_target_"].split(".")[-1]
    for name in ("in_channels", "out_channels", "channels", "strides", "num_res_units"):
        assert list(np.atleast_1d(getattr(net, name))) == list(np.atleast_1d(given[name]))
    assert CONFIG["cuts"][0] == WHOLE_TUMOR_CUT
    described = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    channels = described["network_data_format"]["inputs"]["image"]["channel_def"].values()
    assert tuple(name.lower() for name in channels) == SEQUENCES


@pytest.mark.slow
def test_monai_runs_the_bundle_and_draws_what_the_segmenter_draws(shared, tmp_path):
    folder = shared / "glioma" / "TCGA-FG-6692"
    (tmp_path / "heads" / "one").mkdir(parents=True)
    for name in SEQUENCES:
        shutil.copy(
            folder / f"TCGA-FG-6692_{name}.nii.gz", tmp_path / "heads" / "one" / f"{name}.nii.gz"
        )
    command = [sys.executable, "-m", "monai.bundle", "run", "--bundle_root", BUNDLE]
    command += ["--config_file", BUNDLE / "configs" / "inference.yaml"]
    command += ["--meta_file", BUNDLE / "configs" / "metadata.json"]
    command += ["--dataset_dir", tmp_path / "heads", "--output_dir", tmp_path / "out"]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    drawn = read_nifti(tmp_path / "out" / "one" / "t1c_labels.nii.gz")
    images = {n: read_nifti(folder / f"TCGA-FG-6692_{n}.nii.gz") for n in SEQUENCES}
    clipped = {n: v.with_array(np.clip(v.array, 0, None)) for n, v in images.items()}
    ours = GliomaNet().segment(clipped, None)
    assert drawn.same_grid(ours)
    assert set(np.unique(drawn.array)) <= {0, 1, 2, 3}
    # The bundle does not average with the mirror image and keeps small components.
    assert dice(drawn.array > 0, ours.array > 0) > 0.93


def test_the_own_bundle_is_accepted_with_weights_trained_anew(bundle):
    assert segmenter_of(str(bundle)) == GliomaNet(
        weights=bundle / "models" / "glioma_net.safetensors"
    )


def test_a_malicious_config_is_refused_and_does_not_run(bundle, tmp_path):
    config = bundle / "configs" / "inference.yaml"
    trace = tmp_path / "ran"
    config.write_text(
        config.read_text().replace(
            "$import torch", f"$__import__('pathlib').Path('{trace}').touch()", 1
        )
    )
    with pytest.raises(WeightsError, match=r"inference\.yaml: is not the config .* is code"):
        segmenter_of(str(bundle))
    assert not trace.exists()


@pytest.mark.parametrize(
    "name", ["configs/logging.conf", "scripts/__init__.py", "models/model.pt", "models/model.ts"]
)
def test_files_that_could_run_are_refused(bundle, name):
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_bytes(b"x")
    with pytest.raises(WeightsError, match="can run code"):
        open_bundle(bundle)


def test_a_folder_that_is_no_bundle_and_one_without_weights_are_refused(bundle, tmp_path):
    with pytest.raises(WeightsError, match=r"no bundle of this project, it has no configs/"):
        open_bundle(tmp_path)
    (bundle / "models" / "glioma_net.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"has no models/glioma_net\.safetensors"):
        open_bundle(bundle)
