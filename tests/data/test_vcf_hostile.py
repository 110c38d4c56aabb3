"""VCFs made to hurt: a child with little memory refuses each in one sentence."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import VCF

MEMORY_MIB, CPU_S = 2000, 60
ROOT = Path(__file__).parents[2]
CHILD = """
import os, resource, sys
from pathlib import Path
from data.errors import AvatarError
from data.io.vcf import read_vcf
memory, seconds, *paths = sys.argv[1:]
limit = int(memory) * 2**20
for path in paths:
    if child := os.fork():
        print("\\0", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), sep="")
        continue
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    try:
        print(len(read_vcf(Path(path), engine="columnar")), end="")
        code = 0
    except AvatarError as error:
        print(error, end="")
        code = 2
    sys.stdout.flush()
    os._exit(code)
"""
HEAD, RECORD = VCF.rsplit("\n", 2)[:2]
"""Up to the names of the columns, and the one record."""


def packed(folder, *parts):
    """A gzipped file of parts, each with how often it comes."""
    path = folder / "x.vcf.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for part, times in parts:
            chunk = part.encode() * min(times, 2**20)
            for _ in range(-(-times // 2**20)):
                file.write(chunk)
    return path


def plain(folder, text):
    path = folder / "x.vcf"
    path.write_text(text)
    return path


def raw(path, content):
    path.write_bytes(content)
    return path


def with_info(info):
    return RECORD.replace("CSQ=", f"{info};CSQ=")


HOSTILE = {
    "one INFO field of 700 MB": (
        lambda f: packed(f, (HEAD + "\n" + RECORD.split("CSQ=")[0] + "X=", 1), ("a", 700 * 2**20)),
        "record of more than 64 MiB"),
    "a header without end": (
        lambda f: packed(f, ("##fileformat=VCFv4.2\n", 1), ("##x=" + "y" * 60 + "\n", 3 * 2**20)),
        "header of more than 64 MiB"),
    "one line of a header without end": (
        lambda f: packed(f, ("##fileformat=VCFv4.2\n##x=", 1), ("y", 200 * 2**20)),
        "header of more than 64 MiB"),
    "REF=ZZ": (lambda f: plain(f, VCF.replace("\tC\tT\t", "\tZZ\tT\t")), "REF has letters"),
    "POS=NaN": (lambda f: plain(f, VCF.replace("208248388", "NaN")), "not a readable VCF"),
    "POS negative": (lambda f: plain(f, VCF.replace("208248388", "-7")), "POS is not positive"),
    "POS beyond any number": (lambda f: plain(f, VCF.replace("208248388", "9" * 30)), "not a readable VCF"),
    "a million alternatives": (
        lambda f: plain(f, VCF.replace("\tC\tT\t", "\tC\t" + "T," * 1_000_000 + "T\t")),
        "more than 64 alternatives"),
    "a million depths": (
        lambda f: plain(f, VCF.replace("30,10", "30" + ",10" * 1_000_000)), "has 1000001 values"),
    "millions of annotations": (
        lambda f: packed(f, (HEAD + "\n" + RECORD.split("CSQ=")[0] + "CSQ=", 1), ("T,", 6 * 2**20),
                         ("\tGT:AD:DP\t0/0:50,0:50\t0/1:30,10:40\n", 1)),
        "annotations in a piece"),
    "no columns": (lambda f: plain(f, HEAD.rsplit("\n", 1)[0] + "\n" + RECORD + "\n"), "#CHROM"),
    "a column too few": (lambda f: plain(f, VCF.replace("\t0/1:30,10:40", "")), "not a readable VCF"),
    "zeros": (lambda f: packed(f, ("\0", 300 * 2**20)), "header of more than 64 MiB"),
    "bytes that are no text": (
        lambda f: raw(f / "x.vcf", VCF.encode().replace(b"\tPASS", b"\t\xff\xfe")),
        "not a readable VCF"),
    "gzip that was cut off": (
        lambda f: raw(f / "x.vcf.gz", gzip.compress(VCF.encode())[:-9]),
        "not a readable VCF"),
}  # fmt: skip


HARMLESS = "INFO that is not declared"
"""Real callers' files have it: it is not read, so it can do no harm."""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Of each file its path, the exit code of the child that read it, and what that said."""
    made = {name: make(tmp_path_factory.mktemp("x")) for name, (make, _) in HOSTILE.items()}
    text = VCF.replace(RECORD, with_info("NOBODY=../../x;DP"))
    made[HARMLESS] = plain(tmp_path_factory.mktemp("x"), text)
    done = subprocess.run(
        [sys.executable, "-u", "-c", CHILD, str(MEMORY_MIB), str(CPU_S), *map(str, made.values())],
        capture_output=True, text=True, check=True, timeout=20 * CPU_S, cwd=ROOT,
        env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PATH": ""},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    answers = re.findall(r"(.*?)\0(-?\d+)\n", done.stdout, re.DOTALL)
    return {
        name: (path, int(code), said)
        for (name, path), (said, code) in zip(made.items(), answers, strict=True)
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_in_one_sentence_that_names_the_file(told, name):
    path, code, said = told[name]
    assert (code, HOSTILE[name][1] in said, str(path) in said) == (2, True, True), said
    assert len(said) < 600


def test_what_nobody_reads_does_no_harm(told):
    assert told[HARMLESS][1:] == (0, "1")
