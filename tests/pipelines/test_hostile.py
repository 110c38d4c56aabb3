"""Input that once got through, or got a traceback: each is refused in a sentence, nothing is stored."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest
from conftest import VCF, spoil_study, write_nifti

from data.errors import AvatarError, ImageError
from data.imaging import Volume
from data.io.nifti import read_segmentation
from data.store import AvatarStore
from pipelines.assemble import run_study
from pipelines.sites.glioma import LABELS

TWO_MM = np.diag([2.0, 2.0, 2.0, 1.0])


def header_of_a_type_nobody_reads(folder):
    path = folder / "t1c.nii.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[70:72] = (99).to_bytes(2, "little")
    path.write_bytes(gzip.compress(bytes(content)))


def stream_without_its_checksum(folder):
    path = folder / "mask.nii.gz"
    path.write_bytes(path.read_bytes()[:-6])


def stream_with_a_wrong_checksum(folder):
    path = folder / "mask.nii.gz"
    content = bytearray(path.read_bytes())
    content[-8] ^= 0xFF
    path.write_bytes(bytes(content))


def complex_image(folder):
    write_nifti(folder / "t1c.nii.gz", np.ones((40, 40, 40), np.complex64), TWO_MM)


def metres_for_millimetres(folder):
    write_nifti(folder / "flair.nii.gz", np.ones((4, 4, 4), np.int16), np.diag([2e4, 2e4, 2e4, 1]))


def sequence_of_somewhere_else(folder):
    away = TWO_MM.copy()
    away[0, 3] = 9000
    write_nifti(folder / "flair.nii.gz", np.ones((40, 40, 40), np.int16), away)


def label_that_wraps_to_one_in_a_byte(folder):
    write_nifti(folder / "mask.nii.gz", np.full((40, 40, 40), 257, np.int32), TWO_MM)


def gzip_that_was_cut_off(folder):
    (folder / "calls.vcf.gz").write_bytes(gzip.compress(VCF.encode())[:-20])
    return {"variants": {"file": "calls.vcf.gz"}}


def reference_base_that_is_none(folder):
    (folder / "calls.vcf").write_text(VCF.replace("\tC\tT\t", "\tZZ\tT\t"))


def variants_without_samples(folder):
    lines = [line for line in VCF.splitlines() if line.startswith("##")]
    head = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
    (folder / "calls.vcf").write_text("\n".join([*lines, head, ""]))


def infinite_followup(folder):
    (folder / "record.yaml").write_text("patient_id: P1\nfollowup_days: .inf\n")


def key_written_twice(folder):
    (folder / "record.yaml").write_text("patient_id: P1\nage_years: 30\nage_years: 80\n")


def date_that_is_none(folder):
    (folder / "record.yaml").write_text("patient_id: P1\nage_years: 2020-13-45\n")


def table_in_latin_one(folder):
    (folder / "r.csv").write_bytes("patient_id,diagnosis\nP1,\xe9\n".encode("latin-1"))
    return {"record": "r.csv"}


def row_longer_than_its_header(folder):
    (folder / "r.csv").write_text("patient_id,age_years\nP1,5,6,7\n")
    return {"record": "r.csv"}


def path_too_long_for_a_file(folder):
    return {"record": "x" * 5000}


def brain_mask_on_another_grid(folder):
    write_nifti(folder / "brain.nii.gz", np.ones((3, 3, 3), np.uint8))
    scan = {"sequences": {"t1c": "t1c.nii.gz"}, "segmentation": "mask.nii.gz"}
    return {"scans": [scan | {"brain_mask": "brain.nii.gz"}]}


def second_scan_without_a_brain(folder):
    write_nifti(folder / "empty.nii.gz", np.zeros((40, 40, 40), np.int16), TWO_MM)
    good = {
        "sequences": {"t1c": "t1c.nii.gz", "flair": "flair.nii.gz"},
        "segmentation": "mask.nii.gz",
    }
    empty = {"day": 90, "sequences": {"t1c": "empty.nii.gz", "flair": "flair.nii.gz"}}
    return {"scans": [good, empty]}


SPOILERS = [
    header_of_a_type_nobody_reads,
    stream_without_its_checksum,
    stream_with_a_wrong_checksum,
    complex_image,
    metres_for_millimetres,
    sequence_of_somewhere_else,
    label_that_wraps_to_one_in_a_byte,
    gzip_that_was_cut_off,
    reference_base_that_is_none,
    variants_without_samples,
    infinite_followup,
    key_written_twice,
    date_that_is_none,
    table_in_latin_one,
    row_longer_than_its_header,
    path_too_long_for_a_file,
    brain_mask_on_another_grid,
    second_scan_without_a_brain,
]


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda f: f.__name__)
def test_it_is_refused_and_nothing_is_stored(make_study, tmp_path, spoil):
    folder = make_study()
    spoil_study(folder, spoil)
    with AvatarStore(tmp_path / "store") as store:
        with pytest.raises(AvatarError) as caught:
            run_study(folder, store)
        assert store.patients() == ()
        assert not (store.folder / "volumes").exists()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        ("0/1:30,10:40", "0/0:40,0:40"),  # the tumor does not carry it
        ("\tPASS\t", "\tgermline\t"),
        ("\tC\tT\t", "\tC\t<NON_REF>\t"),
        ("\tC\tT\t", "\tC\t<DEL>\t"),
    ],
)
def test_a_call_that_the_tumor_does_not_have_does_not_make_it_idh_mutant(
    make_study, tmp_path, change
):
    folder = make_study()
    text = VCF.replace("##reference", '##FILTER=<ID=germline,Description="x">\n##reference')
    (folder / "calls.vcf").write_text(text.replace(*change))
    with AvatarStore(tmp_path / "store") as store:
        avatar = run_study(folder, store)
    assert avatar.record.markers.idh_mutation == "untested"


def test_a_damaged_volume_is_mended_by_running_again(make_study, tmp_path):
    folder = make_study()
    with AvatarStore(tmp_path / "store") as store:
        ref = run_study(folder, store).latest_scan.segmentation
        store.volume_path(ref.sha256).write_bytes(b"damaged")
        run_study(folder, store)
        assert store.volume(ref).array.any()


def test_label_values_beyond_a_byte_are_named_as_they_are(tmp_path):
    write_nifti(tmp_path / "m.nii.gz", np.full((2, 2, 2), 257, np.int32))
    with pytest.raises(ImageError, match=r"\[257\]"):
        read_segmentation(tmp_path / "m.nii.gz", LABELS, {})


def test_a_boolean_volume_is_refused():
    with pytest.raises(ImageError, match="real numbers"):
        Volume(np.ones((2, 2, 2), bool), np.eye(4))


def test_a_damaged_database_is_a_sentence(make_study, tmp_path):
    with AvatarStore(tmp_path / "store") as store:
        run_study(make_study(), store)
    for extra in ("-wal", "-shm"):
        (tmp_path / "store" / f"avatars.sqlite{extra}").unlink(missing_ok=True)
    path = tmp_path / "store" / "avatars.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\x5a" * (len(content) - 4096)
    path.write_bytes(bytes(content))
    with (
        pytest.raises(AvatarError, match=r"damaged|cannot be used"),
        AvatarStore(tmp_path / "store") as store,
    ):
        store.get("P1")


def test_a_volume_read_by_nibabel_alone_would_have_passed(make_study):
    """The checksum test is needed: nibabel itself stops at the last voxel."""
    folder = make_study()
    stream_with_a_wrong_checksum(folder)
    assert nib.load(folder / "mask.nii.gz").get_fdata().any()
