"""Models on patients of another cohort: where the truth is known, and TCGA's glioblastomas on UPENN's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data.cohort import Cohort
from data.errors import CohortError
from models.survival.families.cox import Cox
from models.survival.families.registry import FAMILIES
from pipelines.evaluate_survival import cross_validate
from pipelines.public_cohorts import tcga_glioblastoma, tcga_glioma, upenn_glioblastoma
from pipelines.validate_survival import validate


def made(name, seed, n=500, faster=1.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    time, last = rng.exponential(20 / faster / np.exp(0.7 * x)), rng.uniform(5, 80, n)
    ids = np.array([f"{name}{i}" for i in range(n)], object)
    seen, event = np.minimum(time, last), (time <= last).astype(int)
    return Cohort(name, ids, pd.DataFrame({"x": x}), seen, event, "months")


def test_a_model_of_the_same_kind_of_patients_is_calibrated_and_of_others_is_not():
    train = made("A", 0, 2000)
    same = validate(Cox(), train, made("B", 1), (12.0,), draws=40)
    faster = validate(Cox(), train, made("C", 2, faster=2.0), (12.0,), draws=40)
    good, bad = same.at[12.0], faster.at[12.0]
    assert good.error.low < 0 < good.error.high
    assert good.slope.low < 1 < good.slope.high
    assert bad.error.high < -0.1  # fewer are alive than predicted
    assert bad.ici.value > 3 * good.ici.value
    assert same.d_calibration.p > 0.05 > faster.d_calibration.p
    assert same.harrell.low < same.harrell.value < same.harrell.high
    assert same.harrell.value == pytest.approx(faster.harrell.value, abs=0.05)


def test_cohorts_that_share_patients_or_differ_in_unit_are_refused():
    with pytest.raises(CohortError, match="share 500 patients"):
        validate(Cox(), made("A", 0), made("A", 1), (12.0,))
    days = made("B", 1)
    with pytest.raises(CohortError, match="bring them to one unit"):
        validate(
            Cox(), made("A", 0), Cohort("B", days.ids, days.covariates, days.time, days.event, "days"), (12.0,)
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Cox", "stack"])
def test_tcga_s_glioblastomas_tell_of_upenn_s(shared, kind):
    """Bounds: Harrell's C of at least 0.63 and an error of at most 0.05 at a year."""
    found = validate(
        FAMILIES[kind](), tcga_glioblastoma(shared), upenn_glioblastoma(shared), (6.0, 12.0, 18.0), draws=10
    )  # fmt: skip
    print(f"{kind}: C {found.harrell.words}", {h: at.error.words for h, at in found.at.items()})
    assert (found.patients, found.events) == (585, 585)
    assert found.harrell.value >= 0.63
    assert abs(found.at[12.0].error.value) <= 0.05


@pytest.mark.slow
def test_gliomas_of_tcga_reach_the_known_scores_and_wildtype_alone_less(shared):
    """Cox alone, in five folds; the stack's figures are printed by the benchmark."""
    everyone = tcga_glioma(shared)
    wildtype = everyone.take((everyone.covariates["idh"] == "WT").to_numpy())
    kinds = {name: FAMILIES[name] for name in ("Cox", "Kaplan-Meier")}
    whole, part = (cross_validate(c, kinds) for c in (everyone, wildtype))
    print(
        {k: (round(o.mean("uno"), 3), round(o.mean("brier"), 4)) for k, o in (whole | {}).items()}
    )
    assert len(everyone) == 1041
    assert whole["Cox"].mean("uno") > 0.78
    assert whole["Cox"].mean("brier") < 0.125
    assert 0.55 < part["Cox"].mean("uno") < whole["Cox"].mean("uno")
    assert part["Cox"].mean("brier") < part["Kaplan-Meier"].mean("brier")
