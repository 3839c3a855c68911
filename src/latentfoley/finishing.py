"""The last step, after the networks: silence cut off, fades, loudness, sample rate.

    trim ─► fades ─► resampling ─► loudness, with a limit for true peaks ─► channels (when written)

A sound of which nothing is asked passes as it is, to the bit. What is asked stands in the request
and in the record, by the same names.
"""

import math

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel

from latentfoley.audio import resample
from latentfoley.levels import FAINT_LUFS, frame_samples, loudness, sounding_frames, true_peak

Samples = Float32[np.ndarray, "N"]

TRUE_PEAK_LIMIT_DB = -1.0  # EBU R 128
_LOOP_REACH = 4096  # samples of a loop's other end that the resampler sees: more than its filter


class Finishing(BaseModel):
    """What is done to a sound after it was made.

    Attributes:
        trim: whether silence at both ends is cut off: frames of 10 ms below -80 dBFS.
        fade_in_s, fade_out_s: length of a fade, in seconds; 0 is none. Its gain is half a cosine.
        normalise_lufs: the wanted integrated loudness (ITU-R BS.1770-4); less where true peaks
            would rise above -1 dBTP. What is below -60 LUFS is left as it is. None is no change.
        sample_rate: of the result in Hz; None is the model's own. Resampling adds no frequencies.
        channels: of the file, 1 or 2; both hold the same samples.
    """

    trim: bool = False
    fade_in_s: float = 0.0
    fade_out_s: float = 0.0
    normalise_lufs: float | None = None
    sample_rate: int | None = None
    channels: int = 1


NAMES = tuple(Finishing.model_fields)


def finish(waveform: Samples, sample_rate: int, asked: Finishing, *, loop: bool = False) -> Samples:
    """Return the finished sound at the asked sample rate.

    Args:
        waveform: mono samples as they were made.
        sample_rate: theirs, in Hz.
        asked: what to do.
        loop: whether the end leads on to the beginning; it still does when resampled.
    """
    if asked.trim:
        waveform = trim(waveform, sample_rate)
    if asked.fade_in_s or asked.fade_out_s:
        waveform = fade(waveform, asked.fade_in_s * sample_rate, asked.fade_out_s * sample_rate)
    rate = asked.sample_rate or sample_rate
    waveform = (_resample_loop if loop else resample)(waveform, sample_rate, rate)
    if asked.normalise_lufs is not None:
        waveform = normalise_loudness(waveform, rate, asked.normalise_lufs)
    return waveform


def trim(waveform: Samples, sample_rate: int) -> Samples:
    """Return the sound from its first frame to its last that is not silent; silence as it is."""
    (frames,) = sounding_frames(waveform, sample_rate).nonzero()
    if len(frames) == 0:
        return waveform
    n_frame = frame_samples(sample_rate)
    return waveform[frames[0] * n_frame : (frames[-1] + 1) * n_frame]


def fade(waveform: Samples, n_in: float, n_out: float) -> Samples:
    """Return the sound with fades of so many samples; it begins and ends with 0 where there is one.

    Example:
        >>> fade(np.ones(5, np.float32), 2, 0)
        array([0. , 0.5, 1. , 1. , 1. ], dtype=float32)
    """
    k = np.arange(len(waveform), dtype=np.float32)
    faded: Samples = (waveform * _rise(k, n_in) * _rise(k, n_out)[::-1]).astype(np.float32)
    return faded


def _rise(k: Samples, n_samples: float) -> Samples:
    if n_samples <= 0:
        return np.ones_like(k)
    gain: Samples = (1 - np.cos(np.pi * np.minimum(k / n_samples, 1))) / 2
    return gain


def normalise_loudness(waveform: Samples, sample_rate: int, lufs: float) -> Samples:
    """Return the sound at a loudness, or as near as the limit of true peaks allows."""
    there = loudness(waveform, sample_rate)
    if there < FAINT_LUFS:
        return waveform
    gain_db = min(lufs - there, TRUE_PEAK_LIMIT_DB - true_peak(waveform))
    return waveform * np.float32(10 ** (gain_db / 20))


def _resample_loop(waveform: Samples, source_rate: int, target_rate: int) -> Samples:
    """Resample what repeats: each end is filtered together with the other."""
    unit = source_rate // math.gcd(source_rate, target_rate)  # a whole number of samples at both
    n_around = -(-_LOOP_REACH // unit) * unit
    around = resample(np.pad(waveform, n_around, mode="wrap"), source_rate, target_rate)
    n_skipped = n_around * target_rate // source_rate
    n_samples = len(resample(waveform, source_rate, target_rate))
    return around[n_skipped : n_skipped + n_samples]
