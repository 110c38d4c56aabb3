"""Kaplan-Meier: everyone has the same curve. The baseline that a model has to be better than."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from sksurv.nonparametric import kaplan_meier_estimator
from typing_extensions import override

from models.survival.families.base import EncodedEstimator, Floats, at_times


@final
class KaplanMeier(EncodedEstimator):
    """Product-limit estimate (Kaplan and Meier 1958)."""

    kind: ClassVar[str] = "Kaplan-Meier"

    @override
    def _fit(
        self, x: Floats, time: Floats, event: NDArray[np.bool_], rng: np.random.Generator
    ) -> None:
        self.steps_, self.curve_ = kaplan_meier_estimator(event, time)

    @override
    def _survival(self, x: Floats, times: Floats) -> Floats:
        return np.repeat(at_times(self.steps_, self.curve_[None], times), len(x), axis=0)
