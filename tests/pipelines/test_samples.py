from __future__ import annotations

import hashlib

import numpy as np
import pytest

from data.errors import SampleError
from data.io.nifti import read_nifti
from data.samples.distribution import Distribution, fetch_distribution
from data.samples.public_cases import write_public_study
from data.samples.sri24 import load_sri24
from data.store import AvatarStore
from pipelines.assemble import run_study


def test_a_cached_file_is_used_only_if_its_digest_is_right(tmp_path):
    good = b"content"
    pinned = Distribution(
        requirement="a-package-that-does-not-exist-anywhere==0",
        filename="a.whl",
        sha256=hashlib.sha256(good).hexdigest(),
        licence="none",
    )
    (tmp_path / "a.whl").write_bytes(good)
    assert fetch_distribution(pinned, tmp_path).read_bytes() == good
    (tmp_path / "a.whl").write_bytes(b"other")
    with pytest.raises(SampleError, match="pip could not fetch"):
        fetch_distribution(pinned, tmp_path)
    assert not (tmp_path / "a.whl").exists()


@pytest.mark.slow
@pytest.mark.xdist_group("samples")
def test_the_atlas_is_on_the_grid_of_glioma_studies():
    atlas = load_sri24()
    assert atlas.t1.shape == atlas.white.shape == (240, 240, 155)
    assert atlas.t1.axis_codes == "LPS"
    assert all(m.same_grid(atlas.t1) for m in (atlas.white, atlas.grey, atlas.csf))
    brain = atlas.t1.array > 0
    total = atlas.white.array + atlas.grey.array + atlas.csf.array
    assert (total[brain] > 0.5).mean() > 0.95


@pytest.mark.slow
@pytest.mark.xdist_group("samples")
def test_the_public_case_keeps_its_mask_on_its_scan(tmp_path):
    folder = write_public_study(tmp_path / "study")
    with AvatarStore(tmp_path / "store") as store:
        avatar = run_study(folder, store)
    scan, mask = read_nifti(folder / "mr.nii.gz"), read_nifti(folder / "mask.nii.gz")
    assert scan.same_grid(mask)
    assert np.count_nonzero(mask.array) == 4137
    assert avatar.origin == "public-sample"
    expected = 4137 * scan.voxel_volume_mm3
    assert avatar.latest_scan.measured("WT").volume_mm3 == pytest.approx(expected, rel=1e-6)
