"""Shapley values: they add up, agree with the closed form of a sum, and give nothing to who does nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.survival.shapley import BACKGROUND, EXACT, shapley

RNG = np.random.default_rng(3)
COHORT = pd.DataFrame({
    "age": RNG.normal(60, 10, 80), "stage": pd.Categorical(RNG.choice(["I", "II"], 80)),
    "grade": RNG.integers(1, 4, 80).astype(float), "idle": RNG.normal(size=80),
})  # fmt: skip
COHORT.loc[3, "grade"] = np.nan


def parts(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({
        "age": -0.01 * frame["age"], "stage": -0.2 * (frame["stage"] == "II"),
        "grade": -0.05 * frame["grade"].fillna(2.0), "idle": 0.0 * frame["idle"],
    })  # fmt: skip


def test_shares_of_a_sum_are_its_parts_less_their_means():
    patients = COHORT.iloc[[3, 7]]
    found = shapley(
        lambda f: parts(f).sum(axis=1).to_numpy(), patients, COHORT, rng=np.random.default_rng(1)
    )
    drawn = np.random.default_rng(1).permutation(len(COHORT))[:BACKGROUND]
    expected = parts(patients) - parts(COHORT.iloc[drawn]).mean()
    pd.testing.assert_frame_equal(found.shares, expected, atol=1e-12, check_dtype=False)
    assert (found.shares["idle"] == 0).all()


def test_shares_of_two_that_act_only_together_are_halves():
    def both(frame):
        return ((frame["age"] > 0) & (frame["grade"] > 0)).to_numpy(float)

    cohort = pd.DataFrame({"age": [-1.0] * 5, "grade": [-1.0] * 5})
    one = pd.DataFrame({"age": [1.0], "grade": [1.0]})
    found = shapley(both, one, cohort, rng=np.random.default_rng(0))
    assert found.mean == 0
    assert found.shares.iloc[0].tolist() == pytest.approx([0.5, 0.5])


def test_of_many_covariates_shares_still_add_up():
    names = [f"x{n}" for n in range(EXACT + 2)]
    cohort = pd.DataFrame(RNG.normal(size=(30, len(names))), columns=names)

    def told(frame):
        return 1 / (
            1
            + np.exp(
                -frame.sum(axis=1).to_numpy() - frame["x0"].to_numpy() * frame["x1"].to_numpy()
            )
        )

    one = cohort.iloc[[0]]
    found = shapley(told, one, cohort, rng=np.random.default_rng(0))
    assert found.mean + found.shares.iloc[0].sum() == pytest.approx(told(one)[0], abs=1e-9)
