"""How loud a sound is to be: what is generated comes at the level of recordings of its kind.

Training, as AudioLDM's, brings every recording's peak to one level, so that no denoiser knows that
a clock is quieter than a siren, and guidance drives levels apart besides. What a sound is, CLAP's E
says: a line through the loudness of recordings before training, over E of their captions, says how
loud such sounds are. A model's folder may hold that line; the published ones do not, and what they
make stays as it comes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from latentfoley.levels import loudness
from latentfoley.limiter import limit
from latentfoley.notation import Embedding

Samples = Float32[np.ndarray, "N"]

_BELOW_PEAK = 0.9995  # share of the samples; the highest few are chance (decision 140)
_MOST = 8.0  # 18 dB: what is quieter is left quiet, or its noise would be the sound
_MOST_BEYOND = 2.0  # 6 dB: what the limiter may take from those samples


@dataclass(frozen=True, eq=False)
class LoudnessHead:
    """A line from E to the integrated loudness of BS.1770-4.

    Attributes:
        weight: in LU for each dimension of E.
        bias: in LUFS.
    """

    weight: Float[Tensor, "D"]
    bias: float

    @classmethod
    def fit(
        cls,
        E: Embedding,
        lufs: Float[Tensor, "B"],
        shares: Float[Tensor, "B"],
        ridge: float = 0.3,
    ) -> "LoudnessHead":
        """Return the line nearest to recordings, by ridge regression.

        Args:
            E: unit vectors of what the recordings are called.
            lufs: their loudness, as they were before training.
            shares: weight of each row; those of one recording with many names sum to 1.
            ridge: weight of the squared slope.
        """
        X, y, w = E.double(), lufs.double(), shares.double()[:, None]
        middle, mean = (w * X).sum(dim=0) / w.sum(), float((w[:, 0] * y).sum() / w.sum())
        X = X - middle
        weight = torch.linalg.solve(
            X.T @ (w * X) + ridge * torch.eye(X.shape[1]).double(), X.T @ (w[:, 0] * (y - mean))
        )
        return cls(weight.float(), mean - float(middle @ weight))

    def __call__(self, E: Embedding) -> list[float]:
        """Return how loud each sound is to be, in LUFS."""
        lufs: list[float] = (E.cpu().float() @ self.weight + self.bias).tolist()
        return lufs


def at_loudness(
    waveform: Samples, sample_rate: int, lufs: float | None, *, loop: bool = False
) -> Samples:
    """Return a sound at a loudness, within full scale.

    It is raised by 18 dB at most, and its peaks, but for the highest 0.05 % of the samples, by 6 dB
    beyond full scale at most; what lies beyond is limited around its peaks.

    Args:
        waveform: samples of any size.
        sample_rate: theirs, in Hz.
        lufs: integrated loudness; None leaves it as it is.
        loop: whether the end leads on to the beginning; it still does afterwards.
    """
    gain = 1.0
    if lufs is not None:
        peak = float(np.quantile(np.abs(waveform), _BELOW_PEAK))
        wanted = 10 ** ((lufs - loudness(waveform, sample_rate)) / 20)
        gain = min(wanted, _MOST, _MOST_BEYOND / max(peak, 1e-9))
    return limit(np.float32(gain) * waveform, sample_rate, loop=loop)
