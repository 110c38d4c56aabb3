"""Regimens side by side: the figure, the table and the file of the Simulate page, without Streamlit."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from app.views import COLORS, add_band, styled
from data.clinical import ClinicalRecord
from data.imaging import MM3_PER_ML
from data.prognosis import Calibration, VolumeForecast
from data.treatment import Regimen
from models.response.radiotherapy import bed_gy
from models.simulation import Trajectory
from pipelines.dosimetry import BRAIN, StructureDose

LETTERS = "ABCD"
DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")
DVH_POINTS = 160
SecondAxis = Literal["nothing", "dose (Gy)", "BED3 (Gy)"]
SECOND_AXES: tuple[SecondAxis, ...] = ("nothing", "dose (Gy)", "BED3 (Gy)")
Quantity = Literal["all cells", "visible volume"]
QUANTITIES: tuple[Quantity, ...] = ("all cells", "visible volume")
LEAST_ML = 1e-4
"""Cells are drawn down to here on the logarithmic axis."""

CSV_HEAD = (
    "regimen", "region", "model", "days_since_scan",
    "volume_ml_5", "volume_ml_50", "volume_ml_95", "cells_ml_5", "cells_ml_50", "cells_ml_95",
    "members", "seed",
)  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """One of the regimens that are compared, and what is known of it so far."""

    letter: str
    regimen: Regimen
    forecast: VolumeForecast | None = None
    preview: tuple[Trajectory, Trajectory] | None = None
    doses: tuple[StructureDose, ...] = ()

    @property
    def color(self) -> str:
        """Its curve's."""
        return COLORS[LETTERS.index(self.letter)]

    def dose_of(self, structure: str) -> StructureDose | None:
        """What a structure gets, if that is known."""
        return next((dose for dose in self.doses if dose.name == structure), None)


def comparison_figure(
    candidates: list[Candidate], quantity: Quantity, second: SecondAxis
) -> go.Figure:
    """One curve a regimen with its 90 % band, previews dotted; dose on a second axis if asked for.

    All cells are on a logarithmic axis, from the last cells to regrowth; the visible volume on a linear one.
    """
    figure = go.Figure()
    cells = quantity == "all cells"
    least = LEAST_ML if cells else 0.0
    for one in candidates:
        name = f"{one.letter}: {one.regimen.name}"
        if one.forecast is not None:
            band = one.forecast.volume_mm3
            if cells and one.forecast.cells_mm3 is not None:
                band = one.forecast.cells_mm3
            low, mid, high = (
                [max(v / MM3_PER_ML, least) for v in curve]
                for curve in (band.lower, band.median, band.upper)
            )
            add_band(figure, one.forecast.days, low, mid, high, name, one.color)
        elif one.preview is not None:
            path = one.preview[1 if cells else 0]
            figure.add_scatter(
                x=path.days,
                y=[max(v / MM3_PER_ML, least) for v in path.volume_mm3[0]],
                line={"color": one.color, "width": 2, "dash": "dot"},
                name=f"{name} (preview)",
            )
    region = next((c.forecast.region for c in candidates if c.forecast), "tumor")
    title = "all viable cells (mL)" if cells else f"visible {region} (mL)"
    figure.update_layout(
        yaxis={
            "title": f"{title}, in silico",
            "type": "log" if cells else "linear",
            "dtick": 1 if cells else None,
            "tickformat": "~g",
        },
        xaxis={"title": "days since the scan"},
    )
    if second != "nothing":
        _add_doses(figure, candidates, second)
    return styled(figure, 340)


def calibration_figure(calibration: Calibration) -> go.Figure:
    """The volumes seen, over the 90 % band of the members that follow-up left."""
    figure = go.Figure()
    for (region, seen), color in zip(calibration.seen_mm3.items(), COLORS, strict=False):
        days, fitted = calibration.days[1:], calibration.fitted_mm3[region]
        low, middle, high = ([v / MM3_PER_ML for v in curve] for curve in zip(*fitted, strict=True))
        add_band(figure, days, low, middle, high, f"{region}, members", color)
        figure.add_scatter(
            x=calibration.days,
            y=[v / MM3_PER_ML for v in seen],
            mode="markers",
            marker={"color": color, "size": 9, "symbol": "diamond"},
            name=f"{region}, seen",
        )
    figure.update_layout(
        xaxis={"title": "days since the first scan"},
        yaxis={"title": "volume (mL)", "rangemode": "tozero"},
    )
    return styled(figure, 260)


def rank_rows(calibration: Calibration) -> list[dict[str, str]]:
    """Where each scan lies among the members: near 0 or 100 % it surprises them."""
    return [
        {
            "Scan": f"day {day:.0f}",
            **{
                f"{region} among the members": f"{100 * ranks[n]:.0f} %"
                for region, ranks in calibration.ranks.items()
            },
        }
        for n, day in enumerate(calibration.days[1:])
    ]


