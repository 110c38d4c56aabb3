"""Files written so that a crash leaves the old content or the new; texts read whether gzipped or not."""

from __future__ import annotations

import gzip
import hashlib
import os
import platform
import secrets
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

TEMPORARY = ".tmp-"
HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
STALE_SECONDS = 3600.0
"""Age of a temporary file whose writer is not coming back, where its name does not tell."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` to write to, which takes its place once all of it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY}{HOST}-{os.getpid()}-{secrets.token_hex(8)}"
    temporary.touch(exist_ok=False)  # with the rights of any new file, for who shares the folder
    try:
        yield temporary
        _synced(temporary)
        temporary.replace(path)
        _synced(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _synced(path: Path) -> None:
    """Once a file's or a folder's content is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def abandoned(folder: Path, pattern: str = "*") -> list[Path]:
    """Temporary files whose writers are gone.

    Args:
        folder: where they are looked for.
        pattern: of the folders in it: ``.`` is itself, ``**`` all.
    """
    return [path for path in sorted(folder.glob(f"{pattern}/{TEMPORARY}*")) if _is_abandoned(path)]


def _is_abandoned(path: Path) -> bool:
    """Its process is no more, or on another machine it is old."""
    host, _, rest = path.name.removeprefix(TEMPORARY).partition("-")
    pid = rest.partition("-")[0]
    if host == HOST and pid.isdigit():
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
    try:
        return time.time() - path.stat().st_mtime >= STALE_SECONDS
    except FileNotFoundError:  # another process was faster
        return False


def replace_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``: temporary file beside it, fsync, rename."""
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def user_folder() -> Path:
    """This user's configuration: where keys are."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "cancer-avatars"


def private_text(path: Path, make: Callable[[], str]) -> str:
    """A text that only its owner reads; made where there is none yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(made, "w") as file:
            file.write(make())
    return path.read_text().strip()


def is_gzipped(path: Path) -> bool:
    """By a file's first bytes."""
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


UNREADABLE = (OSError, EOFError, UnicodeDecodeError, zlib.error)
"""What reading a text, gzipped or not, raises where it is damaged or none."""


def open_text(path: Path) -> TextIO:
    """A text in UTF-8, with or without a byte order mark, gzipped or not; line ends stay as they are."""
    if is_gzipped(path):
        return cast(TextIO, gzip.open(path, "rt", newline="", encoding="utf-8-sig"))
    return path.open(newline="", encoding="utf-8-sig")


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for chunk in iter(lambda: stream.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()
