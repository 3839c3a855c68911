"""Test signals, shared by all tests: mono float32 arrays in [-1, 1]."""

import numpy as np

SAMPLE_RATE = 16_000


def tone(
    frequency_hz: float = 440.0,
    duration_s: float = 1.0,
    sample_rate: int = SAMPLE_RATE,
    amplitude: float = 0.5,
) -> np.ndarray:
    """A sine that starts at phase 0."""
    time_s = _time_s(duration_s, sample_rate)
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


def chirp(
    start_hz: float = 100.0,
    end_hz: float = 7000.0,
    duration_s: float = 1.0,
    sample_rate: int = SAMPLE_RATE,
    amplitude: float = 0.5,
) -> np.ndarray:
    """A sine whose frequency rises linearly from `start_hz` to `end_hz`."""
    time_s = _time_s(duration_s, sample_rate)
    cycles = start_hz * time_s + (end_hz - start_hz) * time_s**2 / (2 * duration_s)
    return (amplitude * np.sin(2 * np.pi * cycles)).astype(np.float32)


def click(
    at_s: float = 0.5,
    duration_s: float = 1.0,
    sample_rate: int = SAMPLE_RATE,
    amplitude: float = 0.5,
) -> np.ndarray:
    """Silence with one sample of `amplitude`."""
    waveform = np.zeros(len(_time_s(duration_s, sample_rate)), np.float32)
    waveform[round(at_s * sample_rate)] = amplitude
    return waveform


def noise(
    duration_s: float = 1.0,
    sample_rate: int = SAMPLE_RATE,
    amplitude: float = 0.5,
    seed: int = 0,
) -> np.ndarray:
    """White noise, uniform in [-amplitude, amplitude], the same for the same seed."""
    n_samples = len(_time_s(duration_s, sample_rate))
    generator = np.random.default_rng(seed)
    return generator.uniform(-amplitude, amplitude, n_samples).astype(np.float32)


def _time_s(duration_s: float, sample_rate: int) -> np.ndarray:
    return np.arange(round(duration_s * sample_rate)) / sample_rate