def calibration_rows(calibration: Calibration) -> list[dict[str, str]]:
    """Each parameter before and after the scans."""

    def told(values: tuple[float, float, float]) -> str:
        low, middle, high = values
        return f"{middle:.3g} ({low:.3g} to {high:.3g})"

    return [
        {
            "Parameter": f"{belief.name} ({belief.unit})",
            "Before the scans (90 %)": told(belief.prior),
            "After (90 %)": told(belief.posterior),
            "Variance taken away": f"{100 * belief.contraction:.0f} %",
        }
        for belief in calibration.parameters
    ]


def backtest_rows(calibration: Calibration) -> list[dict[str, str]]:
    """The last scan as it would have been forecast, beside forecasts that need no model."""
    return [
        {
            "Last scan": f"{test.region}, day {test.day:.0f}",
            "Seen (mL)": f"{test.seen_mm3 / MM3_PER_ML:.1f}",
            "Twin from the scans before (mL, 90 %)": (
                f"{test.forecast_mm3[1] / MM3_PER_ML:.1f} ({test.forecast_mm3[0] / MM3_PER_ML:.1f} to "
                f"{test.forecast_mm3[2] / MM3_PER_ML:.1f})"
            ),
            "Last value (mL)": f"{test.last_value_mm3 / MM3_PER_ML:.1f}",
            "Exponential (mL)": f"{test.exponential_mm3 / MM3_PER_ML:.1f}",
        }
        for test in calibration.backtest
    ]


def _add_doses(figure: go.Figure, candidates: list[Candidate], second: SecondAxis) -> None:
    for one in candidates:
        fractions = sorted(one.regimen.fractions, key=lambda f: f.day)
        if not fractions:
            continue
        total, days, doses = 0.0, [0.0], [0.0]
        for fraction in fractions:
            total += fraction.dose_gy if second == "dose (Gy)" else bed_gy([fraction.dose_gy], 3.0)
            days.append(fraction.day)
            doses.append(total)
        figure.add_scatter(
            x=days,
            y=doses,
            yaxis="y2",
            line={"color": one.color, "width": 1, "dash": "dash", "shape": "hv"},
            name=f"{one.letter}: {second}",
        )
    figure.update_layout(
        yaxis2={"title": second, "overlaying": "y", "side": "right", "rangemode": "tozero"}
    )


def comparison_rows(candidates: list[Candidate], record: ClinicalRecord) -> dict[str, list[str]]:
    """One column a regimen; rows are endpoints with their units."""
    first = next((c.forecast for c in candidates if c.forecast), None)
    horizon = f"{first.horizon_days:.0f} d" if first else "the horizon"
    rows = {
        "Time to progression": _progression,
        "90 % band": _progression_band,
        f"Progress within {horizon}": _progressed,
        "Twin": _twin,
        "Radiotherapy": _radiotherapy,
        "BED, EQD2 of the tumor": _tumor_dose,
        "No clonogen left (TCP)": _control,
        "BED3 (late effects)": lambda c: _gray(bed_gy(c.regimen.fraction_doses_gy, 3.0)),
        "Brain: mean, highest EQD2": _brain,
        "Brain: necrosis (NTCP)": _necrosis,
        "Drugs": lambda c: _drugs(c.regimen, record),
        "Surgery": _surgery,
    }
    named = {
        "Endpoint": list(rows),
    }
    for one in candidates:
        named[f"{one.letter}: {one.regimen.name}"] = [tell(one) for tell in rows.values()]
    return named


def _day(value: float | None, forecast: VolumeForecast) -> str:
    return f"after day {forecast.horizon_days:.0f}" if value is None else f"day {value:.0f}"


def _twin(one: Candidate) -> str:
    if one.forecast is None:
        return "running"
    return "; ".join((f"{one.forecast.growth}, {one.forecast.model}", *one.forecast.options))


def _progression(one: Candidate) -> str:
    if one.forecast is None:
        return "running"
    return _day(one.forecast.progression_days[1], one.forecast)


def _progression_band(one: Candidate) -> str:
    if one.forecast is None:
        return "running"
    early, _, late = one.forecast.progression_days
    low, high = _day(early, one.forecast), _day(late, one.forecast)
    return low if low == high else f"{low} to {high.removeprefix('day ')}"


def _progressed(one: Candidate) -> str:
    if one.forecast is None:
        return "running"
    return f"{100 * one.forecast.progressed_share:.0f} % of {one.forecast.members} members"


def _gray(dose: float) -> str:
    return f"{dose:.1f} Gy" if dose > 0 else "none"


def _radiotherapy(one: Candidate) -> str:
    number, dose = len(one.regimen.fractions), one.regimen.total_dose_gy
    return f"{dose:.1f} Gy in {number}, {one.regimen.target.kind}" if number else "none"


def _tumor_dose(one: Candidate) -> str:
    if one.forecast is None or not one.regimen.fractions:
        return "running" if one.regimen.fractions else "none"
    return f"{one.forecast.bed_gy:.1f} Gy, {one.forecast.eqd2_gy:.1f} Gy"


