"""The sarcoma network on patients that it was never taught from, and sarcoma studies as avatars."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import spoil_study, write_nifti

from data.errors import ImageError, StudyError
from data.store import AvatarStore
from models.segmentation.sarcoma import SarcomaNet
from models.segmentation.sarcoma_net import CHANNELS, SPACING_MM
from pipelines.assemble import run_study
from pipelines.cases import CaseList, read_cases
from pipelines.evaluate import evaluate
from pipelines.sarcoma_samples import SarcomaSource, sarcoma_patient_of
from pipelines.training import TrainingConfig
from pipelines.weights import segmenter_of

CONFIGS = Path(__file__).parents[2] / "configs"
LABELLED = CONFIGS / "cases" / "sarcoma_labelled.yaml"
TAUGHT = CONFIGS / "cases" / "sarcoma_taught.yaml"
MARGIN = 0.10
"""By which the network beats what geometry alone gives away."""


def names(path: Path) -> set[str]:
    return {case.name for case in CaseList.model_validate(yaml.safe_load(path.read_text())).cases}


@pytest.fixture
def sarcoma(shared):
    if not (shared / "sarcoma").is_dir():
        pytest.skip("AVATAR_SHARED has no sarcoma patients")
    return shared / "sarcoma"


def test_no_held_out_patient_was_taught_from():
    held_out, taught = names(LABELLED), names(TAUGHT)
    assert len(held_out) == 12
    assert not held_out & taught
    assert set(SarcomaNet().taught_from) == taught


@pytest.mark.slow
@pytest.mark.parametrize("only", [("pet",), ("t1",), CHANNELS], ids="+".join)
def test_the_network_beats_geometry_on_windows_of_held_out_patients(sarcoma, only):
    result = evaluate(read_cases(LABELLED), SarcomaNet(), only=only)
    found, geometry = result.summary["WT"].dice, result.geometry_dice
    print(f"\n{'+'.join(only)}: Dice {found.mean:.3f}, by geometry alone {geometry.mean:.3f}")
    assert len({row.case for row in result.cases}) >= 11
    assert all(row.weights == "never taught from it" for row in result.cases)
    assert found.mean > geometry.mean + MARGIN
    assert found.low > geometry.high


@pytest.mark.slow
def test_the_network_beats_a_threshold_on_the_pet(sarcoma):
    cases = read_cases(LABELLED)
    own = evaluate(cases, SarcomaNet(), only=("pet",)).summary["WT"].dice
    usual = evaluate(cases, segmenter_of("suv-threshold"), only=("pet",)).summary["WT"].dice
    assert own.low > usual.high


@pytest.mark.slow
def test_the_network_beats_geometry_on_whole_crops_too(sarcoma):
    cases = [case for case in read_cases(LABELLED) if set(CHANNELS) <= set(case.images)]
    result = evaluate([replace(case, windows=0) for case in cases], SarcomaNet())
    assert result.summary["WT"].dice.mean > result.geometry_dice.mean + 0.05


def test_a_sample_is_the_same_for_its_number_and_shows_the_tumor_where_it_is(sarcoma):
    (case,) = read_cases(TAUGHT, only={"STS_002"})
    patient = sarcoma_patient_of(case)
    config = yaml.safe_load((CONFIGS / "train_sarcoma_net.yaml").read_text())
    source = SarcomaSource(TrainingConfig.model_validate(config).samples, 1, [patient])
    one, again = source(3)[0], source(3)[0]
    assert np.array_equal(one.images, again.images)
    samples = [source(n)[0] for n in range(30)]
    shown = np.array([[channel.any() for channel in s.images] for s in samples])
    assert shown.any(axis=1).all()
    assert shown.any(axis=0).all()
    assert not shown.all(axis=1).all()
    pet = [s for s, given in zip(samples, shown, strict=True) if given[0] and s.regions.sum() > 500]
    hotter = [s.images[0][s.regions[0] > 0.5].mean() > s.images[0].mean() for s in pet]
    assert np.mean(hotter) > 0.9
    volume = case.reference.volume.array.astype(bool).sum() * case.reference.volume.voxel_volume_mm3
    largest = max(s.regions.sum() for s in samples) * SPACING_MM**3
    assert 0.5 * volume < largest < 1.6 * volume


def test_a_case_without_an_outline_cannot_be_taught_from(sarcoma):
    (case,) = read_cases(TAUGHT, only={"STS_002"})
    case.references.pop("t1")
    with pytest.raises(ImageError, match="STS_002: its t1 has no reference"):
        sarcoma_patient_of(case)


@pytest.fixture
def study(sarcoma, tmp_path):
    files = {"pet": "PET", "ct": "CT", "t1": "MR_T1"}
    for name, stem in files.items():
        (tmp_path / f"{name}.nii.gz").symlink_to(sarcoma / "STS_001" / f"{stem}.nii.gz")
    scan = {"sequences": {name: f"{name}.nii.gz" for name in files}}
    content = {"patient_id": "STS-001", "site": "sarcoma", "scans": [scan]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return tmp_path


def test_a_sarcoma_study_becomes_an_avatar_without_a_glioma_s_prior_or_side(study):
    with AvatarStore(study / "store") as store:
        avatar = run_study(study, store)
        scan = avatar.latest_scan
        mask = store.volume(scan.segmentation)
        assert mask.same_grid(store.volume(scan.sequences["pet"]))
        assert set(np.unique(mask.array)) == {0, 1}
        assert scan.disagreement is not None
    whole = scan.measured("WT")
    assert whole.volume_ml > 100
    assert whole.laterality is None
    assert scan.labels.name == "sarcoma"
    assert scan.segmenter.startswith("sarcoma-net")
    assert avatar.prior_class == "none"
    assert avatar.survival is None
    assert avatar.forecasts == ()


def test_a_glioma_segmenter_is_refused_for_a_sarcoma_and_told_which_to_take(study):
    with (
        AvatarStore(study / "store") as store,
        pytest.raises(StudyError, match=r"glioma-net draws glioma.*is sarcoma.*sarcoma-net"),
    ):
        run_study(study, store, segmenter="glioma-net")


def test_a_sarcoma_segmenter_is_refused_for_a_glioma(study):
    spoil_study(study, lambda folder: {"site": "glioma"})
    with AvatarStore(study / "store") as store, pytest.raises(StudyError, match="draws sarcoma"):
        run_study(study, store, segmenter="sarcoma-net")


@pytest.fixture
def long_leg(tmp_path):
    """A PET of a leg 800 mm long (a warm ball at z = 120 mm in it, a bladder at z = 700 mm) as a study."""
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = [-80.0, -80.0, 0.0]
    at = np.moveaxis(np.indices((40, 40, 200)), 0, -1) * 4.0 + affine[:3, 3]
    leg = np.hypot(at[..., 0], at[..., 1]) < 65
    suv = 0.5 * leg
    for center, radius, uptake in (((10, 0, 120), 28, 7.0), ((0, 0, 700), 35, 40.0)):
        suv = np.where(((at - center) ** 2).sum(-1) < radius**2, uptake, suv)
    suv = np.abs(suv + 0.05 * np.random.default_rng(0).standard_normal(suv.shape))
    write_nifti(tmp_path / "pet.nii.gz", suv.astype(np.float32), affine)
    scan = {"sequences": {"pet": "pet.nii.gz"}}
    content = {"patient_id": "LEG", "site": "sarcoma", "scans": [scan]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


def test_more_than_a_body_part_is_refused_and_drawn_once_it_has_a_focus(long_leg):
    with AvatarStore(long_leg / "store") as store:
        with pytest.raises(ImageError, match=r"pet is 800 mm long.*'focus' in study.yaml"):
            run_study(long_leg, store)
        assert store.patients() == ()
        focus = {"center_ras_mm": [0, 0, 120], "size_mm": 160}
        scan = {"sequences": {"pet": "pet.nii.gz"}, "focus": focus}
        spoil_study(long_leg, lambda folder: {"scans": [scan]})
        avatar = run_study(long_leg, store)
        whole = avatar.latest_scan.measured("WT")
        assert store.volume(avatar.latest_scan.segmentation).shape[2] <= 41
    assert np.linalg.norm(np.array(whole.centroid_ras_mm) - [10, 0, 120]) < 15
    (drawn,) = [p for p in avatar.provenance if p.step == "segment"]
    assert drawn.settings["focus"] == "160 mm about RAS 0, 0, 120 mm"


def test_another_focus_is_another_scan_and_one_beside_the_image_is_refused(long_leg):
    def look_at(z: float) -> None:
        focus = {"center_ras_mm": [0, 0, z], "size_mm": 160}
        scan = {"sequences": {"pet": "pet.nii.gz"}, "focus": focus}
        spoil_study(long_leg, lambda folder: {"scans": [scan]})

    with AvatarStore(long_leg / "store") as store:
        look_at(120)
        first = run_study(long_leg, store).latest_scan
        look_at(140)
        assert run_study(long_leg, store).latest_scan.segmentation != first.segmentation
        look_at(2000)
        with pytest.raises(ImageError, match=r"pet\.nii\.gz: .*move the focus"):
            run_study(long_leg, store)
