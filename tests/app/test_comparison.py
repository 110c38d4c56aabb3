"""What the Simulate page shows of up to four regimens, without a browser."""

from __future__ import annotations

import csv
import io
import threading
from dataclasses import replace

import numpy as np
import pytest

from app.comparison import (
    LETTERS,
    QUANTITIES,
    SECOND_AXES,
    Candidate,
    backtest_rows,
    calibration_figure,
    calibration_rows,
    comparison_csv,
    comparison_figure,
    comparison_rows,
    dose_rows,
    dose_volume_figure,
    rank_rows,
)
from app.densities import KEPT, offer, offered
from app.jobs import Jobs
from data.clinical import ClinicalRecord
from data.prognosis import Backtest, Band, Calibration, ParameterBelief, VolumeForecast
from models.response.dose_volume import DoseVolume
from models.simulation import Trajectory
from pipelines.config import find_regimen, organs
from pipelines.dosimetry import BRAIN, StructureDose

DAYS = (0.0, 10.0, 20.0)


def band(scale: float) -> Band:
    return Band(
        lower=(scale, 0.0, scale),
        median=(2 * scale, scale, 3 * scale),
        upper=(3 * scale, 2 * scale, 9 * scale),
        level=0.9,
    )


def candidate(letter: str, name: str, *, solved: bool = True) -> Candidate:
    regimen = find_regimen(name)
    forecast = VolumeForecast(
        regimen=regimen.name,
        model="in space",
        growth="reaction-diffusion",
        region="TC",
        days=DAYS,
        volume_mm3=band(1e3),
        cells_mm3=band(2e3),
        progression_days=(5.0, 15.0, None),
        progressed_share=0.6,
        tumor_control=2e-4,
        horizon_days=20.0,
        total_dose_gy=60.0,
        bed_gy=75.0,
        eqd2_gy=60.0,
        members=100,
        seed=1,
    )
    path = Trajectory(np.array(DAYS), np.array([[1e3, 2e3, 3e3]]))
    return Candidate(letter, regimen, forecast if solved else None, (path, path))


def four() -> list[Candidate]:
    names = ("stupp", "hypofractionated", "observation", "resection-stupp")
    return [candidate(letter, name) for letter, name in zip(LETTERS, names, strict=True)]


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("second", SECOND_AXES)
def test_the_figure_has_a_band_for_each_regimen_and_units_on_its_axes(quantity, second):
    figure = comparison_figure(four(), quantity, second)
    doses = 0 if second == "nothing" else 3  # observation gives none
    assert len(figure.data) == 4 * 3 + doses
    assert len({trace.line.color for trace in figure.data if trace.line.color}) == 4
    assert "(mL), in silico" in figure.layout.yaxis.title.text
    assert figure.layout.yaxis.type == ("log" if quantity == "all cells" else "linear")
    if doses:
        assert "Gy" in figure.layout.yaxis2.title.text


def test_the_second_axis_ends_at_the_whole_dose():
    figure = comparison_figure([candidate("A", "stupp")], "all cells", "BED3 (Gy)")
    assert figure.data[-1].y[-1] == pytest.approx(100.0)  # 60 x (1 + 2 / 3)


def test_what_is_still_running_is_a_dotted_preview_and_says_so():
    running = candidate("A", "stupp", solved=False)
    figure = comparison_figure([running], "visible volume", "nothing")
    assert figure.data[0].line.dash == "dot"
    assert figure.data[0].y[-1] == pytest.approx(3.0)
    rows = comparison_rows([running], ClinicalRecord(patient_id="P"))
    assert rows["A: Stupp"][0] == "running"


def test_the_table_tells_progression_doses_and_grams_for_the_body():
    record = ClinicalRecord(patient_id="P", height_cm=180, weight_kg=80)
    rows = comparison_rows(four(), record)
    stupp = dict(zip(rows["Endpoint"], rows["A: Stupp"], strict=True))
    assert stupp["Time to progression"] == "day 15"
    assert stupp["90 % band"] == "day 5 to after day 20"
    assert stupp["Twin"] == "reaction-diffusion, in space"
    assert stupp["No clonogen left (TCP)"] == "under 0.1 %"
    assert stupp["Radiotherapy"] == "60.0 Gy in 30, margin"
    assert stupp["BED3 (late effects)"] == "100.0 Gy"
    # 42 x 75 + 5 x 150 + 25 x 200 mg/m2 over 2.00 m2 (Mosteller)
    assert stupp["Drugs"] == "temozolomide 8.90 g/m², 17.8 g at 2.00 m²"
    nothing = dict(zip(rows["Endpoint"], rows["C: Observation"], strict=True))
    assert nothing["Radiotherapy"] == nothing["Drugs"] == nothing["Surgery"] == "none"
    surgery = dict(zip(rows["Endpoint"], rows["D: Resection, then Stupp"], strict=True))
    assert surgery["Surgery"] == "day 7: 95 % of TC"


def test_without_height_and_weight_no_grams_are_told():
    assert ClinicalRecord(patient_id="P", height_cm=180).body_surface_m2 is None
    rows = comparison_rows([candidate("A", "stupp")], ClinicalRecord(patient_id="P"))
    assert "temozolomide 8.90 g/m²" in rows["A: Stupp"]


