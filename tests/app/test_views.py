from __future__ import annotations

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from app.cohort_report import write_report
from app.cohort_views import hidden_of, label_of, listed, numbers_of
from app.pictures import outlined, thumbnail
from app.views import (
    colormap_of,
    median_survival,
    patient_row,
    plain,
    survival_figure,
    timeline_figure,
    window_of,
)
from data.imaging import Volume
from data.store import AvatarStore
from pipelines.sites.glioma import LABELS


@pytest.fixture
def avatar(small_store):
    with AvatarStore(small_store) as store:
        return store.get("P1")


def test_the_patient_row_says_unknown_where_nothing_is_known(avatar):
    row = patient_row(avatar)
    assert row.person == "female, 53 y"
    assert row.diagnosis == "diagnosis unknown"
    assert row.variants == "IDH1 R132H"
    assert row.tumor.endswith("mL, right")


def test_figures_carry_a_band_and_units(avatar):
    survival = survival_figure(avatar.survival)
    assert len(survival.data) == 3
    assert "months" in survival.layout.xaxis.title.text
    assert timeline_figure(avatar).data


def test_words_say_that_there_is_no_prediction():
    assert median_survival(None) == "no prediction"


@pytest.mark.parametrize("codes", ["RAS", "LPS"])
def test_the_thumbnail_is_radiological_whatever_the_voxel_order(codes):
    image = np.full((40, 40, 5), 100, np.int16)
    mask = np.zeros((40, 40, 5), np.uint8)
    mask[30:36, 28:34, 2] = 3
    affine = np.eye(4)
    png = thumbnail(
        Volume(image, affine).reoriented(codes), Volume(mask, affine).reoriented(codes), LABELS
    )
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(png.split(",")[1]))), int)
    rows, columns = np.nonzero(picture[..., 2] - picture[..., 0] > 20)
    # +x is the patient's right, drawn on the left; +y is anterior, drawn at the top.
    assert columns.mean() < picture.shape[1] / 2
    assert rows.mean() < picture.shape[0] / 2


@pytest.mark.parametrize("codes", ["RAS", "LPS"])
def test_outlines_are_drawn_at_the_edge_and_on_the_side_of_their_mask(codes):
    mask = np.zeros((40, 40, 5), np.uint8)
    mask[26:36, 24:34, 2] = 1
    image = Volume(np.full((40, 40, 5), 100, np.int16), np.eye(4)).reoriented(codes)
    inside = Volume(mask, np.eye(4)).reoriented(codes).array > 0
    picture = np.asarray(Image.open(io.BytesIO(outlined(image, {"#ff0000": inside}))), int)
    rows, columns = np.nonzero(picture[..., 0] - picture[..., 2] > 150)
    assert columns.mean() < picture.shape[1] / 2
    assert rows.mean() < picture.shape[0] / 2
    middle = picture[int(rows.mean()), int(columns.mean())]
    assert middle[0] == middle[2]  # the scan shows through


def test_the_window_covers_the_bulk_of_the_voxels():
    low, high = window_of(Volume(np.arange(1000.0).reshape(10, 10, 10), np.eye(4)))
    assert 0 < low < 20
    assert 980 < high <= 999


def test_the_colormap_names_every_label():
    assert colormap_of(LABELS)["I"] == [0, 1, 2, 3]


def test_what_somebody_typed_is_shown_as_it_is():
    assert plain("**Dr** [x](http://e.vil) :red[R]") == (
        r"\*\*Dr\*\* \[x\]\(http\://e\.vil\) \:red\[R\]"
    )
    assert plain("Ada Lovelace") == "Ada Lovelace"


def test_who_has_no_point_is_counted_and_who_is_beyond_the_model_s_end_apart():
    table = pd.DataFrame({
        "patient": list("abcd"), "age_years": [50.0, 60, None, 70],
        "survival_median_months": [10.0, None, 12, None],
        "beyond_survival_median_months": [None, 120, None, None],
    })  # fmt: skip
    assert numbers_of(table) == ["age_years", "survival_median_months"]
    assert hidden_of(table, "age_years") == "1 of 4 have no point: not known."
    told = hidden_of(table, "age_years", "survival_median_months")
    assert told == "3 of 4 have no point: not known, or beyond the end of the model's time (1)."
    assert hidden_of(table.iloc[:1], "age_years") == ""
    assert "beyond_survival_median_months" in listed(table)
    assert "beyond_survival_median_months" not in listed(table.iloc[[0]])


@pytest.mark.parametrize(
    ("column", "label"),
    [
        ("volume_wt_ml", "whole tumor (mL)"),
        ("first_volume_et_ml", "enhancing tumor, first scan (mL)"),
        ("survival_probability_12_months", "alive at 12 months (model, probability)"),
        ("survival_median_months", "survival median (months)"),
        ("beyond_survival_median_months", "survival median (months): beyond"),
        ("scan_day", "scan day (days since diagnosis)"),
        ("progression_days_stupp", "progression under stupp (days, in silico)"),
    ],
)
def test_columns_have_names_with_units(column, label):
    assert label_of(column) == label


def test_a_report_tells_a_median_beyond_the_model_s_end_and_who_was_not_run(tmp_path, small_store):
    table = pd.DataFrame({
        "patient": ["P1", "P2"], "avatar": ["P1", None], "status": ["done", "not run"],
        "survival_median_months": [None, None], "beyond_survival_median_months": [120.0, None],
    })  # fmt: skip
    with AvatarStore(small_store) as store:
        report = write_report(tmp_path, "night", table, pd.DataFrame(), store).read_text()
    assert "<td>beyond 120 months</td>" in report
    assert "Not run to the end:</b> P2" in report
