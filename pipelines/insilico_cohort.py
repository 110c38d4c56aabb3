"""In-silico cohorts: many patients with scans, variants, records and outcomes of which the truth is known.

For tests, teaching, and to see what a machine can do in a night. Shares, ages and survival are assumed, of an
order that gliomas have; they are nobody's, and nothing is to be learned from them about people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.errors import SampleError
from data.files import replace_atomically
from data.imaging import MM3_PER_ML, Volume
from data.io.nifti import encode_nifti
from data.prognosis import DAYS_PER_MONTH
from data.samples.shared_cases import write_yaml
from data.samples.sri24 import load_sri24
from models.phantom.anatomy import Anatomy, coarsened, random_warp, warped
from models.phantom.contrast import render
from models.phantom.lesion import Kind, grow_lesion, seed_point
from models.phantom.scanner import CLEAN
from pipelines.insilico import VCF, anatomy_of

SEQUENCES = ("t1", "t1c", "t2", "flair")
TRUTH, CONFIG = "truth.csv", "cohort.yaml"
UNTESTED = 0.15
"""Share of the assays that nobody did."""
SHAPE = 1.3
"""Of the Weibull distribution of survival."""
AGE_EFFECT, VOLUME_EFFECT, MGMT_EFFECT = 0.03, 0.004, -0.6
"""On the log hazard: of a year, a mL, and of MGMT methylation in a glioblastoma."""
FOLLOWED_MONTHS = (6.0, 120.0)


@dataclass(frozen=True)
class Class:
    """A tumor class; all numbers are assumed.

    Args:
        share: of the patients.
        kinds: how its lesions look.
        age: mean and standard deviation, years.
        grades: to draw from.
        median_months: survival of the mean patient.
        variants: that each has, and others with their probabilities.
        markers: that follow from the class.
    """

    share: float
    kinds: tuple[Kind, ...]
    age: tuple[float, float]
    grades: tuple[int, ...]
    median_months: float
    variants: dict[str, float]
    markers: dict[str, str]


CLASSES = {
    "glioblastoma": Class(
        0.55, ("ring", "solid"), (61, 11), (4,), 15.0,
        {"EGFR": 0.4, "PTEN": 0.35, "TP53": 0.3, "TERT": 0.8},
        {"idh_mutation": "absent", "codeletion_1p19q": "absent", "gain7_loss10": "present"},
    ),
    "astrocytoma": Class(
        0.25, ("infiltrating", "non-enhancing"), (38, 10), (2, 3), 85.0,
        {"IDH1": 1.0, "TP53": 0.9},
        {"idh_mutation": "present", "codeletion_1p19q": "absent", "atrx_loss": "present"},
    ),
    "oligodendroglioma": Class(
        0.20, ("non-enhancing",), (43, 11), (2, 3), 150.0,
        {"IDH1": 1.0, "TERT": 0.95},
        {"idh_mutation": "present", "codeletion_1p19q": "present", "atrx_loss": "absent"},
    ),
}  # fmt: skip
VARIANTS = {
    "IDH1": (
        "chr2",
        208248388,
        "C",
        "T",
        "missense_variant|MODERATE|IDH1|ENST00000345146|c.395G>A|p.R132H",
    ),
    "TERT": ("chr5", 1295113, "G", "A", "upstream_gene_variant|MODIFIER|TERT|ENST00000310581||"),
    "EGFR": (
        "chr7",
        55154129,
        "C",
        "T",
        "missense_variant|MODERATE|EGFR|ENST00000275493|c.866C>T|p.A289V",
    ),
    "PTEN": ("chr10", 87933147, "C", "T", "stop_gained|HIGH|PTEN|ENST00000371953|c.388C>T|p.R130*"),
    "TP53": (
        "chr17",
        7674220,
        "C",
        "T",
        "missense_variant|MODERATE|TP53|ENST00000269305|c.743G>A|p.R248Q",
    ),
}
"""GRCh38, as VEP would name them."""


@dataclass(frozen=True)
class Person:
    """What is true of a patient, known and not known."""

    name: str
    tumor: str
    kind: Kind
    age: float
    sex: str
    grade: int
    kps: int
    volume_ml: float
    mgmt: bool
    variants: tuple[str, ...]
    hazard: float
    months: float
    followed_months: float

    @property
    def record(self) -> dict[str, Any]:
        """As a clinic would have it."""
        died = self.months <= self.followed_months
        return {
            "patient_id": self.name, "age_years": self.age, "sex": self.sex, "grade": self.grade,
            "kps": self.kps, "diagnosis": f"In-silico {self.tumor}",
            "followup_days": round(min(self.months, self.followed_months) * DAYS_PER_MONTH, 1),
            "vital_status": "dead" if died else "alive",
        }  # fmt: skip


def write_insilico_cohort(
    folder: Path,
    count: int,
    *,
    seed: int = 0,
    spacing_mm: int = 2,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """``studies/``, a ``cohort.yaml`` to run them, and ``truth.csv``; the same bytes each time.

    A patient depends on the seed and the own number alone, as does the name: of more patients the first ones
    are the same, and those of another seed are others.

    Args:
        folder: new, or with a cohort that was cut off.
        count: of patients.
        seed: of all that is drawn.
        spacing_mm: of the scans' voxels, 1 or 2.
        on_step: told how many are written.

    Returns:
        the cohort's file.

    Raises:
        SampleError: the atlas cannot be fetched, or other voxels are asked for.
    """
    if spacing_mm not in (1, 2):
        raise SampleError(
            f"voxels of {spacing_mm} mm are asked for; in-silico scans have 1 or 2 mm"
        )
    atlas = load_sri24()
    head = coarsened(anatomy_of(atlas.white, atlas.grey, atlas.csf), spacing_mm)
    grid = atlas.t1.reoriented("RAS").affine @ np.diag([spacing_mm] * 3 + [1.0])
    rows = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        person = _person(f"IS{seed}-{number + 1:04d}", rng)
        place = folder / "studies" / person.name
        rows.append(_write(place, person, head, grid, rng))
        on_step(number + 1, count)
    truth = pd.DataFrame(rows).to_csv(index=False)
    replace_atomically(folder / TRUTH, truth.encode())
    name = f"in-silico-{count}-{seed}-{spacing_mm}mm"
    told = {
        "name": name,
        "studies": ["studies/*"],
        "despite_flags": True,
    }  # the files are named right
    write_yaml(folder / CONFIG, told)
    return folder / CONFIG


def _person(name: str, rng: np.random.Generator) -> Person:
    tumor = str(rng.choice(list(CLASSES), p=[one.share for one in CLASSES.values()]))
    told = CLASSES[tumor]
    age = float(np.round(np.clip(rng.normal(*told.age), 20, 88), 1))
    volume = float(np.exp(rng.uniform(np.log(8.0), np.log(80.0))))
    mgmt = bool(rng.random() < (0.45 if tumor == "glioblastoma" else 0.8))
    effect = AGE_EFFECT * (age - told.age[0]) + VOLUME_EFFECT * (volume - 30.0)
    effect += MGMT_EFFECT * (mgmt - 0.45) if tumor == "glioblastoma" else 0.0
    scale = told.median_months / np.log(2) ** (1 / SHAPE)
    months = scale * (rng.exponential() / np.exp(effect)) ** (1 / SHAPE)
    return Person(
        name=name, tumor=tumor, kind=rng.choice(list(told.kinds)), age=age,
        sex=str(rng.choice(["male", "female"], p=[0.57, 0.43])), grade=int(rng.choice(told.grades)),
        kps=int(rng.choice([60, 70, 80, 90, 100])), volume_ml=volume, mgmt=mgmt,
        variants=tuple(gene for gene, share in told.variants.items() if rng.random() < share),
        hazard=float(np.exp(effect)), months=float(months),
        followed_months=float(rng.uniform(*FOLLOWED_MONTHS)),
    )  # fmt: skip


def _write(
    folder: Path, person: Person, head: Anatomy, grid: np.ndarray, rng: np.random.Generator
) -> dict[str, Any]:
    """A study folder; what is true of it."""
    source = random_warp(head.shape, head.spacing_mm, rng)
    white, grey, csf = (warped(field, source) for field in (head.white, head.grey, head.csf))
    own = Anatomy(white, grey, csf, head.spacing_mm)
    lesion = grow_lesion(
        own, seed_point(own, rng), rng, visible_volume_mm3=person.volume_ml * MM3_PER_ML, kind=person.kind
    )  # fmt: skip
    labels = np.asarray(lesion.labels * own.brain, np.uint8)
    seen = render(own, labels, SEQUENCES, rng, scanner=CLEAN, random_share=0.0)
    for name, image in seen.images.items():
        scaled = np.where(own.brain, np.rint(image * 300), 0).astype(np.int16)
        replace_atomically(folder / f"{name}.nii.gz", encode_nifti(Volume(scaled, grid)))
    replace_atomically(folder / "truth.nii.gz", encode_nifti(Volume(seen.labels, grid)))
    replace_atomically(folder / "somatic.vcf", _vcf(person, rng).encode())
    markers = CLASSES[person.tumor].markers | {
        "mgmt_methylation": "present" if person.mgmt else "absent"
    }
    known = {name: state for name, state in markers.items() if rng.random() > UNTESTED}
    write_yaml(folder / "record.yaml", person.record | {"markers": known})
    study = {
        "patient_id": person.name, "site": "glioma", "origin": "in-silico",
        "scans": [{"sequences": {name: f"{name}.nii.gz" for name in SEQUENCES}}],
        "variants": {"file": "somatic.vcf", "capture_mb": 35}, "record": "record.yaml",
    }  # fmt: skip
    write_yaml(folder / "study.yaml", study)
    voxel_ml = float(np.prod(own.spacing_mm)) / MM3_PER_ML
    whole_ml = round(float((seen.labels > 0).sum()) * voxel_ml, 3)
    told = {
        "patient": person.name, "tumor": person.tumor, "kind": person.kind,
        "mgmt_methylated": person.mgmt, "variants": " ".join(person.variants),
        "hazard_ratio": round(person.hazard, 4), "death_months": round(person.months, 2),
    }  # fmt: skip
    return told | {"true_wt_ml": whole_ml}


def _vcf(person: Person, rng: np.random.Generator) -> str:
    """The demo patient's header with this one's variants and depths."""
    head = VCF[: VCF.index("chr7\t55154129")].replace(
        "##contig=<ID=chr7", "##contig=<ID=chr5,length=181538259>\n##contig=<ID=chr7", 1
    )
    lines = []
    for gene in sorted(person.variants, key=lambda g: int(VARIANTS[g][0].removeprefix("chr"))):
        chrom, position, ref, alt, effect = VARIANTS[gene]
        depth, normal = int(rng.integers(60, 160)), int(rng.integers(60, 120))
        count = int(rng.binomial(depth, rng.uniform(0.15, 0.45)))
        lines.append(
            f"{chrom}\t{position}\t.\t{ref}\t{alt}\t.\tPASS\tCSQ={alt}|{effect}\tGT:AD:DP\t"
            f"0/0:{normal},0:{normal}\t0/1:{depth - count},{count}:{depth}\n"
        )
    return head + "".join(lines)
