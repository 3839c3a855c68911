"""The recording that is edited: its samples, the level the model hears it at, its latent.

The trainer brings every clip to a mean of 0 and a peak of 0.5, so a recording is brought there too
before it is encoded, and what comes out is brought back. It does not know what the edit is.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from latentfoley.audio import SILENCE_PEAK, TRAINING_PEAK, read_audio, require_sound
from latentfoley.editing.request import EditRequest
from latentfoley.errors import InputError
from latentfoley.model import ModelParts
from latentfoley.sampling import Samples

MIN_DURATION_S = 0.1
_TAKE_SILENCE = ("inpaint", "extend")  # a sound can be put into silence


@dataclass(frozen=True)
class Level:
    """An affine map between a recording's level and the one the model was trained at."""

    gain: float = 1.0
    offset: float = 0.0

    @classmethod
    def of(cls, waveform: Samples) -> "Level":
        """Return the level of a recording; the identity of silence."""
        if waveform.size == 0:
            return cls()
        offset = float(waveform.mean(dtype=np.float64))
        peak = float(max(waveform.max() - offset, offset - waveform.min()))
        return cls(TRAINING_PEAK / peak, offset) if peak > SILENCE_PEAK else cls()

    def to_model(self, waveform: Samples) -> Samples:
        """Return the recording as the model is used to hear it."""
        levelled = waveform - np.float32(self.offset)
        levelled *= np.float32(self.gain)
        return levelled

    def to_source(self, waveform: Samples) -> Samples:
        """Return what the model made, at the recording's level, which may exceed full scale."""
        restored = waveform / np.float32(self.gain)
        restored += np.float32(self.offset)
        return restored


@dataclass(frozen=True, eq=False)
class Source:
    """A recording to edit.

    Attributes:
        request: the edit, completed by what was found in the recording.
        waveform: its samples at the model's rate, mixed down.
        level: to bring it to the model's level and back.
    """

    request: EditRequest
    waveform: Samples
    level: Level

    @property
    def name(self) -> str:
        """The file's, without its folder."""
        return self.request.source.name

    def levelled_by(self, kept: Bool[np.ndarray, "N"]) -> "Source":
        """Return it with the level of those samples alone that are kept."""
        return replace(self, level=Level.of(self.waveform[kept]))


def read_source(request: EditRequest, model: ModelParts) -> Source:
    """Read the recording of an edit.

    Raises:
        AudioFileError: it cannot be read.
        InputError: it is shorter than 0.1 s, or silent where the edit needs a sound.
    """
    rate = model.config.mel.sample_rate
    waveform = read_audio(request.source, sample_rate=rate).waveform
    if len(waveform) < MIN_DURATION_S * rate:
        raise InputError(
            f"'{request.source}' is too short to edit: {len(waveform) / rate:.6g} s "
            f"({len(waveform)} samples at {rate} Hz); allowed: {MIN_DURATION_S} s or more"
        )
    if request.kind not in _TAKE_SILENCE:
        require_sound(waveform, f"'{request.source}'")
    return Source(request, waveform, Level.of(waveform))
