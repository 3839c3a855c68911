"""Log-mel → waveform without training, and the phase of a vocoder put right.

    t_k = c_k + α (c_k - c_{k-1}),   c_k = projection of |S| · exp(i ∠ t_{k-1}) onto real STFTs

is the fast Griffin-Lim algorithm (Griffin & Lim 1984; Perraudin et al. 2013, α = 0.99): of all
waveforms it seeks one whose magnitudes are those of the log-mel. Started from random phases it is
the baseline every vocoder is measured against. Started from a vocoder's waveform it mends a small
one, which finds the colour of a sound before its pitch; `ModelConfig.phase_iterations` says how
far. It does not know about models.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentfoley.config import MelConfig
from latentfoley.mel import mel_filters
from latentfoley.notation import LogMel, Waveform

_MOMENTUM = 0.99  # α


def griffin_lim(
    log_mel: LogMel, config: MelConfig, *, iterations: int, start: Waveform | None = None
) -> Waveform:
    """Return a waveform of hop · T samples whose magnitudes are those of `log_mel`.

    Args:
        log_mel: in nats, in the "trainer" framing.
        config: its front end.
        iterations: at least 1; 32 is usual.
        start: waveform of at least hop · T samples whose phases to begin with; None begins with
            phases at random, the same every time.
    """
    n_samples = config.hop_length * log_mel.shape[2]
    target = _magnitude(log_mel, config)
    window = torch.hann_window(config.n_fft, device=log_mel.device)
    length = config.hop_length * (target.shape[-1] - 1)
    before = config.hop_length // 2  # the first frame, one before the clip, is centred there

    def spectrum(waveform: Waveform) -> Tensor:
        return torch.stft(
            waveform, config.n_fft, config.hop_length, window=window, return_complex=True
        )

    def project(phases: Tensor) -> Waveform:
        made = target * phases / phases.abs().clamp(min=1e-8)
        return torch.istft(made, config.n_fft, config.hop_length, window=window, length=length)

    if start is None:
        t = torch.exp(2j * torch.pi * _uniform(target))
    else:
        t = spectrum(F.pad(start[:, :n_samples], (before, length - before - n_samples)))
    consistent = t
    for _ in range(iterations):
        last, consistent = consistent, spectrum(project(t))
        t = consistent + _MOMENTUM * (consistent - last)
    return project(t)[:, before : before + n_samples]


def _magnitude(log_mel: LogMel, config: MelConfig) -> Float[Tensor, "B K T"]:
    """Return the least-norm STFT magnitudes of a log-mel, one frame added at either end."""
    mel = F.pad(log_mel.squeeze(1).exp().transpose(1, 2), (1, 1), mode="replicate")
    inverse = torch.linalg.pinv(mel_filters(config)).to(mel)
    magnitude: Tensor = (inverse @ mel).clamp(min=0)
    return magnitude


def _uniform(like: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(like.shape, generator=generator).to(like)
