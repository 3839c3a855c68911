"""Sounds beyond full scale: what holds for every sound, and what is left alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentfoley.limiter import limit

RATE = 16_000


def clicks(n_samples, seed, loudest):
    rng = np.random.default_rng(seed)
    body = 0.05 * rng.standard_normal(n_samples)
    places = rng.integers(0, n_samples, size=3)
    body[places] = rng.uniform(-loudest, loudest, size=3)
    return body.astype(np.float32)


@given(
    st.integers(1, 5_000), st.integers(0, 2**32 - 1), st.floats(0.1, 100), st.booleans(),
    st.sampled_from([8_000, 16_000, 44_100]),
)  # fmt: skip
def test_nothing_is_beyond_full_scale_and_nothing_grows_or_turns(n, seed, loudest, loop, rate):
    waveform = clicks(n, seed, loudest)
    limited = limit(waveform, rate, loop=loop)
    assert limited.dtype == np.float32
    assert limited.shape == waveform.shape
    assert np.abs(limited).max() <= 1
    assert (np.abs(limited) <= np.abs(waveform) * (1 + 1e-6)).all()
    assert (limited * waveform >= 0).all()


def test_what_is_within_full_scale_passes_to_the_bit():
    waveform = clicks(4_000, 0, 1.0)
    assert limit(waveform, RATE) is waveform


def test_only_what_is_near_a_peak_is_turned_down():
    waveform = clicks(RATE, 1, 0.5)
    waveform[RATE // 2] = 4.0
    limited = limit(waveform, RATE)
    near = np.abs(np.arange(RATE) - RATE // 2) < 0.045 * RATE
    np.testing.assert_allclose(limited[~near], waveform[~near], rtol=1e-6)
    assert limited[RATE // 2] == pytest.approx(0.999, rel=1e-5)


def test_a_steady_tone_is_turned_down_and_not_bent():
    t = np.arange(RATE) / RATE
    tone = (3 * np.sin(2 * np.pi * 60 * t)).astype(np.float32)
    inside = slice(RATE // 10, -RATE // 10)
    spectrum = np.abs(np.fft.rfft(limit(tone, RATE)[inside] * np.hanning(RATE * 8 // 10)))
    spectrum /= spectrum.max()
    bins = np.arange(len(spectrum)) * RATE / (RATE * 8 // 10)
    assert spectrum[bins > 120 - 30].max() < 0.01


@given(st.integers(0, 2**32 - 1), st.integers(0, 15))
def test_where_a_loop_begins_is_of_no_account(seed, blocks):
    waveform = clicks(3_200, seed, 5.0)
    shift = blocks * 16  # whole milliseconds
    turned = np.roll(limit(waveform, RATE, loop=True), shift)
    np.testing.assert_allclose(limit(np.roll(waveform, shift), RATE, loop=True), turned, atol=1e-6)
