"""Training of HiFi-GAN on four recordings."""

import math

import pytest
import torch

from latentfoley.checkpoints.layout import read_vocoder
from latentfoley.mel import log_mel
from latentfoley.spectral_vocoder import SpectralVocoder
from latentfoley.training.loop import train
from latentfoley.training.vocoder import VocoderRecipe, VocoderTask
from micro import VOCODER
from tasks import (
    assert_close_weights,
    assert_finite,
    assert_same_weights,
    assert_validates_alike,
    in_parts_and_whole,
    run_recipe,
    unbroken_and_resumed,
)

CPU = torch.device("cpu")


@pytest.fixture
def recipe(recordings, tmp_path):
    """A recipe for the micro model; keywords change it."""

    def recipe(folder="run", run=None, **changes):
        values = {
            "run": run_recipe(tmp_path / folder, **(run or {})),
            "data": {"manifest": recordings, "folder": recordings.parent},
            "model": VOCODER.model_dump(),
            "segment_frames": 8,
            "discriminator_channels": 4,
        }
        return VocoderRecipe.parse(values | changes, where="test")

    return recipe


def make(recipe):
    return VocoderTask(recipe, CPU)


def test_the_adversaries_join_when_they_are_told_to(recipe):
    task = make(recipe(adversarial_start=1))
    assert set(task.step(0)) == {"mel", "stft", "gradient_norm"}
    losses = task.step(1)
    assert set(losses) == {
        "mel",
        "stft",
        "discriminator",
        "adversarial",
        "features",
        "gradient_norm",
    }
    assert all(math.isfinite(value) for value in losses.values())


def test_it_goes_on_from_a_trained_one(recipe, micro_model_folder):
    trained = read_vocoder(micro_model_folder / "vocoder").state_dict()
    task = make(recipe(start=micro_model_folder))
    assert all(torch.equal(w, trained[key]) for key, w in task.vocoder.state_dict().items())


def test_the_sound_improves(recipe):
    task = make(recipe(adversarial_start=10**6, stft_weight=1.0))
    for group in task.optimizers["vocoder"].param_groups:
        group["lr"] = 2e-3
    losses = [task.step(0)["mel"] for _ in range(25)]  # the same batch every time
    assert losses[-1] < 0.7 * losses[0]


def test_it_hears_its_own_segments(recipe):
    task = make(recipe())
    ((real, X),) = task._micro_batches(0)
    assert real.shape == (2, 8 * 160)
    torch.testing.assert_close(X, log_mel(real, task.recipe.mel))


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_half_of_a_batch_may_come_from_a_vae(recipe, micro_model_folder, batch_size):
    task = make(recipe(vae=micro_model_folder, run={"batch_size": batch_size}))
    ((real, X),) = task._micro_batches(0)
    heard = log_mel(real, task.recipe.mel)
    changed = [not torch.equal(x, y) for x, y in zip(X, heard, strict=True)]
    half = batch_size // 2
    assert changed == [True] * half + [False] * (batch_size - half)
    assert not X.requires_grad
    assert "vae" not in task.modules
    assert math.isfinite(task.step(0)["mel"])


def test_it_resumes_bit_for_bit(recipe):
    assert_same_weights(*unbroken_and_resumed(make, recipe))


def test_a_spectral_one_is_trained_alike(recipe):
    sizes = {"kind": "spectral", "width": 16, "hidden": 32, "n_blocks": 2}
    task = make(recipe(model=sizes, run={"steps": 2}, adversarial_start=1))
    train(task, task.recipe.run)
    vocoder = read_vocoder(task.recipe.run.folder / "model" / "vocoder")
    assert isinstance(vocoder, SpectralVocoder)
    X = log_mel(torch.from_numpy(task.clips[0].waveform[:3200])[None], task.recipe.mel)
    with torch.no_grad():
        torch.testing.assert_close(vocoder(X), task.vocoder(X))


def test_parts_make_the_steps_of_the_whole(recipe):
    assert_close_weights(*in_parts_and_whole(make, recipe))


def test_held_out_losses_are_the_same_every_time(recipe):
    assert_validates_alike(make(recipe()))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_finite(recipe, precision, monkeypatch):
    monkeypatch.setattr("latentfoley.training.optimisation.has_bf16", lambda device: True)
    assert_finite(make(recipe(run={"precision": precision})))


def test_what_is_exported_makes_the_same_sound(recipe):
    task = make(recipe(run={"steps": 1}))
    train(task, task.recipe.run)
    vocoder = read_vocoder(task.recipe.run.folder / "model" / "vocoder")
    X = log_mel(torch.from_numpy(task.clips[0].waveform[:3200])[None], task.recipe.mel)
    with torch.no_grad():
        torch.testing.assert_close(vocoder(X), task.vocoder(X))


def test_previews_are_sounds_and_a_picture(recipe, tmp_path):
    make(recipe()).preview(tmp_path / "previews", 7)
    names = sorted(path.name for path in (tmp_path / "previews").iterdir())
    assert names == ["0000007-real-0.wav", "0000007-resynthesised-0.wav", "0000007.png"]
