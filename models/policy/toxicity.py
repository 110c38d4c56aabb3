"""What a plan of weekly doses costs the healthy tissue; many plans at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from models.response.dose_volume import Organ

Values = NDArray[np.float64]
Toxicity = Callable[[Values, int], Values]
"""(plans, weeks) doses per fraction and the fractions a week, to (plans,)."""

LATE_ALPHA_BETA_GY = 3.0


def physical_dose(doses_gy: Values, per_week: int) -> Values:
    """Total dose; Gy."""
    return np.asarray(per_week * doses_gy.sum(-1))


def bed3(doses_gy: Values, per_week: int) -> Values:
    """Biologically effective dose of late effects, alpha/beta 3 Gy; Gy."""
    each = doses_gy * (1.0 + doses_gy / LATE_ALPHA_BETA_GY)
    return np.asarray(per_week * each.sum(-1))


def ntcp_of(organ: Organ, relative: Values, shares: Values) -> Toxicity:
    """Probability of an organ's complication.

    Args:
        organ: whose tolerance it is.
        relative: (parts,) share of the prescribed dose that each part of the organ gets.
        shares: (parts,) of its volume; what is missing to 1 gets none.

    Raises:
        ValueError: parts that are negative or more than the organ.
    """
    if (shares < 0).any() or not 0.0 < shares.sum() <= 1.0 + 1e-9 or (relative < 0).any():
        raise ValueError(
            f"the shares of an organ's parts are not negative and add up to at most 1, got {shares.sum():g}"
        )

    def probability(doses_gy: Values, per_week: int) -> Values:
        ratio = organ.alpha_beta_gy
        linear = per_week * doses_gy.sum(-1)[:, None] * relative
        square = per_week * (doses_gy**2).sum(-1)[:, None] * relative**2
        eqd2 = (linear + square / ratio) / (1.0 + 2.0 / ratio)
        return organ.ntcp_at((eqd2 ** (1.0 / organ.n) @ shares) ** organ.n)

    return probability


def metrics(brain: Organ, relative: Values, shares: Values) -> Mapping[str, Toxicity]:
    """The measures of toxicity that a user picks from, by name; see :func:`ntcp_of`."""
    return {"physical dose": physical_dose, "BED3": bed3, "NTCP": ntcp_of(brain, relative, shares)}
