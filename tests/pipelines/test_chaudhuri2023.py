"""The published result, revisited: a small cohort, whose full table is docs/CHAUDHURI2023.md."""

from __future__ import annotations

import numpy as np
import pytest

from app.reproduce import revisited_figure, revisited_text
from pipelines.chaudhuri2023 import METRICS, cohort_config, revisit


@pytest.fixture(scope="module")
def found():
    config = cohort_config().model_copy(
        update={"patients": 4, "members": 30, "caps_gy": (2.0, 4.0)}
    )
    return revisit(config, seed=3, threads=2)


@pytest.mark.slow
def test_every_patient_has_a_plan_for_every_cap_and_measure(found):
    assert len(found.savings) == 4 * 2 * len(METRICS)
    for saving in found.savings:
        assert max(saving.doses_gy) <= saving.cap_gy + 1e-9
        assert saving.reduction >= -1e-3
        assert saving.gained_days >= -1e-3


@pytest.mark.slow
def test_dose_is_saved_by_larger_fractions_only_and_bed3_hardly_at_all(found):
    none, some = (found.median(cap, "physical dose", "reduction")[0] for cap in (2.0, 4.0))
    assert none == pytest.approx(0.0, abs=0.01)
    assert some > 0.05
    assert found.median(4.0, "BED3", "reduction")[0] < 0.6 * some


@pytest.mark.slow
def test_the_table_names_seed_interval_assumptions_and_that_nobody_was_treated(found, tmp_path):
    text = revisited_text(found, tmp_path / "table.md")
    for words in (
        "seed 3",
        "90 % interval",
        "No patient was treated",
        "| alpha_per_gy |",
        "16.7 %",
    ):
        assert words in text
    assert "![" in text
    assert revisited_figure(found)[:4] == b"\x89PNG"


def test_the_cohort_says_what_was_not_confirmed():
    config = cohort_config()
    assert config.patients == 100
    assert not config.capacity_over_volume.confirmed
    assert np.isclose(config.rate_per_day.median, np.log(2) / 15.4, rtol=0.01)
