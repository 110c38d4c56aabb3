"""Calibration by an ensemble smoother with multiple data assimilation (ES-MDA).

    m_j <- m_j + C_md (C_dd + a C_e)^-1 (d + sqrt(a) e_j - g(m_j)),   several times, with sum 1/a = 1

Emerick & Reynolds 2013, Comput Geosci 55:3. The ensemble's own covariances stand for the model's
derivatives, so that the model is only ever run, never differentiated; for a linear model and Gaussian beliefs
it is Bayes' rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Model = Callable[[Values], Values]
"""Parameters (members, parameters) to predictions (members, observations)."""

ROUNDS = 4


@dataclass(frozen=True)
class Posterior:
    """What is believed after the data: one row a member.

    Args:
        prior: (members, parameters) before.
        members: (members, parameters) after.
        solves: how many times the model was run.
    """

    prior: Values
    members: Values
    solves: int

    @property
    def contraction(self) -> Values:
        """Per parameter 1 - posterior variance / prior variance: 0 where the data say nothing of it."""
        before, after = (np.var(m, axis=0, ddof=1) for m in (self.prior, self.members))
        return np.asarray(1.0 - after / np.maximum(before, 1e-300))

    @property
    def correlation(self) -> Values:
        """(parameters, parameters) of the posterior: near 1 or -1 where only a combination is known."""
        return np.atleast_2d(np.corrcoef(self.members, rowvar=False))


def smoothed(
    prior: Values,
    model: Model,
    observed: Values,
    error_sd: Values,
    *,
    rng: np.random.Generator,
    rounds: int = ROUNDS,
) -> Posterior:
    """Bring an ensemble to data.

    Args:
        prior: (members, parameters); on scales where beliefs are about Gaussian, such as logarithms.
        model: what each member predicts.
        observed: (observations,).
        error_sd: (observations,) standard deviation of each observation's error.
        rng: where the perturbations come from.
        rounds: assimilations; each counts the data 1 / rounds.

    Raises:
        ValueError: fewer than two members, shapes that do not match, an error that is not positive, or a
            model that predicts something that is not finite.
    """
    if prior.ndim != 2 or len(prior) < 2:
        raise ValueError(f"an ensemble has at least two members, got shape {prior.shape}")
    if observed.shape != error_sd.shape or observed.ndim != 1:
        raise ValueError(f"{observed.shape} observations with {error_sd.shape} errors")
    if not (error_sd > 0).all():
        raise ValueError("an observation's error is positive")
    members = prior.copy()
    for _ in range(rounds):
        predicted = model(members)
        if not np.isfinite(predicted).all():
            raise ValueError("the model predicts something that is not finite")
        perturbed = observed + np.sqrt(rounds) * error_sd * rng.standard_normal(predicted.shape)
        off_parameter = members - members.mean(0)
        off_predicted = predicted - predicted.mean(0)
        cross = off_parameter.T @ off_predicted / (len(members) - 1)
        spread = off_predicted.T @ off_predicted / (len(members) - 1)
        gain = np.linalg.solve(spread + rounds * np.diag(error_sd**2), cross.T).T
        members = members + (perturbed - predicted) @ gain.T
    return Posterior(prior, members, rounds * len(prior))
