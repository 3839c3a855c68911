"""Super-resolution: the band that a recording lacks is regenerated, the band it has stays.

It is inpainting with a region that reaches from a cutoff to the highest frequency; this file finds
the cutoff. It does not know how the region is filled.
"""

from dataclasses import replace

import numpy as np

from latentfoley.config import ModelConfig
from latentfoley.editing.masks import BAND_EDGE_HZ, Region
from latentfoley.editing.source import Source
from latentfoley.errors import InputError
from latentfoley.sampling import Samples

QUIET_DB = 70.0  # below the loudest frequency: what is quieter counts as missing
LEAST_BAND_HZ = 500.0  # a narrower band at the top is a filter's edge, and not worth the work
_N_FFT = 1024


def find_cutoff(waveform: Samples, sample_rate: int) -> float:
    """Return the highest frequency, in Hz, that a recording has something at.

    That is the last frequency whose power, as a mean over time, is within 70 dB of the loudest
    one's. Natural sounds fall off more slowly than that, 16-bit files reach far below it.
    """
    padded = np.pad(waveform, (0, max(0, _N_FFT - len(waveform))))
    power = np.zeros(_N_FFT // 2 + 1)
    window = np.hanning(_N_FFT)
    for start in range(0, len(padded) - _N_FFT + 1, _N_FFT // 2):
        power += np.abs(np.fft.rfft(window * padded[start : start + _N_FFT])) ** 2
    there = power > power.max() * 10 ** (-QUIET_DB / 10)
    return float(np.flatnonzero(there)[-1]) * sample_rate / _N_FFT


def missing_band(source: Source, config: ModelConfig) -> tuple[Source, Region]:
    """Return the recording with the cutoff known to its request, and the region above it.

    Raises:
        InputError: nothing is missing, or the cutoff lies above the highest frequency.
    """
    highest = config.mel.sample_rate / 2
    name, found = source.name, source.request.cutoff_hz
    if found is None:
        found = max(0.0, find_cutoff(source.waveform, config.mel.sample_rate) - BAND_EDGE_HZ)
        if found > highest - LEAST_BAND_HZ:
            raise InputError(
                f"'{name}' reaches up to {highest:g} Hz, as high as the model hears: nothing is "
                f"missing. A cutoff_hz below {highest - LEAST_BAND_HZ:g} regenerates what is above."
            )
    if found >= highest:
        raise InputError(
            f"cutoff_hz: {found:g} Hz is not below what the model hears; allowed: 0 to {highest:g}"
        )
    region = Region((), ((found, highest),), len(source.waveform), config)
    request = source.request.model_copy(update={"cutoff_hz": found})
    return replace(source, request=request), region
