"""Train one of the project's own networks, in stages, resumable at any step.

One process trains while others make the samples. Samples come in chunks; a chunk is shuffled and
shown several times, then thrown away. What step ``n`` sees follows from the config alone, so a run
that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.losses import DiceCELoss
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from data.errors import StudyError, WeightsError
from data.files import replace_atomically, sha256_file
from models.segmentation.base import Segmenter
from models.segmentation.glioma_net import build_glioma_net
from models.segmentation.sarcoma_net import build_sarcoma_net
from pipelines.cases import Case
from pipelines.glioma_samples import GliomaSamples, GliomaSource, patient_of
from pipelines.samples import Sample, Source
from pipelines.sarcoma_samples import SarcomaSamples, SarcomaSource, sarcoma_patient_of

CHECKPOINT_EVERY = 100
WARM_UP = 0.05
"""Share of the iterations over which the learning rate rises; then it falls along a cosine."""
NETWORKS: dict[str, Callable[[], torch.nn.Module]] = {
    "glioma": build_glioma_net,
    "sarcoma": build_sarcoma_net,
}
"""Untrained, by the kind of their samples."""


class TrainingConfig(BaseModel):
    """Everything that decides the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    iterations: int = Field(gt=0)
    samples_per_step: int = Field(gt=0)
    sources_per_chunk: int = Field(gt=0, description="heads or patients that are drawn at once")
    uses_per_sample: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    ema_decay: float = Field(gt=0, lt=1)
    workers: int = Field(gt=0)
    samples: GliomaSamples | SarcomaSamples = Field(discriminator="kind")

    @property
    def steps_per_chunk(self) -> int:
        """Steps that one chunk lasts."""
        shown = self.sources_per_chunk * self.samples.views * self.uses_per_sample
        return max(1, shown // self.samples_per_step)

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        done = step / self.iterations
        if done < WARM_UP:
            return self.learning_rate * (done / WARM_UP + 1e-3)
        turned = math.pi * (done - WARM_UP) / (1 - WARM_UP)
        return self.learning_rate * (0.5 * (1 + math.cos(turned)) + 1e-3)


class Run:
    """A training run in memory: network, its running average and the optimizer, and where it is."""

    def __init__(self, config: TrainingConfig, taught_from: Sequence[str] = ()) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.taught_from = taught_from
        self.started_from: dict[str, Any] | None = None
        self.net = NETWORKS[config.samples.kind]().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.net)
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.loss_of = DiceCELoss(sigmoid=True)
        self.step = 0
        self.seconds = 0.0

    def learn(self, samples: list[Sample]) -> float:
        """One step on a few samples, one at a time since they differ in size; returns the loss."""
        self.optimizer.param_groups[0]["lr"] = self.config.rate(self.step)
        loss, norm = self._gradients(samples, mixed=True)
        if not math.isfinite(norm):
            loss, norm = self._gradients(samples, mixed=False)
        if not math.isfinite(norm):
            raise WeightsError(
                f"step {self.step}: the gradient is not finite; lower learning_rate and start again"
            )
        self.optimizer.step()
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.net.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        self.step += 1
        return loss

    def _gradients(self, samples: list[Sample], *, mixed: bool) -> tuple[float, float]:
        """Loss and norm of the gradients, which are left clipped at the parameters.

        In bfloat16 (``mixed``) oneDNN's weight gradients of a few voxels may take up what happens to lie
        in memory, NaN included; elsewhere it is multiplied by zero.
        """
        self.optimizer.zero_grad()
        total = 0.0
        for sample in samples:
            images = torch.from_numpy(sample.images)[None]
            images = images.contiguous(memory_format=torch.channels_last_3d)
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                logits = self.net(images)
            loss = self.loss_of(logits.float(), torch.from_numpy(sample.regions)[None])
            (loss / len(samples)).backward()
            total += float(loss.detach()) / len(samples)
        return total, float(torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0))

    def start_from(self, weights: Path) -> None:
        """Take the weights of an earlier stage.

        Raises:
            WeightsError: they are another network's, or no weights.
        """
        try:
            for net in (self.net, self.average):
                net.load_state_dict(load_file(weights))
        except (RuntimeError, SafetensorError) as error:
            first = str(error).splitlines()[0]
            raise WeightsError(
                f"{weights}: these weights do not fit the network ({first}); start from others"
            ) from error
        self.know_start(weights)

    def know_start(self, weights: Path) -> None:
        """Remember how the weights of the earlier stage were made, where that is recorded."""
        record = weights.with_suffix(".training.json")
        try:
            known = json.loads(record.read_text()) if record.is_file() else {}
        except ValueError as error:
            raise WeightsError(f"{record}: is damaged ({error}); move it away to go on") from error
        self.started_from = {"sha256": sha256_file(weights), **known}

    def save(self, path: Path) -> None:
        """Write everything that is needed to go on."""
        tensors = {f"net.{k}": v for k, v in self.net.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for n, state in enumerate(self.optimizer.state_dict()["state"].values()):
            tensors |= {f"optimizer.{n}.{k}": torch.as_tensor(v) for k, v in state.items()}
        facts = {
            "step": str(self.step),
            "seconds": str(self.seconds),
            "config": _digest(self.config),
        }
        _replace(path, {k: v.contiguous() for k, v in tensors.items()}, facts)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            WeightsError: it belongs to another config, or is damaged.
        """
        try:
            with safe_open(path, "pt") as opened:
                facts = opened.metadata()
            if facts["config"] != _digest(self.config):
                raise WeightsError(
                    f"{path}: was made with another config; move it away to start again"
                )
            tensors = load_file(path)
        except (SafetensorError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{path}: is damaged ({error}); move it away to start again"
            ) from error
        for name, net in (("net", self.net), ("average", self.average)):
            net.load_state_dict(_under(tensors, name))
        whole = self.optimizer.state_dict()
        count = len(whole["param_groups"][0]["params"])
        whole["state"] = {n: _under(tensors, f"optimizer.{n}") for n in range(count)}
        self.optimizer.load_state_dict(whole)
        self.step, self.seconds = int(facts["step"]), float(facts["seconds"])


def _under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {
        k.removeprefix(f"{prefix}."): v for k, v in tensors.items() if k.startswith(f"{prefix}.")
    }


def _digest(config: TrainingConfig) -> str:
    return config.model_dump_json(exclude={"workers"})


def _replace(path: Path, tensors: dict[str, torch.Tensor], facts: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary, facts)
    temporary.replace(path)


_worker: dict[str, Source] = {}


def _start_worker(source: Source) -> None:
    torch.set_num_threads(1)
    _worker["source"] = source


def _make(index: int) -> list[Sample]:
    return _worker["source"](index)


def source_of(
    config: TrainingConfig,
    cases: Sequence[Case] = (),
    *,
    teacher: Callable[[], Segmenter] | None = None,
    track: Callable[[Sequence[Case]], Iterable[Case]] = lambda cases: cases,
) -> Source:
    """What a training's samples come from.

    Args:
        config: of the training.
        cases: real ones to be taught from.
        teacher: gives the network that draws the glioma cases which have no reference.
        track: told of the cases as they are read in, to show how far that is.

    Raises:
        StudyError: the config wants cases and there are none.
        ImageError: a case lacks what it takes.
    """
    samples = config.samples
    if isinstance(samples, SarcomaSamples):
        if not cases:
            raise StudyError(
                "the sarcoma network is taught by cases (--cases), and none were given"
            )
        return SarcomaSource(samples, config.seed, [sarcoma_patient_of(c) for c in track(cases)])
    if samples.taught_share > 0 and not cases:
        raise StudyError("this training is taught by cases (taught_share), and none were given")
    silent = any(case.reference is None for case in cases)
    master = teacher() if silent and teacher is not None else None
    return GliomaSource(samples, config.seed, [patient_of(c, master) for c in track(cases)])


def train(
    config: TrainingConfig,
    weights_path: Path,
    source: Source,
    *,
    taught_from: Sequence[str] = (),
    start_from: Path | None = None,
    stop_after_seconds: float | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> bool:
    """Train, or go on training, and write the averaged weights as safetensors.

    A checkpoint lies beside the weights (``.checkpoint.safetensors``) until the run is complete.

    Args:
        config: what to do.
        weights_path: the result; beside it a JSON of how it was made.
        source: of its samples; see ``source_of``.
        taught_from: names of the real cases among them.
        start_from: weights to begin with, where the run is new.
        stop_after_seconds: stop cleanly once this much time has passed; call again to go on.
        on_step: told the step and its loss.

    Returns:
        Whether the run is complete.

    Raises:
        WeightsError: the checkpoint that lies there belongs to another config or is damaged, or weights to
            begin with are.
    """
    torch.set_num_threads(1)
    run = Run(config, taught_from)
    checkpoint = weights_path.with_suffix(".checkpoint.safetensors")
    if checkpoint.is_file():
        run.resume(checkpoint)
        if start_from is not None:
            run.know_start(start_from)
    elif start_from is not None:
        run.start_from(start_from)
    if run.step >= config.iterations:  # it was killed between the last step and its end
        _write_weights(run, weights_path)
        checkpoint.unlink()
        return True
    started, before = time.monotonic(), run.seconds
    with get_context("spawn").Pool(config.workers, _start_worker, (source,)) as pool:
        for chosen in _steps(pool, config, run.step):
            loss = run.learn(chosen)
            passed = time.monotonic() - started
            run.seconds = before + passed
            on_step(run.step, loss)
            complete = run.step == config.iterations
            stopping = stop_after_seconds is not None and passed > stop_after_seconds
            if complete or stopping or run.step % CHECKPOINT_EVERY == 0:
                run.save(checkpoint)
                _write_weights(run, weights_path)
            if complete or stopping:
                break
        pool.terminate()
    if complete:
        checkpoint.unlink()
    return complete


def _steps(pool: Pool, config: TrainingConfig, step: int) -> Iterator[list[Sample]]:
    """The samples of every step from ``step`` on; the next chunk is made while one is used."""
    chunk = step // config.steps_per_chunk
    pending = _ask(pool, config, chunk)
    while True:
        made, pending = pending.get(), _ask(pool, config, chunk + 1)
        samples = [view for views in made for view in views]
        rng = np.random.default_rng([config.seed, chunk, 1])
        order = np.concatenate(
            [rng.permutation(len(samples)) for _ in range(config.uses_per_sample)]
        )
        flips = rng.random(len(order)) < 0.5
        for n in range(step % config.steps_per_chunk, config.steps_per_chunk):
            at = range(n * config.samples_per_step, (n + 1) * config.samples_per_step)
            yield [_mirrored(samples[order[i]], bool(flips[i])) for i in at]
        chunk, step = chunk + 1, 0


def _ask(pool: Pool, config: TrainingConfig, chunk: int) -> Any:
    first = chunk * config.sources_per_chunk
    return pool.map_async(_make, range(first, first + config.sources_per_chunk), chunksize=1)


def _mirrored(sample: Sample, flip: bool) -> Sample:
    if not flip:
        return sample
    return Sample(sample.images[:, ::-1].copy(), sample.regions[:, ::-1].copy())


def _write_weights(run: Run, path: Path) -> None:
    """Half precision is enough for weights and half the size; arithmetic is in single."""
    weights = {k: v.half().contiguous() for k, v in run.average.state_dict().items()}
    _replace(path, weights, {})
    facts = {
        "config": run.config.model_dump(),
        "taught_from": list(run.taught_from),
        "started_from": run.started_from,
        "iterations": run.step,
        "seconds": round(run.seconds),
    }
    told = json.dumps(facts, indent=2) + "\n"
    replace_atomically(path.with_suffix(".training.json"), told.encode())
