"""A sound of a job → the bytes of the format that was asked for, its record inside."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from latentfoley.audio import read_audio, resample
from latentfoley.encoding import encode_audio
from latentfoley.errors import InputError, nearest
from latentfoley.provenance import read_provenance


class Format(NamedTuple):
    """How a format is written, and what it is called in an answer."""

    suffix: str
    subtype: str | None
    media_type: str


FORMATS = {
    "wav": Format(".wav", None, "audio/wav"),
    "flac": Format(".flac", None, "audio/flac"),
    "opus": Format(".ogg", "OPUS", "audio/ogg"),
    "mp3": Format(".mp3", None, "audio/mpeg"),
    "pcm": Format(".pcm", None, "audio/pcm"),
}


def require_format(name: str) -> Format:
    """Return a format.

    Raises:
        InputError: there is no such format.
    """
    if name not in FORMATS:
        raise InputError(f"the format '{name}' is not written here; {nearest(name, FORMATS)}")
    return FORMATS[name]


def convert(path: Path, name: str, sample_rate: int | None = None) -> bytes:
    """Return a sound that lies there as a WAV in another format.

    Args:
        path: of the WAV.
        name: in `FORMATS`; "pcm" is 16-bit little-endian samples without a header.
        sample_rate: in Hz; None keeps the model's.

    Raises:
        InputError: there is no such format, or it cannot hold that rate.
    """
    wanted = require_format(name)
    sound = read_audio(path, sample_rate=None)
    rate = sample_rate or sound.sample_rate
    waveform = resample(sound.waveform, sound.sample_rate, rate)
    if name == "pcm":
        levels = np.clip(np.rint(waveform * 2**15), -(2**15), 2**15 - 1)
        return bytes(levels.astype("<i2").data)
    record = read_provenance(path)
    return encode_audio(
        waveform,
        rate,
        suffix=wanted.suffix,
        subtype=wanted.subtype,
        provenance=record.to_record() if record else None,
        channels=record.channels if record else 1,
    )
