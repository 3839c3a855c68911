"""How loud a sound is to be: what is generated comes at the level of recordings of its kind.

Training, as AudioLDM's, brings every recording's peak to one level, so that no denoiser knows that
a clock is quieter than a siren, and guidance drives levels apart besides. What a sound is, CLAP's E
says: a linear head, fitted to the loudness of recordings before training over E of their captions,
says how loud such sounds are. A model's folder may hold that head; the published ones do not, and
what they make stays as it comes.
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
_PASSES = 3  # the limiter takes some loudness, which is given back before it
_ITERATIONS, _NEAR = 30, 0.1  # of the fit; LU, below which a row weighs no more


@dataclass(frozen=True, eq=False)
class LoudnessHead:
    """A linear head: E → the integrated loudness of BS.1770-4.

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
        ridge: float = 0.01,
    ) -> "LoudnessHead":
        """Return the regression of least absolute deviations, with a ridge.

        It says the median: a few very quiet recordings, which squares would follow, do not pull it
        down. Solved by iteratively reweighted least squares (Schlossmacher 1973).

        Args:
            E: unit vectors of what the recordings are called.
            lufs: their loudness, as they were before training.
            shares: weight of each row; those of one recording with many names sum to 1.
            ridge: weight of the squared slope.
        """
        X = torch.cat([E, torch.ones(len(E), 1)], dim=1).double()
        y, w = lufs.double(), shares.double()
        penalty = ridge * torch.eye(X.shape[1]).double()
        penalty[-1, -1] = 0  # the bias is free
        line = torch.zeros(X.shape[1]).double()
        for _ in range(_ITERATIONS):
            WX = (w / (y - X @ line).abs().clamp(min=_NEAR))[:, None] * X
            line = torch.linalg.solve(WX.T @ X + penalty, WX.T @ y)
        return cls(line[:-1].float(), float(line[-1]))

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
    limited = limit(waveform, sample_rate, loop=loop)
    if lufs is None:
        return limited
    peak = float(np.quantile(np.abs(waveform), _BELOW_PEAK))
    most = min(_MOST, _MOST_BEYOND / max(peak, 1e-9))
    gain = 1.0
    for _ in range(_PASSES):
        gain = min(most, gain * 10 ** ((lufs - loudness(limited, sample_rate)) / 20))
        limited = limit(np.float32(gain) * waveform, sample_rate, loop=loop)
    return limited
