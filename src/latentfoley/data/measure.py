"""One recording, looked at from end to end: how long, how loud, whole or not, same as another?

It decodes in blocks, so an hour costs no more memory than a second. It does not know about folders
or captions (`scan.py`).
"""

import hashlib
import os
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32

from latentfoley.audio import SILENCE_PEAK, count_clipped, mix_down, stream_audio
from latentfoley.config import Config
from latentfoley.containers import open_recording

LONGEST_S = 24 * 3600.0  # a day: what decodes to more is taken for an attack

Block = Float32[np.ndarray, "N C"]


class Measure(Config):
    """What a recording is.

    Attributes:
        duration_s: in seconds.
        sample_rate: in Hz.
        channels: before the mix-down.
        kind: container and codec, for example "WAV PCM_16".
        peak: largest magnitude of any channel; full scale is 1.
        mono_peak: the same of the mix-down.
        rms: of the mono mix-down.
        clipped: samples that stand, three or more in a row, at full scale.
        digest: of the decoded mono samples and their rate: equal for equal sounds, whatever the
            container.
    """

    duration_s: float
    sample_rate: int
    channels: int
    kind: str
    peak: float
    mono_peak: float
    rms: float
    clipped: int
    digest: str

    @property
    def silent(self) -> bool:
        """Whether nothing in its mix-down is above -80 dBFS."""
        return self.mono_peak <= SILENCE_PEAK


class Meter:
    """Takes a recording's blocks one after the other, and knows at the end what it was."""

    def __init__(self) -> None:
        self.sample_rate = self.channels = self.n_samples = self.clipped = 0
        self.peak = self.mono_peak = self.energy = 0.0
        self._digest = hashlib.blake2b(digest_size=16)

    def add(self, sample_rate: int, block: Block) -> Float32[np.ndarray, "N"]:
        """Take the next block; return its mix-down."""
        mono = mix_down(block)
        if self.n_samples == 0:
            self._digest.update(str(sample_rate).encode())
        self.sample_rate, self.channels = sample_rate, block.shape[1]
        self.n_samples += len(block)
        self.peak = max(self.peak, float(np.abs(block).max()))
        self.mono_peak = max(self.mono_peak, float(np.abs(mono).max()))
        self.energy += float(np.square(mono, dtype=np.float64).sum())
        self.clipped += count_clipped(block)
        self._digest.update(mono.tobytes())
        return mono

    def measure(self, kind: str) -> Measure:
        """Return the result; at least one sample was added."""
        return Measure(
            duration_s=self.n_samples / self.sample_rate,
            sample_rate=self.sample_rate,
            channels=self.channels,
            kind=kind,
            peak=self.peak,
            mono_peak=self.mono_peak,
            rms=(self.energy / self.n_samples) ** 0.5,
            clipped=self.clipped,
            digest=self._digest.hexdigest(),
        )


def measure(path: str | os.PathLike[str]) -> Measure:
    """Decode a recording from end to end and say what it is.

    Raises:
        AudioFileError: it cannot be read, or not to its end.
    """
    meter = Meter()
    for sample_rate, block in read_blocks(path):
        meter.add(sample_rate, block)
    with open_recording(path) as file:
        return meter.measure(f"{file.format} {file.subtype}")


def read_blocks(path: str | os.PathLike[str]) -> Iterator[tuple[int, Block]]:
    """Yield (sample rate, block) of a recording of up to a day.

    Raises:
        AudioFileError: it cannot be read, or not to its end.
    """
    yield from stream_audio(path, max_duration_s=LONGEST_S)
