"""How loud clips are, and how many are silent or clipped: what good distances do not show.

Loudness is that of ITU-R BS.1770-4 for one channel, without libraries: the K-weighting is applied
as a frequency response, so that any sample rate will do.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Complex128, Float32, Float64

from latentfoley.audio import count_clipped, is_silent
from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.score import Bootstrap, Score, mean_score, rate_score

Samples = Float32[np.ndarray, "N"]

LOWEST_LUFS = -70.0  # the absolute gate of BS.1770: there is no loudness below it

# BS.1770's two filters, by the analogue parameters that give its table at 48 kHz.
_SHELF_HZ, _SHELF_DB, _SHELF_Q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
_SHELF_SLOPE = 0.4996667741545416
_HIGH_PASS_HZ, _HIGH_PASS_Q = 38.13547087602444, 0.5003270373238773
_BLOCK_S, _STEP_S, _RELATIVE_GATE_LU = 0.4, 0.1, -10.0


@dataclass(frozen=True)
class Levels:
    """What the level of one clip is."""

    loudness_lufs: float
    silent: bool
    clipped: bool


def measure(waveform: Samples, sample_rate: int) -> Levels:
    """Return the levels of a clip at its own rate; resampling would move its peaks.

    What is silent and what is clipped is said in `audio.py`, for data and training too.
    """
    return Levels(
        loudness_lufs=loudness(waveform, sample_rate),
        silent=is_silent(waveform),
        clipped=count_clipped(waveform) > 0,
    )


def loudness_score(clips: Sequence[Levels], *, bootstrap: Bootstrap | None = None) -> Score:
    """Return the mean integrated loudness in LUFS; clips below the gate count as -70."""
    return mean_score(
        "loudness",
        np.array([clip.loudness_lufs for clip in clips]),
        better="neither",
        unit="LUFS",
        caveat="Clips below -70 LUFS, silence above all, count as -70.",
        bootstrap=bootstrap,
    )


def silence_rate(clips: Sequence[Levels]) -> Score:
    """Return the share of silent clips."""
    return rate_score(
        "silent clips",
        np.array([float(clip.silent) for clip in clips]),
        caveat="No sample above -80 dBFS. Silence can score well on FD and KL: read this first.",
    )


def clipping_rate(clips: Sequence[Levels]) -> Score:
    """Return the share of clipped clips."""
    return rate_score(
        "clipped clips",
        np.array([float(clip.clipped) for clip in clips]),
        caveat="Three samples in a row at full scale. A soft clipper goes unseen.",
    )


def loudness(waveform: Samples, sample_rate: int) -> float:
    """Return the gated loudness in LUFS, -70 or above.

    A clip shorter than one block of 0.4 s stands in silence.

    Raises:
        InputError: no samples.
    """
    if len(waveform) == 0:
        raise InputError("a clip without samples has no loudness")
    weighted = _k_weighted(waveform.astype(np.float64), sample_rate)
    n_block, n_step = round(_BLOCK_S * sample_rate), round(_STEP_S * sample_rate)
    padded = np.pad(weighted, (1, max(0, n_block - len(weighted))))
    energy = np.square(padded).cumsum()  # up to every sample, from 0 on: blocks overlap fourfold
    power = (energy[n_block::n_step] - energy[:-n_block:n_step]) / n_block
    audible = power[power > _power(LOWEST_LUFS)]
    if len(audible) == 0:
        return LOWEST_LUFS
    gate = audible.mean() * 10 ** (_RELATIVE_GATE_LU / 10)
    return max(LOWEST_LUFS, _lufs(float(audible[audible > gate].mean())))


def _lufs(power: float) -> float:
    return -0.691 + 10 * math.log10(power)


def _power(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


def _k_weighted(waveform: Float64[np.ndarray, "N"], sample_rate: int) -> Float64[np.ndarray, "N"]:
    """Filter block by block, each with a past that is thrown away (overlap-save)."""
    n_past = sample_rate // 4  # after a quarter of a second nothing is left of the high-pass
    n_fft, n_new = 4 * n_past, 3 * n_past
    padded = np.pad(waveform, (n_past, -len(waveform) % n_new))
    blocks = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::n_new]
    shaped = np.fft.rfft(blocks) * _k_response(n_fft, sample_rate)
    return np.fft.irfft(shaped, n_fft)[:, n_past:].reshape(-1)[: len(waveform)]


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
