"""Survival under regimens (in silico): a marker of response counts where its treatment is given, and once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from avatars import put_avatar, scan_of
from typer.testing import CliRunner

from app.cli import app
from data.clinical import ClinicalRecord, Markers
from data.errors import ClinicalError, RegimenError
from data.imaging import Volume
from data.prognosis import DAYS_PER_MONTH
from data.store import AvatarStore
from pipelines.config import find_regimen
from pipelines.joint_survival import OF_RESPONSE, joint_survival


def glioblastoma(store, mgmt="present", *, day=0.0, **facts):
    """A tumor of 8 mL in a patient of 63, scanned some days after diagnosis."""
    mask = np.zeros((40, 40, 40), np.int16)
    mask[10:30, 10:30, 10:30], mask[12:28, 12:28, 12:28] = 1, 3
    scan = scan_of(
        store, Volume(np.ones(mask.shape, np.float32), np.eye(4)), Volume(mask, np.eye(4)), day=day
    )
    markers = Markers(idh_mutation="absent", gain7_loss10="present", mgmt_methylation=mgmt)
    known = {"patient_id": "P1", "age_years": 63, "sex": "male", "grade": 4, "kps": 80} | facts
    record = ClinicalRecord.model_validate(known).model_copy(update={"markers": markers})
    return put_avatar(store, "P1", scan, record=record, prior_class="glioblastoma")


@pytest.fixture
def store(tmp_path):
    with AvatarStore(tmp_path / "store") as opened:
        yield opened


def radiotherapy():
    return find_regimen("stupp").model_copy(update={"cycles": (), "name": "radiotherapy alone"})


def test_mgmt_counts_only_with_temozolomide(store):
    told = {
        (state, name): joint_survival(glioblastoma(store, state), regimen).joint.middle[0]
        for state in ("present", "absent")
        for name, regimen in (
            ("none", "observation"), ("radiotherapy", radiotherapy()), ("temozolomide", "stupp"),
        )
    }  # fmt: skip
    assert OF_RESPONSE == ("mgmt",)
    for without in ("none", "radiotherapy"):
        assert (told["present", without] == told["absent", without]).all()
    year = 12
    assert told["present", "temozolomide"][year] > told["absent", "temozolomide"][year] + 0.05


def test_treatment_helps_in_the_order_that_trials_found(store):
    """EORTC 26981 (Stupp 2009): temozolomide with radiotherapy above radiotherapy alone, most if methylated."""
    avatar = glioblastoma(store)
    none, alone, both = (
        joint_survival(avatar, regimen).median_months
        for regimen in ("observation", radiotherapy(), "stupp")
    )
    unmethylated = joint_survival(glioblastoma(store, "absent"), "stupp").median_months
    assert none < alone < both
    # the figures of docs/SURVIVAL.md, in whole months
    assert (none, alone, both, unmethylated) == pytest.approx((6, 13, 16, 13), abs=1)


def test_under_the_reference_an_untested_patient_has_the_model_s_own_curve(store):
    told = joint_survival(glioblastoma(store, "untested"), "stupp")
    assert told.joint.middle[0] == pytest.approx(told.alone, abs=1e-7)


def test_months_count_from_the_scan_until_which_the_patient_has_lived(store):
    year = 12 * DAYS_PER_MONTH
    first = joint_survival(glioblastoma(store, "untested"), "stupp")
    later = joint_survival(glioblastoma(store, "untested", day=year), "stupp")
    months = len(later.months) - 12
    assert later.alone[:months] == pytest.approx(first.alone[12:] / first.alone[12], abs=1e-6)
    assert later.joint.middle[0] == pytest.approx(later.alone, abs=1e-7)
    assert "12 months after diagnosis" in " ".join(later.assumptions)
    with pytest.raises(RegimenError, match="too late a scan to say anything"):
        joint_survival(glioblastoma(store, day=10 * year), "stupp")


def test_who_has_no_twin_or_no_number_is_told_so(store):
    bare = put_avatar(store, "P2")
    with pytest.raises(RegimenError, match="no growth prior or no scan"):
        joint_survival(bare, "stupp")
    with pytest.raises(ClinicalError, match="age is 95"):
        joint_survival(glioblastoma(store, age_years=95), "stupp")


def test_the_command_says_in_silico_and_what_it_assumes(store):
    glioblastoma(store)
    asked = ["survival", "simulate", "P1", "--regimen", "stupp", "--store", str(store.folder)]
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 0, shown.output
    words = " ".join(shown.output.split())
    assert "In silico" in words
    assert "6.59 times" in words
    told = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert told["in_silico"] is True
    assert told["regimens"][0]["months"][0] == 0
