"""Waveform → the bytes of a WAV, FLAC, Ogg or MP3 file, and bytes → a file that is whole.

Levels are rounded to the nearest step here, not by libsndfile, which rounds down. The provenance
record travels in the comment. It does not know what the record holds (`provenance.py`) or where
waveforms come from; `audio.py` is its front door.
"""

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from jaxtyping import Float, Integer, Shaped

from latentfoley.errors import InputError, nearest
from latentfoley.files import aside

MAX_PROVENANCE_BYTES = 50_000  # an Opus header holds 60,000
# Beyond the highest rate the Vorbis encoder crashes the process instead of returning an error.
MIN_WRITTEN_RATE, MAX_WRITTEN_RATE = 1_000, 192_000

_Steps = Integer[np.ndarray, "N"]
HEADROOM_PEAK = 0.999
_BLOCK_SAMPLES = 1 << 16


class _Format(NamedTuple):
    """A format we write; the first of its subtypes is the default."""

    name: str
    subtypes: tuple[str, ...]


_WRITABLE = {
    ".wav": _Format("WAV", ("PCM_16", "PCM_24", "FLOAT")),
    ".flac": _Format("FLAC", ("PCM_16", "PCM_24")),
    ".ogg": _Format("OGG", ("VORBIS", "OPUS")),
    ".mp3": _Format("MP3", ("MPEG_LAYER_III",)),
}
_CODEC_RATES = {
    "OPUS": (8_000, 12_000, 16_000, 24_000, 48_000),
    "MPEG_LAYER_III": (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
}


def encode_audio(
    waveform: Shaped[np.ndarray, "..."],
    sample_rate: int,
    *,
    suffix: str,
    provenance: Mapping[str, object] | None,
    subtype: str | None = None,
    channels: int = 1,
) -> bytes:
    """Return the bytes of the file that `write_audio` writes, for those who send instead of save.

    Raises:
        InputError: as `write_audio`.
    """
    _require_writable(waveform)
    name, codec = _format_for(suffix, subtype)
    require_rate(suffix, sample_rate, subtype)
    comment = "" if provenance is None else json_line(provenance)
    if len(comment) > MAX_PROVENANCE_BYTES:
        raise InputError(
            f"a provenance record of {len(comment):,} bytes; allowed: {MAX_PROVENANCE_BYTES:,}"
        )
    gain = safe_gain(waveform)
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", sample_rate, channels, codec, format=name) as file:
        if comment:
            file.comment = comment
        # In blocks: rounding takes many times a sound's memory, and the Vorbis encoder crashes the
        # process on minutes of sound in one call.
        for start in range(0, len(waveform), _BLOCK_SAMPLES):
            block = _quantise(gain * waveform[start : start + _BLOCK_SAMPLES], codec)
            file.write(np.tile(block[:, None], channels))
    return buffer.getvalue()


def safe_gain(waveform: Shaped[np.ndarray, "..."]) -> float:
    """Return the factor that keeps a waveform from clipping: 1.0, or 0.999 / max |x| if max > 1."""
    peak = max(float(waveform.max()), -float(waveform.min()))
    return HEADROOM_PEAK / peak if peak > 1.0 else 1.0


def json_line(record: Mapping[str, object]) -> str:
    """Return a record as one line of ASCII JSON.

    ASCII, because libsndfile stores an MP3 comment as Latin-1 whatever it is given.
    """
    return json.dumps(dict(record), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes to a file so that an interruption leaves the old file or none, never a part.

    Raises:
        OSError: the disk refuses; nothing is left behind.
    """
    with aside(Path(path)) as part, part.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _require_writable(waveform: Shaped[np.ndarray, "..."]) -> None:
    if waveform.ndim != 1 or not np.issubdtype(waveform.dtype, np.floating):
        raise InputError(
            f"cannot write an array of shape {waveform.shape} and type {waveform.dtype}; "
            f"allowed: one dimension (mono) of float samples in [-1, 1]"
        )
    if len(waveform) == 0:
        raise InputError("cannot write a recording of 0 samples; allowed: 1 or more")
    if not np.isfinite(waveform).all():
        n_bad = int(np.count_nonzero(~np.isfinite(waveform)))
        raise InputError(f"cannot write NaN or infinite samples: {n_bad:,} of {len(waveform):,}")


def _format_for(suffix: str, subtype: str | None) -> tuple[str, str]:
    if suffix.lower() not in _WRITABLE:
        raise InputError(
            f"cannot write audio with the suffix '{suffix}'; {nearest(suffix.lower(), _WRITABLE)}"
        )
    name, subtypes = _WRITABLE[suffix.lower()]
    codec = subtypes[0] if subtype is None else subtype.upper()
    if codec not in subtypes:
        raise InputError(f"{name} cannot hold '{subtype}'; {nearest(codec, subtypes)}")
    return name, codec


def require_rate(suffix: str, sample_rate: int, subtype: str | None = None) -> None:
    """Refuse a sample rate that a format cannot hold.

    Raises:
        InputError: it cannot, or there is no such format.
    """
    _, codec = _format_for(suffix, subtype)
    rates = _CODEC_RATES.get(codec)
    if rates is None and not MIN_WRITTEN_RATE <= sample_rate <= MAX_WRITTEN_RATE:
        raise InputError(
            f"cannot write a sample rate of {sample_rate} Hz; "
            f"allowed: {MIN_WRITTEN_RATE} to {MAX_WRITTEN_RATE} Hz"
        )
    if rates is not None and sample_rate not in rates:
        allowed = ", ".join(str(rate) for rate in rates)
        raise InputError(f"{codec} cannot hold {sample_rate} Hz; allowed: {allowed} Hz")


def _quantise(waveform: Float[np.ndarray, "N"], codec: str) -> Shaped[np.ndarray, "N"]:
    """Return what the encoder takes: integers for PCM, float32 for the rest.

    Rounded to the nearest step of 2⁻¹⁵ or 2⁻²³, so that what is read back and written again is the
    same to the bit; libsndfile rounds down, which adds half a step of offset.
    """
    if codec == "PCM_16":
        return _round_to_bits(waveform, 16).astype(np.int16)
    if codec == "PCM_24":
        return _round_to_bits(waveform, 24) * 2**8  # libsndfile takes the upper 24 of 32 bits
    return np.asarray(waveform, dtype=np.float32)


def _round_to_bits(waveform: Float[np.ndarray, "N"], bits: int) -> _Steps:
    full_scale = 2 ** (bits - 1)
    steps = np.rint(np.asarray(waveform, dtype=np.float64) * full_scale)
    limited: _Steps = np.clip(steps, -full_scale, full_scale - 1).astype(np.int32)
    return limited
