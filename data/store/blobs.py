"""Files named by the sha256 of their content: the same content twice is one file, and a change is noticed."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from data.errors import StoreError
from data.files import abandoned, replace_atomically, sha256_file


@dataclass(frozen=True)
class Blobs:
    """All files of one kind.

    Args:
        folder: with a folder for each two first digits.
        suffix: of the files.
        noun: what one is called.
    """

    folder: Path
    suffix: str
    noun: str

    def path(self, sha256: str) -> Path:
        """Where the file of this digest is, or would be."""
        return self.folder / sha256[:2] / f"{sha256}{self.suffix}"

    def put(self, content: bytes) -> str:
        """Keep a content; its digest. One that is there counts as written now, so that no garbage collection
        takes it away before a row names it.

        Raises:
            StoreError: it cannot be written.
        """
        digest = hashlib.sha256(content).hexdigest()
        path = self.path(digest)
        # One that another process removed just now, or that cannot be read, is written again.
        with suppress(OSError):
            if self.holds(digest):
                os.utime(path)
                return digest
        try:
            replace_atomically(path, content)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written ({error.strerror}); make room or choose another store, and run the "
                "same command again: nothing is lost"
            ) from error
        return digest

    def read(self, sha256: str) -> bytes:
        """A content.

        Raises:
            StoreError: the file is gone or no longer what its name says.
        """
        path = self.path(sha256)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise StoreError(
                f"{path}: the {self.noun} is missing from the store; run the study again"
            ) from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise StoreError(
                f"{path}: the file was changed after it was stored; run the study again"
            )
        return content

    def holds(self, sha256: str) -> bool:
        """Whether the file is there and is what its name says."""
        path = self.path(sha256)
        return path.exists() and sha256_file(path) == sha256

    def __iter__(self) -> Iterator[str]:
        """Digests of all files, by their names."""
        for path in sorted(self.folder.glob(f"??/*{self.suffix}")):
            yield path.name.removesuffix(self.suffix)

    def leftovers(self) -> list[Path]:
        """Temporary files of writers that were cut off."""
        return abandoned(self.folder)

    def age(self, sha256: str) -> float:
        """Seconds since a file was written, or was to be once more."""
        try:
            return time.time() - self.path(sha256).stat().st_mtime
        except FileNotFoundError:  # another process removed it just now
            return 0.0
