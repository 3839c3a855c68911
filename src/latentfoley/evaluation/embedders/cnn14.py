"""PANNs CNN14: log-mel → 2048 features and logits of the 527 classes of AudioSet.

Six blocks of two 3×3 convolutions with batch norm, halved in time and frequency after each but the
last; the mean over frequency, then maximum plus mean over time; one layer with ReLU gives the
features, one more the logits [Kong et al. 2020, arXiv 1912.10211, table 1 and §III]. Names of
modules are those of the published files, `Cnn14_16k_mAP=0.438.pth` and `Cnn14_mAP=0.431.pth`.

The files also hold the STFT as convolutions and the mel filters. Both are computed here; the
filters in the file are compared with ours, which tells the 16 kHz file from the 32 kHz one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor, nn

from latentfoley.config import MelConfig
from latentfoley.errors import ModelError
from latentfoley.evaluation.embedders.embedder import Features
from latentfoley.evaluation.embedders.published import load_into, read_weights
from latentfoley.evaluation.features.preprocess import AudioPreprocessing
from latentfoley.mel import mel_filters, power

N_CLASSES, N_FEATURES = 527, 2048
CHANNELS = (64, 128, 256, 512, 1024, 2048)
FRONT_END_KEYS = ("spectrogram_extractor.", "logmel_extractor.")
MEL_16K = MelConfig(
    sample_rate=16_000, n_fft=512, hop_length=160, f_min_hz=50, f_max_hz=8000, framing="inference"
)
MEL_32K = MelConfig(
    sample_rate=32_000, n_fft=1024, hop_length=320, f_min_hz=50, f_max_hz=14_000,
    framing="inference",
)  # fmt: skip

_MIN_S = 2.0  # audioldm_eval's shortest clip at 16 kHz; five halvings need 0.32 s
_FLOOR = 1e-10  # of the power, hence -100 dB
_FILTER_TOLERANCE = 1e-4  # filters are at most 0.03 high; fp32 files differ by 1e-8


class Block(nn.Module):
    """Two convolutions with batch norm and ReLU, then a mean over 2×2 or nothing."""

    def __init__(self, n_in: int, n_out: int, pool: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(n_out), nn.BatchNorm2d(n_out)
        self.pool = pool

    def forward(self, x: Float[Tensor, "B C T F"]) -> Float[Tensor, "B D t f"]:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.avg_pool2d(x, self.pool)


class Cnn14(nn.Module):
    """The network of the published files, without its front end."""

    def __init__(self) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(MEL_16K.n_mels)
        widths = (1, *CHANNELS)
        for k in range(1, 7):
            self.add_module(f"conv_block{k}", Block(widths[k - 1], widths[k], 2 if k < 6 else 1))
        self.fc1 = nn.Linear(N_FEATURES, N_FEATURES)
        self.fc_audioset = nn.Linear(N_FEATURES, N_CLASSES)

    def forward(
        self, log_mel: Float[Tensor, "B 1 T F"]
    ) -> tuple[Float[Tensor, "B 2048"], Float[Tensor, "B 527"]]:
        """Return features (after ReLU) and logits (before the sigmoid)."""
        x = self.bn0(log_mel.transpose(1, 3)).transpose(1, 3)  # the norm is per mel band
        for k in range(1, 7):
            x = self.get_submodule(f"conv_block{k}")(x)  # (B, C, T/2, F/2)
        x = x.mean(dim=3)  # (B, 2048, T/32)
        x = x.amax(dim=2) + x.mean(dim=2)  # (B, 2048)
        features = F.relu(self.fc1(x))
        return features, self.fc_audioset(features)


@dataclass(frozen=True, eq=False)
class Cnn14Embedder:
    """CNN14 at one sample rate; a whole clip is one window."""

    name: str
    weights_hash: str
    network: Cnn14
    mel: MelConfig
    pooled: bool = False
    classes: str = "AudioSet, 527 classes"

    @property
    def preprocessing(self) -> AudioPreprocessing:
        """Our rules, with zeros up to two seconds."""
        rate = self.mel.sample_rate
        return AudioPreprocessing(sample_rate=rate, min_samples=round(_MIN_S * rate))

    @torch.no_grad()
    def embed(self, waveforms: Sequence[Float32[np.ndarray, "N"]]) -> list[Features]:
        """Return one row of 2048 features, and the logits, per sound."""
        found: dict[int, Features] = {}
        for length in {len(waveform) for waveform in waveforms}:  # padding would count
            same = [k for k, waveform in enumerate(waveforms) if len(waveform) == length]
            mels = [log_mel(torch.from_numpy(waveforms[k])[None], self.mel) for k in same]
            features, logits = (out.double().numpy() for out in self.network(torch.cat(mels)))
            found |= {k: Features(features[[i]], logits[i]) for i, k in enumerate(same)}
        return [found[k] for k in range(len(waveforms))]


def log_mel(waveform: Float[Tensor, "B N"], mel: MelConfig) -> Float[Tensor, "B 1 T F"]:
    """Return 10 log₁₀ max(M · |STFT|², 10⁻¹⁰)."""
    bands = mel_filters(mel).to(waveform) @ power(waveform, mel)  # (B, F, T)
    return 10 * bands.clamp(min=_FLOOR).log10().transpose(1, 2).unsqueeze(1)  # (B, 1, T, F)


def load_16k(path: Path) -> Cnn14Embedder:
    """Return CNN14 at 16 kHz from `Cnn14_16k_mAP=0.438.pth`."""
    return _load(path, "cnn14-16k", MEL_16K)


def load_32k(path: Path) -> Cnn14Embedder:
    """Return CNN14 at 32 kHz from `Cnn14_mAP=0.431.pth`."""
    return _load(path, "cnn14-32k", MEL_32K)


def _load(path: Path, name: str, mel: MelConfig) -> Cnn14Embedder:
    tensors, digest = read_weights(path, name)
    _require_front_end(tensors, mel, path)
    network = Cnn14()
    inner = {k: v for k, v in tensors.items() if not k.startswith(FRONT_END_KEYS)}
    load_into(network, inner, path)
    return Cnn14Embedder(name, digest, network.eval(), mel)


def _require_front_end(tensors: dict[str, Tensor], mel: MelConfig, path: Path) -> None:
    """Check that a file was trained on the mel that is computed here.

    Raises:
        ModelError: its filters are missing or others.
    """
    filters, ours = tensors.get("logmel_extractor.melW"), mel_filters(mel).T  # (K, F)
    if filters is None or filters.shape != ours.shape:
        got = "none" if filters is None else f"{tuple(filters.shape)}"
        raise ModelError(
            f"'{path}' is not CNN14 at {mel.sample_rate} Hz: mel filters {tuple(ours.shape)} "
            f"wanted, {got} found"
        )
    difference = float((filters - ours).abs().max())
    if difference > _FILTER_TOLERANCE:
        raise ModelError(
            f"'{path}' was trained on other mel filters: they differ by {difference:.1e}"
        )
