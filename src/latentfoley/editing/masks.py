"""Where a recording is regenerated: in its latent, in its samples and in its spectrum.

A latent position covers r frames by r mel bands, 40 ms by 4 bands at r = 4. Every position that a
region touches is regenerated, so that nothing of what was there leaks into the rest; the positions
beside it may change late in sampling, when only details are still open. It does not know what is
put there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from latentfoley.config import MelConfig, ModelConfig
from latentfoley.encoding import HEADROOM_PEAK
from latentfoley.mel import mel_filters
from latentfoley.sampling import Samples

CROSS_FADE_S = 0.02
SOFT = 0.5  # beside a region: free in the second half of the diffusion
BAND_EDGE_HZ = 100.0  # over which one spectrum gives way to the other

LatentMask = Float[Tensor, "1 1 T F"]


@dataclass(frozen=True)
class Region:
    """Spans of time and bands of frequency; both together mean these bands in these spans.

    Attributes:
        spans: first sample and the one after the last, of each span; none means all the time.
        bands_hz: lower and upper edge of each band; none means all frequencies.
        n_samples: length of the recording.
        config: of the model, whose latent and sample rate these become.
    """

    spans: tuple[tuple[int, int], ...]
    bands_hz: tuple[tuple[float, float], ...]
    n_samples: int
    config: ModelConfig

    @property
    def inside(self) -> Bool[np.ndarray, "N"]:
        """Which samples lie in a span."""
        inside = np.zeros(self.n_samples, dtype=bool)
        for start, stop in self.spans or ((0, self.n_samples),):
            inside[start:stop] = True
        return inside

    def latent_mask(self) -> LatentMask:
        """Return 1 where the latent is regenerated, 0.5 beside it and 0 where it is kept."""
        r, hop = self.config.vae.compression, self.config.mel.hop_length
        n_latents = -(-self.n_samples // (r * hop))
        inside = np.zeros(n_latents * r * hop, dtype=bool)
        inside[: self.n_samples] = self.inside
        times = torch.from_numpy(inside).view(n_latents, r * hop).any(dim=1)  # (T/r,)
        bands = _touched(self.bands_hz, self.config.mel).view(-1, r).any(dim=1)  # (F/r,)
        return (_soften(times)[:, None] * _soften(bands)[None, :])[None, None]

    def sample_weights(self) -> Float32[np.ndarray, "N"]:
        """Return 1 in the spans, 0 outside, with half a cosine around them."""
        weights = self.inside.astype(np.float32)
        n_fade = round(CROSS_FADE_S * self.config.mel.sample_rate)
        # From the sample beside the span outwards; neither of its ends is 0 or 1.
        rise = (0.5 + 0.5 * np.cos(np.pi * np.arange(1, n_fade + 1) / (n_fade + 1))).astype("f4")
        for start, stop in self.spans:
            if start == stop:
                continue
            before, after = weights[max(0, start - n_fade) : start], weights[stop : stop + n_fade]
            np.maximum(before, rise[: len(before)][::-1], out=before)
            np.maximum(after, rise[: len(after)], out=after)
        return weights

    def compose(self, kept: Samples, made: Samples) -> Samples:
        """Return `made` in the region and `kept` elsewhere: to the sample outside the spans, and
        spectrum by spectrum outside the bands.

        Where their sum would clip, `made` is turned down, and `kept` stays as it is.
        """
        composed = self._mix(kept, made)
        if np.abs(composed).max(initial=0) > 1:
            without = self._mix(kept, np.zeros_like(made))
            gain = largest_gain(without, composed - without)
            composed = self._mix(kept, np.float32(gain) * made)
        return composed

    def _mix(self, kept: Samples, made: Samples) -> Samples:
        if self.bands_hz:
            made = kept + keep_bands(made - kept, self.bands_hz, self.config.mel.sample_rate)
        weights, composed = self.sample_weights(), kept.astype(np.float32)
        new = weights > 0
        w = weights[new]
        composed[new] = (1 - w) * kept[new] + w * made[new]
        return composed


def largest_gain(kept: Samples, made: Samples) -> float:
    """Return the largest g in [0, 1] for which kept + g · made stays within ±0.999.

    Samples of `kept` that are beyond that by themselves do not count: no gain would mend them.
    """
    total = kept + made
    sign = np.sign(total)
    counts = (np.abs(total) > HEADROOM_PEAK) & (sign * kept < HEADROOM_PEAK)
    room = (HEADROOM_PEAK - sign * kept)[counts] / (sign * made)[counts]
    return float(room.min(initial=1.0))


def keep_bands(
    waveform: Samples, bands_hz: Sequence[tuple[float, float]], sample_rate: int
) -> Samples:
    """Return the part of a waveform that lies in some bands, by zeroing the rest of its spectrum.

    The edges are half a cosine, 100 Hz wide, so that the filter rings for 20 ms and no longer.
    """
    # Zeros keep the two ends apart, which the discrete Fourier transform joins.
    n_fft = 4096 * math.ceil((len(waveform) + sample_rate // 10) / 4096)
    spectrum = torch.fft.rfft(torch.from_numpy(np.ascontiguousarray(waveform)), n_fft)
    hz = torch.linspace(0, sample_rate / 2, len(spectrum))
    gain = torch.zeros_like(hz)
    for low, high in bands_hz:
        # At 0 Hz and at the highest frequency there is no edge.
        rising = _ramp(hz - low) if low > 0 else torch.ones_like(hz)
        falling = _ramp(high - hz) if high < sample_rate / 2 else torch.ones_like(hz)
        gain = torch.maximum(gain, rising * falling)
    filtered: Samples = torch.fft.irfft(spectrum * gain, n_fft)[: len(waveform)].numpy()
    return filtered


def _ramp(above_hz: Tensor) -> Tensor:
    share = (above_hz / BAND_EDGE_HZ + 0.5).clamp(0, 1)
    return 0.5 - 0.5 * torch.cos(math.pi * share)


def _touched(bands_hz: Sequence[tuple[float, float]], config: MelConfig) -> Bool[Tensor, "F"]:
    """Return which mel bands have a part of their triangle in one of the bands."""
    if not bands_hz:
        return torch.ones(config.n_mels, dtype=torch.bool)
    filters = mel_filters(config) > 0  # (F, K)
    hz = torch.linspace(0, config.sample_rate / 2, filters.shape[1])
    inside = torch.zeros_like(hz, dtype=torch.bool)
    for low, high in bands_hz:
        inside |= (hz >= low) & (hz <= high)
    return (filters & inside).any(dim=1)


def _soften(touched: Bool[Tensor, "L"]) -> Float[Tensor, "L"]:
    beside = touched.clone()
    beside[1:] |= touched[:-1]
    beside[:-1] |= touched[1:]
    return torch.where(touched, 1.0, SOFT * beside)
