"""A cohort as a table: one row for each patient, for the board, for statistics, and for other programs."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from data.avatar import Avatar
from data.clinical import Markers
from data.cohort import Covariate
from data.errors import StoreError, StudyError
from data.files import replace_atomically, sha256_file
from data.io.cohort import CohortFile, EventColumn, TimeColumn
from data.prognosis import DAYS_PER_MONTH
from data.provenance import versions_of
from data.store import AvatarStore
from pipelines.cohort.config import CohortConfig
from pipelines.cohort.records import PatientRecord, patients_of, records_of, shared_inputs

TABLE, DICTIONARY, MANIFEST, OMOP = "cohort.parquet", "survival.yaml", "manifest.json", "omop"
BEYOND = "beyond_"
"""Before a column's name: where a model's time ends, of whom its median is later."""
OUTLIER = 3.5
"""Modified z-score from which a value is told as an outlier (Iglewicz and Hoaglin 1993)."""
FEWEST = 10
"""Patients of whom a value is known, below which nobody is told to be an outlier."""
LOOKED_AT = ("volume_wt_ml", "volume_tc_ml", "volume_et_ml", "age_years", "mutations_per_mb")
TOLD_MONTHS = 12.0
NOT_RUN = "not run"
"""Status of who is in the cohort and was not run yet."""
CHANGED = "the avatar was changed since the run"
GENDERS = {"male": 8507, "female": 8532}
"""OMOP's standard concepts."""


def row_of(record: PatientRecord, avatar: Avatar | None) -> dict[str, Any]:
    """One patient; what is not known is None.

    Volumes are of the latest scan, and once more of the first one as ``first_volume_*``: what is measured later
    is no covariate of survival from diagnosis. A median that the model's months do not reach is None, and
    ``beyond_survival_median_months`` says where they end; so does ``beyond_progression_days_*`` of a forecast.
    """
    row: dict[str, Any] = {
        "patient": record.patient, "avatar": record.avatar or None, "status": record.status,
        "fault": record.fault, "error": record.error or None, "source": record.source,
        "sha256": record.sha256 or None, "seconds": sum(s.seconds for s in record.steps),
        "peak_mb": max((s.peak_mb for s in record.steps), default=None),
    }  # fmt: skip
    if avatar is None:
        return row
    told, scan = avatar.record, avatar.latest_scan
    first = min(avatar.scans, key=lambda s: s.day, default=None)
    row |= {
        "site": avatar.site, "origin": avatar.origin, "age_years": told.age_years, "sex": told.sex,
        "grade": None if told.grade is None else f"G{told.grade}", "kps": told.kps,
        "diagnosis": avatar.diagnosis.title if avatar.diagnosis else told.diagnosis,
        "prior_class": avatar.prior_class, "scans": len(avatar.scans),
    }  # fmt: skip
    if scan is not None:
        row |= {f"volume_{m.region.lower()}_ml": m.volume_ml for m in scan.measurements}
        whole = scan.measured("WT")
        row |= {
            "laterality": whole.laterality if whole else None, "segmenter": scan.segmenter,
            "signed_by": scan.signed_by, "flags": "; ".join(flag.finding for flag in scan.flags) or None,
            "agreement_wt": scan.agreement.get("WT"), "scan_day": scan.day,
        }  # fmt: skip
    if first is not None:
        row |= {f"first_volume_{m.region.lower()}_ml": m.volume_ml for m in first.measurements}
        row["first_scan_day"] = first.day
    for name in Markers.model_fields:
        state = getattr(told.markers, name)
        row[f"marker_{name}"] = None if state == "untested" else state
    burden = avatar.burden
    row["mutations_per_mb"] = burden.mutations.per_mb if burden and burden.mutations else None
    row |= _survival(avatar)
    for forecast in avatar.forecasts:
        days = forecast.progression_days[1]
        row[f"progression_days_{forecast.regimen}"] = days
        if days is None:
            row[f"{BEYOND}progression_days_{forecast.regimen}"] = forecast.horizon_days
    days = told.followup_days
    row["followup_months"] = None if days is None else days / DAYS_PER_MONTH
    row["vital_status"] = told.vital_status
    return row


def _survival(avatar: Avatar) -> dict[str, Any]:
    """The model's median, and survival at a landmark with its band."""
    told = avatar.survival
    if told is None:
        return {}
    found: dict[str, Any] = {
        "survival_model": told.model,
        "survival_median_months": told.median_months,
        f"{BEYOND}survival_median_months": told.months[-1] if told.median_months is None else None,
    }
    band = told.survival
    for name, curve in (("", band.median), ("_low", band.lower), ("_high", band.upper)):
        found[f"survival_probability_12_months{name}"] = float(
            np.interp(TOLD_MONTHS, told.months, curve)
        )
    return found


