"""Doses and structures as they were planned: in the avatar, in the twin, and in what they cost the organs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import write_nifti

from data.errors import ImageError, RegimenError, StudyError
from data.imaging import Volume
from data.store import AvatarStore
from data.treatment import Fraction, MapTarget, Regimen
from pipelines.assemble import run_study
from pipelines.config import twin_prior
from pipelines.dosimetry import BRAIN, organ_called, structure_doses
from pipelines.ingest import LoadedPlanning, require_place
from pipelines.simulate import simulate_avatar
from pipelines.space import tumor_in_space, tumor_on_grid

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
SHAPE = (40, 40, 40)
GROUP = pytest.mark.xdist_group("planning")
FRACTIONS = tuple(Fraction(day=7.0 + n, dose_gy=2.0) for n in range(30))


def ball(center, radius) -> np.ndarray:
    grid = np.indices(SHAPE) * 2.0 - np.array(center)[:, None, None, None]
    return (grid**2).sum(0) < radius**2


def planned(folder: Path) -> dict[str, object]:
    """60 Gy everywhere; 60 Gy on one side of the tumor's middle and 70 on the other; a brainstem; a lens."""
    halves = np.where(np.indices(SHAPE)[0] * 2.0 > 56.0, 70.0, 60.0)
    write_nifti(folder / "even.nii.gz", np.full(SHAPE, 60.0, np.float32), AFFINE)
    write_nifti(folder / "painted.nii.gz", halves.astype(np.float32), AFFINE)
    write_nifti(folder / "stem.nii.gz", ball((40, 30, 24), 8).astype(np.uint8), AFFINE)
    write_nifti(folder / "lens.nii.gz", ball((50, 60, 40), 4).astype(np.uint8), AFFINE)
    return {
        "doses": {"even": "even.nii.gz", "painted": "painted.nii.gz"},
        "structures": {"BrainStem": "stem.nii.gz", "Lens_L": "lens.nii.gz"},
    }


def with_planning(folder: Path, planning: dict[str, object]) -> Path:
    study = yaml.safe_load((folder / "study.yaml").read_text()) | {"planning": planning}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder


@pytest.fixture
def run(make_study, tmp_path):
    folder = make_study()
    with AvatarStore(tmp_path / "store") as store:
        yield store, run_study(with_planning(folder, planned(folder)), store)


def mapped(dose: str, prescribed_gy: float = 60.0) -> Regimen:
    target = MapTarget(dose=dose, prescribed_gy=prescribed_gy)
    return Regimen(name=dose, fractions=FRACTIONS, target=target)


@pytest.mark.slow
@GROUP
def test_a_map_in_the_twin_is_the_dose_that_it_says_and_costs_its_organs_what_it_gives(run):
    store, avatar = run
    assert set(avatar.planning.doses) == {"even", "painted"}
    assert type(avatar).from_json(avatar.to_json()) == avatar
    (kept,) = (p for p in avatar.provenance if p.step == "planning")
    assert "painted (to 70.0 Gy)" in kept.note
    assert len(kept.sources) == 4
    even = simulate_avatar(avatar, mapped("even"), store)
    uniform = simulate_avatar(avatar, Regimen(name="u", fractions=FRACTIONS), store)
    assert even.cells_mm3.median == pytest.approx(uniform.cells_mm3.median, rel=1e-3)
    painted = simulate_avatar(avatar, mapped("painted"), store)
    after = np.searchsorted(painted.days, 40.0)
    assert painted.cells_mm3.median[after] < 0.9 * even.cells_mm3.median[after]

    tumor = tumor_in_space(
        store,
        avatar.latest_scan,
        twin_prior(avatar.prior_class),
        voxel_mm=3.0,
        planning=avatar.planning,
    )
    rest = {"tumor_alpha_beta_gy": 8.0, "store": store, "planning": avatar.planning}
    found = {d.name: d for d in structure_doses(tumor, mapped("painted"), **rest)}
    assert list(found) == ["tumor core", BRAIN, "BrainStem", "Lens_L"]
    stem = found["BrainStem"]
    assert stem.physical.mean_gy == pytest.approx(60.0)  # all of it on the colder side
    assert stem.organ.name == "brainstem"
    # 60 Gy in fractions of 2 Gy to all of it: Phi((60 - 65) / (0.14 65)).
    assert stem.ntcp == pytest.approx(0.2914, abs=1e-3)
    assert [limit.limit_gy for limit in stem.broken] == [54.0]
    assert found["Lens_L"].ntcp is None
    assert found["Lens_L"].organ is None
    core = found["tumor core"]
    assert core.physical.highest_gy == pytest.approx(70.0, abs=0.5)
    assert core.eqd2.dose_to(1.0) <= core.geud_gy < core.eqd2.mean_gy
    assert structure_doses(tumor, Regimen(name="nothing"), **rest) == ()


