"""Weights that users add once: found by name, trusted by digest."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from data.errors import WeightsError
from data.files import replace_atomically, sha256_file
from data.samples.distribution import cache_dir
from models.segmentation.base import Segmenter
from models.segmentation.ensemble import Ensemble
from models.segmentation.own import GliomaNet
from models.segmentation.registry import SEGMENTERS
from pipelines.bundle import open_bundle

KNOWN_WEIGHTS = {
    "captk_deepmedic_hgg587_fp32.npz": "5538e75875fc70b01c724d43f9ef93a91414ba42a4b2cf56367ef05f72951f7c",
    "msnet_brats17_fp32.npz": "1001d7ff66d3422272f1a302baec40bb9412a1723646cb3635a64c1f38eccd15",
}
WEIGHTS_OF = {
    "msnet": "msnet_brats17_fp32.npz",
    "deepmedic": "captk_deepmedic_hgg587_fp32.npz",
}
"""Segmenters whose weights are not shipped."""
DEFAULT_SHARED = Path(__file__).parents[2] / "shared" / "data"


def shared_dir() -> Path:
    """The folder of material that is used but never shipped: ``AVATAR_SHARED``."""
    return Path(os.environ.get("AVATAR_SHARED", DEFAULT_SHARED))


def add_weights(path: Path) -> Path:
    """Copy a known weights file into the cache.

    Raises:
        WeightsError: no such file, or not one of the files this version knows.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file")
    digest = sha256_file(path)
    for name, expected in KNOWN_WEIGHTS.items():
        if digest == expected:
            target = cache_dir() / "weights" / name
            replace_atomically(target, path.read_bytes())
            return target
    raise WeightsError(
        f"{path}: its sha256 {digest[:12]}... is not that of {', '.join(KNOWN_WEIGHTS)}; the file is "
        "another version or damaged"
    )


def find_weights(name: str) -> Path:
    """A weights file from the cache or the shared folder, checked.

    Raises:
        WeightsError: it is not there, or its digest is wrong.
    """
    for folder in (cache_dir() / "weights", shared_dir() / "weights"):
        path = folder / name
        if path.is_file():
            if sha256_file(path) != KNOWN_WEIGHTS[name]:
                raise WeightsError(f"{path}: is not the known file of that name; add it again")
            return path
    raise WeightsError(
        f"{name} is not on this machine; obtain it and run 'avatar weights add FILE'"
    )


def segmenter_of(kind: str) -> Segmenter:
    """A segmenter with its weights, by its kind or as the folder of one of this project's bundles.

    Raises:
        WeightsError: its weights are not on this machine, or there is none of that kind.
    """
    if Path(kind).is_dir():
        return open_bundle(Path(kind))
    if kind not in SEGMENTERS:
        raise WeightsError(
            f"no segmenter {kind!r}; known: {', '.join(SEGMENTERS)}, or the folder of a bundle"
        )
    if kind == "ensemble":
        return _ensemble()
    added = {"weights": find_weights(WEIGHTS_OF[kind])} if kind in WEIGHTS_OF else {}
    return SEGMENTERS[kind].model_validate(added)


def _ensemble() -> Ensemble:
    """The own network with every other whose weights are on this machine."""
    members: list[Segmenter] = [GliomaNet()]
    for kind in WEIGHTS_OF:
        with suppress(WeightsError):
            members.append(segmenter_of(kind))
    if len(members) == 1:
        raise WeightsError(
            f"an ensemble needs the weights of {' or '.join(WEIGHTS_OF)}; obtain one and run "
            "'avatar weights add FILE'"
        )
    return Ensemble(members=tuple(members))