def test_doses_are_drawn_and_told_for_every_structure_and_regimen():
    brain = next(organ for organ in organs() if organ.name == "brain")
    half = DoseVolume(np.array([0.0, 60.0]))
    tumor = StructureDose("tumor core", half, half, 8.0, is_tumor=True)
    healthy = StructureDose(BRAIN, half, DoseVolume(np.array([0.0, 80.0])), 2.0, brain)
    one = replace(candidate("A", "stupp"), doses=(tumor, healthy))
    figure = dose_volume_figure([one, replace(one, letter="B")])
    assert [trace.name for trace in figure.data][:2] == ["A: tumor core", f"A: {BRAIN}"]
    assert figure.data[0].line.color == figure.data[1].line.color != figure.data[2].line.color
    assert figure.data[0].line.dash == figure.data[2].line.dash != figure.data[1].line.dash
    assert (figure.data[0].y[0], figure.data[0].y[50], figure.data[0].y[-1]) == (100.0, 50.0, 0.0)
    first, second = dose_rows([one])
    assert first["Mean (Gy)"] == "30.0"
    assert first["gEUD of EQD2 (Gy)"] == "0.0"  # half of it gets none
    assert first["NTCP"] == "tumor"
    assert "over 72 Gy: necrosis 5 %" in second["NTCP"]
    rows = comparison_rows([one], ClinicalRecord(patient_id="P"))
    told = dict(zip(rows["Endpoint"], rows["A: Stupp"], strict=True))
    assert told["Brain: mean, highest EQD2"] == "40.0 Gy, 80.0 Gy"


def test_the_csv_reads_back_with_every_curve_in_ml():
    text = comparison_csv("P1", four())
    head, *_ = text.splitlines()
    assert head == "# P1: in silico, research use only"
    rows = list(csv.DictReader(io.StringIO(text.split("\n", 1)[1])))
    assert len(rows) == 4 * len(DAYS)
    assert float(rows[2]["volume_ml_95"]) == 9.0
    assert float(rows[2]["cells_ml_50"]) == 6.0


def test_a_job_tells_how_far_it_is_keeps_its_result_and_is_not_done_twice():
    jobs, calls = Jobs(), []
    go, half = threading.Event(), threading.Event()

    def work(report):
        calls.append(1)
        report(1, 2)
        half.set()
        go.wait(10)
        report(2, 2)
        return "done"

    job = jobs.want("a", work)
    assert half.wait(10)
    assert job.share == 0.5
    assert jobs.want("a", work) is job
    go.set()
    jobs.want("after", lambda report: None)
    wait_for(job)
    assert (job.result, calls) == ("done", [1])
    assert jobs.want("a", work) is job


def test_a_cancelled_job_ends_at_its_next_report_and_can_be_wanted_again():
    jobs, go = Jobs(), threading.Event()

    def work(report):
        go.wait(10)
        report(1, 2)
        return "never"

    job = jobs.want("a", work)
    job.cancel()
    go.set()
    wait_for(job)
    assert job.result is None
    assert job.error is None
    assert jobs.find("a") is None
    again = jobs.want("a", lambda report: "now")
    wait_for(again)
    assert again.result == "now"


def test_what_goes_wrong_in_a_job_is_kept_for_the_page():
    def work(report):
        raise ValueError("no such drug")

    job = Jobs().want("a", work)
    wait_for(job)
    assert str(job.error) == "no such drug"


def wait_for(job):
    for _ in range(1000):
        if job.finished:
            return
        threading.Event().wait(0.01)
    raise AssertionError("the job did not end")


def test_densities_are_offered_under_their_digest_and_the_oldest_go():
    first = offer(b"first")
    assert offered(first) == b"first"
    for n in range(KEPT):
        offer(f"{n}".encode())
    assert offered(first) is None


def test_what_scans_taught_is_told_before_and_after_with_units():
    learned = Calibration(
        method="es-mda",
        days=(0.0, 30.0),
        seen_mm3={"WT": (1e4, 2e4)},
        fitted_mm3={"WT": ((1.5e4, 1.9e4, 2.4e4),)},
        ranks={"WT": (0.61,)},
        given="Observation",
        parameters=(
            ParameterBelief(
                name="velocity",
                unit="mm/d",
                prior=(0.03, 0.07, 0.16),
                posterior=(0.06, 0.08, 0.1),
                contraction=0.9,
            ),
        ),
        misfit=0.5,
        flags=(),
        backtest=(
            Backtest(
                region="WT",
                day=30.0,
                seen_mm3=2e4,
                forecast_mm3=(1.5e4, 1.9e4, 2.5e4),
                last_value_mm3=1e4,
                exponential_mm3=3e4,
            ),
        ),
        members=((0.0,),),
        solves=400,
        seed=1,
    )
    figure = calibration_figure(learned)
    assert list(figure.data[-1].y) == [10.0, 20.0]
    assert list(figure.data[2].y) == [19.0]
    assert rank_rows(learned) == [{"Scan": "day 30", "WT among the members": "61 %"}]
    (row,) = calibration_rows(learned)
    assert row["Parameter"] == "velocity (mm/d)"
    assert row["After (90 %)"] == "0.08 (0.06 to 0.1)"
    (test,) = backtest_rows(learned)
    assert list(test.values())[1:] == ["20.0", "19.0 (15.0 to 25.0)", "10.0", "30.0"]
