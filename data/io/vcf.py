"""Somatic VCF files through pysam, with the tumor sample told from the normal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pysam
from pydantic import ValidationError

from data.errors import VariantError
from data.genomics import Build, Variant, VariantSet
from data.io.structured import explain

CHR1_LENGTH: Mapping[int, Build] = {249250621: "GRCh37", 248956422: "GRCh38"}
TUMOR_NAME = re.compile(r"tumou?r|primary|metasta", re.IGNORECASE)
NO_ALLELE = ("*", ".", "<NON_REF>", "<*>")
"""Placeholders that callers write in place of an allele."""
NORMAL_NAME = re.compile(r"normal|germline|blood|control", re.IGNORECASE)


def read_vcf(
    path: Path, *, tumor_sample: str | None = None, normal_sample: str | None = None
) -> VariantSet:
    """All alternative alleles that the tumor sample carries (by its genotype or its depths).

    Roles come from the arguments, else from ``##tumor_sample`` header lines, else from the samples'
    names; a single sample is the tumor. Annotations come from the VEP ``CSQ`` field, if there is one.

    Raises:
        VariantError: no such file, a broken header or record, or a tumor sample that cannot be told.
    """
    if not path.is_file():
        raise VariantError(f"{path}: there is no such file")
    verbosity = pysam.set_verbosity(0)
    try:
        with pysam.VariantFile(str(path)) as file:
            header = file.header
            tumor, normal, how = _roles(path, header, tumor_sample, normal_sample)
            fields = _csq_fields(header)
            variants = tuple(v for record in file for v in _checked(path, record, tumor, fields))
            build = _build(header)
    except VariantError:
        raise
    except NotImplementedError as error:  # what pysam raises for plain gzip
        raise VariantError(f"{path}: is gzipped, not bgzipped; recompress it with bgzip") from error
    except Exception as error:  # a broken file makes htslib's wrapper raise whatever it likes
        raise VariantError(
            f"{path}: not a readable VCF ({error}); check that its header starts with "
            "##fileformat=VCF and that the file is complete"
        ) from error
    finally:
        pysam.set_verbosity(verbosity)
    return VariantSet(
        build=build, tumor_sample=tumor, normal_sample=normal, roles_from=how, variants=variants
    )


def _roles(
    path: Path, header: Any, tumor: str | None, normal: str | None
) -> tuple[str, str | None, str]:
    samples = list(header.samples)
    if not samples:
        raise VariantError(
            f"{path}: has no sample columns, so no variant is known to be the tumor's"
        )
    if tumor is not None and tumor == normal:
        raise VariantError(f"{path}: {tumor!r} is named as both the tumor and the normal sample")
    listed = ", ".join(samples) or "none"
    for role, name in (("tumor", tumor), ("normal", normal)):
        if name is not None and name not in samples:
            raise VariantError(f"{path}: has no {role} sample {name!r}; its samples are {listed}")
    if tumor is not None:
        return tumor, normal, "named in the study"
    marked = {
        r.key: str(r.value) for r in header.records if r.key in ("tumor_sample", "normal_sample")
    }
    if marked.get("tumor_sample") in samples:
        return marked["tumor_sample"], marked.get("normal_sample"), "header lines"
    if len(samples) == 1 and not NORMAL_NAME.search(samples[0]):
        return samples[0], None, "the only sample"
    tumors = [s for s in samples if TUMOR_NAME.search(s)]
    normals = [s for s in samples if NORMAL_NAME.search(s)]
    if len(tumors) == 1 and len(normals) <= 1:
        return tumors[0], normals[0] if normals else normal, "sample names"
    raise VariantError(
        f"{path}: cannot tell which sample is the tumor (samples: {listed}); name it as "
        "tumor_sample under variants: in study.yaml"
    )


def _build(header: Any) -> Build | None:
    """The build by the length of chromosome 1, else by the reference line; None if neither says."""
    for name in ("1", "chr1"):
        if name in header.contigs and header.contigs[name].length in CHR1_LENGTH:
            return CHR1_LENGTH[header.contigs[name].length]
    reference = " ".join(str(r.value) for r in header.records if r.key == "reference")
    if re.search(r"GRCh38|hg38", reference, re.IGNORECASE):
        return "GRCh38"
    if re.search(r"GRCh37|hg19|b37", reference, re.IGNORECASE):
        return "GRCh37"
    return None


def _csq_fields(header: Any) -> list[str]:
    if "CSQ" not in header.info:
        return []
    description = header.info["CSQ"].description or ""
    return description.split("Format:")[-1].strip(' "').split("|")


def _checked(path: Path, record: Any, tumor: str, fields: list[str]) -> list[Variant]:
    try:
        return _alleles(record, tumor, fields)
    except ValidationError as error:
        raise VariantError(
            f"{path}: the record at {record.chrom}:{record.pos} is not valid ({explain(error)}); "
            "correct or remove it"
        ) from error


def _alleles(record: Any, tumor: str, fields: list[str]) -> list[Variant]:
    sample = record.samples[tumor]
    depth = _number(sample.get("DP"))
    found = []
    genotype = [allele for allele in sample.get("GT") or () if allele is not None]
    for n, alternate in enumerate(record.alts or ()):
        alt_depth = _number_at(sample.get("AD"), n + 1)
        if alternate in NO_ALLELE or (genotype and n + 1 not in genotype and not alt_depth):
            continue
        vaf = _number_at(sample.get("AF"), n)
        if alt_depth is not None and depth:
            vaf = alt_depth / depth
        note = _annotation(record, alternate, fields)
        found.append(
            Variant(
                chromosome=record.chrom,
                position=record.pos,
                reference=record.ref.upper(),
                alternate=alternate,
                filters=tuple(record.filter.keys()),
                gene=note.get("SYMBOL"),
                transcript=note.get("Feature"),
                consequence=note.get("Consequence"),
                impact=note.get("IMPACT"),
                hgvs_coding=note.get("HGVSc"),
                hgvs_protein=note.get("HGVSp"),
                tumor_depth=None if depth is None else int(depth),
                tumor_alt_depth=None if alt_depth is None else int(alt_depth),
                vaf=None if vaf is None else round(min(1.0, float(vaf)), 4),
            )
        )
    return found


def _annotation(record: Any, alternate: str, fields: list[str]) -> dict[str, str]:
    if not fields or "CSQ" not in record.info:
        return {}
    entries = record.info["CSQ"]
    texts = [entries] if isinstance(entries, str) else [str(e) for e in entries if e]
    rows = [dict(zip(fields, text.split("|"), strict=False)) for text in texts]
    exact = [row for row in rows if row.get("Allele") in (alternate, None)]
    rows = exact or ([] if alternate.startswith("<") or len(record.alts) > 1 else rows)
    if not rows:
        return {}
    chosen = next(
        (row for row in rows if row.get("PICK") == "1" or row.get("CANONICAL") == "YES"), rows[0]
    )
    return {key: unquote(value) for key, value in chosen.items() if value}


def _number(value: Any) -> float | None:
    if isinstance(value, tuple):
        value = value[0] if value else None
    return None if value is None else float(value)


def _number_at(values: Any, index: int) -> float | None:
    if not isinstance(values, tuple) or index >= len(values) or values[index] is None:
        return None
    return float(values[index])
