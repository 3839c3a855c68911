"""Reading rules: each does what its name says, and shows in the samples."""

import dataclasses

import numpy as np
import pytest
import soundfile

from latentfoley.audio import resample
from latentfoley.errors import AudioFileError
from latentfoley.evaluation.features.preprocess import Reading, sinc_resample
from signals import noise, tone


def wav(folder, samples, sample_rate=16_000):
    soundfile.write(folder / "a.wav", samples, sample_rate, subtype="FLOAT")
    return folder / "a.wav"


def test_channels(tmp_path):
    path = wav(tmp_path, np.stack([tone(), np.zeros_like(tone())], axis=1))
    assert Reading(sample_rate=16_000).read(path) == pytest.approx(tone() / 2)
    assert Reading(sample_rate=16_000, channels="first").read(path) == pytest.approx(tone())


def test_level_and_padding(tmp_path):
    path = wav(tmp_path, noise(0.1) + np.float32(0.25))
    samples = Reading(sample_rate=16_000, level="zero-mean", min_samples=2000).read(path)
    assert len(samples) == 2000
    assert samples[:1600].mean() == pytest.approx(0, abs=1e-6)
    assert not samples[1600:].any()


def test_the_rules_are_all_told():
    reading = Reading(sample_rate=16_000)
    assert set(reading.rules) == {field.name for field in dataclasses.fields(Reading)}


def test_nan_is_refused_in_the_first_channel_too(tmp_path):
    path = wav(tmp_path, np.full((100, 2), np.nan, np.float32))
    with pytest.raises(AudioFileError):
        Reading(sample_rate=16_000, channels="first").read(path)


@pytest.mark.parametrize("rates", [(44_100, 16_000), (16_000, 32_000), (48_000, 16_000)])
class TestSinc:
    def test_a_tone_stays_a_tone(self, rates):
        source, target = rates
        out = sinc_resample(tone(440, 0.5, source), source, target)
        assert len(out) == target // 2
        inner = slice(200, -200)
        assert out[inner] == pytest.approx(tone(440, 0.5, target)[inner], abs=2e-3)

    def test_it_is_the_sum_in_its_docstring(self, rates):
        source, target = rates
        x = noise(0.01, source)
        cutoff = 0.99 * min(rates)
        u = np.arange(-(-len(x) * target // source))[:, None] / target - np.arange(len(x)) / source
        places = np.clip(cutoff * u, -6, 6)
        expected = (cutoff / source * np.sinc(places) * np.cos(np.pi * places / 12) ** 2) @ x
        assert sinc_resample(x, source, target) == pytest.approx(expected, abs=1e-6)

    def test_it_is_not_soxr(self, rates):
        sound = noise(0.2, rates[0])
        one, other = sinc_resample(sound, *rates), resample(sound, *rates)
        assert np.abs(one - other[: len(one)]).max() > 1e-3
