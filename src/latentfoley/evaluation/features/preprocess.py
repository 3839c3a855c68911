"""File → samples: the rules of preprocessing, which move scores unseen.

An `AudioPreprocessing` is part of every result and of every cache key. The resampler alone can move
an FD by 30; `audioldm_eval` takes the first channel and another resampler than ours.
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

_TOOL_MIN_SAMPLES = 32_000  # of audioldm_eval


@dataclass(frozen=True, kw_only=True)
class AudioPreprocessing:
    """The rules by which files become samples for one embedder.

    Attributes:
        sample_rate: of the samples that the embedder takes, in Hz.
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
        """Return the same from a recording of the whole file, which several rules can share.

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


def as_audioldm_eval(own: AudioPreprocessing) -> AudioPreprocessing:
    """Return the rules of `audioldm_eval` at the sample rate of others."""
    return AudioPreprocessing(
        sample_rate=own.sample_rate,
        resampler="sinc-hann-6",
        channels="first",
        level="zero-mean",
        min_samples=_TOOL_MIN_SAMPLES,
    )


def _first_channel(path: Path, n_samples: int) -> Samples:
    with open_recording(path) as file:
        samples = file.read(n_samples)[:, 0]
    return np.ascontiguousarray(samples)
