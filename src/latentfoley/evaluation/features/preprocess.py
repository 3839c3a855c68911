"""How an evaluated file becomes samples: the rules that move scores when nobody looks.

A `Reading` is part of every result and of every cache key. The resampler alone can move an FD by
30; `audioldm_eval` takes the first channel and another resampler than ours.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32

from latentfoley.audio import Recording, fit_length, read_audio
from latentfoley.config import Resampler
from latentfoley.containers import open_recording
from latentfoley.resampling import RESAMPLERS

Samples = Float32[np.ndarray, "N"]


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
    resampler: Resampler = "soxr-hq"
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
        to_rate = RESAMPLERS[self.resampler]
        waveform = to_rate(waveform, recording.sample_rate, self.sample_rate)
        return fit_length(waveform, max(len(waveform), self.min_samples))


def _first_channel(path: Path, n_samples: int) -> Samples:
    with open_recording(path) as file:
        samples = file.read(n_samples)[:, 0]
    return np.ascontiguousarray(samples)
