"""A generated sound and how it came to be."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from latentfoley.audio import write_audio
from latentfoley.config import MelConfig
from latentfoley.provenance import Provenance


@dataclass(frozen=True, eq=False)
class Clip:
    """One generated sound.

    Attributes:
        waveform: mono samples in [-1, 1].
        mel: the model's front end, which holds the sample rate.
        provenance: everything that decided the samples.
        score: cosine between the sound's and the prompt's CLAP embedding; None unless ranked.
    """

    waveform: Float32[np.ndarray, "N"]
    mel: MelConfig
    provenance: Provenance
    score: float | None = None

    @property
    def sample_rate(self) -> int:
        """Samples per second."""
        return self.mel.sample_rate

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.waveform) / self.sample_rate

    def save(self, path: str | Path) -> Path:
        """Write a .wav, .flac, .ogg or .mp3 with the provenance in its metadata.

        Raises:
            AudioFileError: another suffix, or the place cannot be written to.
        """
        write_audio(path, self.waveform, self.sample_rate, provenance=self.provenance.to_record())
        return Path(path)

    def plot(self, path: str | Path) -> Path:
        """Write a PNG of the waveform above the log-mel."""
        from latentfoley.pictures import plot_clips

        plot_clips(Path(path), [self.waveform], [self.provenance.title], self.mel)
        return Path(path)
