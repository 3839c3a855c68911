"""The recording that is edited: its samples, the level the model hears it at, its latent.

The trainer brings every clip to a mean of 0 and a peak of 0.5, so a recording is brought there too
before it is encoded, and what comes out is brought back. It does not know what the edit is.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool

from latentfoley.audio import SILENCE_PEAK, read_audio, require_sound
from latentfoley.config import MelConfig
from latentfoley.editing.request import EditRequest
from latentfoley.errors import InputError
from latentfoley.mel import log_mel
from latentfoley.notation import Latent, LogMel, Waveform
from latentfoley.pipeline import Model, latent_shape
from latentfoley.provenance import EditRecord, Guide
from latentfoley.task import Samples
from latentfoley.windows import in_chunks, in_windows

PEAK = 0.5  # of every clip in training
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
        return cls(PEAK / peak, offset) if peak > SILENCE_PEAK else cls()

    def to_model(self, waveform: Samples) -> Samples:
        """Return the recording as the model is used to hear it."""
        levelled = waveform - np.float32(self.offset)
        levelled *= np.float32(self.gain)
        return levelled

    def to_source(self, waveform: Samples) -> Samples:
        """Return what the model made, at the recording's level; limited to [-1, 1]."""
        restored = waveform / np.float32(self.gain)
        restored += np.float32(self.offset)
        return np.clip(restored, -1, 1, out=restored)


@dataclass(frozen=True, eq=False)
class Source:
    """A recording to edit.

    Attributes:
        waveform: its samples at the model's rate, mixed down.
        record: what the provenance says of it.
        level: to bring it to the model's level and back.
    """

    waveform: Samples
    record: EditRecord
    level: Level

    def levelled_by(self, kept: Bool[np.ndarray, "N"]) -> "Source":
        """Return it with the level of those samples alone that are kept."""
        return replace(self, level=Level.of(self.waveform[kept]))

    def recorded(self, request: EditRequest) -> "Source":
        """Return it with the settings that were found in it on record."""
        record = self.record.model_copy(update={"options": request.options()})
        return replace(self, record=record)


def read_source(request: EditRequest, model: Model) -> Source:
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
    record = EditRecord(
        kind=request.kind, source=Guide.of(request.source), options=request.options()
    )
    return Source(waveform, record, Level.of(waveform))


def long_log_mel(waveform: Waveform, config: MelConfig) -> LogMel:
    """Return the log-mel of whole hops of sound, one frame to each, in bounded memory."""
    reach = -(-config.n_fft // config.hop_length)
    units = (config.hop_length, 1)
    return in_chunks(
        lambda part: log_mel(part, config), waveform, dims=(1, 2), units=units, reach=reach
    )


@torch.no_grad()
def encode(waveform: Samples, model: Model) -> Latent:
    """Return the latent (1, C, T/r, F/r) of a waveform at the model's level: the posterior's mean.

    The end is filled up with the mirrored sound to a whole number of latent frames: silence there
    would be an event of its own.
    """
    samples_per_latent = model.config.mel.hop_length * model.config.vae.compression
    n_latents = latent_shape(len(waveform), model.config)[1]
    missing = n_latents * samples_per_latent - len(waveform)
    filled = np.pad(waveform, (0, missing), mode="symmetric")
    picture = long_log_mel(torch.from_numpy(filled)[None].to(model.device), model.config.mel)
    units = (model.config.vae.compression, 1)
    return in_windows(model.vae.encode, picture, window=model.window, units=units)
