"""An in-silico head that was scanned three times, each time lying otherwise, with lesions of known size."""

from __future__ import annotations

import numpy as np
from avatars import put_avatar, scan_of
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from data.imaging import Volume
from data.timeline import Event, Timeline

PATIENT = "three-scans"
SHAPE, SPACING = (72, 84, 60), 2.0
AFFINE = np.diag([SPACING, SPACING, SPACING, 1.0])
AFFINE[:3, 3] = [-72, -84, -60]
PLACES = {"A": (-30, 20, 10), "B": (30, -20, 0), "C": (20, 45, -10), "new": (-25, -40, 20)}
SEEN = {
    0.0: {"A": 12, "B": 8, "C": 4},
    60.0: {"A": 8, "B": 5, "C": 4},
    120.0: {"A": 8, "B": 8, "C": 4, "new": 7},
}
"""Radii in mm, by day."""
MOVED = {
    0.0: ((0, 0, 0), (0, 0, 0)),
    60.0: ((3, -2, 5), (4, -3, 2)),
    120.0: ((-4, 2, 3), (-3, 5, 1)),
}
"""Angles in degrees and shift in mm: first scan's space to that of each."""


def to_scan(day):
    """(4, 4), the first scan's space to a scan's, RAS mm."""
    degrees, shift = MOVED[day]
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def head(day):
    """T1c and its labels."""
    rng = np.random.default_rng(11)
    texture = gaussian_filter(rng.normal(size=SHAPE), 3)
    empty = Volume(np.zeros(SHAPE, np.float32), AFFINE)
    index = np.moveaxis(np.indices(SHAPE), 0, -1).reshape(-1, 3).astype(float)
    back = np.linalg.inv(to_scan(day))
    places = empty.world(index) @ back[:3, :3].T + back[:3, 3]  # in the first scan's space
    voxels = np.rint((places - AFFINE[:3, 3]) / SPACING).astype(int)
    within = ((voxels >= 0) & (voxels < SHAPE)).all(1)
    inside = within & (((places / [60, 72, 50]) ** 2).sum(1) < 1)
    brightness = np.zeros(len(places), np.float32)
    brightness[inside] = 200 + 50 * (texture / texture.std())[tuple(voxels[inside].T)]
    labels = np.zeros(len(places), np.uint8)
    for name, radius in SEEN[day].items():
        near = np.linalg.norm(places - np.array(PLACES[name]), axis=1) <= radius
        labels[near], brightness[near] = 3, 500
    noise = rng.normal(0, 5, len(places)) * inside
    image = empty.with_array((brightness + noise).clip(0).reshape(SHAPE).astype(np.float32))
    return image, image.with_array(labels.reshape(SHAPE))


def put_followed(store):
    """Keep the patient."""
    scans = [scan_of(store, *head(day), day=day) for day in SEEN]
    given = Event(day=-60, end_day=-15, kind="radiotherapy", text="60 Gy in 30 fractions")
    return put_avatar(
        store, PATIENT, *scans, prior_class="glioblastoma", timeline=Timeline(events=(given,))
    )
