"""An open recording → blocks of samples, with the checks that only decoding allows.

Limits count decoded samples, because a small file can decode to a very large one and a header can
say anything. `audio.py` is its front door.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import soundfile
from jaxtyping import Float32

from latentfoley.containers import OpenRecording
from latentfoley.errors import AudioFileError, quoted

Block = Float32[np.ndarray, "N C"]
Name = str | os.PathLike[str]

MAX_MAGNITUDE = 2.0**31  # full scale of the widest integers; no sound is beyond it

_BLOCK_SAMPLES = 1 << 18


class Part(NamedTuple):
    """What to decode: samples per channel from `start` on, and how many are allowed.

    `n_samples` is at most one above `n_limit`, so that what is longer is found out.
    """

    start: int
    n_samples: int
    n_limit: int


def choose_part(
    path: Name, file: OpenRecording, start_s: float, duration_s: float | None, limit_s: float
) -> Part:
    """Return which samples to ask the decoder for.

    Raises:
        AudioFileError: there are none, or the header says they are too many.
    """
    rate = file.samplerate
    if file.frames < 1:
        raise AudioFileError(f"{quoted(path)} holds no samples")
    start = round(start_s * rate)
    n_left: int = file.frames - start
    if n_left < 1:
        raise AudioFileError(
            f"{_holds_nothing(path, start_s)}; it is {file.frames / rate:g} s long"
        )
    n_asked = n_left if duration_s is None else max(1, round(duration_s * rate))
    n_samples, n_limit = min(n_left, n_asked), int(limit_s * rate)
    if file.promises_length and n_samples > n_limit:
        raise too_long(path, n_samples / rate, limit_s)
    return Part(start, min(n_samples, n_limit + 1), n_limit)


def decode(path: Name, file: OpenRecording, part: Part) -> Iterator[Block]:
    """Yield the samples of a part in blocks; memory does not grow with what is promised.

    Raises:
        AudioFileError: damaged, cut short, longer than allowed, without samples, or with samples
            that are NaN or beyond `MAX_MAGNITUDE`.
    """
    n_block, n_decoded = max(1, _BLOCK_SAMPLES // file.channels), 0
    try:
        file.skip(part.start)
        while n_decoded < part.n_samples:
            block = file.read(min(n_block, part.n_samples - n_decoded))
            if len(block) == 0:
                break
            _require_magnitude(path, block, part.start + n_decoded, file.samplerate)
            n_decoded += len(block)
            yield block
    except soundfile.SoundFileError:
        at_s = (part.start + n_decoded) / file.samplerate
        raise AudioFileError(
            f"{quoted(path)} is damaged or cut short: it cannot be decoded beyond {at_s:.6g} s"
        ) from None
    _require_as_promised(path, file, n_decoded, part)


def _require_magnitude(path: Name, block: Block, start: int, sample_rate: int) -> None:
    if np.abs(block).max() <= MAX_MAGNITUDE:  # false for NaN
        return
    sense = (np.abs(block) <= MAX_MAGNITUDE).all(axis=1)  # (N,)
    index = int(sense.argmin())
    at_s = (start + index) / sample_rate
    if not np.isfinite(block[index]).all():
        raise AudioFileError(
            f"{quoted(path)} holds NaN or infinite samples, the first at {at_s:.6g} s"
        )
    raise AudioFileError(
        f"{quoted(path)} holds samples that no sound has: {np.abs(block[index]).max():.2g} at "
        f"{at_s:.6g} s, where full scale is 1; allowed: up to {MAX_MAGNITUDE:.2g}"
    )


def _require_as_promised(path: Name, file: OpenRecording, n_decoded: int, part: Part) -> None:
    if n_decoded > part.n_limit:
        raise too_long(path, n_decoded / file.samplerate, part.n_limit / file.samplerate)
    if n_decoded == 0 and part.start > 0:
        raise AudioFileError(_holds_nothing(path, part.start / file.samplerate))
    if n_decoded == 0:
        raise AudioFileError(f"{quoted(path)} holds no samples that can be decoded")
    if file.promises_length and n_decoded + file.slack < part.n_samples:
        raise AudioFileError(
            f"{quoted(path)} is cut short or its header is wrong: {part.n_samples:,} samples are "
            f"promised, {n_decoded:,} can be decoded. Copy or download it again."
        )


def _holds_nothing(path: Name, start_s: float) -> str:
    return f"{quoted(path)} holds nothing from {start_s:g} s on"


def too_long(path: Name, length_s: float, limit_s: float) -> AudioFileError:
    """Return the error for a recording that is longer than `limit_s`."""
    return AudioFileError(
        f"{quoted(path)} holds {length_s:,.3f} s of sound or more; allowed: {limit_s:g} s. "
        f"Ask for a part of it with a start and a duration."
    )
