"""How an evaluated file becomes samples: the rules that move scores when nobody looks.

A `Reading` is part of every result and of every cache key. The resampler alone can move an FD by
30; `audioldm_eval` takes the first channel and another resampler than ours.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64

from latentfoley.audio import Recording, fit_length, read_audio, resample
from latentfoley.containers import open_recording

Samples = Float32[np.ndarray, "N"]

# The filter of audioldm_eval's resampler: zero crossings on each side, and its edge.
_SINC_WIDTH, _SINC_ROLLOFF = 6, 0.99


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The rules by which files are read for one embedder.

    Attributes:
        sample_rate: what the embedder hears, in Hz.
        resampler: "soxr-hq", or "sinc-hann-6", the windowed sinc that `audioldm_eval` uses.
        channels: "mean" of all, or the "first".
        level: "as-is", or "zero-mean"; there is no loudness normalisation.
        min_samples: shorter sounds get zeros at the end.
    """

    sample_rate: int
    resampler: Literal["soxr-hq", "sinc-hann-6"] = "soxr-hq"
    channels: Literal["mean", "first"] = "mean"
    level: Literal["as-is", "zero-mean"] = "as-is"
    min_samples: int = 1

    @property
    def rules(self) -> dict[str, str | int]:
        """The same as plain values, for results and cache keys."""
        return asdict(self)

    def read(self, path: Path) -> Samples:
        """Return the samples of a file under these rules.

        Raises:
            AudioFileError: as `read_audio`.
        """
        return self.convert(path, read_audio(path, sample_rate=None))

    def convert(self, path: Path, recording: Recording) -> Samples:
        """Return the same from a recording of the file as it is: several readings can share it.

        Raises:
            AudioFileError: as `read_audio`.
        """
        waveform = recording.waveform
        if self.channels == "first" and recording.channels > 1:
            waveform = _first_channel(path, len(waveform))
        if self.level == "zero-mean":
            waveform = waveform - waveform.mean()
        to_rate = resample if self.resampler == "soxr-hq" else sinc_resample
        waveform = to_rate(waveform, recording.sample_rate, self.sample_rate)
        return fit_length(waveform, max(len(waveform), self.min_samples))


def sinc_resample(waveform: Samples, source_rate: int, target_rate: int) -> Samples:
    """Return the sound at another rate by a Hann-windowed sinc of six zero crossings.

        y(t) = Σ_n x[n] · (c / f) · sinc(c u) · cos²(π c u / 12),   u = t - n/f, |c u| ≤ 6

    with f the source rate and c = 0.99 times the lower of both rates. Short and soft: what
    `audioldm_eval` reads with. Use it for comparison with its tables, and soxr for all else.
    """
    if source_rate == target_rate:
        return waveform
    up, down = (rate // math.gcd(source_rate, target_rate) for rate in (target_rate, source_rate))
    cutoff_hz = _SINC_ROLLOFF * min(source_rate, target_rate)
    reach = math.ceil(_SINC_WIDTH * source_rate / cutoff_hz)
    n_samples = -(-len(waveform) * up // down)
    padded = np.pad(waveform.astype(np.float64), (reach, reach + down))
    out = np.zeros(n_samples)
    for phase in range(up):  # output samples k·up + phase lie at the same place between inputs
        whole, offset = divmod(phase * down, up)
        taps = _sinc_taps(offset / up, reach, source_rate, cutoff_hz)
        count = len(range(phase, n_samples, up))
        windows = np.lib.stride_tricks.sliding_window_view(padded, len(taps))[whole::down]
        out[phase::up] = windows[:count] @ taps
    return out.astype(np.float32)


def _sinc_taps(
    offset: float, reach: int, source_rate: int, cutoff_hz: float
) -> Float64[np.ndarray, "K"]:
    """Return the weights of the inputs -reach … reach around a point `offset` past an input."""
    places = (offset - np.arange(-reach, reach + 1)) * cutoff_hz / source_rate
    places = np.clip(places, -_SINC_WIDTH, _SINC_WIDTH)
    window = np.cos(np.pi * places / (2 * _SINC_WIDTH)) ** 2
    return np.asarray(np.sinc(places) * window * cutoff_hz / source_rate)


def _first_channel(path: Path, n_samples: int) -> Samples:
    with open_recording(path) as file:
        samples = file.read(n_samples)[:, 0]
    return np.ascontiguousarray(samples)
