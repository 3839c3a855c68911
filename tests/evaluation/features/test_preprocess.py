"""Rules of preprocessing: each does what its name says, and shows in the samples."""

import dataclasses

import numpy as np
import pytest
import soundfile

from latentfoley.errors import AudioFileError
from latentfoley.evaluation.features.preprocess import AudioPreprocessing
from signals import noise, tone


def wav(folder, samples, sample_rate=16_000):
    soundfile.write(folder / "a.wav", samples, sample_rate, subtype="FLOAT")
    return folder / "a.wav"


def test_channels(tmp_path):
    path = wav(tmp_path, np.stack([tone(), np.zeros_like(tone())], axis=1))
    assert AudioPreprocessing(sample_rate=16_000).read(path) == pytest.approx(tone() / 2)
    assert AudioPreprocessing(sample_rate=16_000, channels="first").read(path) == pytest.approx(
        tone()
    )


def test_level_and_padding(tmp_path):
    path = wav(tmp_path, noise(0.1) + np.float32(0.25))
    samples = AudioPreprocessing(sample_rate=16_000, level="zero-mean", min_samples=2000).read(path)
    assert len(samples) == 2000
    assert samples[:1600].mean() == pytest.approx(0, abs=1e-6)
    assert not samples[1600:].any()


def test_the_rules_are_all_told():
    rules = AudioPreprocessing(sample_rate=16_000)
    assert set(rules.rules) == {field.name for field in dataclasses.fields(AudioPreprocessing)}


def test_nan_is_refused_in_the_first_channel_too(tmp_path):
    path = wav(tmp_path, np.full((100, 2), np.nan, np.float32))
    with pytest.raises(AudioFileError):
        AudioPreprocessing(sample_rate=16_000, channels="first").read(path)
