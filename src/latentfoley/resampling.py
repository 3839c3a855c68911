"""Which resampler a network's training used, by name: another one moves what it sees."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, Float64

from latentfoley.audio import AnySamples, resample
from latentfoley.config import Resampler

# Zero crossings on each side, and the edge of the filter.
_SINC_WIDTH, _SINC_ROLLOFF = 6, 0.99


def sinc_resample(
    waveform: AnySamples, source_rate: int, target_rate: int
) -> Float32[np.ndarray, "M"]:
    """Return the sound at another rate by a Hann-windowed sinc of six zero crossings.

        y(t) = Σ_n x[n] · (c / f) · sinc(c u) · cos²(π c u / 12),   u = t - n/f, |c u| ≤ 6

    with f the source rate and c = 0.99 times the lower of both rates: the formula that
    torchaudio.functional.resample documents, with the settings it has by default. Short and soft;
    AudioLDM's authors bring sound to CLAP's rate with it, and `audioldm_eval` reads with it.

    Args:
        waveform: mono samples.
        source_rate, target_rate: in Hz, > 0.

    Returns:
        ⌈N · target / source⌉ samples.
    """
    if source_rate == target_rate:
        return waveform.astype(np.float32)
    up, down = (rate // math.gcd(source_rate, target_rate) for rate in (target_rate, source_rate))
    cutoff_hz = _SINC_ROLLOFF * min(source_rate, target_rate)
    reach = math.ceil(_SINC_WIDTH * source_rate / cutoff_hz)
    n_samples = -(-len(waveform) * up // down)
    padded = np.pad(waveform.astype(np.float64), (reach, reach + down))
    out = np.zeros(n_samples)
    for phase in range(up):  # output samples k·up + phase lie at the same place between inputs
        whole, offset = divmod(phase * down, up)
        taps = _sinc_taps(offset / up, reach, source_rate, cutoff_hz)
        count = len(range(phase, n_samples, up))
        windows = np.lib.stride_tricks.sliding_window_view(padded, len(taps))[whole::down]
        out[phase::up] = windows[:count] @ taps
    return out.astype(np.float32)


def _sinc_taps(
    offset: float, reach: int, source_rate: int, cutoff_hz: float
) -> Float64[np.ndarray, "K"]:
    """Return the weights of the inputs -reach … reach around a point `offset` past an input."""
    places = (offset - np.arange(-reach, reach + 1)) * cutoff_hz / source_rate
    places = np.clip(places, -_SINC_WIDTH, _SINC_WIDTH)
    window = np.cos(np.pi * places / (2 * _SINC_WIDTH)) ** 2
    return np.asarray(np.sinc(places) * window * cutoff_hz / source_rate)


RESAMPLERS: dict[Resampler, Callable[[AnySamples, int, int], Float32[np.ndarray, "M"]]] = {
    "soxr-hq": resample,
    "sinc-hann-6": sinc_resample,
}
