"""The two real patients in space: where cells go, how fast, and where they cannot go."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from conftest import FLAGSHIPS

from data.errors import RegimenError
from data.store import AvatarStore
from models.spatial import grow_member
from models.tissue import CSF, GREY, WHITE
from pipelines.assemble import run_study
from pipelines.config import find_regimen, twin_prior
from pipelines.simulate import forecasts_of, simulate_avatar
from pipelines.space import spatial_twin_of, tumor_in_space


@pytest.fixture(scope="module")
def run(flagship_masks, tmp_path_factory):
    """Both patients from their real masks."""
    folder = shutil.copytree(flagship_masks, tmp_path_factory.mktemp("space") / "store")
    with AvatarStore(folder) as store:
        yield store, {patient: store.get(patient) for patient in FLAGSHIPS}


@pytest.mark.slow
@pytest.mark.xdist_group("space")
@pytest.mark.parametrize("patient", FLAGSHIPS)
def test_fluid_is_dark_on_flair_and_white_matter_bright_on_t1(run, patient):
    store, avatars = run
    scan = avatars[patient].latest_scan
    tissue, flair, t1, mask = (
        store.volume(ref).array
        for ref in (scan.tissue, scan.sequences["flair"], scan.sequences["t1"], scan.segmentation)
    )
    sound = mask == 0
    mean = {
        name: [image[sound & (tissue == value)].mean() for value in (CSF, GREY, WHITE)]
        for name, image in (("flair", flair), ("t1", t1))
    }
    assert mean["flair"][0] < 0.75 * min(mean["flair"][1:])
    assert mean["t1"][0] < mean["t1"][1] < mean["t1"][2]
    assert not (tissue[mask > 0] == CSF).any()
    ml = np.bincount(tissue.ravel(), minlength=4)[1:] / 1000.0
    assert (ml > 150).all()
    assert ml.sum() == pytest.approx((t1 > 0).sum() / 1000.0, rel=1e-3)


@pytest.mark.slow
@pytest.mark.xdist_group("space")
@pytest.mark.parametrize("patient", FLAGSHIPS)
@pytest.mark.parametrize("regimen", ["observation", "stupp"])
def test_cells_stay_in_the_brain_and_out_of_the_ventricles(run, patient, regimen):
    store, avatars = run
    avatar = avatars[patient]
    scan, prior = avatar.latest_scan, twin_prior(avatar.prior_class)
    tumor = tumor_in_space(store, scan, prior, voxel_mm=1.0)
    twin = spatial_twin_of(tumor, prior, avatar.record.markers, members=3).median_member
    kept: list[np.ndarray] = []
    grow_member(
        twin,
        0,
        find_regimen(regimen),
        saves=[0.0, 360.0],
        on_save=lambda d, u: kept.append(u.copy()),
    )
    offset = np.rint(np.linalg.inv(store.volume(scan.tissue).affine) @ tumor.grid.affine[:, 3])
    i, j, k = offset[:3].astype(int)
    ni, nj, nk = kept[0].shape
    padded = [np.pad(store.volume(ref).array, 8) for ref in (scan.tissue, scan.sequences["t1"])]
    tissue, t1 = (a[i + 8 : i + 8 + ni, j + 8 : j + 8 + nj, k + 8 : k + 8 + nk] for a in padded)
    for u in kept:
        assert u.max() <= 1.0 + 1e-6
        assert not u[t1 <= 0].any()
        assert not u[tissue == CSF].any()
    assert (kept[-1] > 0).any()


@pytest.mark.slow
@pytest.mark.xdist_group("space")
def test_the_edges_at_the_start_are_those_of_the_mask(run):
    store, avatars = run
    for patient in FLAGSHIPS:
        avatar = avatars[patient]
        found = simulate_avatar(avatar, "observation", store)
        measured = avatar.latest_scan.measured(found.region)
        assert found.model == "in space"
        assert found.volume_mm3.median[0] == pytest.approx(measured.volume_mm3, rel=0.12)


@pytest.mark.slow
@pytest.mark.xdist_group("space")
def test_the_glioblastoma_progresses_before_the_oligodendroglioma_under_every_regimen(run):
    _, avatars = run
    fast, slow = (avatars[p].forecasts for p in FLAGSHIPS)
    for quick, late in zip(fast, slow, strict=True):
        assert quick.regimen == late.regimen
        first, second = (f.progression_days[1] or np.inf for f in (quick, late))
        assert first < second


@pytest.mark.slow
@pytest.mark.xdist_group("space")
def test_mgmt_decides_when_the_glioblastoma_in_space_progresses(run):
    """A consistency check: alpha and the temozolomide kill are derived from these medians (PMC7596890)."""
    store, avatars = run
    avatar = avatars["TCGA-FG-6692"]
    months = {}
    for state in ("present", "absent"):
        record = avatar.record.model_copy(
            update={"markers": avatar.record.markers.model_copy(update={"mgmt_methylation": state})}
        )
        found = simulate_avatar(avatar.model_copy(update={"record": record}), "stupp", store)
        months[state] = (found.progression_days[1] - 28.0) / 30.4375
    assert months["absent"] == pytest.approx(4.99, abs=1.0)
    assert months["present"] == pytest.approx(9.51, abs=2.0)


@pytest.mark.slow
@pytest.mark.xdist_group("space")
def test_the_radiosensitivity_of_clonogens_would_delay_progression_in_space(run):
    """Why the prior has another one there: docs/TWIN.md."""
    store, avatars = run
    avatar, prior = avatars["TCGA-FG-6692"], twin_prior("glioblastoma")
    invasion = prior.invasion.model_copy(update={"alpha_per_gy": None})
    clonogenic = prior.model_copy(update={"invasion": invasion})
    markers = avatar.record.markers.model_copy(update={"mgmt_methylation": "absent"})
    (found,) = forecasts_of(avatar.latest_scan, markers, clonogenic, [find_regimen("stupp")], store)
    assert (found.progression_days[1] - 28.0) / 30.4375 == pytest.approx(8.7, abs=0.8)


@pytest.mark.slow
@pytest.mark.xdist_group("space")
def test_edges_tell_an_infiltration_length_where_the_tumor_enhances(run):
    store, avatars = run
    told = [
        tumor_in_space(store, a.latest_scan, twin_prior(a.prior_class), voxel_mm=3.0).edges_mm
        for a in (avatars[p] for p in FLAGSHIPS)
    ]
    assert told[0] == pytest.approx(1.0, abs=0.05)
    assert told[1] is None


def test_a_scan_without_a_tissue_map_says_why_it_cannot_grow_in_space(make_study, tmp_path):
    with AvatarStore(tmp_path / "store") as store:
        avatar = run_study(make_study(), store)
        bare = avatar.latest_scan.model_copy(update={"tissue": None})
        with pytest.raises(RegimenError, match="no tissue map"):
            tumor_in_space(store, bare, twin_prior(avatar.prior_class), voxel_mm=3.0)
        lumped = simulate_avatar(avatar.model_copy(update={"scans": (bare,)}), "stupp", store)
        assert lumped.model == "lumped"
