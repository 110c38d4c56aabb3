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


def ntcp_of(organ: Organ, share: float) -> Toxicity:
    """Probability of an organ's complication where a share of it gets the dose and the rest none.

    Raises:
        ValueError: a share outside (0, 1].
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"a share of the organ is in (0, 1], got {share}")

    def probability(doses_gy: Values, per_week: int) -> Values:
        ratio = organ.alpha_beta_gy
        eqd2 = per_week * (doses_gy * (1.0 + doses_gy / ratio)).sum(-1) / (1.0 + 2.0 / ratio)
        return organ.ntcp_at(eqd2 * share**organ.n)

    return probability


def metrics(brain: Organ, share: float) -> Mapping[str, Toxicity]:
    """The measures of toxicity that a user picks from, by name."""
    return {"physical dose": physical_dose, "BED3": bed3, "NTCP": ntcp_of(brain, share)}
