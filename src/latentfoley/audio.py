"""Recordings: files ↔ mono waveforms, resampling, level, length, metadata.

A waveform here is a one-dimensional float32 array of samples in [-1, 1]. Several channels are mixed
down to their mean, never cut to the first. Limits count decoded samples, because a small file can
decode to a very large one and a header can say anything. Files are written to a temporary name
beside the target and renamed, so that a file is either there and whole or not there.

Reading path: files are opened by `containers.py` and encoded by `encoding.py`; `mel.py` comes next.
It does not know about tensors, models, or what a provenance record holds (`provenance.py`).
"""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from jaxtyping import Float, Float32, Shaped

from latentfoley.containers import (
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    OpenRecording,
    open_recording,
)
from latentfoley.encoding import encode_audio, safe_gain, write_atomically
from latentfoley.errors import AudioFileError, InputError

Samples = Float32[np.ndarray, "N"]
AnySamples = Float[np.ndarray, "N"]

SILENCE_PEAK = 1e-4  # -80 dBFS: below it AudioLDM's trainer takes a crop for silent

_BLOCK_SAMPLES = 1 << 18
# Encoders disagree on whether the frame with the length tag and the padding count as sound.
_MP3_SLACK_SAMPLES = 2 * 1152


@dataclass(frozen=True, eq=False)
class Recording:
    """A decoded recording, or the part of one that was asked for.

    Attributes:
        waveform: mono samples, nominally in [-1, 1]; float and lossy files may go beyond.
        sample_rate: of `waveform`, in Hz.
        original_sample_rate: of the file, in Hz.
        channels: of the file, before they were mixed down.
    """

    waveform: Samples
    sample_rate: int
    original_sample_rate: int
    channels: int

    @property
    def duration_s(self) -> float:
        """Length of `waveform` in seconds."""
        return len(self.waveform) / self.sample_rate


