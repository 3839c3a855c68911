"""Recordings: files ↔ mono waveforms, resampling, level, length, metadata.

A waveform here is a one-dimensional float32 array of samples in [-1, 1]. Several channels are mixed
down to their mean, never cut to the first. Limits count decoded samples, because a small file can
decode to a very large one and a header can say anything. Files are written to a temporary name
beside the target and renamed, so that a file is either there and whole or not there.

Reading path: files are opened by `containers/`, decoded by `decoding.py` and encoded by
`encoding.py`; `mel.py` comes next. It does not know about tensors, models, or what a provenance
record holds (`provenance.py`).
"""

import math
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from jaxtyping import Float, Float32, Shaped

from latentfoley.containers import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, open_recording
from latentfoley.decoding import MAX_MAGNITUDE, choose_part, decode, too_long
from latentfoley.encoding import encode_audio, safe_gain, write_atomically
from latentfoley.errors import AudioFileError, InputError, ModelError, RecordingWarning, quoted

Samples = Float32[np.ndarray, "N"]
AnySamples = Float[np.ndarray, "N"]

TRAINING_PEAK = 0.5  # to which AudioLDM's trainer brings every clip
SILENCE_PEAK = 1e-4  # -80 dBFS: below it AudioLDM's trainer takes a crop for silent
CLIPPING_LEVEL = 0.999
CLIPPED_RUN = 3  # samples in a row: a converter leaves them, where a loud sound has single peaks

