"""Where a result came from: enough to get the same bytes again."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Source(BaseModel):
    """One input file: what it served as, its name and its content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str = Field(description="e.g. t1c, mask, variants, record")
    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Provenance(BaseModel):
    """How one part of an avatar was made. No clock: the same inputs give the same record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    method: str
    sources: tuple[Source, ...] = ()
    settings: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    note: str = ""


def versions_of(*packages: str) -> dict[str, str]:
    """Installed versions, by distribution name."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def digest_of(value: Any) -> str:
    """sha256 of a JSON value in its canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