def with_outliers(table: pd.DataFrame) -> pd.DataFrame:
    """With a column that names what of a patient is far from the others' (modified z-score above 3.5)."""
    words: list[list[str]] = [[] for _ in range(len(table))]
    for column in (name for name in LOOKED_AT if name in table):
        values = table[column].astype(float).to_numpy()
        if np.isfinite(values).sum() < FEWEST:
            continue
        scale = np.log1p(values) if column.startswith("volume") else values
        middle = np.nanmedian(scale) if np.isfinite(scale).any() else np.nan
        spread = np.nanmedian(np.abs(scale - middle)) if np.isfinite(scale).any() else np.nan
        if not spread > 0:
            continue
        z = 0.6745 * (scale - middle) / spread
        for n in np.flatnonzero(np.abs(z) > OUTLIER):
            words[n].append(f"{column} {values[n]:.4g}")
    told = pd.Series([", ".join(found) or None for found in words], table.index, dtype=object)
    return table.assign(outlier=told)


@dataclass(frozen=True)
class Summed:
    """A cohort's files.

    Args:
        table: one row for each patient.
        dictionary: for 'avatar survival', where outcomes are known; else None.
    """

    table: pd.DataFrame
    folder: Path
    dictionary: Path | None


def sum_up(
    run: Path,
    config: CohortConfig,
    store: AvatarStore,
    *,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Summed:
    """Write a run's table, its data dictionary, its manifest, and tables in the manner of OMOP.

    Who was not run yet has a row that says so, and so has whose avatar is damaged, gone or changed since.

    Raises:
        StudyError: nobody is finished yet.
        StoreError: they cannot be written.
    """
    records = records_of(run)
    if not records:
        raise StudyError(
            f"{run}: none of its patients is finished; run it with 'avatar cohort run'"
        )
    digests, rows = store.digests(), []
    for number, record in enumerate(records.values()):
        rows.append(_row(record, store, digests))
        on_step(number + 1, len(records))
    rows += [
        {"patient": p, "status": NOT_RUN}
        for p in sorted((patients_of(run) or set()) - set(records))
    ]
    table = with_outliers(pd.DataFrame(rows).sort_values("patient", ignore_index=True))
    content = io.BytesIO()
    table.to_parquet(content, index=False)
    dictionary = _dictionary(table, config.name)
    try:
        replace_atomically(run / TABLE, content.getvalue())
        if dictionary is None:
            (run / DICTIONARY).unlink(missing_ok=True)
        else:
            words = yaml.safe_dump(
                dictionary.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True
            )  # fmt: skip
            replace_atomically(run / DICTIONARY, words.encode())
        for name, part in omop(table).items():
            replace_atomically(run / OMOP / f"{name}.csv", part.to_csv(index=False).encode())
        replace_atomically(run / MANIFEST, _manifest(run, config, store, records).encode())
    except OSError as error:
        raise StoreError(
            f"{run}: cannot be written ({error.strerror}); make room and run it again"
        ) from error
    return Summed(table, run, None if dictionary is None else run / DICTIONARY)


def _row(record: PatientRecord, store: AvatarStore, digests: Mapping[str, str]) -> dict[str, Any]:
    """Of a patient with the avatar as it is in the store now, which a reader may have signed since."""
    if record.status != "done":
        return row_of(record, None)
    there = digests.get(record.avatar)
    try:
        if there is not None:
            row = row_of(record, store.get(record.avatar))
            return row | {
                "sha256": there,
                "changed_since": None if there == record.sha256 else CHANGED,
            }
        error = f"{record.avatar}: the avatar is not in the store any more; run the cohort again"
    except StoreError as damaged:
        error = str(damaged)
    lost = {"status": "failed", "fault": "storage", "error": error, "sha256": ""}
    return row_of(record.model_copy(update=lost), None)


def _dictionary(table: pd.DataFrame, name: str) -> CohortFile | None:
    """Covariates by modality, so that 'avatar survival modalities' tells what the volumes add."""
    if "followup_months" not in table or table["followup_months"].notna().sum() == 0:
        return None
    kinds: dict[str, Covariate] = {
        "age_years": Covariate(kind="number", unit="years", label="age", modality="clinical"),
        "sex": Covariate(kind="category", label="sex", modality="clinical"),
        "grade": Covariate(kind="category", label="grade", modality="clinical"),
        "kps": Covariate(kind="number", label="KPS", modality="clinical"),
    }
    for column in table:
        key = str(column)
        if key.startswith("marker_"):
            label = key.removeprefix("marker_").replace("_", " ")
            kinds[key] = Covariate(kind="category", label=label, modality="molecular")
        if key.startswith("first_volume_"):
            region = key.split("_")[2].upper()
            label = f"{region} volume in the first scan"
            kinds[key] = Covariate(kind="number", unit="mL", label=label, modality="imaging")
    usable = {key: kind for key, kind in kinds.items() if key in table and table[key].nunique() > 1}
    if not usable:
        return None
    return CohortFile(
        name=name, file=Path(TABLE), id="patient", only={"status": "done"}, without_outcome="leave out",
        time=TimeColumn(column="followup_months", unit="months", zero="diagnosis"),
        event=EventColumn(column="vital_status", codes={"alive": 0, "dead": 1}, name="death"),
        covariates=usable, source=f"avatars of the run {name}",
    )  # fmt: skip


def omop(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Tables with the columns of the OMOP Common Data Model 5.4.

    Days are since diagnosis, as no date is known; a concept is 0 where the source's words are all there is. A
    person's id follows from the avatar's and is the same in every export. ``origin``, which OMOP does not have,
    says who is no person.
    """
    done = table[table["status"] == "done"]
    done = done.set_index(
        pd.Index([_person_id(avatar) for avatar in done["avatar"]], dtype="int64")
    )
    person = pd.DataFrame({
        "person_id": done.index, "gender_concept_id": [GENDERS.get(sex, 0) for sex in _column(done, "sex")],
        "year_of_birth": None, "person_source_value": done["avatar"].to_numpy(),
        "gender_source_value": _column(done, "sex"), "origin": _column(done, "origin"),
    })  # fmt: skip
    diagnosed = pd.Series(_column(done, "diagnosis"), done.index, dtype=object).dropna()
    condition = pd.DataFrame({
        "condition_occurrence_id": range(1, len(diagnosed) + 1), "person_id": diagnosed.index,
        "condition_concept_id": 0, "condition_start_day": 0, "condition_source_value": diagnosed.to_numpy(),
    })  # fmt: skip
    is_dead = pd.Series(_column(done, "vital_status"), done.index, dtype=object).eq("dead")
    months = pd.Series(_column(done, "followup_months"), done.index, dtype=float)[is_dead]
    death = pd.DataFrame(
        {"person_id": months.index, "death_day": (months * DAYS_PER_MONTH).round(1).to_numpy()}
    )
    units = {"age_years": "years", "kps": "%", "mutations_per_mb": "per megabase"}
    units |= {str(c): "mL" for c in done if str(c).startswith("volume_")}
    measurement = _together(_measured(done, c, unit) for c, unit in units.items() if c in done)
    observation = _together(
        _observed(done, str(c)) for c in done if str(c).startswith("marker_") or c == "grade"
    )
    for frame, key in ((measurement, "measurement_id"), (observation, "observation_id")):
        frame.insert(0, key, range(1, len(frame) + 1))
    return {
        "person": person, "condition_occurrence": condition, "death": death, "measurement": measurement,
        "observation": observation,
    }  # fmt: skip


def _person_id(avatar: str) -> int:
    """Of seven bytes, so that it fits any database's integers."""
    return int.from_bytes(hashlib.sha256(avatar.encode()).digest()[:7])


def _column(table: pd.DataFrame, name: str) -> list[Any]:
    return table[name].tolist() if name in table else [None] * len(table)


def _together(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    known = [part for part in parts if len(part)]
    return pd.concat(known, ignore_index=True) if known else pd.DataFrame()


def _measured(done: pd.DataFrame, column: str, unit: str) -> pd.DataFrame:
    """With the day of the scan where it was measured on one."""
    known, is_known = done[column].dropna(), done[column].notna()
    days = (
        done["scan_day"][is_known].to_numpy(float)
        if column.startswith("volume_")
        else np.full(len(known), np.nan)
    )
    return pd.DataFrame({
        "person_id": known.index, "measurement_concept_id": 0, "measurement_day": days,
        "measurement_source_value": column, "value_as_number": known.to_numpy(), "unit_source_value": unit,
    })  # fmt: skip


def _observed(done: pd.DataFrame, column: str) -> pd.DataFrame:
    known = done[column].dropna()
    return pd.DataFrame({
        "person_id": known.index, "observation_concept_id": 0, "observation_source_value": column,
        "value_as_string": known.to_numpy(),
    })  # fmt: skip


def _manifest(
    run: Path, config: CohortConfig, store: AvatarStore, records: Mapping[str, PatientRecord]
) -> str:
    """What everything was made of, and what each step took."""
    files = [run / TABLE, run / DICTIONARY, *sorted((run / OMOP).glob("*.csv"))]
    told = {
        "config": config.model_dump(mode="json"),
        "inputs": shared_inputs(config, store),
        "versions": versions_of("cancer-avatars", "torch", "openvino", "numpy", "numba", "pandas"),
        "outputs": {str(f.relative_to(run)): sha256_file(f) for f in files if f.exists()},
        "steps": step_table(records).to_dict("records"),
        "patients": [record.model_dump(mode="json") for record in records.values()],
    }
    return json.dumps(told, indent=1, sort_keys=True)


def step_table(records: Mapping[str, PatientRecord]) -> pd.DataFrame:
    """Of each step how often it was computed, seconds and peak memory; in the order of a run."""
    taken = pd.DataFrame(
        [step.model_dump() for record in records.values() for step in record.steps],
        columns=["step", "seconds", "cpu_seconds", "peak_mb"],
    ).astype({"seconds": float, "cpu_seconds": float, "peak_mb": float})
    grouped = taken.groupby("step", sort=False)
    return pd.DataFrame({
        "computed": grouped.size(), "seconds_median": grouped["seconds"].median().round(2),
        "seconds_p95": grouped["seconds"].quantile(0.95).round(2),
        "seconds_all": grouped["seconds"].sum().round(1),
        "cpu_seconds_all": grouped["cpu_seconds"].sum().round(1), "peak_mb": grouped["peak_mb"].max(),
    }).reset_index()  # fmt: skip
