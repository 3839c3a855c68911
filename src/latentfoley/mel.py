"""Waveform → log-mel spectrogram, the picture of sound that the VAE compresses.

    X = ln(max(M · |STFT(x)|, 10⁻⁵))

with a periodic Hann window, the magnitude (not the power) of the STFT and a Slaney-normalised mel
filter bank M (Slaney 1998, Auditory Toolbox). Values are in nats: digital silence is
ln 10⁻⁵ = -11.5129. There is no further normalisation.

Reading path: `audio.py` gives the waveform, `vae.py` takes the log-mel.
It does not know about files, sample rates other than the configured one, or levels.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor

from latentfoley.config import MelConfig
from latentfoley.errors import InputError
from latentfoley.notation import LogMel, Waveform

FLOOR = 1e-5
SILENCE = math.log(FLOOR)  # -11.5129 nats: the log-mel of digital silence

# The Slaney scale: linear below 1 kHz (3 mel per 200 Hz), logarithmic above (27 steps per 6.4×).
_LINEAR_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_LOG_STEP = math.log(6.4) / 27


def log_mel(waveform: Waveform, config: MelConfig) -> LogMel:
    """Return the log-mel spectrogram of a batch of waveforms.

    Args:
        waveform: samples in [-1, 1] at `config.sample_rate`, at least one hop long.
        config: the front end; `framing="trainer"` gives N // hop frames, frame i centred on sample
            hop·i + hop/2; `framing="inference"` gives N // hop + 1, centred on hop·i.

    Returns:
        Log-mel in nats, from -11.5129 (silence) upwards.

    Raises:
        InputError: the waveform is shorter than one hop.

    Example:
        >>> log_mel(torch.zeros(2, 16000), MelConfig()).shape
        torch.Size([2, 1, 100, 64])
    """
    if waveform.shape[-1] < config.hop_length:
        raise InputError(
            f"a log-mel needs at least {config.hop_length} samples (one hop), "
            f"got {waveform.shape[-1]}"
        )
    mel = mel_filters(config).to(waveform) @ magnitude(waveform, config)  # (B, F, T)
    return mel.clamp(min=FLOOR).log().transpose(1, 2).unsqueeze(1)  # (B, 1, T, F)


def magnitude(waveform: Waveform, config: MelConfig) -> Float[Tensor, "B K T"]:
    """Return |STFT| of a batch, K = n_fft/2 + 1 frequencies by T frames, framed as configured."""
    return _spectrum(waveform, config).abs()


def power(waveform: Waveform, config: MelConfig) -> Float[Tensor, "B K T"]:
    """Return |STFT|², in a third of the time that the square of `magnitude` takes."""
    spectrum = _spectrum(waveform, config)
    return spectrum.real.square() + spectrum.imag.square()


def _spectrum(waveform: Waveform, config: MelConfig) -> Complex[Tensor, "B K T"]:
    window = torch.hann_window(config.n_fft, dtype=waveform.dtype, device=waveform.device)
    return torch.stft(
        _pad(waveform, config),
        config.n_fft,
        config.hop_length,
        window=window,
        center=False,
        return_complex=True,
    )


def _pad(waveform: Waveform, config: MelConfig) -> Waveform:
    """Mirror both ends so that frames fall where `config.framing` says."""
    both = config.n_fft - (config.hop_length if config.framing == "trainer" else 0)
    left, right = both // 2, both - both // 2
    # Mirroring needs more samples than it adds; a shorter clip stands in silence instead.
    mode = "reflect" if waveform.shape[-1] > right else "constant"
    return F.pad(waveform.unsqueeze(1), (left, right), mode=mode).squeeze(1)


@lru_cache(maxsize=8)
def mel_filters(config: MelConfig) -> Float[Tensor, "F K"]:
    """Return the filter bank: triangles on the Slaney mel scale, each of unit area in Hz."""
    low, high = _hz_to_mel(config.f_min_hz), _hz_to_mel(config.f_max_hz)
    edges = torch.linspace(low, high, config.n_mels + 2, dtype=torch.float64)
    edges_hz = _mel_to_hz(edges)
    bins_hz = torch.linspace(0, config.sample_rate / 2, config.n_fft // 2 + 1, dtype=torch.float64)
    rising = (bins_hz - edges_hz[:-2, None]) / (edges_hz[1:-1] - edges_hz[:-2])[:, None]
    falling = (edges_hz[2:, None] - bins_hz) / (edges_hz[2:] - edges_hz[1:-1])[:, None]
    triangles = torch.minimum(rising, falling).clamp(min=0)
    area = 2 / (edges_hz[2:] - edges_hz[:-2])
    return (triangles * area[:, None]).float()


def _hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return _BREAK_HZ / _LINEAR_HZ_PER_MEL + math.log(hz / _BREAK_HZ) / _LOG_STEP


def band_of(hz: float, config: MelConfig) -> float:
    """Return where a frequency lies among the bands: k is the middle of band k, from 0."""
    low, high = _hz_to_mel(config.f_min_hz), _hz_to_mel(config.f_max_hz)
    return (_hz_to_mel(hz) - low) / (high - low) * (config.n_mels + 1) - 1


def _mel_to_hz(mel: Float[Tensor, "M"]) -> Float[Tensor, "M"]:
    break_mel = _BREAK_HZ / _LINEAR_HZ_PER_MEL
    logarithmic = _BREAK_HZ * torch.exp(_LOG_STEP * (mel - break_mel))
    return torch.where(mel < break_mel, mel * _LINEAR_HZ_PER_MEL, logarithmic)
