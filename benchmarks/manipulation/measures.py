"""How far an edit is from the truth, what it kept, and how it goes: functions of waveforms alone.

Every function takes mono waveforms at one sample rate, 16 kHz where a constant says so.
"""

import numpy as np
import torch
from jaxtyping import Float, Float32

from latentfoley.audio import TRAINING_PEAK
from latentfoley.config import MelConfig
from latentfoley.editing.masks import BAND_EDGE_HZ, CROSS_FADE_S, keep_bands
from latentfoley.evaluation.metrics.reconstruction import log_spectral_distance
from latentfoley.mel import log_mel
from latentfoley.spectral import stft_distance

Samples = Float32[np.ndarray, "N"]
Spans = tuple[tuple[float, float], ...]
Bands = tuple[tuple[float, float], ...]

RATE = 16_000
N_FFT = 2048
_MEL = MelConfig()
_FRAME = 640  # samples to a step of the envelope: 40 ms, one latent frame
_FLOOR_DB = -60.0  # below the loudest frame: quieter ones count as equally quiet
_SEAM_PERCENTILE = 95.0


def distances(made: Samples, truth: Samples, spans: Spans, bands: Bands) -> dict[str, float]:
    """Return LSD and multi-resolution STFT distance to the truth, in all and where it was edited.

    Both sounds are scaled as the truth's peak is to 0.5, so that the floors of the distances lie
    where they lie for every recording.

    Args:
        made: the edit.
        truth: what was there before it was taken away, as long.
        spans: in s, what was edited; () is all the time.
        bands: in Hz, what was edited; () is all frequencies.
    """
    gain = np.float32(TRAINING_PEAK / max(float(np.abs(truth).max()), 1e-4))
    made, truth = gain * made, gain * truth
    parts = [(_cut(made, span), _cut(truth, span)) for span in spans] or [(made, truth)]
    lengths = np.array([len(part) for part, _ in parts], dtype=np.float64)
    lsds = [log_spectral_distance(*pair, n_fft=N_FFT, frequencies=_inside(bands)) for pair in parts]
    stfts = [_stft(*pair, bands) for pair in parts]
    return {
        "LSD": log_spectral_distance(made, truth, n_fft=N_FFT),
        "STFT": _stft(made, truth, ()),
        "LSD, edited part": float(np.average(lsds, weights=lengths)),
        "STFT, edited part": float(np.average(stfts, weights=lengths)),
    }


def changed_outside_spans(made: Samples, kept: Samples, spans: Spans) -> int:
    """Return how many samples differ outside the spans and their cross-fades."""
    outside = np.ones(len(kept), dtype=bool)
    n_fade = round(CROSS_FADE_S * RATE)
    for start, stop in spans:
        outside[max(0, round(start * RATE) - n_fade) : round(stop * RATE) + n_fade] = False
    return int((made != kept)[outside].sum())


def leak_db(made: Samples, kept: Samples, bands: Bands) -> float:
    """Return the power of the change outside the bands and their edges, over that of the sound
    there, in decibels; -120 at least."""
    outside = torch.ones(N_FFT // 2 + 1, dtype=torch.bool)
    outside[_inside(tuple((low - BAND_EDGE_HZ, high + BAND_EDGE_HZ) for low, high in bands))] = (
        False
    )
    change, there = _power(made - kept)[outside].sum(), _power(kept)[outside].sum()
    return float(10 * torch.log10((change / there.clamp(min=1e-12)).clamp(min=1e-12)))


def envelope_likeness(made: Samples, source: Samples) -> float:
    """Return the correlation of two sounds' levels over time, in dB by 40 ms, from -1 to 1.

    It says whether things happen at the same moments. 0 where one of them is steady.
    """
    one, other = _envelope_db(made), _envelope_db(source)
    if one.std() < 1e-6 or other.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def mel_difference(made: Samples, source: Samples) -> float:
    """Return the mean absolute difference of the log-mels of two equally long sounds, in nats."""
    return float((_log_mel(made) - _log_mel(source)).abs().mean())


def seam(waveform: Samples) -> dict[str, float]:
    """Return how the step from the end back to the start stands among the steps inside.

    Returns:
        "sample step": of the waveform at the seam, over the largest inside.
        "spectral step": mean change of the log-mel from frame to frame, the largest within two
            frames of the seam, over the 95th percentile of those inside; above 1 it stands out.
    """
    inner = float(np.abs(np.diff(waveform)).max())
    rolled = np.roll(waveform, len(waveform) // 2)
    middle = len(waveform) // 2 // _MEL.hop_length
    steps = _log_mel(rolled).diff(dim=0).abs().mean(dim=1).numpy()  # (T - 1,)
    near = slice(middle - 3, middle + 3)
    usual = float(np.percentile(np.delete(steps, near), _SEAM_PERCENTILE))
    return {
        "sample step": abs(float(waveform[0]) - float(waveform[-1])) / max(inner, 1e-9),
        "spectral step": float(steps[near].max()) / max(usual, 1e-9),
    }


def _cut(waveform: Samples, span: tuple[float, float]) -> Samples:
    """Return a span, with as much around it as one frame of the spectrum needs."""
    start, stop = (round(moment * RATE) for moment in span)
    missing = max(0, N_FFT - (stop - start))
    start = max(0, min(start - missing // 2, len(waveform) - (stop - start) - missing))
    return waveform[start : max(stop, start + N_FFT)]


def _inside(bands: Bands) -> torch.Tensor:
    """Return which frequencies of a spectrum lie in the bands; all for none."""
    hz = torch.linspace(0, RATE / 2, N_FFT // 2 + 1)
    inside = torch.zeros(len(hz), dtype=torch.bool)
    for low, high in bands or ((0.0, RATE / 2),):
        inside |= (hz >= low) & (hz <= high)
    return inside


def _stft(made: Samples, truth: Samples, bands: Bands) -> float:
    if bands:
        made, truth = (keep_bands(sound, bands, RATE) for sound in (made, truth))
    real, other = (torch.from_numpy(np.array(sound))[None] for sound in (truth, made))
    return float(stft_distance(real, other))


def _power(waveform: Samples) -> Float[torch.Tensor, "K"]:
    window = torch.hann_window(N_FFT, dtype=torch.float64)
    samples = torch.from_numpy(np.pad(waveform, (0, max(0, N_FFT - len(waveform)))).astype("f8"))
    spectrum = torch.stft(
        samples, N_FFT, N_FFT // 4, window=window, center=False, return_complex=True
    )  # not centred: mirrored ends would spread every frequency over all of them
    return spectrum.abs().square().sum(dim=1)


def _envelope_db(waveform: Samples) -> Float[np.ndarray, "T"]:
    n_frames = max(1, len(waveform) // _FRAME)
    frames = waveform[: n_frames * _FRAME].reshape(n_frames, -1).astype(np.float64)
    power = (frames**2).mean(axis=1)
    level: Float[np.ndarray, T] = 10 * np.log10(np.maximum(power, 1e-12))
    return np.maximum(level, level.max() + _FLOOR_DB)


def _log_mel(waveform: Samples) -> Float[torch.Tensor, "T F"]:
    return log_mel(torch.from_numpy(np.ascontiguousarray(waveform))[None], _MEL)[0, 0]
