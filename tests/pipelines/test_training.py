from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file

from data.errors import StudyError, WeightsError
from models.phantom.anatomy import Anatomy
from models.phantom.patient import Patient
from models.segmentation.glioma_net import DIVISOR, REQUIRED, SEQUENCES
from pipelines import glioma_samples, training
from pipelines.glioma_samples import (
    CLOSE_VOXELS,
    GliomaSamples,
    GliomaSource,
    Heads,
    heads_of,
    shown_sequences,
    synthetic_samples,
    taught_samples,
)
from pipelines.training import TrainingConfig, source_of, train

CONFIGS = Path(__file__).parents[2] / "configs"


def config(**changes) -> TrainingConfig:
    given = yaml.safe_load((CONFIGS / "train_glioma_net.yaml").read_text())
    given["samples"] |= {"smallest_tumor_ml": 3.0, "largest_tumor_ml": 20.0, "close_share": 0.0}
    given |= {"iterations": 4, "sources_per_chunk": 1, "uses_per_sample": 2}
    return TrainingConfig.model_validate(given | changes)


def source() -> GliomaSource:
    return GliomaSource(config().samples, config().seed)


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("t*_net.yaml")))
def test_the_shipped_configs_are_valid_and_their_rate_rises_and_falls(name):
    settings = TrainingConfig.model_validate(yaml.safe_load((CONFIGS / name).read_text()))
    rates = [settings.rate(step) for step in range(settings.iterations)]
    top = int(np.argmax(rates))
    assert 0 < top < 0.1 * settings.iterations
    assert rates[-1] < 0.01 * rates[top] + 1e-5


@pytest.fixture
def small_heads():
    """A head of 48 x 56 x 48 voxels of 2 mm, and the same on voxels of 1 mm, in place of the atlas."""
    shape = (48, 56, 48)
    grid = np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2
    radius = np.sqrt(((grid / 22.0) ** 2).sum(0))
    maps = [
        (m).astype(np.float32)
        for m in (radius < 0.8, (radius >= 0.8) & (radius < 0.9), (radius >= 0.9) & (radius < 1))
    ]
    fine = [np.repeat(np.repeat(np.repeat(m, 2, 0), 2, 1), 2, 2) for m in maps]
    return Heads(Anatomy(*maps, (2.0, 2.0, 2.0)), Anatomy(*fine, (1.0, 1.0, 1.0)))


@pytest.mark.parametrize("close", [False, True])
def test_a_sample_is_the_same_for_its_number_and_fits_the_network(small_heads, close):
    settings = config().samples.model_copy(update={"close_share": float(close)})
    one, again, other = (synthetic_samples(small_heads, settings, 1, n)[0] for n in (4, 4, 5))
    assert np.array_equal(one.images, again.images)
    assert not np.array_equal(one.images.sum(), other.images.sum())
    assert one.images.shape[0] == len(SEQUENCES)
    assert all(n % DIVISOR == 0 for n in one.images.shape[1:])
    assert one.regions.shape[1:] == one.images.shape[1:]
    assert one.regions[0].sum() >= one.regions[1].sum() >= one.regions[2].sum()


def test_a_close_up_is_scaled_as_if_the_rest_of_the_brain_were_there(small_heads):
    settings = config().samples.model_copy(update={"close_share": 1.0, "pair_share": 0.0})
    samples = [synthetic_samples(small_heads, settings, 1, n)[0] for n in range(3)]
    sides = np.array([s.images.shape[1:] for s in samples])
    assert (sides <= CLOSE_VOXELS[1] + DIVISOR).all()
    for sample in samples:
        healthy = (sample.images[0] != 0) & (sample.regions[0] < 0.5)
        assert abs(float(sample.images[0][healthy].mean())) < 0.5


def test_a_patient_is_seen_on_coarse_and_on_fine_voxels(small_heads):
    head = small_heads.close
    ball = (head.white > 0.5).astype(np.float32)
    images = {name: head.white + 0.5 * head.grey for name in SEQUENCES}
    patient = Patient(images, np.stack([ball] * 3), head, head.brain)
    patients = heads_of([patient])
    assert patients.whole[0].brain.shape == small_heads.whole.shape
    assert patients.whole[0].anatomy.spacing_mm == (2.0, 2.0, 2.0)
    assert np.allclose(patients.whole[0].regions[0], small_heads.whole.white)
    settings = config().samples.model_copy(update={"close_share": 0.5})
    for index in range(4):
        for sample in taught_samples(patients, settings, 1, index):
            assert all(n % DIVISOR == 0 for n in sample.images.shape[1:])
            assert sample.regions[0].sum() > 0


