"""Log-mel → waveform by one inverse STFT: a vocoder that works at the rate of the frames.

ConvNeXt blocks (Liu et al. 2022) over the frames, then for each frame the magnitude and the phase
of a short spectrum, and the inverse STFT of those (Vocos: Siuzdak 2023, arXiv 2306.00814; iSTFTNet:
Kaneko et al. 2022). No layer runs at the rate of the samples, so it trains and runs several times
as fast as HiFi-GAN, which stays the vocoder of the published sizes.

    ln |S_k| = (envelope of the log-mel)_k + (W_m h)_k,   ∠ S_k = (W_p h)_k

The envelope starts as the interpolation of the mel bands, so that training starts from the right
colour. diffusers has no such class: it does not load a folder that holds one.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentfoley.config import MelConfig, SpectralVocoderConfig, VocoderConfig
from latentfoley.mel import mel_filters
from latentfoley.notation import LogMel, Waveform
from latentfoley.vocoder import Vocoder

Frames = Float[Tensor, "B T C"]
_KERNEL = 7
_LOUDEST = 7.0  # ln |S|: above what a full-scale sine has


class SpectralVocoder(nn.Module):
    """The generator. Sizes come from the config."""

    def __init__(self, config: SpectralVocoderConfig) -> None:
        super().__init__()
        self.config = config
        n_bins = config.n_fft // 2 + 1
        self.conv_in = nn.Conv1d(config.n_mels, config.width, _KERNEL, padding=_KERNEL // 2)
        self.norm_in = nn.LayerNorm(config.width)
        self.blocks = nn.ModuleList(ConvNextBlock(config) for _ in range(config.n_blocks))
        self.norm_out = nn.LayerNorm(config.width)
        self.magnitude = nn.Linear(config.width, n_bins)
        self.phase = nn.Linear(config.width, n_bins)
        self.envelope = nn.Linear(config.n_mels, n_bins)
        with torch.no_grad():
            self.envelope.weight.copy_(interpolation(config))
            self.envelope.bias.fill_(math.log(config.sample_rate / config.n_fft))
            self.magnitude.weight.mul_(0.1)

    def forward(self, log_mel: LogMel) -> Waveform:
        """Return the waveform: hop · T samples, mostly in (-1, 1)."""
        X = log_mel.squeeze(1)  # (B, T, F)
        h = self.norm_in(self.conv_in(X.transpose(1, 2)).transpose(1, 2))  # (B, T, C)
        for block in self.blocks:
            h = block(h)
        h = self.norm_out(h)
        magnitude = (self.envelope(X) + self.magnitude(h)).float().clamp(max=_LOUDEST).exp()
        spectra = torch.polar(magnitude, self.phase(h).float())  # (B, T, K)
        return overlap_add(torch.fft.irfft(spectra, n=self.config.n_fft), self.config.hop_length)

    @property
    def reach(self) -> int:
        """How many frames to either side a sample depends on at most."""
        of_frame = math.ceil(self.config.n_fft / self.config.hop_length / 2)
        return (self.config.n_blocks + 1) * (_KERNEL // 2) + of_frame


class ConvNextBlock(nn.Module):
    """Each channel's surroundings in time, then all channels of each frame, beside a shortcut."""

    def __init__(self, config: SpectralVocoderConfig) -> None:
        super().__init__()
        width = config.width
        self.conv = nn.Conv1d(width, width, _KERNEL, padding=_KERNEL // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, config.hidden)
        self.project = nn.Linear(config.hidden, width)
        self.scale = nn.Parameter(torch.full((width,), 1 / config.n_blocks))

    def forward(self, h: Frames) -> Frames:
        inner = self.norm(self.conv(h.transpose(1, 2)).transpose(1, 2))
        out: Frames = h + self.scale * self.project(F.gelu(self.expand(inner)))
        return out


def overlap_add(frames: Float[Tensor, "B T L"], hop_length: int) -> Waveform:
    """Return the inverse STFT of windowed frames, (B, hop · T).

    Frame i is centred on sample hop·i + hop/2, the "trainer" framing. Windows are Hann's; the sum
    is divided by that of their squares (Griffin & Lim 1984, eq. 6).
    """
    n_fft, n_frames = frames.shape[-1], frames.shape[1]
    window = torch.hann_window(n_fft, dtype=frames.dtype, device=frames.device)
    weights = window.square().expand(1, n_frames, n_fft)
    total = _shift_and_sum(frames * window, hop_length) / (
        _shift_and_sum(weights, hop_length).clamp(min=1e-3)
    )
    before = (n_fft - hop_length) // 2
    return total[:, before : before + hop_length * n_frames]


def _shift_and_sum(frames: Float[Tensor, "B T L"], hop_length: int) -> Float[Tensor, "B N"]:
    """Return the sum of frames that begin `hop_length` samples apart."""
    parts = frames.unflatten(-1, (-1, hop_length))  # (B, T, L/hop, hop)
    n_parts = parts.shape[2]
    shifted = [F.pad(parts[:, :, k], (0, 0, k, n_parts - 1 - k)) for k in range(n_parts)]
    return torch.stack(shifted).sum(dim=0).flatten(1)


def interpolation(config: SpectralVocoderConfig) -> Float[Tensor, "K F"]:
    """Return the weights that interpolate between mel bands at the bins of a spectrum.

    Bins below the first band and above the last take the nearest.
    """
    mel = MelConfig(
        sample_rate=config.sample_rate,
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        n_mels=config.n_mels,
        f_max_hz=config.sample_rate / 2,
    )
    # Loading builds networks without storage, where no value can be looked at.
    with torch.device("cpu"):
        weights = mel_filters(mel).T.clone()  # (K, F)
        covered = weights.sum(dim=1).nonzero().flatten()
        weights[: covered[0], 0] = 1
        weights[covered[-1] + 1 :, -1] = 1
        return weights / weights.sum(dim=1, keepdim=True)


def build_vocoder(config: VocoderConfig | SpectralVocoderConfig) -> Vocoder | SpectralVocoder:
    """Return the network that a config describes, with random weights."""
    if isinstance(config, SpectralVocoderConfig):
        return SpectralVocoder(config)
    return Vocoder(config)
