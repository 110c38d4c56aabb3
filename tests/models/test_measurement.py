from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.imaging import Segmentation, Volume
from models.measurement import axial_section, measure
from pipelines.sites.glioma import LABELS


def ellipsoid(shape, center, radii, spacing):
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(float)
    mm = grid * np.array(spacing)[:, None, None, None]
    scaled = (mm - np.array(center)[:, None, None, None]) / np.array(radii)[:, None, None, None]
    return (scaled**2).sum(0) <= 1


def test_diameters_of_an_ellipsoid_are_its_axes():
    mask = ellipsoid((60, 60, 20), (30, 30, 30), (20, 12, 15), (1, 1, 3))
    found = axial_section(mask, (1.0, 1.0))
    assert found.longest_mm == pytest.approx(40, abs=2)
    assert found.perpendicular_mm == pytest.approx(24, abs=2)
    assert found.k == 10


@settings(deadline=None, max_examples=15)
@given(angle=st.floats(0, np.pi))
def test_diameters_do_not_depend_on_how_the_lesion_lies_in_the_plane(angle):
    x, y = np.meshgrid(np.arange(80) - 40.0, np.arange(80) - 40.0, indexing="ij")
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    mask = ((along / 25) ** 2 + (across / 10) ** 2 <= 1)[..., None]
    found = axial_section(mask, (1.0, 1.0))
    assert found.longest_mm == pytest.approx(50, abs=2.5)
    assert found.perpendicular_mm == pytest.approx(20, abs=2.5)


def test_only_the_largest_component_is_measured_across():
    mask = np.zeros((50, 50, 3), bool)
    mask[5:15, 5:15, 1] = mask[45:48, 45:48, 1] = True
    assert axial_section(mask, (1.0, 1.0)).longest_mm == pytest.approx(10 * np.sqrt(2))


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR"])
def test_volume_centroid_and_side_do_not_depend_on_the_voxel_order(codes):
    spacing = (1.0, 1.5, 2.0)
    brain = ellipsoid((60, 60, 40), (30, 45, 40), (28, 40, 36), spacing)
    tumor = ellipsoid((60, 60, 40), (45, 45, 40), (8, 8, 8), spacing)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-100.0, 7.0, 3.0]
    scan = Volume(brain.astype(np.int16), affine).reoriented(codes)
    mask = Volume(2 * tumor.astype(np.uint8), affine).reoriented(codes)
    whole, core, enhancing = measure(Segmentation(mask, LABELS), scan)
    assert whole.volume_mm3 == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.03)
    assert whole.centroid_ras_mm == pytest.approx((-55, 52, 43), abs=0.1)
    assert whole.laterality == "right"
    assert core.volume_mm3 == enhancing.volume_mm3 == 0
    assert core.longest_diameter_mm is None
    assert core.laterality is None


def test_a_tumor_across_the_middle_is_midline():
    brain = np.ones((40, 40, 10), np.int16)
    tumor = np.zeros_like(brain)
    tumor[15:25, 10:20, 3:6] = 2
    volume = Volume(tumor.astype(np.uint8), np.eye(4))
    whole, *_ = measure(Segmentation(volume, LABELS), Volume(brain, np.eye(4)))
    assert whole.laterality == "midline"
