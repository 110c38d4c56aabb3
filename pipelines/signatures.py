"""A user's table of mutational signatures, kept in a store, and its fit to a tumor's spectrum."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data.burden import MutationBurden, SignatureFit
from data.errors import KnowledgeError, VariantError
from data.files import replace_atomically, sha256_file
from data.io.signatures import SignatureTable, read_signatures
from data.store import AvatarStore
from models.genomics.spectrum import CHANNELS, fit
from pipelines.knowledge import FOLDER

DRAWS = 200
"""Of the bootstrap."""


def kept_at(store: AvatarStore) -> Path:
    """Where a store keeps its table; the name in its first line is that of the file it came from."""
    return store.folder / FOLDER / "signatures.txt"


def import_signatures(path: Path, store: AvatarStore) -> SignatureTable:
    """Keep a table for all later runs, in place of an earlier one.

    Raises:
        VariantError: no table of signatures.
        KnowledgeError: the store cannot be written.
    """
    table = read_signatures(path, CHANNELS)
    target = kept_at(store)
    named = f"# {path.name}\n".encode() + path.read_bytes()
    try:
        replace_atomically(target, named)
    except OSError as error:
        raise KnowledgeError(f"{target}: cannot be written ({error.strerror})") from error
    return table


def kept_name(store: AvatarStore) -> str | None:
    """Name of the file that was imported; None where none was."""
    path = kept_at(store)
    if not path.is_file():
        return None
    with path.open() as file:
        return file.readline().removeprefix("# ").strip()


def with_signatures(found: MutationBurden, store: AvatarStore) -> MutationBurden:
    """A burden with the fit of the store's table; as it is without one, or without a spectrum."""
    name = kept_name(store)
    if name is None or not found.spectrum:
        return found
    return found.model_copy(update={"signatures": fitted(found, kept_at(store), name)})


def fitted(found: MutationBurden, path: Path, name: str | None = None) -> SignatureFit:
    """Signatures of a table fitted to a spectrum.

    Args:
        found: with a spectrum.
        path: of the table.
        name: to be told by; the file's own where it is not given.

    Raises:
        VariantError: no table, or no spectrum to fit it to.
    """
    if not found.spectrum:
        raise VariantError(
            f"{path.name}: there is no spectrum to fit it to: the bases beside the variants are not known; "
            "give a MAF with CONTEXT, or variants.reference in study.yaml, and run the study again"
        )
    table = read_signatures(path, CHANNELS)
    done = fit(np.array(found.spectrum), table.values, table.names, draws=DRAWS)
    return done.model_copy(update={"table": name or path.name, "sha256": sha256_file(path)})
