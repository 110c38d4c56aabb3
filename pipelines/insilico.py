"""The in-silico demo patient: a tumor grown on SRI24, four simulated sequences, a VCF and a record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, zoom

from data.files import replace_atomically
from data.imaging import Volume
from data.io.nifti import encode_nifti
from data.samples.shared_cases import write_yaml
from data.samples.sri24 import load_sri24
from models.phantom.anatomy import Anatomy, coarsened
from models.phantom.contrast import render
from models.phantom.lesion import CORE, EDEMA, ENHANCING, grow_lesion
from models.phantom.longitudinal import Visit, grow_patient
from models.phantom.scanner import CLEAN
from pipelines.config import twin_prior

PATIENT = "in-silico-01"
SEED = 15
TUMOR_ML = 55.0
START_RAS_MM = (-75.0, 95.0, 90.0)
"""Where the tumor starts, in SRI24 millimetres: right temporo-parietal white matter."""
COARSE = 2
FOLLOWED = "in-silico-followed"
FOLLOWED_SEED = 4
FOLLOWED_DAYS = (0.0, 25.0, 50.0, 75.0)
FOLLOWED_MM3 = 15_000.0
RIM_MM = 4.0
"""Thickness of an enhancing rim."""

VCF = """##fileformat=VCFv4.2
##FILTER=<ID=PASS,Description="All filters passed">
##source=in-silico demo patient: these variants were never observed in a person
##reference=GRCh38
##contig=<ID=chr2,length=242193529>
##contig=<ID=chr7,length=159345973>
##contig=<ID=chr10,length=133797422>
##contig=<ID=chr17,length=83257441>
##INFO=<ID=CSQ,Number=.,Type=String,Description="Format: Allele|Consequence|IMPACT|SYMBOL|Feature|HGVSc|HGVSp">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Allelic depths">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tNORMAL\tTUMOR
chr7\t55154129\t.\tC\tT\t.\tPASS\tCSQ=T|missense_variant|MODERATE|EGFR|ENST00000275493|c.866C>T|p.A289V\tGT:AD:DP\t0/0:88,0:88\t0/1:61,52:113
chr10\t87933147\t.\tC\tT\t.\tPASS\tCSQ=T|stop_gained|HIGH|PTEN|ENST00000371953|c.388C>T|p.R130*\tGT:AD:DP\t0/0:70,0:70\t0/1:22,41:63
chr17\t7674220\t.\tC\tT\t.\tPASS\tCSQ=T|missense_variant|MODERATE|TP53|ENST00000269305|c.743G>A|p.R248Q\tGT:AD:DP\t0/0:95,0:95\t0/1:66,38:104
chr2\t178633304\t.\tC\tT\t.\tPASS\tCSQ=T|synonymous_variant|LOW|TTN|ENST00000591111|c.38046G>A|p.K12682%3D\tGT:AD:DP\t0/0:120,0:120\t0/1:90,31:121
"""


def write_insilico_study(folder: Path) -> Path:
    """A complete study folder; the same bytes each time.

    Raises:
        SampleError: the atlas cannot be fetched.
    """
    atlas = load_sri24()
    rng = np.random.default_rng(SEED)
    fine = anatomy_of(atlas.white, atlas.grey, atlas.csf)
    white, grey, csf = (
        np.asarray(zoom(m, 1 / COARSE, order=1)) for m in (fine.white, fine.grey, fine.csf)
    )
    coarse = Anatomy(white, grey, csf, (float(COARSE),) * 3)
    grid = atlas.t1.reoriented("RAS")
    start = np.linalg.inv(grid.affine) @ [*START_RAS_MM, 1.0]
    lesion = grow_lesion(
        coarse,
        np.rint(start[:3] / COARSE).astype(np.int64),
        rng,
        visible_volume_mm3=1000.0 * TUMOR_ML,
        kind="ring",
    )
    labels = _upsampled(lesion.labels, fine.shape) * fine.brain
    seen = render(fine, labels, ("t1", "t1c", "t2", "flair"), rng, scanner=CLEAN, random_share=0.0)
    for name, image in seen.images.items():
        scaled = np.where(fine.brain, np.rint(image * 300), 0).astype(np.int16)
        replace_atomically(folder / f"{name}.nii.gz", encode_nifti(grid.with_array(scaled)))
    truth = grid.with_array(seen.labels)
    replace_atomically(folder / "truth.nii.gz", encode_nifti(truth))
    replace_atomically(folder / "somatic.vcf", VCF.encode())
    write_yaml(folder / "record.yaml", _record())
    write_yaml(folder / "study.yaml", _study())
    return folder


def write_followed_study(folder: Path) -> Path:
    """An in-silico patient seen four times before treatment, with the masks of each visit: to calibrate on.

    Raises:
        SampleError: the atlas cannot be fetched.
    """
    atlas = load_sri24()
    rng = np.random.default_rng(FOLLOWED_SEED)
    prior = twin_prior("glioblastoma")
    fine = anatomy_of(atlas.white, atlas.grey, atlas.csf)
    patient = grow_patient(
        coarsened(fine, COARSE), prior, FOLLOWED_DAYS, rng, detected_mm3=FOLLOWED_MM3
    )
    affine = np.diag([*patient.anatomy.spacing_mm, 1.0])
    scans = []
    for visit in patient.visits:
        labels = _labels_of(visit, patient.anatomy)
        seen = render(
            patient.anatomy,
            labels,
            ("t1", "t1c", "t2", "flair"),
            rng,
            scanner=CLEAN,
            random_share=0.0,
        )
        day = folder / f"day-{visit.day:g}"
        for name, image in seen.images.items():
            scaled = np.where(patient.anatomy.brain, np.rint(image * 300), 0).astype(np.int16)
            replace_atomically(day / f"{name}.nii.gz", encode_nifti(Volume(scaled, affine)))
        replace_atomically(day / "mask.nii.gz", encode_nifti(Volume(labels, affine)))
        files = {name: f"{day.name}/{name}.nii.gz" for name in seen.images}
        scans.append(
            {"day": visit.day, "sequences": files, "segmentation": f"{day.name}/mask.nii.gz"}
        )
    write_yaml(folder / "record.yaml", _record() | {"patient_id": FOLLOWED})
    study = {"patient_id": FOLLOWED, "site": "glioma", "origin": "in-silico", "scans": scans}
    write_yaml(folder / "study.yaml", study | {"record": "record.yaml"})
    return folder


def _labels_of(visit: Visit, anatomy: Anatomy) -> NDArray[np.uint8]:
    """Edema, an enhancing rim and what it encloses."""
    core = visit.masks["TC"]
    deep = distance_transform_edt(core, anatomy.spacing_mm) > RIM_MM
    labels = np.where(visit.masks["WT"], EDEMA, 0)
    labels = np.where(core, ENHANCING, labels)
    return np.where(deep, CORE, labels).astype(np.uint8)


def anatomy_of(white: Volume, grey: Volume, csf: Volume) -> Anatomy:
    """The atlas's tissue maps as a head, RAS+."""
    maps = [np.array(v.reoriented("RAS").array, np.float32) for v in (white, grey, csf)]
    return Anatomy(maps[0], maps[1], maps[2], white.reoriented("RAS").spacing_mm)


def _upsampled(labels: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Labels on the fine grid, smooth at their borders: the largest of the zoomed masks."""
    factors = [a / b for a, b in zip(shape, labels.shape, strict=True)]
    masks = [zoom((labels == v).astype(np.float32), factors, order=1) for v in range(4)]
    return np.asarray(np.argmax(np.stack(masks), axis=0), np.uint8)


def _study() -> dict[str, object]:
    return {
        "patient_id": PATIENT,
        "site": "glioma",
        "origin": "in-silico",
        "scans": [{"sequences": {s: f"{s}.nii.gz" for s in ("t1", "t1c", "t2", "flair")}}],
        "variants": {"file": "somatic.vcf"},
        "record": "record.yaml",
    }


def _record() -> dict[str, object]:
    return {
        "patient_id": PATIENT,
        "age_years": 61,
        "sex": "female",
        "diagnosis": "In-silico glioblastoma, IDH-wildtype",
        "grade": 4,
        "kps": 90,
        "height_cm": 168,
        "weight_kg": 70,
        "markers": {
            "idh_mutation": "absent",
            "codeletion_1p19q": "absent",
            "mgmt_methylation": "present",
            "gain7_loss10": "present",
        },
    }