_HEARD_PEAK = 1e-2  # what is louder is no silence, whatever its mean is
_INTEGER_PEAK = 2.0**7  # 42 dB above full scale: no converter and no mix gets there
_MAX_SAMPLES = 1 << 28  # 1 GiB


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

    It is decoded, mixed down and resampled a block at a time: memory grows with the result alone.
    Silence and a single sample are read as they are; `require_sound` is for those who mind.

    Args:
        path: WAV or AIFF (PCM or float), FLAC, Ogg Vorbis, Opus or MP3, by its contents; with the
            extra "media" also what FFmpeg reads: m4a, WMA, WebM, AMR, AU, CAF, W64, RF64 …
        sample_rate: of the result, in Hz; None keeps the file's own.
        max_duration_s: the longest sound that is decoded, in seconds, > 0; the result never has
            more than 2²⁸ samples, an hour at 74 kHz.
        start_s: where to begin, in seconds from the start, ≥ 0.
        duration_s: how much to read at most, in seconds, > 0; None means to the end.

    Returns:
        The recording; shorter than `duration_s` where the file ends earlier.

    Raises:
        InputError: a time or rate outside the ranges above.
        AudioFileError: no such file, not a recording, an unsupported codec, cut short or damaged,
            longer than allowed, without samples in the asked part, with samples that are NaN or
            beyond ±2³¹, or with channels that cancel each other.

    Warns:
        RecordingWarning: something is wrong with the file, or its samples are far above full scale.
    """
    _require_request(sample_rate, max_duration_s, start_s, duration_s)
    with open_recording(path) as file:
        rate, channels = file.samplerate, file.channels
        target = rate if sample_rate is None else sample_rate
        part = choose_part(path, file, start_s, duration_s, max_duration_s)
        resampler, levels = Resampler(rate, target), _Levels()
        for block in decode(path, file, part):
            resampler.require_room(path)
            mono = mix_down(block)
            levels.take(block, mono)
            resampler.take(mono)
    levels.require_sense(path)
    return Recording(resampler.finish(), target, rate, channels)


def stream_audio(
    path: str | os.PathLike[str], *, max_duration_s: float = 3600.0
) -> Iterator[tuple[int, Float32[np.ndarray, "N C"]]]:
    """Yield (sample rate, block) of a file as it is, in memory that does not grow with its length.

    Raises:
        AudioFileError: as `read_audio`, where it comes to light: at the end if the file is short.
    """
    levels = _Levels()
    with open_recording(path) as file:
        part = choose_part(path, file, 0.0, None, max_duration_s)
        for block in decode(path, file, part):
            levels.take(block, mix_down(block))
            yield file.samplerate, block
    levels.require_sense(path)


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


class _Levels:
    """The loudest sample of any channel and of the mix-down, as blocks come by."""

    def __init__(self) -> None:
        self.of_channels = self.of_mix = 0.0

    def take(self, block: Float32[np.ndarray, "N C"], mono: Samples) -> None:
        self.of_channels = max(self.of_channels, float(np.abs(block).max()))
        self.of_mix = max(self.of_mix, float(np.abs(mono).max()))

    def require_sense(self, path: str | os.PathLike[str]) -> None:
        """Refuse channels that leave nothing when they are mixed; warn of an integer scale."""
        if self.of_mix <= SILENCE_PEAK and self.of_channels > _HEARD_PEAK:
            raise AudioFileError(
                f"the channels of {quoted(path)} cancel each other: their peak is "
                f"{self.of_channels:.2g}, that of their mean {self.of_mix:.1g}. Leave one "
                f"out, for example with: ffmpeg -i INPUT -af 'pan=mono|c0=c0' OUTPUT.wav"
            )
        if self.of_channels > _INTEGER_PEAK:
            warnings.warn(
                f"{quoted(path)} holds samples up to {self.of_channels:,.6g}, where full scale "
                f"is 1: integers that were stored as float? Divide them by 2¹⁵ or 2³¹",
                RecordingWarning,
                stacklevel=3,
            )


class Resampler:
    """Mono blocks in, one waveform at another rate out: the samples that `resample` gives."""

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self._rates = source_rate, target_rate
        self._soxr = (
            soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32", quality="HQ")
            if source_rate != target_rate
            else None
        )
        self._n_taken = 0
        self._samples = bytearray()  # grows in place; joining arrays would take twice the memory

    def take(self, mono: Samples, *, is_last: bool = False) -> None:
        """Take the next samples."""
        self._n_taken += len(mono)
        resampled = mono if self._soxr is None else self._soxr.resample_chunk(mono, last=is_last)
        self._samples += resampled.tobytes()

    def require_room(self, path: str | os.PathLike[str]) -> None:
        """Refuse to make a waveform that takes more memory than any sound needs."""
        if len(self._samples) > 4 * _MAX_SAMPLES:
            raise too_long(path, self._n_taken / self._rates[0], _MAX_SAMPLES / self._rates[1])

    def finish(self) -> Samples:
        """Return the whole waveform."""
        self.take(np.zeros(0, np.float32), is_last=True)
        n_bytes = 4 * _count_resampled(self._n_taken, *self._rates)
        del self._samples[n_bytes:]
        self._samples += bytes(n_bytes - len(self._samples))
        return np.frombuffer(self._samples, np.float32)


def _count_resampled(n_samples: int, source_rate: int, target_rate: int) -> int:
    """Return round(N · target / source), halves rounded up, at least 1."""
    return max(1, (2 * n_samples * target_rate + source_rate) // (2 * source_rate))


def mix_down(block: Float32[np.ndarray, "N C"]) -> Samples:
    """Return the mean of the channels."""
    mono: Samples = block.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mono


def is_silent(waveform: Shaped[np.ndarray, "..."]) -> bool:
    """Return whether no sample, of any channel, is above -80 dBFS (1e-4); nothing is silent."""
    return float(np.abs(waveform).max(initial=0.0)) <= SILENCE_PEAK


def count_clipped(waveform: Shaped[np.ndarray, "N *C"]) -> int:
    """Return how many samples are clipped: they stand, three or more in a row, at 0.999 or above.

    Args:
        waveform: mono samples, or a column per channel; full scale is 1.

    Example:
        >>> count_clipped(np.array([0.0, 1.0, 1.0, 1.0, 0.5, 1.0]))
        3
    """
    if len(waveform) < CLIPPED_RUN:
        return 0
    loud = np.abs(waveform) >= CLIPPING_LEVEL  # (N, *C)
    starts = loud[:-2] & loud[1:-1] & loud[2:]  # (N - 2, *C): three in a row begin here
    inside = np.zeros_like(loud)
    for k in range(CLIPPED_RUN):
        inside[k : k + len(starts)] |= starts
    return int(inside.sum())


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
    if is_silent(waveform):
        raise InputError(
            f"{what} is silent: its peak is {np.abs(waveform).max():.1e}; "
            f"allowed: above {SILENCE_PEAK:.0e} (-80 dBFS)"
        )


def require_finite(waveform: AnySamples, model: str) -> None:
    """Raise if networks made samples that are none.

    Weights are finite when they are loaded and recordings when they are read, so it is the model
    that makes them: trained to divergence, or in a precision that is too small for it.

    Args:
        waveform: samples as the networks made them.
        model: the name of the model, for the message.

    Raises:
        ModelError: there are NaN or infinite samples, or some beyond ±2³¹.
    """
    peak = np.abs(waveform).max(initial=0.0)
    if not peak <= MAX_MAGNITUDE:
        n_bad = int(np.count_nonzero(~(np.abs(waveform) <= MAX_MAGNITUDE)))
        raise ModelError(
            f"the model {quoted(model)} made {n_bad:,} of {len(waveform):,} samples that are NaN, "
            f"infinite or beyond all sound. Its weights have diverged, or its precision is too "
            f"small: try float32"
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
    resampled = soxr.resample(samples, source_rate, target_rate, quality="HQ")
    # soxr rounds halves in its own way and makes nothing of very short input.
    return fit_length(resampled, _count_resampled(len(samples), source_rate, target_rate))


def normalise_peak(waveform: AnySamples, peak: float = TRAINING_PEAK) -> Samples:
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
    channels: int = 1,
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
        channels: 1, or 2 that are the same.

    Returns:
        The gain that was applied: 1.0 unless the waveform was too loud.

    Raises:
        InputError: an unknown suffix or subtype, a rate the format cannot hold, no samples, NaN or
            infinite samples, more than one dimension, integers, or a provenance above 50,000 bytes.
        AudioFileError: the disk refuses (full, no permission, the path is a folder).
    """
    suffix = Path(path).suffix
    data = encode_audio(
        waveform,
        sample_rate,
        suffix=suffix,
        provenance=provenance,
        subtype=subtype,
        channels=channels,
    )
    try:
        write_atomically(path, data)
    except OSError as error:
        raise AudioFileError(
            f"{quoted(path)} cannot be written: {error.strerror or error}"
        ) from None
    return safe_gain(waveform)
