"""Morphs: at either end they are the recordings' own variations."""

import numpy as np
import pytest
import soundfile
import torch

from latentfoley.editing.morph import slerp
from latentfoley.samplers import SAMPLERS
from signals import noise, tone
from weights import normal


@pytest.fixture
def other(tmp_path):
    soundfile.write(tmp_path / "other.wav", 0.3 * noise(0.731, seed=4), 16_000, subtype="FLOAT")
    return tmp_path / "other.wav"


@pytest.mark.parametrize("strength", [0, 0.4, 1])
def test_at_the_start_it_is_a_variation_of_the_first(edit, source, other, strength):
    morph = edit("morph", source, other=other, mix=0, strength=strength)
    own = edit("vary", source, invert=True, strength=strength)
    np.testing.assert_allclose(morph.waveform, own.waveform, atol=1e-5)


def test_at_the_end_it_is_a_variation_of_the_second(edit, source, other):
    morph = edit("morph", source, other=other, mix=1, strength=0.5)
    own = edit("vary", soundfile.read(other, dtype="float32")[0], invert=True, strength=0.5)
    np.testing.assert_allclose(morph.waveform, own.waveform, atol=1e-5)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_as_long_as_the_first(edit, source, tmp_path, sampler):
    soundfile.write(tmp_path / "short.wav", tone(duration_s=0.2), 16_000)
    clip = edit("morph", source, other=tmp_path / "short.wav", sampler=sampler)
    assert clip.waveform.shape == source.shape
    assert np.isfinite(clip.waveform).all()
    assert clip.provenance.edit.other.file == "short.wav"


@pytest.mark.parametrize("mix", [0.0, 0.3, 0.5, 1.0])
def test_between_two_noises_lies_noise(mix):
    first, second = normal(2, 8, 32, 16), normal(2, 8, 32, 16, seed=1)
    between = slerp(first, second, mix)
    assert float(between.std()) == pytest.approx(1, abs=0.03)
    if mix in (0.0, 1.0):
        torch.testing.assert_close(between, second if mix else first)


def test_between_a_latent_and_itself_it_stays():
    z = normal(2, 4, 8, 4)
    torch.testing.assert_close(slerp(z, z, 0.3), z, rtol=1e-4, atol=1e-5)
