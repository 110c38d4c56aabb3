"""Cox proportional hazards with a ridge penalty (Cox 1972; Breslow's baseline), fitted by lifelines."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import ClassVar, final

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from lifelines.exceptions import ConvergenceError
from numpy.typing import NDArray
from typing_extensions import override

from data.errors import CohortError
from models.survival.families.base import EncodedEstimator, Floats, at_times

STRONGER = 10.0
"""Factor by which the penalty grows where a fit does not converge, as with about as many columns as events."""
MOST_TRIES = 4
NOT_FITTED = (ConvergenceError, ValueError, np.linalg.LinAlgError)
"""What lifelines raises where a fit does not converge."""
PER_COLUMN = 10
"""Events that a column should have (Peduzzi 1995)."""


def penalties(usual: float, x: Floats, event: NDArray[np.bool_]) -> Iterator[float]:
    """To be tried until a fit converges: more than usual where events are too few for the columns."""
    crowding = max(1.0, PER_COLUMN * float(x.shape[1]) / float(event.sum()))
    yield from (usual * crowding * STRONGER**n for n in range(MOST_TRIES))


@final
class Cox(EncodedEstimator):
    """Linear on the log hazard.

    Args:
        penalizer: of the squared coefficients, per patient, on standardized columns; more where these are
            many for the events.
    """

    kind: ClassVar[str] = "Cox"

    def __init__(self, penalizer: float = 0.01) -> None:
        self.penalizer = penalizer

    @override
    def _fit(
        self, x: Floats, time: Floats, event: NDArray[np.bool_], rng: np.random.Generator
    ) -> None:
        frame = pd.DataFrame(x).assign(time=time, event=event)
        for penalizer in penalties(self.penalizer, x, event):
            fitter = CoxPHFitter(penalizer=penalizer)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of rare levels and flat steps
                    fitter.fit(frame, duration_col="time", event_col="event")
                break
            except NOT_FITTED:
                continue
        else:
            raise CohortError(
                "Cox's model does not converge; leave it out, or take fewer covariates"
            )
        self.penalizer_ = penalizer
        self.coefficients_ = fitter.params_.to_numpy(float)
        center = fitter._norm_mean.to_numpy(float)
        hazard = fitter.baseline_cumulative_hazard_
        self.steps_ = hazard.index.to_numpy(float)
        self.hazard_ = hazard.iloc[:, 0].to_numpy(float) * np.exp(-self.coefficients_ @ center)

    @override
    def _survival(self, x: Floats, times: Floats) -> Floats:
        hazard = np.maximum.accumulate(self.hazard_)
        risk = np.exp(np.clip(x @ self.coefficients_, -50, 50))
        return at_times(self.steps_, np.exp(-np.outer(risk, hazard)), times)

    def contributions(self, covariates: pd.DataFrame) -> pd.DataFrame:
        """(n, p) exact parts of each patient's log hazard, against the mean of the fit's patients."""
        x = self.encoder_.transform(covariates) * self.coefficients_
        owners = [term.covariate for term in self.encoder_.terms()]
        parts = {
            name: x[:, [o == name for o in owners]].sum(axis=1) for name in self.encoder_.columns_
        }
        return pd.DataFrame(parts, index=covariates.index)