def read_audio(
    path: str | os.PathLike[str],
    *,
    sample_rate: int | None = 16_000,
    max_duration_s: float = 3600.0,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> Recording:
    """Decode a file, or a part of it, to mono at `sample_rate`.

    Silence and a single sample are read as they are; `require_sound` is for those who mind.

    Args:
        path: WAV or AIFF (PCM or float), FLAC, Ogg Vorbis, Opus or MP3, by its contents.
        sample_rate: of the result, in Hz; None keeps the file's own.
        max_duration_s: the longest sound that is decoded, in seconds, > 0.
        start_s: where to begin, in seconds from the start, ≥ 0.
        duration_s: how much to read at most, in seconds, > 0; None means to the end.

    Returns:
        The recording; shorter than `duration_s` where the file ends earlier.

    Raises:
        InputError: a time or rate outside the ranges above.
        AudioFileError: no such file, not a recording, an unsupported codec, cut short or damaged,
            longer than allowed, without samples in the asked part, or with NaN or infinite samples.
    """
    _require_request(sample_rate, max_duration_s, start_s, duration_s)
    with open_recording(path) as file:
        start = round(start_s * file.samplerate)
        n_samples = _count_to_decode(path, file, start, duration_s, max_duration_s)
        waveform = _decode(path, file, start, n_samples)
        _require_as_promised(path, file, len(waveform), n_samples, max_duration_s)
        rate, channels = file.samplerate, file.channels
    target = rate if sample_rate is None else sample_rate
    return Recording(resample(waveform, rate, target), target, rate, channels)


def _require_request(
    sample_rate: int | None, max_duration_s: float, start_s: float, duration_s: float | None
) -> None:
    if sample_rate is not None and not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise InputError(
            f"a sample rate of {sample_rate} Hz; allowed: {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
        )
    if not (math.isfinite(start_s) and start_s >= 0):
        raise InputError(f"start_s = {start_s}; allowed: 0 or more seconds")
    for name, value in (("max_duration_s", max_duration_s), ("duration_s", duration_s)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} = {value}; allowed: more than 0 seconds")


def _count_to_decode(
    path: str | os.PathLike[str],
    file: OpenRecording,
    start: int,
    duration_s: float | None,
    max_duration_s: float,
) -> int:
    """Return how many samples per channel to ask the decoder for, at most one above the limit."""
    if file.frames < 1:
        raise AudioFileError(f"'{path}' holds no samples")
    n_left: int = file.frames - start
    if n_left < 1:
        raise AudioFileError(
            f"'{path}' holds nothing from {start / file.samplerate:g} s on; "
            f"it is {file.frames / file.samplerate:g} s long"
        )
    n_asked = n_left if duration_s is None else max(1, round(duration_s * file.samplerate))
    n_samples = min(n_left, n_asked)
    n_limit = int(max_duration_s * file.samplerate)
    if file.promises_length and n_samples > n_limit:
        raise _too_long(path, n_samples / file.samplerate, max_duration_s)
    return min(n_samples, n_limit + 1)


def stream_audio(
    path: str | os.PathLike[str], *, max_duration_s: float = 3600.0
) -> Iterator[tuple[int, Float32[np.ndarray, "N C"]]]:
    """Yield (sample rate, block) of a file as it is, in memory that does not grow with its length.

    Raises:
        AudioFileError: as `read_audio`, where it comes to light: at the end if the file is short.
    """
    with open_recording(path) as file:
        n_samples = _count_to_decode(path, file, 0, None, max_duration_s)
        n_decoded = 0
        for block in _blocks(path, file, 0, n_samples):
            n_decoded += len(block)
            yield file.samplerate, block
        _require_as_promised(path, file, n_decoded, n_samples, max_duration_s)


def mix_down(block: Float32[np.ndarray, "N C"]) -> Samples:
    """Return the mean of the channels."""
    mono: Samples = block.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mono


def _decode(
    path: str | os.PathLike[str], file: OpenRecording, start: int, n_samples: int
) -> Samples:
    """Decode up to `n_samples` in blocks; memory grows with what is there, not with promises."""
    blocks = [mix_down(block) for block in _blocks(path, file, start, n_samples)]  # (N,) each
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _blocks(
    path: str | os.PathLike[str], file: OpenRecording, start: int, n_samples: int
) -> Iterator[Float32[np.ndarray, "N C"]]:
    n_block = max(1, _BLOCK_SAMPLES // file.channels)
    n_decoded = 0
    try:
        _skip(file, start)
        while n_decoded < n_samples:
            n_next = min(n_block, n_samples - n_decoded)
            block = file.read(n_next, dtype="float32", always_2d=True)  # (N, channels)
            if len(block) == 0:
                break
            _require_finite_block(path, block, start + n_decoded, file.samplerate)
            n_decoded += len(block)
            yield block
    except soundfile.SoundFileError:
        at_s = (start + n_decoded) / file.samplerate
        raise AudioFileError(
            f"'{path}' is damaged or cut short: it cannot be decoded beyond {at_s:.6g} s"
        ) from None


def _skip(file: OpenRecording, n_samples: int) -> None:
    """Go forward; in an MP3 by decoding, because a frame needs the bits of those before it."""
    if file.format != "MP3":
        file.seek(n_samples)
        return
    for start in range(0, n_samples, _BLOCK_SAMPLES):
        file.read(min(_BLOCK_SAMPLES, n_samples - start), dtype="float32")


def _require_finite_block(
    path: str | os.PathLike[str], block: Float32[np.ndarray, "N C"], start: int, sample_rate: int
) -> None:
    finite = np.isfinite(block).all(axis=1)  # (N,)
    if not finite.all():
        at_s = (start + int(finite.argmin())) / sample_rate
        raise AudioFileError(f"'{path}' holds NaN or infinite samples, the first at {at_s:.6g} s")


def _require_as_promised(
    path: str | os.PathLike[str],
    file: OpenRecording,
    n_decoded: int,
    n_expected: int,
    max_duration_s: float,
) -> None:
    if n_decoded > int(max_duration_s * file.samplerate):
        raise _too_long(path, n_decoded / file.samplerate, max_duration_s)
    if n_decoded == 0:
        raise AudioFileError(f"'{path}' holds no samples that can be decoded")
    slack = _MP3_SLACK_SAMPLES if file.format == "MP3" else 0
    if file.promises_length and n_decoded + slack < n_expected:
        raise AudioFileError(
            f"'{path}' is cut short or its header is wrong: {n_expected:,} samples are promised, "
            f"{n_decoded:,} can be decoded. Copy or download it again."
        )


def _too_long(
    path: str | os.PathLike[str], length_s: float, max_duration_s: float
) -> AudioFileError:
    return AudioFileError(
        f"'{path}' holds {length_s:,.3f} s of sound or more; allowed: {max_duration_s:g} s. "
        f"Ask for a part of it with a start and a duration."
    )


def require_sound(waveform: AnySamples, what: str, *, min_samples: int = 160) -> None:
    """Raise unless there is something to hear.

    Args:
        waveform: mono samples.
        what: how to call the recording in the error, for example "the guiding recording 'a.wav'".
        min_samples: the shortest allowed, in samples; one hop of the mel front end by default.

    Raises:
        InputError: too short, not finite, or nowhere above -80 dBFS (1e-4).
    """
    if len(waveform) < min_samples:
        raise InputError(
            f"{what} is too short: {len(waveform)} samples; allowed: {min_samples} or more"
        )
    if not np.isfinite(waveform).all():
        raise InputError(f"{what} holds NaN or infinite samples")
    peak = float(np.abs(waveform).max())
    if peak <= SILENCE_PEAK:
        raise InputError(
            f"{what} is silent: its peak is {peak:.1e}; "
            f"allowed: above {SILENCE_PEAK:.0e} (-80 dBFS)"
        )


def resample(waveform: AnySamples, source_rate: int, target_rate: int) -> Float32[np.ndarray, "M"]:
    """Return the same sound at another sample rate, band-limited (soxr, quality HQ).

    Args:
        waveform: mono samples.
        source_rate: its sample rate, in Hz, > 0.
        target_rate: the wanted one, in Hz, > 0.

    Returns:
        round(N · target / source) samples, halves rounded up, at least one; none for none.

    Raises:
        InputError: a rate that is not positive.

    Example:
        >>> len(resample(np.zeros(44_100, np.float32), 44_100, 16_000))
        16000
    """
    if source_rate < 1 or target_rate < 1:
        raise InputError(f"cannot resample from {source_rate} Hz to {target_rate} Hz; allowed: > 0")
    samples = np.asarray(waveform, dtype=np.float32)
    if source_rate == target_rate or len(samples) == 0:
        return samples
    n_samples = (2 * len(samples) * target_rate + source_rate) // (2 * source_rate)
    resampled = soxr.resample(samples, source_rate, target_rate, quality="HQ")
    # soxr rounds halves in its own way and makes nothing of very short input.
    return fit_length(resampled, max(1, n_samples))


def normalise_peak(waveform: AnySamples, peak: float = 0.5) -> Samples:
    """Return the waveform without its mean, scaled so that its largest magnitude is `peak`.

        y = peak · (x - mean x) / (max |x - mean x| + 10⁻⁸)      [as AudioLDM's trainer reads files]

    Args:
        waveform: finite mono samples of any level.
        peak: the wanted largest magnitude, > 0.

    Returns:
        Samples in [-peak, peak]; silence and constants give zeros.

    Example:
        >>> normalise_peak(np.array([0.0, 0.2], np.float32))
        array([-0.49999994,  0.49999994], dtype=float32)
    """
    samples = np.asarray(waveform, dtype=np.float64)
    if samples.size == 0:
        return samples.astype(np.float32)
    centred = samples - samples.mean()
    gain = peak / (float(np.abs(centred).max()) + 1e-8)
    normalised: Samples = (gain * centred).astype(np.float32)
    return normalised


def fit_length(waveform: AnySamples, n_samples: int) -> Float32[np.ndarray, "{n_samples}"]:
    """Return exactly `n_samples` samples: the end cropped, or zeros added there.

    Raises:
        InputError: `n_samples` below 1.

    Example:
        >>> fit_length(np.ones(2, np.float32), 3)
        array([1., 1., 0.], dtype=float32)
    """
    if n_samples < 1:
        raise InputError(f"a length of {n_samples} samples; allowed: 1 or more")
    fitted = np.zeros(n_samples, np.float32)
    kept = waveform[:n_samples]
    fitted[: len(kept)] = kept
    return fitted


def write_audio(
    path: str | os.PathLike[str],
    waveform: Shaped[np.ndarray, "..."],
    sample_rate: int,
    *,
    provenance: Mapping[str, object] | None,
    subtype: str | None = None,
) -> float:
    """Write a mono recording whole or not at all; missing folders are made.

    The samples that can be read back depend only on the arguments; the bytes of an Ogg file do not,
    because every Ogg stream carries a random serial number. WAV, FLAC and Ogg give back exactly as
    many samples; MP3 too with decoders that read its gapless tag (this one does), others return
    some padding at both ends.

    Args:
        path: the suffix decides the format: .wav, .flac, .ogg or .mp3.
        waveform: one-dimensional float samples in [-1, 1]. A louder one is scaled down to a peak of
            0.999 instead of being clipped.
        sample_rate: in Hz, 1,000 to 192,000; MP3 and Opus allow fewer.
        provenance: the record to store in the comment, as plain JSON values; None for none.
        subtype: WAV: PCM_16 (default), PCM_24, FLOAT. FLAC: PCM_16 (default), PCM_24.
            Ogg: VORBIS (default), OPUS. MP3: MPEG_LAYER_III.

    Returns:
        The gain that was applied: 1.0 unless the waveform was too loud.

    Raises:
        InputError: an unknown suffix or subtype, a rate the format cannot hold, no samples, NaN or
            infinite samples, more than one dimension, integers, or a provenance above 50,000 bytes.
        AudioFileError: the disk refuses (full, no permission, the path is a folder).
    """
    suffix = Path(path).suffix
    data = encode_audio(
        waveform, sample_rate, suffix=suffix, provenance=provenance, subtype=subtype
    )
    try:
        write_atomically(path, data)
    except OSError as error:
        raise AudioFileError(f"'{path}' cannot be written: {error.strerror or error}") from None
    return safe_gain(waveform)
