"""All families by name."""

from __future__ import annotations

from collections.abc import Mapping

from models.survival.families.aft import AcceleratedFailureTime
from models.survival.families.base import SurvivalEstimator
from models.survival.families.boosting import Boosting
from models.survival.families.cox import Cox
from models.survival.families.coxnet import Coxnet
from models.survival.families.forest import Forest
from models.survival.families.kaplan_meier import KaplanMeier
from models.survival.families.stack import Stack

FAMILIES: Mapping[str, type[SurvivalEstimator]] = {
    family.kind: family
    for family in (KaplanMeier, Cox, Coxnet, Forest, Boosting, AcceleratedFailureTime, Stack)
}
"""By :attr:`~models.survival.families.base.SurvivalEstimator.kind`, with its usual settings."""
