"""Which tissue a voxel of a brain is: the scan's own intensities under an atlas's probabilities.

A mixture of one Gaussian a tissue over several sequences, whose weights are the atlas's probabilities at each
voxel, fitted by expectation-maximization. Reference: Ashburner & Friston 1997, NeuroImage 6:209; Van Leemput
1999, IEEE Trans Med Imaging 18:897 (without their model of the bias field).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

CSF, GREY, WHITE = 1, 2, 3
"""Values of a tissue map; 0 is outside the brain."""
TISSUES = (CSF, GREY, WHITE)
BLUR_MM = 3.0
"""Of the atlas's maps: about what an affine registration leaves between two heads."""
FLOOR = 0.05
"""Share of a voxel's prior that is spread evenly, so that no tissue is ruled out where the atlas errs."""
ROUNDS = 15
SAMPLED = 60_000
"""Voxels that the mixture is fitted on."""

Map = NDArray[np.floating[Any]]


def tissue_map(
    images: Sequence[Map],
    brain: NDArray[np.bool_],
    atlas: Sequence[Map],
    *,
    tumor: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
) -> NDArray[np.uint8]:
    """CSF, grey and white matter of a brain with a tumor.

    Inside the tumor intensities say nothing of the tissue that was there: the atlas alone tells grey
    from white, and nothing is fluid.

    Args:
        images: sequences (i, j, k) of one scan.
        brain: voxels (i, j, k) to be named.
        atlas: probabilities (i, j, k) of CSF, grey and white matter, laid on the scan.
        tumor: voxels (i, j, k) that are neither fitted nor named by their intensity.
        spacing_mm: voxel edges.

    Raises:
        ValueError: no brain outside the tumor.
    """
    sound = brain & ~tumor
    if not sound.any():
        raise ValueError("there is no brain outside the tumor to learn intensities from")
    blurred = [ndimage.gaussian_filter(m, BLUR_MM / np.array(spacing_mm)) for m in atlas]
    prior = np.stack([m[brain] for m in blurred], -1).astype(np.float64) + 1e-6
    prior = (1.0 - FLOOR) * prior / prior.sum(-1, keepdims=True) + FLOOR / len(TISSUES)
    seen = np.stack([m[brain] for m in images], -1).astype(np.float64)
    inside = tumor[brain]
    means, covariances = _fitted(seen[~inside], prior[~inside])
    share = _posterior(seen, prior, means, covariances)
    share[inside] = prior[inside]
    share[inside, 0] = 0.0
    named = np.zeros(brain.shape, np.uint8)
    named[brain] = np.array(TISSUES, np.uint8)[share.argmax(-1)]
    return named


def _fitted(seen: Map, prior: Map) -> tuple[Map, Map]:
    """Means (tissue, sequence) and covariances (tissue, sequence, sequence)."""
    every = max(1, len(seen) // SAMPLED)
    seen, prior = seen[::every], prior[::every]
    least = 1e-4 * np.diag(np.var(seen, axis=0)) + 1e-12 * np.eye(seen.shape[1])
    share = prior / prior.sum(-1, keepdims=True)
    for _ in range(ROUNDS):
        total = share.sum(0)
        means = (share.T @ seen) / total[:, None]
        covariances = np.stack(
            [
                ((seen - mean).T * column) @ (seen - mean) / weight + least
                for mean, column, weight in zip(means, share.T, total, strict=True)
            ]
        )
        share = _posterior(seen, prior, means, covariances)
    return means, covariances


def _posterior(seen: Map, prior: Map, means: Map, covariances: Map) -> Map:
    """Probability (voxel, tissue) given the intensities."""
    logs = np.log(prior)
    for n, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
        factor = np.linalg.cholesky(covariance)
        scaled = np.linalg.solve(factor, (seen - mean).T)
        logs[:, n] -= 0.5 * (scaled**2).sum(0) + np.log(np.diag(factor)).sum()
    share = np.exp(logs - logs.max(-1, keepdims=True))
    return np.asarray(share / share.sum(-1, keepdims=True))
