"""Generated loops: a circle has no end, and what is done on it knows of none."""

import dataclasses

import numpy as np
import pytest
import torch

from latentfoley.circle import LoopedGeneration, circular, cut_open, roll_up
from latentfoley.cli.info import command
from latentfoley.config import ModelConfig
from latentfoley.pipeline import Model
from latentfoley.request import GenerationRequest
from latentfoley.samplers import SAMPLERS
from seams import assert_seamless
from weights import normal


@pytest.mark.parametrize("n_frames", [1, 3, 16, 63])
@pytest.mark.parametrize("margin", [0, 1, 8, 32])
def test_rolling_up_undoes_cutting_open(n_frames, margin):
    x = normal(2, 3, n_frames, 4)
    torch.testing.assert_close(roll_up(cut_open(x, margin), n_frames, margin), x)


@pytest.mark.parametrize("shift", [1, 5, 20])
def test_a_local_denoiser_does_not_know_where_the_circle_was_cut(shift):
    """What sees less than the margin gives the rolled answer to the rolled question, exactly."""

    def blur(z, n):
        kernel = torch.ones(z.shape[1], 1, 7, 1) / 7
        return torch.nn.functional.conv2d(z, kernel, padding=(3, 0), groups=z.shape[1])

    z, n = normal(1, 2, 40, 4), torch.tensor([500])
    eps_hat = circular(blur, margin=8)
    torch.testing.assert_close(eps_hat(z.roll(shift, 2), n), eps_hat(z, n).roll(shift, 2))


@pytest.mark.parametrize("n_samples", [1600, 16_000, 16_001, 23_999])
def test_a_tone_that_fits_the_circle_still_fits_it(n_samples):
    request = GenerationRequest.build("rain", loop=True)
    mode = LoopedGeneration.of(request, n_samples, ModelConfig())
    unit, n_latents = mode.samples_per_latent, -(-n_samples // mode.samples_per_latent)
    opened = torch.arange(-mode.margin * unit, (n_latents + mode.margin) * unit)
    tone = 0.5 * torch.sin(2 * torch.pi * 5 * opened / (n_latents * unit))
    expected = 0.5 * np.sin(2 * np.pi * 5 * np.arange(n_samples) / n_samples)
    np.testing.assert_allclose(mode.finish(tone.numpy()), expected, atol=1e-4)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("duration_s", [0.1, 1.03])
def test_the_seam_is_no_larger_a_step_than_inner_ones(micro_model, sampler, duration_s):
    (clip,) = micro_model.generate(
        "rain", duration_s=duration_s, loop=True, sampler=sampler, steps=3
    )
    assert clip.waveform.shape == (round(duration_s * 16_000),)
    assert np.abs(clip.waveform).max() > 1e-3
    assert_seamless(clip.waveform)


@pytest.mark.parametrize("duration_s", [1.0, 2.5])
def test_longer_than_a_window(micro_model, duration_s):
    model = dataclasses.replace(micro_model, window_s=0.64)
    (clip,) = model.generate("rain", duration_s=duration_s, loop=True, steps=2)
    assert len(clip.waveform) == duration_s * 16_000
    assert_seamless(clip.waveform)


def test_a_loop_does_not_depend_on_its_batch(micro_model, monkeypatch):
    options = {"duration_s": 0.5, "loop": True, "steps": 2, "n": 2, "sampler": "dpm++sde"}
    alone = micro_model.generate("rain", **options)
    monkeypatch.setattr(Model, "batch_size", 2)
    for one, other in zip(alone, micro_model.generate("rain", **options), strict=True):
        np.testing.assert_allclose(one.waveform, other.waveform, rtol=0, atol=1e-4)


def test_its_record_says_that_it_loops(micro_model):
    (clip,) = micro_model.generate("rain", duration_s=0.2, loop=True, steps=2)
    assert clip.provenance.loop
    assert " --loop " in command(clip.provenance)
    (line,) = micro_model.generate("rain", duration_s=0.2, steps=2)
    assert "--loop" not in command(line.provenance)
    assert not clip.provenance.same_sound(line.provenance)
