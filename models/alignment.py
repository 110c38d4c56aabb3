"""Lay a later scan on an earlier one of the same patient, check that it worked, and show what changed."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.alignment import Alignment
from data.imaging import FloatArray, Volume
from models.measurement import Mask
from models.registration import (
    Matrix,
    centers_on_each_other,
    foreground,
    register,
    resample,
    shrunk,
)

FINE_MM = 1.25
FINE_VOXELS = 100
"""Images at least that fine and large are registered at half their resolution."""
MOST_MISMATCH_MM = 2.0
"""Two registrations, there and back, that do not cancel to this are not both right. About twice a voxel."""
LEAST_CORRELATION = 0.5
LEAST_OVERLAP = 0.7
MOST_TURNED_DEGREES = 45.0
MOST_STRETCHED_PERCENT = 15.0
TRIED_POINTS = 2000


def align(
    earlier: Volume,
    later: Volume,
    *,
    sequence: str,
    kind: Literal["rigid", "affine"] = "rigid",
    tumor: Mask | None = None,
) -> Alignment:
    """Register a later scan to an earlier one of the same sequence, there and back.

    The tumor is what changes, so it does not count in the match.

    Args:
        earlier: the scan whose space is kept.
        later: the scan that is moved.
        sequence: what both are.
        kind: six parameters, or twelve for scans of another scanner.
        tumor: on the earlier scan's grid.

    Raises:
        ImageError: nothing to register.
    """
    still, mover = (_coarse(v) for v in (earlier, later))
    patient, other = foreground(still), foreground(mover)
    counts = patient.array > 0
    if tumor is not None:
        changing = resample(earlier.with_array(tumor.astype(np.uint8)), still, nearest=True).array
        counts = counts & (changing == 0)
    starts = [np.eye(4), centers_on_each_other(patient, other)]
    there = register(still, mover, kind=kind, starts=starts, fixed_mask=counts)
    back = register(
        mover, still, kind=kind, starts=[np.asarray(np.linalg.inv(s)) for s in starts],
        fixed_mask=other.array > 0,
    )  # fmt: skip
    points = _spread(patient)
    returned = _through(back @ there, points)
    middle = points.mean(0)
    shared = resample(other.with_array(other.array.astype(np.float32)), still, there).array > 0.5
    measures = {
        "turned_degrees": _turn(there),
        "moved_mm": float(np.linalg.norm(_through(there, middle[None])[0] - middle)),
        "stretched_percent": 100.0 * (float(np.linalg.det(there[:3, :3])) - 1.0),
        "mismatch_mm": float(np.linalg.norm(returned - points, axis=1).mean()),
        "correlation": _correlation(still, mover, there, counts),
        "correlation_before": _correlation(still, mover, np.eye(4), counts),
        "overlap": float(shared[patient.array > 0].mean()),
    }
    rounded = {name: round(value, 4) for name, value in measures.items()}
    rows = tuple(tuple(float(v) for v in row) for row in there)
    return Alignment.model_validate(
        {"rows": rows, "kind": kind, "sequence": sequence, "doubts": _doubts(rounded)} | rounded
    )


def _doubts(m: dict[str, float]) -> tuple[str, ...]:
    checks = (
        (
            m["mismatch_mm"] > MOST_MISMATCH_MM,
            f"there and back again ends {m['mismatch_mm']:.1f} mm off (at most {MOST_MISMATCH_MM:g})",
        ),
        (
            m["correlation"] < LEAST_CORRELATION,
            f"brightness correlates by {m['correlation']:.2f} only (at least {LEAST_CORRELATION:g})",
        ),
        (
            m["correlation"] < m["correlation_before"] - 0.02,
            f"the scans matched better as they were given ({m['correlation_before']:.2f}) than "
            f"registered ({m['correlation']:.2f})",
        ),
        (
            m["overlap"] < LEAST_OVERLAP,
            f"the later scan shows {100 * m['overlap']:.0f} % of the earlier patient only",
        ),
        (
            abs(m["turned_degrees"]) > MOST_TURNED_DEGREES,
            f"turned by {m['turned_degrees']:.0f} degrees",
        ),
        (
            abs(m["stretched_percent"]) > MOST_STRETCHED_PERCENT,
            f"the patient's volume changed by {m['stretched_percent']:+.0f} %",
        ),
    )
    return tuple(said for doubtful, said in checks if doubtful)


def matched(earlier: Volume, later: Volume, inside: Mask) -> FloatArray:
    """The later scan in the earlier one's brightness: by the medians and the middle halves of both.

    Args:
        earlier: the earlier scan.
        later: the later one on the earlier one's grid.
        inside: where both show the patient, without tumor.
    """
    first, second = (np.asarray(v.array, np.float64) for v in (earlier, later))
    (a, b), (c, d) = (_middle(v[inside]) for v in (first, second))
    return np.where(second != 0, (second - c) * (b / d if d > 0 else 1.0) + a, 0.0)


def difference(earlier: Volume, later: Volume, inside: Mask) -> NDArray[np.int16]:
    """What became brighter (positive) and darker, in percent of the earlier scan's range of brightness.

    Args:
        earlier: the earlier scan.
        later: the later one, :func:`matched`.
        inside: where both show the patient, without tumor.
    """
    first = np.asarray(earlier.array, np.float64)
    low, high = np.percentile(first[inside], [1, 99]) if inside.any() else (0.0, 1.0)
    change = 100.0 * (later.array - first) / max(high - low, 1e-9)
    shown = (first != 0) & (later.array != 0)
    return np.where(shown, np.clip(np.rint(change), -300, 300), 0).astype(np.int16)


def _middle(values: FloatArray) -> tuple[float, float]:
    if values.size == 0:
        return 0.0, 0.0
    quarter, half, three = np.percentile(values, [25, 50, 75])
    return float(half), float(three - quarter)


def _coarse(volume: Volume) -> Volume:
    fine = max(volume.spacing_mm) <= FINE_MM and min(volume.shape) >= FINE_VOXELS
    plain = volume.with_array(np.asarray(volume.array, np.float32))
    return shrunk(plain, 2) if fine else plain


def _correlation(still: Volume, mover: Volume, matrix: Matrix, counts: Mask) -> float:
    moved = resample(mover, still, matrix)
    pair = still.array[counts], moved.array[counts]
    if any(values.size < 2 or values.std() == 0 for values in pair):
        return 0.0
    return float(np.corrcoef(*pair)[0, 1])


def _spread(patient: Volume) -> Matrix:
    """Points all over the patient, RAS+ mm."""
    inside = np.argwhere(patient.array > 0)
    chosen = inside[:: max(1, len(inside) // TRIED_POINTS)]
    return patient.world(chosen.astype(float))


def _through(matrix: Matrix, points: Matrix) -> Matrix:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _turn(matrix: Matrix) -> float:
    u, _, v = np.linalg.svd(matrix[:3, :3])
    return float(np.degrees(np.arccos(np.clip((np.trace(u @ v) - 1.0) / 2.0, -1.0, 1.0))))