@pytest.mark.slow
@GROUP
def test_a_dose_map_that_the_patient_does_not_have_and_a_twin_without_space_are_refused(run):
    store, avatar = run
    with pytest.raises(RegimenError, match=r"no dose map 'other', but even, painted"):
        simulate_avatar(avatar, mapped("other"), store)
    with pytest.raises(RegimenError, match="which a twin without space cannot take"):
        simulate_avatar(avatar, mapped("even"), None)


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("doses", np.full(SHAPE, 6000.0), "a dose is 0 to 200 Gy"),
        ("doses", np.full(SHAPE, -1.0), "a dose is 0 to 200 Gy"),
        ("structures", np.full(SHAPE, 2.0), "a mask of 0 and 1"),
        ("structures", np.zeros(SHAPE), "that is not empty"),
    ],
)
def test_files_that_are_no_dose_and_no_mask_are_refused_by_name(
    make_study, tmp_path, name, array, said
):
    folder = make_study()
    write_nifti(folder / "bad.nii.gz", array.astype(np.float32), AFFINE)
    with_planning(folder, {name: {"x": "bad.nii.gz"}})
    with (
        AvatarStore(tmp_path / "store") as store,
        pytest.raises(ImageError, match=rf"bad\.nii\.gz.*{said}"),
    ):
        run_study(folder, store)


def test_a_dose_elsewhere_and_one_that_leaves_the_tumor_without_any_are_refused(
    make_study, tmp_path
):
    folder = make_study()
    away = AFFINE.copy()
    away[:3, 3] = 500.0
    write_nifti(folder / "bad.nii.gz", np.full(SHAPE, 60.0, np.float32), away)
    with_planning(folder, {"doses": {"x": "bad.nii.gz"}})
    with AvatarStore(tmp_path / "store") as store:
        with pytest.raises(ImageError, match="not in the coordinate system"):
            run_study(folder, store)
        cold = np.where(np.indices(SHAPE)[0] < 10, 60.0, 0.0).astype(np.float32)
        write_nifti(folder / "bad.nii.gz", cold, AFFINE)
        with pytest.raises(ImageError, match="'x' gives this tumor nothing"):
            run_study(folder, store)
        assert store.patients() == ()


def test_a_dose_of_another_frame_of_reference_is_refused_even_where_it_overlaps():
    scan, dose = (Volume(np.ones((4, 4, 4)), np.eye(4), uid) for uid in ("1.2", "1.3"))
    with pytest.raises(ImageError, match=r"p\.dcm: plan is not in the coordinate system"):
        require_place(LoadedPlanning(doses={"plan": dose}), scan, {"plan": Path("p.dcm")})
    require_place(LoadedPlanning(doses={"plan": scan}), scan, {"plan": Path("p.dcm")})


def test_a_study_that_names_a_dose_that_is_not_there_says_which(make_study, tmp_path):
    folder = with_planning(make_study(), {"doses": {"x": "gone.dcm"}})
    with pytest.raises(StudyError, match=r"gone\.dcm"):
        run_study(folder, AvatarStore(tmp_path / "store"))


def test_a_core_too_thin_for_the_grid_still_gets_a_dose():
    whole = ball((40, 40, 40), 20)
    sheet = np.zeros(SHAPE, bool)
    sheet[20, 18:22, 18:22] = True
    tissue = Volume(np.full(SHAPE, 3, np.uint8), np.diag([0.5, 0.5, 0.5, 1.0]))
    for shift in range(3):
        core = np.roll(sheet, shift, axis=0)
        tumor = tumor_on_grid(tissue, whole, core, grey_share=0.1, voxel_mm=3.0)
        found = structure_doses(
            tumor, Regimen(name="x", fractions=FRACTIONS), tumor_alpha_beta_gy=8.0
        )
        assert found[0].physical.mean_gy == pytest.approx(60.0)


def test_a_dose_that_is_called_as_a_kind_of_target_is_refused(make_study, tmp_path):
    folder = with_planning(make_study(), {"doses": {"margin": "t1c.nii.gz"}})
    with pytest.raises(StudyError, match="rename it"):
        run_study(folder, AvatarStore(tmp_path / "store"))


@pytest.mark.parametrize(
    ("name", "organ"),
    [
        ("Brainstem", "brainstem"),
        ("OpticChiasm", "optic nerve and chiasm"),
        ("optic_nrv_l", "optic nerve and chiasm"),
        ("SpinalCord", "spinal cord"),
        ("BRAIN", "brain"),
        ("PTV60", None),
    ],
)
def test_names_of_planning_systems_mean_organs(name, organ):
    found = organ_called(name)
    assert (found and found.name) == organ
