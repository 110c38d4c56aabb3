"""Train the project's own glioma network, on synthetic tumors alone.

One process makes heads with tumors, another trains; each sample is used a few times. Same config, same
samples (their order across processes is fixed by index, so a run can be repeated).
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.losses import DiceCELoss
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save_file
from scipy.ndimage import zoom

from data.imaging import Volume
from data.samples.sri24 import load_sri24
from models.phantom.anatomy import Anatomy, vary
from models.phantom.contrast import render
from models.phantom.lesion import grow_lesion, seed_point
from models.segmentation.glioma_net import SEQUENCES, SPACING_MM, build_glioma_net, z_score
from models.segmentation.regions import regions_of

Sample = tuple[NDArray[np.float32], NDArray[np.float32]]


class TrainingConfig(BaseModel):
    """Everything that decides the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    iterations: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    uses_per_sample: int = Field(gt=0, description="how often each synthetic head is trained on")
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    ema_decay: float = Field(gt=0, lt=1)
    crop_voxels: tuple[int, int, int]
    smallest_tumor_ml: float = Field(gt=0)
    largest_tumor_ml: float = Field(gt=0)
    workers: int = Field(gt=0)


def atlas_anatomy() -> Anatomy:
    """SRI24 at the network's spacing, cropped to the head; RAS axes."""
    atlas = load_sri24()
    maps = [_halved(v) for v in (atlas.white, atlas.grey, atlas.csf)]
    inside = np.argwhere(sum(maps) > 0.5)
    low = np.maximum(inside.min(0) - 4, 0)
    high = inside.max(0) + 5
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return Anatomy(maps[0][box], maps[1][box], maps[2][box], (SPACING_MM,) * 3)


def _halved(volume: Volume) -> NDArray[np.float32]:
    return np.asarray(zoom(volume.reoriented("RAS").array, 0.5, order=1), np.float32)


def synthetic_sample(anatomy: Anatomy, config: TrainingConfig, index: int) -> Sample:
    """Sample number ``index``: (2, i, j, k) z-scored images and (3, i, j, k) region masks."""
    rng = np.random.default_rng([config.seed, index])
    volume = np.exp(rng.uniform(np.log(config.smallest_tumor_ml), np.log(config.largest_tumor_ml)))
    push = rng.uniform(0.0, 8.0)
    head = vary(
        anatomy,
        rng,
        push_at=seed_point(anatomy, rng).astype(float),
        push_radius_mm=rng.uniform(15.0, 35.0),
        push_mm=push,
    )
    lesion = grow_lesion(head, seed_point(head, rng), rng, visible_volume_mm3=1000.0 * volume)
    images = render(head, lesion.labels, SEQUENCES, rng)
    scaled = [z_score(images[name], head.brain) for name in SEQUENCES]
    stack = np.stack([*scaled, *regions_of(lesion.labels).astype(np.float32)])
    fitted = _fit(stack, config.crop_voxels)
    return fitted[: len(SEQUENCES)], fitted[len(SEQUENCES) :]


def _fit(stack: NDArray[np.float32], size: tuple[int, int, int]) -> NDArray[np.float32]:
    """Pad with zeros or cut at the end so that each axis has ``size`` voxels."""
    out = np.zeros((stack.shape[0], *size), np.float32)
    i, j, k = (min(a, b) for a, b in zip(stack.shape[1:], size, strict=True))
    out[:, :i, :j, :k] = stack[:, :i, :j, :k]
    return out


_worker: dict[str, Any] = {}


def _start_worker(config: TrainingConfig) -> None:
    _worker.update(anatomy=atlas_anatomy(), config=config)


def _make(index: int) -> Sample:
    return synthetic_sample(_worker["anatomy"], _worker["config"], index)


def train(
    config: TrainingConfig,
    weights_path: Path,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train and write the averaged weights as safetensors beside a JSON of how they were made."""
    torch.manual_seed(config.seed)
    torch.set_num_threads(1)
    net = build_glioma_net()
    average = copy.deepcopy(net)
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.iterations, pct_start=0.05
    )
    loss_of = DiceCELoss(sigmoid=True, batch=True)
    started = time.monotonic()
    rng = np.random.default_rng(config.seed)
    with get_context("spawn").Pool(config.workers, _start_worker, (config,)) as pool:
        batches = _batches(pool.imap(_make, range(10**9)), config, rng)
        for step in range(config.iterations):
            images, masks = next(batches)
            optimizer.zero_grad()
            loss = loss_of(net(images), masks)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            decay = min(config.ema_decay, (1 + step) / (10 + step))
            with torch.no_grad():
                for kept, new in zip(average.parameters(), net.parameters(), strict=True):
                    kept.lerp_(new, 1 - decay)
            on_step(step, float(loss.detach()))
            if step % 100 == 99 or step + 1 == config.iterations:
                _save(average, config, weights_path, step + 1, time.monotonic() - started)
        pool.terminate()


def _batches(
    samples: Iterator[Sample], config: TrainingConfig, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Draw batches from a sliding pool, flipped at random; a sample leaves after its last use."""
    pool: list[tuple[Sample, int]] = []
    while True:
        while len(pool) < 4 * config.batch_size:
            pool.append((next(samples), config.uses_per_sample))
        chosen = []
        for _ in range(config.batch_size):
            at = int(rng.integers(len(pool)))
            (images, masks), left = pool.pop(at)
            chosen.append((images, masks))
            if left > 1:
                pool.append(((images[:, ::-1], masks[:, ::-1]), left - 1))
        yield (
            torch.from_numpy(np.stack([c[0] for c in chosen])),
            torch.from_numpy(np.stack([c[1] for c in chosen])),
        )


def _save(
    net: torch.nn.Module, config: TrainingConfig, path: Path, iterations: int, seconds: float
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, temporary)
    temporary.replace(path)
    facts = {"config": config.model_dump(), "iterations": iterations, "seconds": round(seconds)}
    path.with_suffix(".training.json").write_text(json.dumps(facts, indent=2) + "\n")
