"""Distances between paired waveforms: known gains, librosa, and what noise does."""

import librosa
import numpy as np
import pytest

from latentfoley.config import MelConfig
from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.waveform_pairs import lsd_score, mel_score, stft_score
from signals import chirp, noise


def mel(pairs):
    return mel_score(pairs, MelConfig())


def test_ten_times_louder_is_two_decades_of_power():
    pairs = [(noise(0.3, amplitude=0.05), noise(0.3, amplitude=0.5))] * 2
    assert lsd_score(pairs).value == pytest.approx(2.0, abs=1e-4)


def test_lsd_is_librosas():
    made, real = noise(0.3), noise(0.3, seed=1)
    power = [
        np.abs(librosa.stft(x.astype(np.float64), n_fft=2048, hop_length=512, pad_mode="reflect"))
        ** 2
        for x in (made, real)
    ]
    expected = np.sqrt(np.mean(np.log10(power[1] / power[0]) ** 2, axis=0)).mean()
    assert lsd_score([(made, real)] * 2).value == pytest.approx(expected, rel=1e-6)


def test_mel_distance_is_librosas():
    made, real = noise(0.3), 0.5 * noise(0.3, seed=1)

    def log_mel(x):
        padded = np.pad(x, (432, 432), mode="reflect")
        power = librosa.feature.melspectrogram(
            y=padded, sr=16_000, n_fft=1024, hop_length=160, n_mels=64, fmax=8000, power=1,
            center=False,
        )  # fmt: skip
        return np.log(np.maximum(power, 1e-5))

    expected = np.abs(log_mel(made) - log_mel(real)).mean()
    assert mel([(made, real)] * 2).value == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("score", [lsd_score, stft_score, mel])
class TestAll:
    def test_equal_sounds_have_none_and_noise_grows(self, score):
        real = chirp(duration_s=0.3)
        values = [score([(real + a * noise(0.3), real)] * 2).value for a in (0.0, 0.001, 0.01, 0.1)]
        assert values[0] == 0
        assert values == sorted(values)

    def test_silence_is_far_and_finite(self, score):
        real = noise(0.3)
        silent = score([(np.zeros_like(real), real)] * 2).value
        assert np.isfinite(silent)
        assert silent > score([(noise(0.3, seed=1), real)] * 2).value

    def test_a_longer_sound_is_cut(self, score):
        assert score([(noise(0.5), noise(0.5)[:4000])] * 2).value == 0

    def test_a_fragment_is_refused(self, score):
        with pytest.raises(InputError, match="2048"):
            score([(noise(0.1), noise(0.1))] * 2)
