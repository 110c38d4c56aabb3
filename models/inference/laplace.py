"""The quick calibration: most probable parameters (Levenberg-Marquardt), and a Gaussian there (Laplace)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from models.inference.smoother import Model, Posterior

Values = NDArray[np.float64]
DIFFERENCE = 0.02
"""Step of the finite differences in prior standard deviations; smaller ones meet the grid's noise."""


def most_probable(
    prior: Values, model: Model, observed: Values, error_sd: Values, *, rng: np.random.Generator
) -> Posterior:
    """Find the posterior's top and draw members from the Gaussian that touches it there.

    Args:
        prior: (members, parameters), whose mean and covariance are the prior.
        model: what each member predicts; asked for a few members at a time.
        observed: (observations,).
        error_sd: (observations,).
        rng: for the members that are drawn.

    Raises:
        ValueError: the prior has a parameter without spread, or the search does not end.
    """
    center = prior.mean(0)
    covariance = np.atleast_2d(np.cov(prior, rowvar=False))
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError as error:
        raise ValueError("every parameter needs a spread in the prior") from error
    solves = 0

    def residual(z: Values) -> Values:
        nonlocal solves
        solves += 1
        predicted = model((center + root @ z)[None])[0]
        return np.concatenate([(predicted - observed) / error_sd, z])

    def slope(z: Values) -> Values:
        nonlocal solves
        steps = DIFFERENCE * np.eye(len(z))
        points = np.concatenate([z + steps, z - steps])
        solves += len(points)
        predicted = model(center + points @ root.T) / error_sd
        ahead, behind = predicted[: len(z)], predicted[len(z) :]
        return np.concatenate([(ahead - behind).T / (2.0 * DIFFERENCE), np.eye(len(z))])

    found = least_squares(residual, np.zeros(len(center)), jac=slope, method="lm", max_nfev=60)
    if not found.success:
        raise ValueError(
            f"the search for the most probable parameters did not end: {found.message}"
        )
    spread = np.linalg.cholesky(np.linalg.inv(found.jac.T @ found.jac))
    drawn = found.x + rng.standard_normal(prior.shape) @ spread.T
    return Posterior(prior, center + drawn @ root.T, solves)
