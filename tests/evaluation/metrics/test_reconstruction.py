"""Pairs of the same sound: known gains, librosa, torchmetrics, and what noise does."""

import math

import librosa
import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from latentfoley.config import MelConfig
from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.reconstruction import (
    PSNR_CEILING_DB,
    lsd_score,
    mel_score,
    psnr_score,
    ssim,
    ssim_score,
    stft_score,
)
from signals import chirp, noise


def mel(pairs):
    return mel_score(pairs, MelConfig())


def test_ten_times_louder_is_two_decades_of_power():
    pairs = [(noise(0.3, amplitude=0.05), noise(0.3, amplitude=0.5))] * 2
    assert lsd_score(pairs).value == pytest.approx(2.0, abs=1e-4)


def test_lsd_is_librosas():
    generated, reference = noise(0.3), noise(0.3, seed=1)
    power = [
        np.abs(librosa.stft(x.astype(np.float64), n_fft=2048, hop_length=512, pad_mode="reflect"))
        ** 2
        for x in (generated, reference)
    ]
    expected = np.sqrt(np.mean(np.log10(power[1] / power[0]) ** 2, axis=0)).mean()
    assert lsd_score([(generated, reference)] * 2).value == pytest.approx(expected, rel=1e-6)


def test_mel_distance_is_librosas():
    generated, reference = noise(0.3), 0.5 * noise(0.3, seed=1)

    def log_mel(x):
        padded = np.pad(x, (432, 432), mode="reflect")
        power = librosa.feature.melspectrogram(
            y=padded, sr=16_000, n_fft=1024, hop_length=160, n_mels=64, fmax=8000, power=1,
            center=False,
        )  # fmt: skip
        return np.log(np.maximum(power, 1e-5))

    expected = np.abs(log_mel(generated) - log_mel(reference)).mean()
    assert mel([(generated, reference)] * 2).value == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("score", [lsd_score, stft_score, mel])
class TestAll:
    def test_equal_sounds_have_none_and_noise_grows(self, score):
        reference = chirp(duration_s=0.3)
        values = [
            score([(reference + a * noise(0.3), reference)] * 2).value
            for a in (0.0, 0.001, 0.01, 0.1)
        ]
        assert values[0] == 0
        assert values == sorted(values)

    def test_silence_is_far_and_finite(self, score):
        reference = noise(0.3)
        silent = score([(np.zeros_like(reference), reference)] * 2).value
        assert np.isfinite(silent)
        assert silent > score([(noise(0.3, seed=1), reference)] * 2).value

    def test_a_longer_sound_is_cut(self, score):
        assert score([(noise(0.5), noise(0.5)[:4000])] * 2).value == 0

    def test_a_fragment_is_refused(self, score):
        with pytest.raises(InputError, match="2048"):
            score([(noise(0.1), noise(0.1))] * 2)


def random_mel(seed=0, n_frames=40):
    """A log-mel in nats between -60 and 0 dB."""
    generator = torch.Generator().manual_seed(seed)
    return -torch.rand(n_frames, 64, generator=generator) * 60 * math.log(10) / 20


def test_psnr_of_a_known_gain():
    quieter = random_mel() - 10 * math.log(10) / 20  # 10 dB everywhere: 0.1 of the range, MSE 0.01
    assert psnr_score([(quieter, random_mel())] * 2).value == pytest.approx(20.0, abs=1e-4)


def test_pairs_without_a_difference_are_counted():
    score = psnr_score([(random_mel(), random_mel()), (random_mel(1), random_mel())])
    assert score.n == 2
    assert score.per_clip[0] == PSNR_CEILING_DB


def test_ssim_is_torchmetrics():
    generated, reference = (torch.rand(1, 1, 50, 64, dtype=torch.float64) for _ in range(2))
    _, windows = structural_similarity_index_measure(
        generated, reference, data_range=1.0, sigma=1.5, return_full_image=True
    )
    expected = windows[0, 0, 5:-5, 5:-5].mean()  # it mirrors the edges; ours stays inside
    assert ssim(generated[0, 0], reference[0, 0]) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("score", [psnr_score, ssim_score])
def test_noise_lowers_it(score):
    values = [
        score([(random_mel() + a * random_mel(1), random_mel())] * 2).value
        for a in (0.0, 0.05, 0.3)
    ]
    assert values == sorted(values, reverse=True)
    assert np.isfinite(values).all()


@pytest.mark.parametrize("score", [psnr_score, ssim_score])
def test_a_fragment_is_refused(score):
    with pytest.raises(InputError, match="11 frames"):
        score([(random_mel(n_frames=10), random_mel(n_frames=10))] * 2)
