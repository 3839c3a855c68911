"""Distances between waveforms by their spectra: the vocoder's losses, and honest figures."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentfoley.config import MelConfig
from latentfoley.mel import log_mel
from latentfoley.notation import Waveform

# FFT sizes of Yamamoto et al. 2020 (Parallel WaveGAN, table 1), halved for 16 kHz; hop a quarter.
RESOLUTIONS = (256, 512, 1024)


def stft_distance(real: Waveform, made: Waveform) -> Float[Tensor, ""]:
    """Return the multi-resolution STFT distance (Yamamoto et al. 2020, eqs. 4-6).

    The mean over three resolutions of the spectral convergence ‖|S| - |Ŝ|‖ / ‖S‖ plus the mean
    absolute difference of ln |S|; 0 for equal sounds, about 1 to 2 for a fair vocoder.
    """
    terms = [_distance(_magnitude(real, n), _magnitude(made, n)) for n in RESOLUTIONS]
    return torch.stack(terms).mean()


def mel_distance(real: Waveform, made: Waveform, mel: MelConfig) -> Float[Tensor, ""]:
    """Return the mean absolute difference of the log-mels, in nats."""
    return F.l1_loss(log_mel(made, mel), log_mel(real, mel))


def _magnitude(waveform: Waveform, n_fft: int) -> Float[Tensor, "B K T"]:
    window = torch.hann_window(n_fft, device=waveform.device)
    spectrum = torch.stft(waveform, n_fft, n_fft // 4, window=window, return_complex=True)
    # The floor keeps the gradient of |S| finite at zero, and silence from dominating the logarithm.
    return spectrum.abs().clamp(min=1e-3)


def _distance(real: Tensor, made: Tensor) -> Float[Tensor, ""]:
    convergence = (real - made).flatten(1).norm(dim=1) / real.flatten(1).norm(dim=1)
    out: Tensor = convergence.mean() + (real.log() - made.log()).abs().mean()
    return out
