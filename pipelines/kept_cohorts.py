"""Cohorts that a store keeps: for patients like this one, and for the research page."""

from __future__ import annotations

import io
from pathlib import Path

import yaml

from data.cohort import Cohort
from data.errors import CohortError
from data.files import replace_atomically
from data.io.cohort import CohortFile, EventColumn, TimeColumn, read_cohort

FOLDER = "cohorts"
"""In a store: a table and its data dictionary for each."""
ID, TIME, EVENT = "patient", "time", "event"


def keep_cohort(store: Path, name: str, cohort: Cohort, told: CohortFile) -> Path:
    """Write a cohort's patients and their outcomes to the store; they stay there.

    Raises:
        CohortError: the store cannot be written.
    """
    folder = store / FOLDER
    taken = sorted({ID, TIME, EVENT} & set(cohort.covariates))
    if taken:
        raise CohortError(f"{cohort.name}: the covariate {taken[0]!r} needs another name")
    table = cohort.covariates.assign(
        **{ID: cohort.ids.astype(str), TIME: cohort.time, EVENT: cohort.event}
    )
    content = io.BytesIO()
    table.to_parquet(content, index=False)
    levels = {
        str(c): tuple(map(str, values.cat.categories))
        for c, values in cohort.covariates.items()
        if told.covariates[str(c)].kind == "category"
    }
    dictionary = told.model_copy(
        update={
            "name": cohort.name, "file": Path(f"{name}.parquet"), "id": ID,
            "time": TimeColumn(column=TIME, unit=cohort.unit, zero=told.time.zero),
            "event": EventColumn(column=EVENT, codes={"0": 0, "1": 1, "2": 2}, name=told.event.name),
            "only": {}, "leave_out": (), "without_outcome": "refuse",
            "covariates": {
                key: kind.model_copy(
                    update={"column": "", "constant": "", "codes": {}, "levels": levels.get(key, ())}
                )
                for key, kind in told.covariates.items()
            },
        }
    )  # fmt: skip
    path = folder / f"{name}.yaml"
    words = yaml.safe_dump(
        dictionary.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True
    )  # fmt: skip
    try:
        replace_atomically(folder / dictionary.file, content.getvalue())
        replace_atomically(path, words.encode())
    except OSError as error:
        raise CohortError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def kept_names(store: Path) -> list[str]:
    """Of the cohorts in a store."""
    return sorted(path.stem for path in (store / FOLDER).glob("*.yaml"))


def kept_at(store: Path, name: str) -> int:
    """When a cohort was written last, nanoseconds since the epoch; 0 where the store keeps none of the name."""
    files = (store / FOLDER).glob(f"{name}.*")
    return max((path.stat().st_mtime_ns for path in files), default=0)


def kept_cohort(store: Path, name: str) -> tuple[Cohort, CohortFile]:
    """A cohort of the store.

    Raises:
        CohortError: there is none of that name, or it is damaged.
    """
    path = store / FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(kept_names(store)) or "none"
        raise CohortError(f"{store}: keeps no cohort {name!r} (there are {known})")
    return read_cohort(path)
