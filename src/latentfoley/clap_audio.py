"""Sound → E: the audio tower of CLAP (Wu et al. 2022, arXiv 2211.06687).

The network is that of `transformers`. The front end is written out here because the library's draws
random crops: ours is a function of the sound alone. The text tower, which a generation from text
needs, stands in `clap.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentfoley.config import PUBLISHED_FRONT_END, ClapFrontEnd
from latentfoley.mel import mel_filters, power
from latentfoley.notation import Embedding, Waveform
from latentfoley.resampling import RESAMPLERS

AudioFeatures = Float[Tensor, "B 1 T F"]

_AT_ONCE = 8  # windows: bounds memory
_FLOOR = 1e-10  # of the power, hence -100 dB


def audio_features(windows: Waveform, front_end: ClapFrontEnd) -> AudioFeatures:
    """Return 10·log₁₀ max(M · |STFT|², 10⁻¹⁰) of windows of `front_end.n_samples` samples."""
    config = front_end.mel
    bands = mel_filters(config).to(windows) @ power(windows, config)  # (B, F, T)
    return 10 * bands.clamp(min=_FLOOR).log10().transpose(1, 2).unsqueeze(1)  # (B, 1, T, F)


def cut_windows(
    waveform: Float[Tensor, "N"], n_samples: int, padding: str = "repeatpad"
) -> Waveform:
    """Return the consecutive windows of a sound; a short one is repeated whole, then padded.

    With `padding="repeat"` it is repeated to the end of the window, and nothing is padded.
    The last window of a long sound is moved back to end where the sound ends.
    """
    if len(waveform) <= n_samples and padding == "repeat":
        return waveform.repeat(-(-n_samples // len(waveform)))[None, :n_samples]
    if len(waveform) <= n_samples:
        repeated = waveform.repeat(n_samples // len(waveform))
        return F.pad(repeated, (0, n_samples - len(repeated)))[None]
    starts = [*range(0, len(waveform) - n_samples, n_samples), len(waveform) - n_samples]
    return torch.stack([waveform[start : start + n_samples] for start in starts])


class AudioTower:
    """Sound → E. A sound longer than the window is the mean of its windows."""

    def __init__(self, model: nn.Module, front_end: ClapFrontEnd) -> None:
        self.model = model.eval()
        self.front_end = front_end

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `audio_encoder/` and `feature_extractor/` of a model folder, or a .ckpt; in fp32.

        Raises:
            ModelError: the folder has no audio tower, as the published ones have not.
        """
        from latentfoley.checkpoints import original, towers
        from latentfoley.checkpoints.layout import read_front_end

        if folder.is_file():
            return cls(original.open_audio(folder).fill(towers.audio_network), PUBLISHED_FRONT_END)
        model = towers.open_audio(folder).fill(towers.audio_network)
        return cls(model, read_front_end(folder / "feature_extractor"))

    @torch.no_grad()
    def embed(self, waveform: Float[np.ndarray, "N"], sample_rate: int) -> Float[Tensor, "D"]:
        """Return the unit vector of a mono sound of any length and rate."""
        return self.embed_all([self.resample(waveform, sample_rate)])[0]

    def resample(
        self, waveform: Float[np.ndarray, "N"], sample_rate: int
    ) -> Float[np.ndarray, "M"]:
        """Return a sound at the tower's rate, by the resampler the tower was trained with."""
        to_rate = RESAMPLERS[self.front_end.resampler]
        return to_rate(waveform, sample_rate, self.front_end.sample_rate)

    def windows(self, waveform: Float[np.ndarray, "N"]) -> Waveform:
        """Return the windows of a sound at the tower's rate, filled as its front end says."""
        front_end = self.front_end
        return cut_windows(torch.from_numpy(waveform), front_end.n_samples, front_end.padding)

    @torch.no_grad()
    def embed_all(self, waveforms: Sequence[Float[np.ndarray, "N"]]) -> Embedding:
        """Return the unit vectors of mono sounds at the tower's rate, each of any length."""
        device = next(self.model.parameters()).device
        cut = [self.windows(x) for x in waveforms]
        features = [
            audio_features(some.to(device), self.front_end)
            for windows in cut
            for some in windows.split(_AT_ONCE)
        ]
        parts = torch.cat(features).split(_AT_ONCE)
        E = torch.cat([F.normalize(self.model(input_features=x).audio_embeds) for x in parts])
        means = [some.mean(dim=0) for some in E.split([len(windows) for windows in cut])]
        return F.normalize(torch.stack(means), dim=-1)

    def embed_windows(self, windows: Waveform) -> Embedding:
        """Return the unit vectors of windows at the tower's rate and length; differentiable."""
        features = audio_features(windows, self.front_end)
        return F.normalize(self.model(input_features=features).audio_embeds, dim=-1)
