"""Gzipped texts with a byte that has changed on the way: a sentence, whichever reader takes them."""

from __future__ import annotations

import gzip

import pytest

from data.errors import AvatarError
from data.files import UNREADABLE, open_text
from data.io.civic import read_civic
from data.io.fusions import read_fusions
from data.io.gtf import read_gtf
from data.io.maf import read_maf
from data.io.segments import read_segments
from data.io.variants import read_variants

READERS = {
    "civic": lambda path: read_civic(path, "2026-01"),
    "fusions": read_fusions,
    "gtf": lambda path: read_gtf(path, lambda symbol: True),
    "maf": read_maf,
    "segments": lambda path: read_segments(path, "GRCh38"),
    "variants": read_variants,
}


@pytest.fixture
def damaged(tmp_path):
    """A block of a kind that there is none of, in the middle of what is deflated."""
    path = tmp_path / "damaged.gz"
    content = bytearray(gzip.compress(b"".join(b"%d\n" % (n * n) for n in range(4000))))
    content[10:14] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    return path


def test_what_is_raised_is_among_what_is_caught(damaged):
    with pytest.raises(UNREADABLE), open_text(damaged) as file:  # opening alone reads nothing
        file.read()


@pytest.mark.parametrize("reader", list(READERS))
def test_a_damaged_file_is_told_in_a_sentence(damaged, reader):
    with pytest.raises(AvatarError, match=r"damaged\.gz"):
        READERS[reader](damaged)


def test_a_text_is_read_the_same_gzipped_or_not(tmp_path):
    plain, zipped = tmp_path / "a.txt", tmp_path / "a.txt.gz"
    plain.write_bytes("\ufeffone\r\ntwo".encode())
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, zipped):
        with open_text(path) as file:
            assert file.read() == "one\r\ntwo"