def test_required_sequences_are_always_shown_and_the_others_sometimes():
    rng = np.random.default_rng(0)
    shown = np.array([shown_sequences(config().samples, rng) for _ in range(400)])
    assert shown[:, : len(REQUIRED)].all()
    pair_only = (~shown[:, len(REQUIRED) :]).all(axis=1).mean()
    assert 0.4 < pair_only < 0.65


@pytest.mark.slow
def test_a_training_that_was_stopped_ends_with_the_weights_of_one_that_was_not(
    tmp_path, small_heads, monkeypatch
):
    monkeypatch.setattr(training, "get_context", lambda kind: _InProcess())
    monkeypatch.setattr(glioma_samples, "atlas_heads", lambda: small_heads)
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    assert train(config(), whole, source())
    calls = 0
    while not train(config(), parts, source(), stop_after_seconds=0.0):
        calls += 1
    assert calls == config().iterations - 1
    one, two = load_file(whole), load_file(parts)
    assert all((one[k] - two[k]).abs().max() < 1e-5 for k in one)
    assert not list(tmp_path.glob("*.checkpoint.*"))


@pytest.mark.slow
def test_a_checkpoint_of_another_config_is_refused(tmp_path, small_heads, monkeypatch):
    monkeypatch.setattr(training, "get_context", lambda kind: _InProcess())
    monkeypatch.setattr(glioma_samples, "atlas_heads", lambda: small_heads)
    path = tmp_path / "net.safetensors"
    assert not train(config(), path, source(), stop_after_seconds=0.0)
    with pytest.raises(WeightsError, match="another config"):
        train(config(seed=1), path, source())
    checkpoint = path.with_suffix(".checkpoint.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-9])
    with pytest.raises(WeightsError, match=r"net\.checkpoint\.safetensors: is damaged"):
        train(config(), path, source())
    (tmp_path / "README.md").write_text("no weights")
    with pytest.raises(WeightsError, match=r"README\.md: these weights do not fit"):
        train(config(), tmp_path / "new.safetensors", source(), start_from=tmp_path / "README.md")


@pytest.mark.slow
def test_a_training_that_was_killed_after_its_last_step_is_complete(
    tmp_path, small_heads, monkeypatch
):
    monkeypatch.setattr(training, "get_context", lambda kind: _InProcess())
    monkeypatch.setattr(glioma_samples, "atlas_heads", lambda: small_heads)
    path = tmp_path / "net.safetensors"

    def killed(self, **_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(path), "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            train(config(), path, source())
    made, steps = load_file(path), []
    assert train(config(), path, source(), on_step=lambda step, loss: steps.append(step))
    assert steps == []
    assert all((made[k] == v).all() for k, v in load_file(path).items())
    assert not list(tmp_path.glob("*.checkpoint.*"))


@pytest.mark.parametrize("name", ["teach_glioma_net.yaml", "train_sarcoma_net.yaml"])
def test_a_taught_training_without_cases_is_refused(name):
    settings = TrainingConfig.model_validate(yaml.safe_load((CONFIGS / name).read_text()))
    with pytest.raises(StudyError, match="none were given"):
        source_of(settings)


def test_about_the_share_asked_for_is_taught():
    settings = GliomaSamples(**(config().samples.model_dump() | {"taught_share": 0.6}))
    taught = [glioma_samples.is_taught(settings, 1, n) for n in range(400)]
    assert 0.5 < np.mean(taught) < 0.7


class _InProcess:
    """The part of a multiprocessing context that training uses, without processes."""

    def Pool(self, workers, start, arguments):
        start(*arguments)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def terminate(self):
        return None

    def map_async(self, make, indices, chunksize):
        made = [make(n) for n in indices]

        class Made:
            def get(self):
                return made

        return Made()
