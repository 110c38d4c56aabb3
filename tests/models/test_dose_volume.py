"""Dose-volume measures, TCP and NTCP against closed forms and published points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from models.response.dose_volume import DoseVolume, ntcp_logistic, tumor_control
from models.response.radiotherapy import bed_gy, eqd2_gy
from pipelines.config import organs

ORGANS = organs()
DOSES = st.lists(st.floats(0.1, 100.0), min_size=1, max_size=40)


def uniform(dose_gy: float) -> DoseVolume:
    return DoseVolume(np.full(7, dose_gy))


def test_the_histogram_of_four_voxels_is_read_off_by_hand():
    dv = DoseVolume(np.array([10.0, 40.0, 20.0, 30.0]))
    assert dv.share_above([0, 10, 10.1, 30, 40, 41]) == pytest.approx([1, 1, 0.75, 0.5, 0.25, 0])
    assert [dv.dose_to(share) for share in (0.25, 0.5, 0.51, 1.0)] == [40, 30, 20, 10]
    assert (dv.mean_gy, dv.highest_gy) == (25, 40)


def test_a_map_and_a_structure_give_the_doses_inside():
    dose = np.arange(8.0).reshape(2, 2, 2)
    structure = dose > 4
    assert DoseVolume.inside(dose, structure).doses_gy.tolist() == [5, 6, 7]
    with pytest.raises(ValueError, match="shape"):
        DoseVolume.inside(dose, structure[0])
    with pytest.raises(ValueError, match="no voxel"):
        DoseVolume.inside(dose, dose > 100)


@pytest.mark.parametrize("bad", [[np.nan], [-1.0], [np.inf]])
def test_a_dose_that_cannot_be_is_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        DoseVolume(np.array(bad))


@settings(deadline=None)
@given(doses=DOSES, a=st.sampled_from([-20.0, -1.0, 1.0, 2.0, 4.0, 20.0]))
def test_geud_lies_between_the_coldest_and_the_hottest_voxel_and_rises_with_its_exponent(doses, a):
    dv = DoseVolume(np.array(doses))
    assert min(doses) * (1 - 1e-9) <= dv.geud(a) <= max(doses) * (1 + 1e-9)
    assert dv.geud(a) <= dv.geud(abs(a) + 1) * (1 + 1e-9)
    assert dv.geud(1.0) == pytest.approx(np.mean(doses))


def test_geud_of_two_halves_is_the_closed_form():
    dv = DoseVolume(np.array([20.0, 60.0]))
    assert dv.geud(4.0) == pytest.approx(((20**4 + 60**4) / 2) ** 0.25)
    assert dv.geud(1000.0) == pytest.approx(60.0, rel=1e-3)
    assert DoseVolume(np.array([0.0, 60.0])).geud(-2.0) == 0.0


@pytest.mark.parametrize("fractions", [1, 5, 30])
def test_a_voxel_s_eqd2_is_that_of_its_course(fractions):
    total = 60.0
    each = np.full(fractions, total / fractions)
    assert uniform(total).eqd2(fractions, 3.0).mean_gy == pytest.approx(eqd2_gy(each, 3.0))
    assert uniform(total).eqd2(30, 3.0).mean_gy == pytest.approx(60.0)


@pytest.mark.parametrize("organ", ORGANS, ids=lambda o: o.name)
def test_half_have_the_complication_at_td50_and_a_twentieth_at_td5(organ):
    """TD5 is TD50 (1 - 1.645 m) by definition of m."""
    assert organ.ntcp(uniform(organ.td50_gy)) == pytest.approx(0.5)
    td5 = organ.td50_gy * (1 - norm.ppf(0.95) * organ.m)
    assert organ.ntcp(uniform(td5)) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("name", "td5_gy"), [("brain", 45), ("brainstem", 50), ("optic nerve and chiasm", 50)]
)
def test_burman_s_fits_meet_emami_s_whole_organ_td5(name, td5_gy):
    """Emami 1991 (Int J Radiat Oncol Biol Phys 21:109), whole organ, five per cent in five years."""
    (organ,) = [o for o in ORGANS if o.name == name]
    assert organ.td50_gy * (1 - norm.ppf(0.95) * organ.m) == pytest.approx(td5_gy, abs=1.0)


def test_a_smaller_irradiated_volume_is_safer_and_least_so_in_a_serial_organ():
    third = DoseVolume(np.array([60.0, 0.0, 0.0]))
    brain, cord = (next(o for o in ORGANS if o.name == n) for n in ("brain", "spinal cord"))
    assert brain.ntcp(third) < brain.ntcp(uniform(60.0))
    spared = [organ.ntcp(third) / organ.ntcp(uniform(60.0)) for organ in (brain, cord)]
    assert spared[0] < spared[1]


def test_limits_name_what_is_exceeded():
    stem = next(o for o in ORGANS if o.name == "brainstem")
    assert stem.broken_limits(uniform(54.0)) == ()
    (broken,) = stem.broken_limits(DoseVolume(np.array([1.0, 54.1])))
    assert broken.limit_gy == 54
    assert "QUANTEC" in broken.source


def test_the_logistic_form_has_its_slope_at_td50():
    """gamma50 is the change of NTCP per relative change of dose."""
    step = 1e-6
    low, middle, high = ntcp_logistic([65 * (1 - step), 65, 65 * (1 + step)], 65, 2.5)
    assert middle == pytest.approx(0.5)
    assert (high - low) / (2 * step) == pytest.approx(2.5, rel=1e-6)
    assert ntcp_logistic(0.0, 65, 2.5) == 0.0


def test_tumor_control_is_one_in_e_when_one_clonogen_survives_on_average():
    doses = np.full(30, 2.0)
    alpha, ratio = 0.3, 10.0
    clonogens = np.exp(alpha * bed_gy(doses, ratio))
    assert tumor_control(clonogens, alpha, doses, ratio) == pytest.approx(np.exp(-1))
    assert tumor_control(1e9, 0.3, [], 10.0) == 0.0
    rising = tumor_control(1e7, [0.2, 0.25, 0.3, 0.4], doses, ratio)
    assert (np.diff(rising) > 0).all()


def test_exponents_shares_and_fractions_that_cannot_be_are_refused():
    dv = uniform(10.0)
    with pytest.raises(ValueError, match="not zero"):
        dv.geud(0.0)
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        dv.dose_to(0.0)
    with pytest.raises(ValueError, match="at least one fraction"):
        dv.eqd2(0, 3.0)
