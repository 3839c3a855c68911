"""VGGish: patches of 0.96 s → 128 features each [Hershey et al. 2017, arXiv 1609.09430].

Six 3×3 convolutions with ReLU and four poolings on 96 frames of 64 log-mels, then three layers.
Names of modules are those of the published torch file, `vggish-10086976.pth`. As in the FAD of
`audioldm_eval` there is neither the ReLU after the last layer, nor the PCA and the quantisation.

The front end is VGGish's own: 25 ms frames every 10 ms, none padded, periodic Hann, FFT of 512,
magnitudes, 64 triangles on the HTK mel scale from 125 to 7500 Hz that are straight in mel and not
normalised, ln(x + 0.01).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from latentfoley.evaluation.embedders.embedder import Features
from latentfoley.evaluation.embedders.published import load_into, read_weights
from latentfoley.evaluation.features.preprocess import AudioPreprocessing

SAMPLE_RATE, N_FEATURES = 16_000, 128
N_FRAMES, N_MELS = 96, 64  # of a patch
_FRAME, _HOP, _N_FFT = 400, 160, 512
_LOW_HZ, _HIGH_HZ, _OFFSET = 125.0, 7500.0, 0.01
_AT_ONCE = 64  # patches: bounds memory
MIN_SAMPLES = _FRAME + (N_FRAMES - 1) * _HOP  # one patch


class Vggish(nn.Module):
    """The network of the published file."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = 1
        for n_out, pools in ((64, True), (128, True), (256, False), (256, True), (512, False),
                             (512, True)):  # fmt: skip
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if pools else []
            n_in = n_out
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(512 * (N_FRAMES // 16) * (N_MELS // 16), 4096),
            nn.ReLU(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, N_FEATURES),
        )

    def forward(self, patches: Float[Tensor, "B 1 96 64"]) -> Float[Tensor, "B 128"]:
        """Return the features before the last ReLU."""
        x = self.features(patches)  # (B, 512, 6, 4)
        # The weights come from TensorFlow, which counts channels last.
        out: Tensor = self.embeddings(x.permute(0, 2, 3, 1).flatten(1))
        return out


@dataclass(frozen=True, eq=False)
class VggishEmbedder:
    """VGGish; the patches of all clips make the set, as in every published FAD."""

    weights_hash: str
    network: Vggish
    name: str = "vggish"
    pooled: bool = True
    classes: str = ""

    @property
    def preprocessing(self) -> AudioPreprocessing:
        """Our rules, with zeros up to one patch."""
        return AudioPreprocessing(sample_rate=SAMPLE_RATE, min_samples=MIN_SAMPLES)

    @torch.no_grad()
    def embed(self, waveforms: Sequence[Float32[np.ndarray, "N"]]) -> list[Features]:
        """Return one row per whole patch of each sound; the rest of a sound is dropped."""
        cut = [patches(torch.from_numpy(waveform)) for waveform in waveforms]
        rows = torch.cat([self.network(some) for some in torch.cat(cut).split(_AT_ONCE)])
        parts = rows.double().split([len(some) for some in cut])
        return [Features(part.numpy()) for part in parts]


def patches(waveform: Float[Tensor, "N"]) -> Float[Tensor, "W 1 96 64"]:
    """Return the log-mel patches of a sound at 16 kHz, without overlap."""
    frames = waveform.double().unfold(0, _FRAME, _HOP)  # (T, 400)
    window = torch.hann_window(_FRAME, dtype=torch.float64)
    magnitudes = torch.fft.rfft(frames * window, _N_FFT).abs()  # (T, 257)
    log_mel: Tensor = (magnitudes @ filters() + _OFFSET).log().float()  # (T, 64)
    n_patches = len(log_mel) // N_FRAMES
    return log_mel[: n_patches * N_FRAMES].reshape(n_patches, 1, N_FRAMES, N_MELS)


@lru_cache(maxsize=1)
def filters() -> Float[Tensor, "257 64"]:
    """Return triangles over the HTK mel scale; the constant component belongs to none."""
    bins = _htk_mel(torch.linspace(0, SAMPLE_RATE / 2, _N_FFT // 2 + 1, dtype=torch.float64))
    low, high = _htk_mel(torch.tensor([_LOW_HZ, _HIGH_HZ], dtype=torch.float64)).tolist()
    edges = torch.linspace(low, high, N_MELS + 2, dtype=torch.float64)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    triangles: Tensor = torch.minimum(rising, falling).clamp(min=0)
    triangles[0] = 0
    return triangles


def load(path: Path) -> VggishEmbedder:
    """Return VGGish from the published torch file."""
    tensors, digest = read_weights(path, "vggish")
    network = Vggish()
    load_into(network, tensors, path)
    return VggishEmbedder(digest, network.eval())


def _htk_mel(hz: Tensor) -> Tensor:
    mel: Tensor = 1127.0 * torch.log1p(hz / 700.0)
    return mel
