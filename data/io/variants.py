"""A tumor's calls, whichever of the formats their file has."""

from __future__ import annotations

import gzip
from pathlib import Path

from data.calls import Calls
from data.errors import VariantError
from data.files import UNREADABLE, is_gzipped
from data.genomics import Build
from data.io.maf import read_maf
from data.io.vcf import read_vcf

HEAD = 65_536
"""Bytes in which a MAF shows its header."""


def read_variants(
    path: Path,
    *,
    tumor_sample: str | None = None,
    normal_sample: str | None = None,
    build: Build | None = None,
) -> Calls:
    """Calls of a VCF, BCF or MAF, told apart by what is in the file.

    Raises:
        VariantError: as :func:`~data.io.vcf.read_vcf` and :func:`~data.io.maf.read_maf` say.
    """
    if path.is_file() and _is_maf(path):
        if normal_sample is not None:
            raise VariantError(
                f"{path}: a MAF names its normal sample itself; leave normal_sample out"
            )
        return read_maf(path, sample=tumor_sample, build=build)
    return read_vcf(path, tumor_sample=tumor_sample, normal_sample=normal_sample, build=build)


def _is_maf(path: Path) -> bool:
    try:
        with gzip.open(path) if is_gzipped(path) else path.open("rb") as file:
            return b"Hugo_Symbol" in file.read(HEAD).split(b"##fileformat=VCF")[0]
    except UNREADABLE:
        return False
