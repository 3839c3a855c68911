"""Distances between paired waveforms, for super-resolution, inpainting and reconstruction.

Log-spectral distance here; the multi-resolution STFT distance is the one that the vocoder is
trained with. Pairs are cut to the shorter sound; both at the same sample rate.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float32

from latentfoley.config import MelConfig
from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.score import Bootstrap, Score, mean_score
from latentfoley.spectral import mel_distance, stft_distance

Samples = Float32[np.ndarray, "N"]
Pairs = Sequence[tuple[Samples, Samples]]

_LSD_FLOOR = 1e-12  # of the power: digital silence is -120 dB
_MIN_SAMPLES = 2048  # one frame of the widest spectrum


def lsd_score(
    pairs: Pairs, *, n_fft: int = 2048, hop_length: int = 512, bootstrap: Bootstrap | None = None
) -> Score:
    """Return the mean `log_spectral_distance` of (generated, reference) pairs.

    Whole sounds are compared: `audioldm_eval` drops 1,120 samples of the generated one, which fits
    its own vocoder only.
    """
    distances = [
        log_spectral_distance(*_cut(pair), n_fft=n_fft, hop_length=hop_length) for pair in pairs
    ]
    return mean_score(
        "LSD",
        np.array(distances),
        better="lower",
        unit="decades of power",
        caveat=f"STFT of {n_fft} samples, hop {hop_length}. Depends on gain and on a shift of a "
        "few milliseconds; silence in one of a pair dominates.",
        bootstrap=bootstrap,
    )


def stft_score(pairs: Pairs, *, bootstrap: Bootstrap | None = None) -> Score:
    """Return the mean multi-resolution STFT distance (`training/spectral.py`) of pairs."""
    distances = [float(stft_distance(real, made)) for made, real in map(_tensors, pairs)]
    return mean_score(
        "multi-resolution STFT",
        np.array(distances),
        better="lower",
        caveat="The vocoder is trained on this distance; it flatters one that is.",
        bootstrap=bootstrap,
    )


def mel_score(pairs: Pairs, mel: MelConfig, *, bootstrap: Bootstrap | None = None) -> Score:
    """Return the mean absolute difference of the log-mels of pairs, in nats."""
    distances = [float(mel_distance(real, made, mel)) for made, real in map(_tensors, pairs)]
    return mean_score(
        "log-mel distance",
        np.array(distances),
        better="lower",
        unit="nats",
        caveat="The vocoder is trained on this distance; it flatters one that is.",
        bootstrap=bootstrap,
    )


def _cut(pair: tuple[Samples, Samples]) -> tuple[Samples, Samples]:
    made, real = pair
    n_samples = min(len(made), len(real))
    if n_samples < _MIN_SAMPLES:
        raise InputError(
            f"a pair of {len(made)} and {len(real)} samples; allowed: {_MIN_SAMPLES} or more"
        )
    return made[:n_samples], real[:n_samples]


def _tensors(pair: tuple[Samples, Samples]) -> tuple[torch.Tensor, torch.Tensor]:
    made, real = _cut(pair)
    return torch.from_numpy(made.copy())[None], torch.from_numpy(real.copy())[None]


def log_spectral_distance(
    made: Samples,
    real: Samples,
    *,
    n_fft: int = 2048,
    hop_length: int = 512,
    frequencies: Bool[torch.Tensor, "K"] | None = None,
) -> float:
    """Return the log-spectral distance of two sounds of equal length, in decades of power.

        LSD = mean_t √( mean_f ( log₁₀ |S_ref|² - log₁₀ |S_gen|² )² )           [Gray & Markel 1976]

    A gain of 10 is 2.

    Args:
        made, real: at the same rate, n_fft samples or longer.
        n_fft, hop_length: of the spectra, in samples.
        frequencies: which of the n_fft/2 + 1 are compared; None compares all.
    """
    difference = _log_power(real, n_fft, hop_length) - _log_power(made, n_fft, hop_length)
    chosen = difference if frequencies is None else difference[frequencies]  # (K, T)
    return float(chosen.square().mean(dim=0).sqrt().mean())


def _log_power(waveform: Samples, n_fft: int, hop_length: int) -> torch.Tensor:
    samples = torch.from_numpy(waveform.astype(np.float64))
    window = torch.hann_window(n_fft, dtype=torch.float64)
    spectrum = torch.stft(samples, n_fft, hop_length, window=window, return_complex=True)
    return spectrum.abs().square().clamp(min=_LSD_FLOOR).log10()  # (K, T)
