"""Sounds beyond full scale, turned down around their peaks alone.

A factor below 1 for the whole sound would make a clip with one loud click quieter than its
neighbours by as much as the click is too loud.
"""

import numpy as np
from jaxtyping import Float32, Float64

from latentfoley.encoding import HEADROOM_PEAK

Samples = Float32[np.ndarray, "N"]

_BLOCK_S = 0.001  # of which one gain is asked
_REACH = 20  # blocks before and after a peak over which the gain falls and rises


def limit(waveform: Samples, sample_rate: int, *, loop: bool = False) -> Samples:
    """Return a sound within full scale; what is within it passes as it is.

    Around a peak beyond 1 the gain falls to what the peak allows and rises again, each within 20 ms
    along half a cosine: slow enough that a low tone is not bent, and nothing before it is heard.

    Args:
        waveform: samples of any size.
        sample_rate: theirs, in Hz.
        loop: whether the end leads on to the beginning; it still does afterwards.
    """
    n_block = max(1, round(_BLOCK_S * sample_rate))
    starts = np.arange(0, len(waveform), n_block)
    peaks = np.maximum.reduceat(np.abs(waveform), starts).astype(np.float64)
    if peaks.max() <= 1:
        return waveform
    allowed = np.where(peaks > 1, HEADROOM_PEAK / np.maximum(peaks, 1), 1.0)
    ends = np.append(starts[1:], len(waveform))
    gain = _between((starts + ends - 1) / 2, _smoothed(allowed, loop), len(waveform), loop)
    limited: Samples = (gain * waveform).astype(np.float32)
    return limited


def _smoothed(allowed: Float64[np.ndarray, "B"], loop: bool) -> Float64[np.ndarray, "B"]:
    """Return gains that change slowly, at no block above what it and its neighbours allow."""
    window = np.hanning(2 * _REACH + 1)  # its two ends are zeros
    around = np.pad(allowed, 2 * _REACH, mode="wrap" if loop else "edge")
    least = np.lib.stride_tricks.sliding_window_view(around, 2 * _REACH + 1).min(axis=1)
    return np.convolve(least, window / window.sum(), mode="valid")


def _between(
    centres: Float64[np.ndarray, "B"], gains: Float64[np.ndarray, "B"], n_samples: int, loop: bool
) -> Float64[np.ndarray, "N"]:
    """Return the gain of every sample, on straight lines from block to block."""
    period = n_samples if loop else None
    each: Float64[np.ndarray, N] = np.interp(np.arange(n_samples), centres, gains, period=period)
    return each
