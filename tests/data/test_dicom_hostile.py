"""DICOM made to hurt: a child with little memory refuses each in one sentence, and leaves nothing behind."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import ORIENTATIONS, write_series
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless, generate_uid

MEMORY_MIB, CPU_S = 1500, 60
ROOT = Path(__file__).parents[2]
CHILD = """
import resource, sys
from pathlib import Path
limit = int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]), int(sys.argv[2])))
resource.setrlimit(resource.RLIMIT_FSIZE, (2**30, 2**30))
from data.errors import AvatarError
from pipelines.dicom_import import opened, take
source, target = Path(sys.argv[3]), Path(sys.argv[4])
try:
    with opened(source) as found:
        take(found, {"t1c": 1}, target, secret=None)
except AvatarError as error:
    print(error)
    sys.exit(2)
print("taken in")
"""


def taken(source, target, tmp_path):
    """What a child with little memory says, and whether it is a refusal."""
    aside = tmp_path / "tmp"
    aside.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(MEMORY_MIB), str(CPU_S), str(source), str(target)],
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * CPU_S,
        cwd=ROOT,
        env={"TMPDIR": str(aside), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PATH": ""},
    )
    assert list(aside.iterdir()) == []
    return done


def series(tmp_path, count=4):
    return write_series(tmp_path / "series", ORIENTATIONS["axial"], count)


def changed(folder, n, change):
    path = folder / f"{n}.dcm"
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return folder


def deflated_bomb(tmp_path):
    folder = series(tmp_path)
    path = folder / "0.dcm"
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    content = io.BytesIO()
    dataset.save_as(content)
    head = content.getvalue()[: behind_meta(content)]
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    plain = io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.save_as(plain)
    start = behind_meta(plain)
    zeros = bytes(2**20)
    body = packer.compress(plain.getvalue()[start:])
    body += b"".join(packer.compress(zeros) for _ in range(1700)) + packer.flush()
    path.write_bytes(head + body)
    assert path.stat().st_size < 3 * 2**20
    return folder


def behind_meta(content):
    """Where the dataset begins in a file."""
    content.seek(0)
    return (
        144
        + pydicom.dcmread(content, stop_before_pixels=True).file_meta.FileMetaInformationGroupLength
    )


def rle_of_eight_hundred_gigabytes(tmp_path):
    def claim(ds):
        ds.file_meta.TransferSyntaxUID = RLELossless
        ds.Rows = ds.Columns = 65535
        ds.NumberOfFrames = 100
        ds.PixelData = encapsulate([b"\0" * 64])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True

    return changed(series(tmp_path, 1), 0, claim)


def three_thousand_sequences_deep(tmp_path):
    folder = series(tmp_path)
    opened_ = bytes.fromhex("0800 1521 5351 0000 ffffffff feff00e0 ffffffff".replace(" ", ""))
    closed = bytes.fromhex("feff0de0 00000000 feffdde0 00000000".replace(" ", ""))
    path = folder / "2.dcm"
    content = path.read_bytes()
    start = 144 + pydicom.filereader.read_file_meta_info(path).FileMetaInformationGroupLength
    path.write_bytes(content[:start] + opened_ * 3000 + closed * 3000 + content[start:])
    return folder


def zip_that_leads_out(tmp_path):
    path = tmp_path / "out.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../escaped.dcm", b"x")
    return path


def zip_of_zeros(tmp_path):
    path = tmp_path / "zeros.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(4):
            archive.writestr(f"{n}.dcm", bytes(200 * 2**20))
    return path


def zip_cut_short(tmp_path):
    path = tmp_path / "cut.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in series(tmp_path).iterdir():
            archive.write(file, file.name)
    path.write_bytes(path.read_bytes()[:-600])
    return path


def tar_with(tmp_path, name, kind=None, link=""):
    path = tmp_path / "t.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        if kind is not None:
            member.type, member.linkname = kind, link
        archive.addfile(member, io.BytesIO())
    return path


def tar_that_leads_out(tmp_path):
    return tar_with(tmp_path, "/etc/escaped.dcm")


def tar_with_a_link(tmp_path):
    return tar_with(tmp_path, "image.dcm", tarfile.SYMTYPE, "/etc/passwd")


def index_that_leads_out(tmp_path):
    folder = series(tmp_path, 1)
    (folder / "0.dcm").unlink()
    victim = tmp_path / "victim.dcm"
    victim.write_bytes(b"precious")
    dataset = Dataset()
    record = Dataset()
    record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", "VICTIM"
    dataset.DirectoryRecordSequence = Sequence([record])
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    (folder / "DICOMDIR").write_bytes(content.getvalue().replace(b"VICTIM", b"..\\VIC"))
    return folder


def truncated(tmp_path):
    folder = series(tmp_path)
    path = folder / "3.dcm"
    path.write_bytes(path.read_bytes()[:-40])
    return folder


def a_duplicate_slice(tmp_path):
    folder = series(tmp_path)

    def again(ds):
        ds.ImagePositionPatient = pydicom.dcmread(folder / "0.dcm").ImagePositionPatient

    return changed(folder, 1, again)


def a_missing_slice(tmp_path):
    folder = series(tmp_path, 6)
    (folder / "3.dcm").unlink()
    return folder


def a_tilted_gantry(tmp_path):
    folder = series(tmp_path)
    for n in range(4):

        def tilt(ds, n=n):
            x, y, z = map(float, ds.ImagePositionPatient)
            ds.ImagePositionPatient = [x, y + 0.8 * n, z]

        changed(folder, n, tilt)
    return folder


def a_localizer_in_the_series(tmp_path):
    def turn(ds):
        ds.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]

    return changed(series(tmp_path), 0, turn)


def a_spacing_that_is_no_number(tmp_path):
    folder = series(tmp_path, 1)
    path = folder / "0.dcm"
    path.write_bytes(path.read_bytes().replace(b"1.2\\0.9 ", b"nan\\nan "))
    return folder


HOSTILE = {
    deflated_bomb: "made to fill the memory",
    rle_of_eight_hundred_gigabytes: "65535 x 65535 pixels in 100 frame(s)",
    three_thousand_sequences_deep: "2.dcm: truncated or damaged",
    zip_that_leads_out: "leads out of the archive",
    zip_of_zeros: "made to fill the disk",
    zip_cut_short: "the archive is damaged",
    tar_that_leads_out: "leads out of the archive",
    tar_with_a_link: "is a link",
    index_that_leads_out: "no CT, MR or PET image",
    truncated: "3.dcm",
    a_duplicate_slice: "lie at the same position",
    a_missing_slice: "a slice is missing between",
    a_tilted_gantry: "gantry is tilted",
    a_localizer_in_the_series: "2 series in one folder",
    a_spacing_that_is_no_number: "PixelSpacing",
}


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_it_is_refused_in_a_sentence_and_nothing_is_left(tmp_path, make):
    source, target = make(tmp_path), tmp_path / "studies" / "new"
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    done = taken(source, target, tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr[-2000:]
    assert HOSTILE[make] in done.stdout
    assert "Traceback" not in done.stderr
    assert not target.exists()
    assert not list((tmp_path / "studies").glob("*")) if target.parent.exists() else True
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert after == before


def test_what_is_whole_is_taken_in_by_the_same_child(tmp_path):
    target = tmp_path / "new"
    done = taken(series(tmp_path), target, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert len(list((target / "t1c").iterdir())) == 4
    assert np.array_equal(
        pydicom.dcmread(target / "t1c" / "00001.dcm").pixel_array, np.full((7, 9), 50)
    )
