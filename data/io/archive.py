"""Zip and tar files from elsewhere, unpacked without harm: no path leads out, no bomb fills the disk."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from data.errors import ImageError

MOST_FILES = 100_000
MOST_BYTES = 20 * 2**30
"""Of all files together; a study has about 1 GiB."""
MOST_RATIO = 200
"""Unpacked to packed: images reach 10."""
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
CHUNK = 2**20


def is_archive(path: Path) -> bool:
    """Whether a file is unpacked by its name."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def unpack(path: Path, folder: Path) -> dict[Path, str]:
    """All files of an archive, numbered, flat in an empty folder: a name in an archive decides nothing.

    Returns:
        Each file that was written, and what it is called in the archive.

    Raises:
        ImageError: damaged, encrypted, more than the limits, or with a path that leads out of it.
    """
    members = _zipped(path) if path.name.lower().endswith(".zip") else _tarred(path)
    total, packed = 0, max(1, path.stat().st_size)
    names: dict[Path, str] = {}
    try:
        for number, (name, stream) in enumerate(members, 1):
            if number > MOST_FILES:
                raise ImageError(
                    f"{path}: more than {MOST_FILES} files; unpack it and pick a folder"
                )
            target = folder / f"{number:06d}.dcm"
            names[target] = f"{path}: {name}"
            with stream, target.open("wb") as out:
                while chunk := stream.read(CHUNK):
                    total += len(chunk)
                    if total > min(MOST_BYTES, MOST_RATIO * packed + CHUNK):
                        raise ImageError(
                            f"{path}: comes to more than {total / 2**20:.0f} MiB out of "
                            f"{packed / 2**20:.1f}; it looks made to fill the disk, and is not unpacked"
                        )
                    out.write(chunk)
    except (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError) as error:
        raise ImageError(f"{path}: the archive is damaged ({error}); copy it again") from error
    except RuntimeError as error:  # zipfile's: a password, a method it does not know
        raise ImageError(f"{path}: cannot be unpacked ({error}); unpack it yourself") from error
    return names


def _zipped(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            _require_inside(path, member.filename)
            if not member.is_dir():
                yield member.filename, archive.open(member)


def _tarred(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(path) as archive:
        for member in archive:
            _require_inside(path, member.name)
            if member.issym() or member.islnk():
                raise ImageError(f"{path}: {member.name} is a link; an archive of images has none")
            stream = archive.extractfile(member) if member.isfile() else None
            if stream is not None:
                yield member.name, stream


def _require_inside(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in name.split("/")[0]:
        raise ImageError(f"{path}: {name!r} leads out of the archive; it is not unpacked")
