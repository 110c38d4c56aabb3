from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest
from conftest import OBLIQUE, write_nifti
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ImageError
from data.imaging import Label, LabelTable, Region, Segmentation, Volume
from data.io.nifti import decode_nifti, encode_nifti, read_nifti, read_segmentation
from pipelines.sites.glioma import LABEL_ALIASES, LABELS


def volume(seed: int = 0) -> Volume:
    rng = np.random.default_rng(seed)
    return Volume(rng.integers(0, 1000, (5, 6, 7)).astype(np.int16), OBLIQUE)


@given(st.permutations(["RL", "AP", "SI"]), st.tuples(*[st.integers(0, 1)] * 3))
def test_reorienting_keeps_every_voxel_at_its_place_in_the_patient(pairs, ends):
    codes = "".join(pair[end] for pair, end in zip(pairs, ends, strict=True))
    before = volume()
    after = before.reoriented(codes)
    assert after.axis_codes == codes
    inverse = np.linalg.inv(after.affine)
    for index in ((0, 0, 0), (4, 5, 6), (1, 2, 3)):
        world = before.world(np.array(index, float))
        there = np.rint(inverse @ [*world, 1.0])[:3].astype(int)
        assert after.array[tuple(there)] == before.array[index]


def test_reorienting_there_and_back_gives_the_same_volume():
    there_and_back = volume().reoriented("LPS").reoriented(volume().axis_codes)
    assert np.array_equal(there_and_back.array, volume().array)
    assert np.allclose(there_and_back.affine, OBLIQUE, atol=1e-12)


def test_a_volume_cannot_be_changed_after_it_is_built():
    with pytest.raises(ValueError, match="read-only"):
        volume().array[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("array", "affine", "message"),
    [
        (np.zeros((2, 2)), np.eye(4), "three axes"),
        (np.zeros((2, 0, 2)), np.eye(4), "three axes"),
        (np.full((2, 2, 2), np.nan), np.eye(4), "NaN"),
        (np.zeros((2, 2, 2)), np.zeros((4, 4)), "inverted"),
        (np.zeros((2, 2, 2)), np.eye(3), "4x4"),
    ],
)
def test_a_volume_that_cannot_be_is_refused(array, affine, message):
    with pytest.raises(ImageError, match=message):
        Volume(array, affine)


def test_voxel_volume_is_the_determinant_of_the_affine():
    assert volume().voxel_volume_mm3 == pytest.approx(abs(np.linalg.det(OBLIQUE[:3, :3])))


def test_nifti_bytes_are_the_same_for_the_same_volume_and_read_back():
    first, second = encode_nifti(volume()), encode_nifti(volume())
    assert first == second
    back = decode_nifti(first)
    assert np.array_equal(back.array, volume().array)
    assert back.array.dtype == np.int16
    assert np.allclose(back.affine, OBLIQUE, atol=1e-5)


def test_a_label_map_with_an_unknown_value_is_refused():
    with pytest.raises(ImageError, match=r"\[7\]"):
        Segmentation(Volume(np.full((2, 2, 2), 7, np.uint8), np.eye(4)), LABELS)


def test_a_label_table_with_a_repeated_value_is_refused():
    label = Label(value=1, name="a", abbreviation="a", color="#000000")
    with pytest.raises(ValueError, match="repeat"):
        LabelTable(
            name="x",
            labels=(label, label),
            regions=(Region(name="r", abbreviation="r", values=(1,)),),
        )


def test_a_scaled_label_map_is_rounded_and_the_older_label_renamed(tmp_path):
    write_nifti(tmp_path / "m.nii.gz", np.array([[[0.9999, 4.0], [2.0, 0.0]]], np.float32))
    seg = read_segmentation(tmp_path / "m.nii.gz", LABELS, LABEL_ALIASES)
    assert seg.volume.array.tolist() == [[[1, 3], [2, 0]]]


def test_a_nifti_without_an_affine_is_refused(tmp_path):
    image = nib.Nifti1Image(np.zeros((3, 3, 3), np.int16), None)
    image.header["qform_code"] = image.header["sform_code"] = 0
    nib.save(image, tmp_path / "x.nii")
    with pytest.raises(ImageError, match="no affine"):
        read_nifti(tmp_path / "x.nii")


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_a_header_that_asks_for_more_than_is_there_takes_no_memory(tmp_path, name):
    image = nib.Nifti1Image(np.zeros((4, 4, 4)), np.eye(4))
    nib.save(image, tmp_path / "small.nii")
    content = bytearray((tmp_path / "small.nii").read_bytes())
    content[40:48] = np.array([3, 1000, 1000, 1000], "<i2").tobytes()  # 8 GB of voxels
    packed = gzip.compress(bytes(content)) if name.endswith(".gz") else bytes(content)
    (tmp_path / name).write_bytes(packed)
    with pytest.raises(ImageError, match="it ends before the last voxel"):
        read_nifti(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda image: image.header.set_xyzt_units("micron"), "micrometers; export it again in mm"),
        (lambda image: image.header.set_xyzt_units("meter"), "its header gives meters"),
    ],
)
def test_lengths_that_are_no_millimeters_are_refused(tmp_path, change, match):
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4))
    change(image)
    nib.save(image, tmp_path / "x.nii")
    with pytest.raises(ImageError, match=match):
        read_nifti(tmp_path / "x.nii")


def test_complex_voxels_are_refused(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.complex64), np.eye(4)), tmp_path / "x.nii")
    with pytest.raises(ImageError, match="its voxels are complex64, not numbers"):
        read_nifti(tmp_path / "x.nii")


def test_a_truncated_nifti_is_refused_by_name(tmp_path):
    path = tmp_path / "cut.nii.gz"
    write_nifti(path, np.random.default_rng(0).integers(0, 999, (20, 20, 20)).astype(np.int16))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ImageError, match=r"cut\.nii\.gz"):
        read_nifti(path)


def test_a_header_that_asks_for_too_much_is_refused_before_reading(tmp_path):
    path = tmp_path / "huge.nii"
    write_nifti(path, np.zeros((2, 2, 2), np.int16))
    content = bytearray(path.read_bytes())
    content[40:48] = np.array([3, 30000, 30000, 30000], "<i2").tobytes()
    path.write_bytes(bytes(content))
    with pytest.raises(ImageError, match="asks for"):
        read_nifti(path)
