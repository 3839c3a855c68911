"""How loud a sound is: loudness and true peak of ITU-R BS.1770-4, and how much of it is silence.

The K-weighting is applied as a frequency response, so that any sample rate will do. Memory does not
grow with the sound. What is silent and what is clipped is said in `audio.py`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import soxr
from jaxtyping import Complex128, Float32, Float64

from latentfoley.audio import SILENCE_PEAK, count_clipped, is_silent
from latentfoley.errors import InputError

Samples = Float32[np.ndarray, "N"]

LOWEST_LUFS = -70.0  # the absolute gate of BS.1770: there is no loudness below it
FAINT_LUFS = -60.0  # no listener hears it beside a sound of usual level; see decision 115
LOWEST_DB = -120.0
FRAME_S = 0.01  # of which it is said whether it is silent

# BS.1770's two filters, by the analogue parameters that give its table at 48 kHz.
_SHELF_HZ, _SHELF_DB, _SHELF_Q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
_SHELF_SLOPE = 0.4996667741545416
_HIGH_PASS_HZ, _HIGH_PASS_Q = 38.13547087602444, 0.5003270373238773
_STEP_S, _STEPS_PER_BLOCK, _RELATIVE_GATE_LU = 0.1, 4, -10.0
# A filter's past in steps, of which nothing is left of the high-pass; and what is filtered at once.
_PAST, _NEW = 3, 9
_OVERSAMPLING, _CHUNK = 4, 1 << 16


@dataclass(frozen=True)
class Levels:
    """What the level of one sound is.

    Attributes:
        loudness_lufs: integrated, gated loudness, -70 or above.
        true_peak_db: highest magnitude between the samples too, in dBTP, -120 or above.
        silent_frames: share of frames of 10 ms with no sample above -80 dBFS, 0 … 1.
        silent: whether no sample is above -80 dBFS.
        clipped: whether three samples in a row are at full scale.
    """

    loudness_lufs: float
    true_peak_db: float
    silent_frames: float
    silent: bool
    clipped: bool

    @property
    def faint(self) -> bool:
        """Whether it is silent or nearly so: below -60 LUFS."""
        return self.loudness_lufs < FAINT_LUFS


def measure(waveform: Samples, sample_rate: int) -> Levels:
    """Return the levels of a sound at its own rate; resampling would move its peaks.

    Raises:
        InputError: no samples.
    """
    return Levels(
        loudness_lufs=loudness(waveform, sample_rate),
        true_peak_db=true_peak(waveform),
        silent_frames=float(1 - sounding_frames(waveform, sample_rate).mean()),
        silent=is_silent(waveform),
        clipped=count_clipped(waveform) > 0,
    )


def sounding_frames(waveform: Samples, sample_rate: int) -> np.ndarray:
    """Return which frames of 10 ms have a sample above -80 dBFS; the last may be shorter."""
    starts = np.arange(0, len(waveform), frame_samples(sample_rate))
    return np.maximum.reduceat(np.abs(waveform), starts) > SILENCE_PEAK


def frame_samples(sample_rate: int) -> int:
    """Return the samples of a frame."""
    return max(1, round(FRAME_S * sample_rate))


def true_peak(waveform: Samples) -> float:
    """Return the highest magnitude in dBTP, between the samples too: of four times as many."""
    upsampler = soxr.ResampleStream(1, _OVERSAMPLING, 1, dtype="float32", quality="HQ")
    peak = float(np.abs(waveform).max(initial=0.0))
    for start in range(0, len(waveform), _CHUNK):
        chunk = waveform[start : start + _CHUNK]
        between = upsampler.resample_chunk(chunk, last=start + _CHUNK >= len(waveform))
        peak = max(peak, float(np.abs(between).max(initial=0.0)))
    return 20 * math.log10(max(peak, 10 ** (LOWEST_DB / 20)))


def loudness(waveform: Samples, sample_rate: int) -> float:
    """Return the gated loudness in LUFS, -70 or above.

    A clip shorter than one block of 0.4 s stands in silence.

    Raises:
        InputError: no samples.
    """
    if len(waveform) == 0:
        raise InputError("a clip without samples has no loudness")
    n_step = round(_STEP_S * sample_rate)
    n_steps = max(_STEPS_PER_BLOCK, len(waveform) // n_step)
    weighted = _k_weighted(waveform, sample_rate)
    energy = np.concatenate([np.square(part).reshape(-1, n_step).sum(axis=1) for part in weighted])
    blocks = np.lib.stride_tricks.sliding_window_view(energy[:n_steps], _STEPS_PER_BLOCK)
    power = blocks.sum(axis=1) / (_STEPS_PER_BLOCK * n_step)  # blocks overlap fourfold
    audible = power[power > _power(LOWEST_LUFS)]
    if len(audible) == 0:
        return LOWEST_LUFS
    gate = audible.mean() * 10 ** (_RELATIVE_GATE_LU / 10)
    return max(LOWEST_LUFS, _lufs(float(audible[audible > gate].mean())))


def _lufs(power: float) -> float:
    return -0.691 + 10 * math.log10(power)


def _power(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


def _k_weighted(waveform: Samples, sample_rate: int) -> Iterator[Float64[np.ndarray, "M"]]:
    """Yield the filtered sound part by part, zeros added at its end; each part is filtered with a
    past that is thrown away (overlap-save)."""
    n_step = round(_STEP_S * sample_rate)
    n_past, n_new = _PAST * n_step, _NEW * n_step
    response = _k_response(n_past + n_new, sample_rate)
    for start in range(0, len(waveform), n_new):
        part = np.zeros(n_past + n_new)
        there = waveform[max(0, start - n_past) : start + n_new]
        first = max(0, n_past - start)
        part[first : first + len(there)] = there
        yield np.fft.irfft(np.fft.rfft(part) * response, len(part))[n_past:]


@lru_cache(maxsize=4)
def _k_response(n_fft: int, sample_rate: int) -> Complex128[np.ndarray, "K"]:
    z = np.exp(-2j * np.pi * np.arange(n_fft // 2 + 1) / n_fft)
    return np.asarray(_shelf(z, sample_rate) * _high_pass(z, sample_rate))


def _shelf(z: Complex128[np.ndarray, "K"], sample_rate: int) -> Complex128[np.ndarray, "K"]:
    k = math.tan(math.pi * _SHELF_HZ / sample_rate)
    high = 10 ** (_SHELF_DB / 20)
    middle = high**_SHELF_SLOPE
    b = (
        high + middle * k / _SHELF_Q + k * k,
        2 * (k * k - high),
        high - middle * k / _SHELF_Q + k * k,
    )
    a = (1 + k / _SHELF_Q + k * k, 2 * (k * k - 1), 1 - k / _SHELF_Q + k * k)
    return _response(b, a, z)


def _high_pass(z: Complex128[np.ndarray, "K"], sample_rate: int) -> Complex128[np.ndarray, "K"]:
    k = math.tan(math.pi * _HIGH_PASS_HZ / sample_rate)
    a = (1 + k / _HIGH_PASS_Q + k * k, 2 * (k * k - 1), 1 - k / _HIGH_PASS_Q + k * k)
    # The numerator of the standard's table is 1, -2, 1 without a factor.
    return _response((a[0], -2 * a[0], a[0]), a, z)


def _response(
    b: tuple[float, float, float], a: tuple[float, float, float], z: Complex128[np.ndarray, "K"]
) -> Complex128[np.ndarray, "K"]:
    return np.asarray((b[0] + b[1] * z + b[2] * z * z) / (a[0] + a[1] * z + a[2] * z * z))
