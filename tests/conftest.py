"""What tests share: the folder of real cases, and small studies made on the spot."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from filelock import FileLock

from data.store import AvatarStore
from pipelines.weights import shared_dir

VCF = """##fileformat=VCFv4.2
##reference=GRCh38
##contig=<ID=chr2,length=242193529>
##INFO=<ID=CSQ,Number=.,Type=String,Description="Format: Allele|Consequence|IMPACT|SYMBOL|Feature|HGVSc|HGVSp">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Depths">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tNORMAL\tTUMOR
chr2\t208248388\t.\tC\tT\t.\tPASS\tCSQ=T|missense_variant|MODERATE|IDH1|ENST00000345146|c.395G>A|p.R132H\tGT:AD:DP\t0/0:50,0:50\t0/1:30,10:40
"""
OBLIQUE = np.array(
    [
        [0.0, -1.1, 0.2, 10.0],
        [0.9, 0.1, 0.3, -20.0],
        [-0.1, 0.2, 3.0, 5.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first, so that no worker is left with one when the others have nothing more to do."""
    items.sort(
        key=lambda item: not {"slow", "browser"} & {mark.name for mark in item.iter_markers()}
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real cases; the test is skipped where it is absent."""
    folder = shared_dir().resolve()
    if not (folder / "glioma").is_dir():
        pytest.skip("AVATAR_SHARED names no folder of real cases")
    return folder


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)


def spoil_study(folder: Path, spoil) -> None:
    """Apply a function that damages a file of the study, or returns keys to change in its YAML."""
    if changes := spoil(folder):
        study = yaml.safe_load((folder / "study.yaml").read_text()) | changes
        (folder / "study.yaml").write_text(yaml.safe_dump(study))


def write_study(folder: Path, **changes: object) -> Path:
    """A study of a ball-shaped brain with a ball-shaped tumor and its own mask; 2-mm voxels."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    grid = np.stack(np.meshgrid(*[np.arange(40)] * 3, indexing="ij")) * 2.0
    brain = ((grid - 40) ** 2).sum(0) < 36**2
    tumor = ((grid - np.array([56, 40, 40])[:, None, None, None]) ** 2).sum(0)
    mask = np.where(tumor < 12**2, 2, 0) + np.where(tumor < 8**2, 2, 0)
    for name in ("t1c", "flair"):
        write_nifti(
            folder / f"{name}.nii.gz",
            (100 * brain + 20 * brain * (grid[2] > 40)).astype(np.int16),
            affine,
        )
    write_nifti(folder / "mask.nii.gz", mask.astype(np.uint8), affine)
    (folder / "calls.vcf").write_text(VCF)
    record = {"patient_id": "P1", "age_years": 53, "sex": "female", "grade": 2, "kps": 100}
    record["markers"] = {"codeletion_1p19q": "present"}
    (folder / "record.yaml").write_text(yaml.safe_dump(record))
    study: dict[str, object] = {
        "patient_id": "P1",
        "scans": [
            {
                "sequences": {"t1c": "t1c.nii.gz", "flair": "flair.nii.gz"},
                "segmentation": "mask.nii.gz",
            }
        ],
        "variants": {"file": "calls.vcf"},
        "record": "record.yaml",
    }
    study.update(changes)
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder


def made_once(tmp_path_factory, name: str, make) -> Path:
    """A folder that ``make`` fills, once for all workers of a test run."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, mark = root / name, root / name / ".made"
    with FileLock(root / f".{name}.lock"):
        if not mark.exists():
            make(folder)
            mark.touch()
    return folder


@pytest.fixture(scope="session")
def small_case(tmp_path_factory) -> Path:
    """``study/`` of :func:`write_study` and ``store/`` with its avatar; to be copied, not changed."""

    from pipelines.assemble import run_study  # imports torch, which takes seconds

    def make(folder: Path) -> None:
        with AvatarStore(folder / "store") as store:
            run_study(write_study(folder / "study"), store)

    return made_once(tmp_path_factory, "small-case", make)


@pytest.fixture
def small_store(small_case, tmp_path) -> Path:
    """A store of the test's own with the avatar of :func:`write_study`."""
    return Path(shutil.copytree(small_case / "store", tmp_path / "store"))


@pytest.fixture(scope="session")
def flagship_case(shared, tmp_path_factory):
    """By patient: ``study/`` and ``store/`` of a real one, segmented by the shipped network; not to be
    changed.
    """

    from pipelines.assemble import run_study
    from pipelines.shared_studies import write_shared_study

    def case(patient: str) -> Path:
        def make(folder: Path) -> None:
            with AvatarStore(folder / "store") as store:
                run_study(write_shared_study(patient, folder / "study"), store)

        return made_once(tmp_path_factory, patient, make)

    return case


FLAGSHIPS = ("TCGA-FG-6692", "TCGA-DU-7294")


@pytest.fixture(scope="session")
def flagship_masks(shared, tmp_path_factory) -> Path:
    """A store with both real patients from their consensus masks; to be copied, not changed."""
    from pipelines.assemble import run_study
    from pipelines.shared_studies import write_shared_study

    def make(folder: Path) -> None:
        with AvatarStore(folder / "store") as store:
            for patient in FLAGSHIPS:
                study = write_shared_study(patient, folder / patient)
                given = yaml.safe_load((study / "study.yaml").read_text())
                mask = shared / "glioma" / patient / f"{patient}_consensus_seg.nii.gz"
                given["scans"][0]["segmentation"] = str(mask)
                (study / "study.yaml").write_text(yaml.safe_dump(given))
                run_study(study, store)

    return made_once(tmp_path_factory, "flagship-masks", make) / "store"


@pytest.fixture
def make_study(tmp_path: Path):
    """:func:`write_study` in a folder of the test's own."""
    return partial(write_study, tmp_path / "study")