def _control(one: Candidate) -> str:
    if one.forecast is None:
        return "running"
    return _percent(one.forecast.tumor_control)


def _percent(share: float) -> str:
    """A probability; too small to tell apart from none is said as such."""
    return "under 0.1 %" if share < 1e-3 else f"{100 * share:.1f} %"


def _brain(one: Candidate) -> str:
    brain = one.dose_of(BRAIN)
    if brain is None:
        return "not told" if one.regimen.fractions else "none"
    return f"{brain.eqd2.mean_gy:.1f} Gy, {brain.eqd2.highest_gy:.1f} Gy"


def _necrosis(one: Candidate) -> str:
    brain = one.dose_of(BRAIN)
    if brain is None:
        return "not told" if one.regimen.fractions else "none"
    return _complication(brain)


def _complication(dose: StructureDose) -> str:
    if dose.ntcp is None:
        return "no tolerance known"
    broken = "; ".join(f"over {limit.limit_gy:g} Gy: {limit.risk}" for limit in dose.broken)
    return _percent(dose.ntcp) + (f" ({broken})" if broken else "")


def dose_rows(candidates: list[Candidate]) -> list[dict[str, str]]:
    """Each structure under each regimen, doses of the whole course."""
    return [
        {
            "Regimen": one.letter,
            "Structure": dose.name,
            "Mean (Gy)": f"{dose.physical.mean_gy:.1f}",
            "D2 % (Gy)": f"{dose.physical.dose_to(0.02):.1f}",
            "D98 % (Gy)": f"{dose.physical.dose_to(0.98):.1f}",
            "Mean EQD2 (Gy)": f"{dose.eqd2.mean_gy:.1f}",
            "gEUD of EQD2 (Gy)": f"{dose.geud_gy:.1f}",
            "NTCP": "tumor" if dose.is_tumor else _complication(dose),
            "Endpoint": f"{dose.organ.endpoint}, α/β {dose.alpha_beta_gy:g} Gy"
            if dose.organ
            else f"α/β {dose.alpha_beta_gy:g} Gy",
        }
        for one in candidates
        for dose in one.doses
    ]


def dose_volume_figure(candidates: list[Candidate]) -> go.Figure:
    """Cumulative dose-volume histograms: a color a regimen, a dash a structure."""
    figure = go.Figure()
    names = list(dict.fromkeys(dose.name for one in candidates for dose in one.doses))
    highest = max((d.physical.highest_gy for one in candidates for d in one.doses), default=1.0)
    at = np.linspace(0.0, 1.05 * highest, DVH_POINTS)
    for one in candidates:
        for dose in one.doses:
            figure.add_scatter(
                x=at,
                y=100.0 * dose.physical.share_above(at),
                line={"color": one.color, "dash": DASHES[names.index(dose.name) % len(DASHES)]},
                name=f"{one.letter}: {dose.name}",
            )
    figure.update_layout(
        xaxis={"title": "physical dose of the course (Gy)"},
        yaxis={"title": "volume with at least this dose (%)", "range": [0, 101]},
    )
    return styled(figure, 320)


def _drugs(regimen: Regimen, record: ClinicalRecord) -> str:
    said = []
    for drug in sorted({cycle.drug for cycle in regimen.cycles}):
        cycles = [cycle for cycle in regimen.cycles if cycle.drug == drug]
        if cycles[0].dose_mg is not None:
            said.append(f"{drug} {cycles[0].dose_mg:g} mg a day, {sum(c.days for c in cycles)} d")
            continue
        total = sum(cycle.days * (cycle.dose_mg_m2 or 0.0) for cycle in cycles) / 1000.0
        surface = record.body_surface_m2
        grams = "" if surface is None else f", {total * surface:.1f} g at {surface:.2f} m²"
        said.append(f"{drug} {total:.2f} g/m²{grams}")
    return "; ".join(said) or "none"


def _surgery(one: Candidate) -> str:
    return (
        "; ".join(
            f"day {r.day:.0f}: {100 * r.extent:.0f} % of {r.region}" for r in one.regimen.resections
        )
        or "none"
    )


def comparison_csv(patient_id: str, candidates: list[Candidate]) -> str:
    """All curves, one row a regimen and day, with units in the head and where they are from."""
    sheet = io.StringIO()
    sheet.write(f"# {patient_id}: in silico, research use only\n")
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for one in candidates:
        found = one.forecast
        if found is None:
            continue
        bands = [found.volume_mm3, found.cells_mm3] if found.cells_mm3 else [found.volume_mm3]
        curves = [curve for band in bands for curve in (band.lower, band.median, band.upper)]
        for day, *volumes in zip(found.days, *curves, strict=True):
            told = [f"{v / MM3_PER_ML:.6g}" for v in volumes] + [""] * (6 - len(volumes))
            writer.writerow(
                [
                    one.regimen.name,
                    found.region,
                    found.model,
                    f"{day:g}",
                    *told,
                    found.members,
                    found.seed,
                ]
            )
    return sheet.getvalue()
