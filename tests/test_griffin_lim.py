"""Griffin-Lim: its waveform has the log-mel it was given, and starts where it is told to."""

import librosa
import numpy as np
import pytest
import torch

from latentfoley.config import MelConfig
from latentfoley.griffin_lim import griffin_lim
from latentfoley.mel import log_mel, mel_filters
from signals import noise, tone

MEL = MelConfig()


def mel_of(waveform: np.ndarray) -> torch.Tensor:
    return log_mel(torch.from_numpy(waveform)[None], MEL)


def distance(waveform: torch.Tensor, X: torch.Tensor) -> float:
    """Mean difference in nats where the sound is within 26 dB of its loudest."""
    audible = X.max() - 7 < X
    return float((log_mel(waveform, MEL) - X).abs()[audible].mean())


def test_the_waveform_has_the_log_mel_it_came_from():
    X = mel_of(noise(1.0)[:16_000])
    assert distance(griffin_lim(X, MEL, iterations=32), X) < 0.3


@pytest.mark.parametrize("frequency_hz", [220.0, 440.0, 2000.0])
def test_a_tone_keeps_its_band_or_the_next(frequency_hz):
    X = mel_of(tone(frequency_hz, 1.0)[:16_000])
    made = log_mel(griffin_lim(X, MEL, iterations=16), MEL)
    inner = slice(10, -10)
    # Between two bands, phases may lean the peak to the neighbour.
    apart = made[0, 0, inner].argmax(dim=1) - X[0, 0, inner].argmax(dim=1)
    assert apart.abs().max() <= 1


def test_more_iterations_come_nearer():
    X = mel_of(noise(1.0)[:16_000])
    few, many = (distance(griffin_lim(X, MEL, iterations=k), X) for k in (1, 32))
    assert many < few


def test_the_true_waveform_is_nearly_a_fixed_point():
    """Started from the truth it keeps the truth's phases: the waves stay correlated in time."""
    sound = tone(440.0, 1.0)[:16_000]
    X = mel_of(sound)
    made = griffin_lim(X, MEL, iterations=4, start=torch.from_numpy(sound)[None])[0].numpy()
    inner = slice(1600, -1600)
    assert np.corrcoef(made[inner], sound[inner])[0, 1] > 0.95


def test_length_is_hop_times_frames_and_the_same_every_time():
    X = mel_of(noise(0.5)[:8_000])
    first, second = (griffin_lim(X, MEL, iterations=2) for _ in range(2))
    assert first.shape == (1, 8_000)
    assert torch.equal(first, second)


def test_it_comes_as_near_as_librosa():
    X = mel_of(noise(1.0)[:16_000])
    magnitude = torch.linalg.pinv(mel_filters(MEL))
    spectrum = (magnitude @ X[0, 0].exp().T).clamp(min=0).numpy()
    theirs = librosa.griffinlim(
        spectrum, n_iter=32, hop_length=160, win_length=1024, n_fft=1024, random_state=0
    )
    padded = np.pad(theirs, (80, 80))[:16_000].astype(np.float32)
    ours = distance(griffin_lim(X, MEL, iterations=32), X)
    assert ours < distance(torch.from_numpy(padded)[None], X) + 0.05
