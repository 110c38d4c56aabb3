"""MONAI bundles: the project's own is accepted, with retrained weights too; a foreign one is refused.

A bundle's config is code: ``$`` expressions and ``_target_`` names run with the rights of whoever loads
it. Here no config is ever parsed. Its bytes must be those that ship with the project, and of the weights
only safetensors are read, into a network that this project builds.
"""

from __future__ import annotations

from pathlib import Path

from data.errors import WeightsError
from data.files import sha256_file
from models.segmentation.own import BUNDLE, WEIGHTS, GliomaNet

CODE_SUFFIXES = frozenset({".py", ".pt", ".pth", ".ts", ".pkl", ".ckpt"})
"""Files that are code, or unpickle to code, when loaded."""


def open_bundle(folder: Path) -> GliomaNet:
    """The segmenter in a bundle of this project.

    Raises:
        WeightsError: another config than the project's, files that could run code, or no weights.
    """
    for own in sorted((BUNDLE / "configs").iterdir()):
        theirs = folder / "configs" / own.name
        if not theirs.is_file():
            raise WeightsError(
                f"{folder}: is no bundle of this project, it has no configs/{own.name}"
            )
        if sha256_file(theirs) != sha256_file(own):
            raise WeightsError(
                f"{theirs}: is not the config of this project's bundle. A bundle's config is code that "
                "would run with your rights, so a foreign one is not loaded; convert its weights to "
                f"safetensors and put them into a copy of {BUNDLE}"
            )
    for path in sorted(folder.rglob("*")):
        known = path.parent == folder / "configs" and (BUNDLE / "configs" / path.name).is_file()
        in_configs = path.parent.name in ("configs", "scripts")
        if path.is_file() and not known and (in_configs or path.suffix in CODE_SUFFIXES):
            raise WeightsError(f"{path}: can run code when it is loaded; a bundle here has none")
    weights = folder / "models" / WEIGHTS.name
    if not weights.is_file():
        raise WeightsError(f"{folder}: has no models/{WEIGHTS.name}")
    return GliomaNet(weights=weights)
