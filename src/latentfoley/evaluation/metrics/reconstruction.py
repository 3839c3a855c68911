"""Pairs that are meant to be the same sound: distances of waveforms, PSNR and SSIM of log-mels.

The multi-resolution STFT distance is the one that the vocoder is trained with. Waveforms are cut to
the shorter one; both are at the same sample rate. PSNR and SSIM see log-mels as pictures from -80
to +20 dB:

    picture = clip( (20 log₁₀ mel + 80) / 100, 0, 1 )      [the range is that of audioldm_eval]
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Float64
from torch import Tensor

from latentfoley.config import MelConfig
from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.score import Bootstrap, Score, mean_score
from latentfoley.spectral import mel_distance, stft_distance

Samples = Float32[np.ndarray, "N"]
Pairs = Sequence[tuple[Samples, Samples]]
Picture = Float64[Tensor, "T F"]
MelPairs = Sequence[tuple[Float[Tensor, "T F"], Float[Tensor, "T F"]]]

_LSD_FLOOR = 1e-12  # of the power: digital silence is -120 dB
_MIN_SAMPLES = 2048  # one frame of the widest spectrum

PSNR_CEILING_DB = 100.0  # of a pair without a difference, whose PSNR is infinite
_DB_PER_NAT = 20 / np.log(10)
_RANGE_DB, _LOWEST_DB = 100.0, -80.0

# The constants of Wang et al. 2004 for pictures in [0, 1].
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


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
    """Return the mean multi-resolution STFT distance (`spectral.py`) of pairs."""
    distances = [
        float(stft_distance(reference, generated)) for generated, reference in map(_tensors, pairs)
    ]
    return mean_score(
        "multi-resolution STFT",
        np.array(distances),
        better="lower",
        caveat="The vocoder is trained on this distance; it flatters one that is.",
        bootstrap=bootstrap,
    )


def mel_score(pairs: Pairs, mel: MelConfig, *, bootstrap: Bootstrap | None = None) -> Score:
    """Return the mean absolute difference of the log-mels of pairs, in nats."""
    distances = [
        float(mel_distance(reference, generated, mel))
        for generated, reference in map(_tensors, pairs)
    ]
    return mean_score(
        "log-mel distance",
        np.array(distances),
        better="lower",
        unit="nats",
        caveat="The vocoder is trained on this distance; it flatters one that is.",
        bootstrap=bootstrap,
    )


def _cut(pair: tuple[Samples, Samples]) -> tuple[Samples, Samples]:
    generated, reference = pair
    n_samples = min(len(generated), len(reference))
    if n_samples < _MIN_SAMPLES:
        raise InputError(
            f"a pair of {len(generated)} and {len(reference)} samples; allowed: {_MIN_SAMPLES} or "
            "more"
        )
    return generated[:n_samples], reference[:n_samples]


def _tensors(pair: tuple[Samples, Samples]) -> tuple[torch.Tensor, torch.Tensor]:
    generated, reference = _cut(pair)
    return torch.from_numpy(generated.copy())[None], torch.from_numpy(reference.copy())[None]


def log_spectral_distance(
    generated: Samples,
    reference: Samples,
    *,
    n_fft: int = 2048,
    hop_length: int = 512,
    frequencies: Bool[torch.Tensor, "K"] | None = None,
) -> float:
    """Return the log-spectral distance of two sounds of equal length, in decades of power.

        LSD = mean_t √( mean_f ( log₁₀ |S_ref|² - log₁₀ |S_gen|² )² )           [Gray & Markel 1976]

    A gain of 10 is 2.

    Args:
        generated, reference: at the same rate, n_fft samples or longer.
        n_fft, hop_length: of the spectra, in samples.
        frequencies: which of the n_fft/2 + 1 are compared; None compares all.
    """
    difference = _log_power(reference, n_fft, hop_length) - _log_power(generated, n_fft, hop_length)
    chosen = difference if frequencies is None else difference[frequencies]  # (K, T)
    return float(chosen.square().mean(dim=0).sqrt().mean())


def _log_power(waveform: Samples, n_fft: int, hop_length: int) -> torch.Tensor:
    samples = torch.from_numpy(waveform.astype(np.float64))
    window = torch.hann_window(n_fft, dtype=torch.float64)
    spectrum = torch.stft(samples, n_fft, hop_length, window=window, return_complex=True)
    return spectrum.abs().square().clamp(min=_LSD_FLOOR).log10()  # (K, T)


def psnr_score(pairs: MelPairs, *, bootstrap: Bootstrap | None = None) -> Score:
    """Return the mean of 10 log₁₀ (1 / MSE) over (generated, reference) log-mels in nats.

    A pair without a difference counts as 100 dB, and is not left out.
    """
    return mean_score(
        "PSNR",
        np.array([psnr(*pictures(pair)) for pair in pairs]),
        better="higher",
        unit="dB",
        caveat=f"On mel pictures; identical pairs count as {PSNR_CEILING_DB:g} dB.",
        bootstrap=bootstrap,
    )


def ssim_score(pairs: MelPairs, *, bootstrap: Bootstrap | None = None) -> Score:
    """Return the mean structural similarity of log-mels in nats, from -1 to 1.

    Gaussian window of 11, σ = 1.5, range 1 [Wang et al. 2004], over windows that lie inside.
    """
    return mean_score(
        "SSIM",
        np.array([ssim(*pictures(pair)) for pair in pairs]),
        better="higher",
        caveat="On mel pictures; Gaussian window. scikit-image's default is a flat window of 7 "
        "and a range per pair: other numbers.",
        bootstrap=bootstrap,
    )


def ssim(generated: Picture, reference: Picture) -> float:
    """Return the structural similarity of two pictures in [0, 1]."""
    x, y = _blur(generated), _blur(reference)
    var_x, var_y = _blur(generated * generated) - x * x, _blur(reference * reference) - y * y
    cov = _blur(generated * reference) - x * y
    likeness = (2 * x * y + _C1) * (2 * cov + _C2)
    return float((likeness / ((x * x + y * y + _C1) * (var_x + var_y + _C2))).mean())


def psnr(generated: Picture, reference: Picture) -> float:
    """Return 10 log₁₀ (1 / MSE) of two pictures in [0, 1], at most 100 dB."""
    error = float((generated - reference).square().mean())
    return PSNR_CEILING_DB if error == 0 else min(PSNR_CEILING_DB, -10 * float(np.log10(error)))


def pictures(pair: tuple[Float[Tensor, "T F"], Float[Tensor, "T F"]]) -> tuple[Picture, Picture]:
    """Return two log-mels in nats as pictures in [0, 1]; the longer is cut.

    Raises:
        InputError: fewer than 11 frames, or unlike numbers of bands.
    """
    n_frames = min(len(pair[0]), len(pair[1]))
    if n_frames < _WINDOW or pair[0].shape[1:] != pair[1].shape[1:]:
        shapes = " and ".join(str(tuple(mel.shape)) for mel in pair)
        raise InputError(f"log-mels of {shapes}; allowed: {_WINDOW} frames or more, equal bands")
    generated, reference = (
        ((mel[:n_frames].double() * _DB_PER_NAT - _LOWEST_DB) / _RANGE_DB).clamp(0, 1)
        for mel in pair
    )
    return generated, reference


def _blur(picture: Picture) -> Picture:
    taps = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    window = torch.exp(-taps.square() / (2 * _SIGMA**2))
    kernel = torch.outer(window, window) / window.sum().square()
    return F.conv2d(picture[None, None], kernel[None, None])[0, 0]
