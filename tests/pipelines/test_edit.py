"""Operations on a label: only that label changes, on any orientation of the file."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import OBLIQUE
from pydantic import ValidationError

from data.avatar import Scan
from data.errors import ImageError
from data.imaging import Volume
from data.store import AvatarStore
from pipelines.edit import CLICK, OPERATIONS, EditOptions, operate
from pipelines.sites.glioma import LABELS

SHAPE = (24, 20, 16)
GRIDS = {
    "RAS": np.diag([1.0, 1.0, 2.0, 1.0]),
    "LPS": np.diag([-1.0, -1.0, 2.0, 1.0]),
    "permuted": np.array([[0, 0, -1.0, 9], [1.0, 0, 0, -4], [0, 2.0, 0, 7], [0, 0, 0, 1]]),
    "oblique": OBLIQUE,
}


@pytest.fixture
def store(tmp_path):
    with AvatarStore(tmp_path / "store") as opened:
        yield opened


def ball(center, radius, shape=SHAPE):
    grid = np.indices(shape).T - np.array(center)
    return ((grid**2).sum(-1) <= radius**2).T


def scan_of(store, mask, image=None):
    shown = mask.with_array((mask.array > 0).astype(np.float32)) if image is None else image
    return Scan(
        day=0.0,
        sequences={"t1c": store.put_volume(shown)},
        segmentation=store.put_volume(mask),
        labels=LABELS,
        segmenter="test",
        given=True,
        measurements=(),
    )


@pytest.fixture
def drawn():
    array = np.zeros(SHAPE, np.uint8)
    array[ball((11, 9, 7), 5)] = 2
    array[ball((8, 9, 7), 1)] = 0  # a hole
    array[ball((14, 9, 7), 2)] = 3
    array[1, 1, 1] = 2  # an island
    return array


@pytest.mark.parametrize("affine", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("name", [n for n in OPERATIONS if n != "interpolate"])
def test_an_operation_touches_its_label_and_background_alone_whatever_the_grid(
    store, drawn, name, affine
):
    mask = Volume(drawn, affine)
    scan = scan_of(store, mask)
    made = operate(store, scan, mask, name, EditOptions(label=2, over=False))
    assert made.same_grid(mask)
    assert np.array_equal(made.array == 3, drawn == 3)
    assert not np.array_equal(made.array, drawn)
    before, after = ((a == 2).sum() for a in (drawn, made.array))
    expected = {"grow": 1, "fill-holes": 1, "shrink": -1, "remove-islands": -1}
    if name in expected:
        assert np.sign(int(after) - int(before)) == expected[name]
    upright = Volume(drawn, mask.affine).reoriented("RAS")
    there = operate(store, scan_of(store, upright), upright, name, EditOptions(label=2, over=False))
    assert np.array_equal(there.array, made.reoriented("RAS").array)


def test_over_other_labels_or_not(store, drawn):
    mask = Volume(drawn, np.eye(4))
    scan = scan_of(store, mask)
    over = operate(store, scan, mask, "grow", EditOptions(label=3))
    spare = operate(store, scan, mask, "grow", EditOptions(label=3, over=False))
    assert (over.array == 3).sum() > (spare.array == 3).sum() > (drawn == 3).sum()
    assert np.array_equal(spare.array[drawn == 2], drawn[drawn == 2])


@pytest.mark.parametrize("affine", GRIDS.values(), ids=GRIDS)
def test_slices_between_drawn_ones_are_filled_in_the_plane_that_was_drawn_in(store, affine):
    given = Volume(ball((11, 9, 7), 5).astype(np.uint8) * 2, affine)
    full = given.reoriented("RAS")
    sparse = full.array.copy()
    sparse[:, :, 1::2] = 0
    mask = full.with_array(sparse).reoriented(given.axis_codes)
    made = operate(
        store, scan_of(store, mask), mask, "interpolate", EditOptions(label=2, plane="axial")
    )
    upright = made.reoriented("RAS").array
    assert np.array_equal(upright[:, :, ::2], sparse[:, :, ::2])
    drawn = np.flatnonzero(sparse.any((0, 1)))
    between = [k for k in range(drawn[0], drawn[-1]) if k not in drawn]
    one, two = (a[:, :, between] > 0 for a in (upright, full.array))
    assert 2 * (one & two).sum() / (one.sum() + two.sum()) > 0.88


def test_clicks_find_the_lesion_they_are_in_by_world_coordinates(store):
    lesion = ball((10, 9, 8), 4)
    image = Volume((100.0 * lesion + 5.0).astype(np.float32), GRIDS["permuted"])
    empty = image.with_array(np.zeros(SHAPE, np.uint8))
    scan = scan_of(store, empty, image)
    inside = tuple(image.world(np.array([10.0, 9.0, 8.0])))
    outside = tuple(image.world(np.array([2.0, 2.0, 2.0])))
    made = operate(
        store, scan, empty, CLICK, EditOptions(label=3, inside=[inside], outside=[outside])
    )
    found = made.array == 3
    assert 2 * (found & lesion).sum() / (found.sum() + lesion.sum()) > 0.85
    with pytest.raises(ImageError, match="outside an image"):
        operate(store, scan, empty, CLICK, EditOptions(label=3, inside=[(900.0, 0.0, 0.0)]))
    with pytest.raises(ImageError, match="click at least once"):
        operate(store, scan, empty, CLICK, EditOptions(label=3))


def test_what_cannot_be_done_is_said(store, drawn):
    mask = Volume(drawn, np.eye(4))
    scan = scan_of(store, mask)
    with pytest.raises(ImageError, match="no operation 'melt'; there are grow"):
        operate(store, scan, mask, "melt", EditOptions(label=2))
    with pytest.raises(ImageError, match="nowhere in the mask"):
        operate(store, scan, mask, "grow", EditOptions(label=1))
    with pytest.raises(ImageError, match="not in the table"):
        operate(store, scan, mask, "grow", EditOptions(label=9))
    with pytest.raises(ValidationError):
        EditOptions(label=2, inside=[(float("nan"), 0.0, 0.0)])
