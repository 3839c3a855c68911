"""Loudness by the standard's own figures; silence and clipping counted."""

import numpy as np
import pytest
import scipy.signal

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics import loudness as bs1770
from latentfoley.evaluation.metrics.loudness import (
    LOWEST_LUFS,
    clipping_rate,
    loudness,
    loudness_score,
    measure,
    silence_rate,
)
from signals import click, noise, tone


def levels(*clips):
    return [measure(clip, 16_000) for clip in clips]


class TestLoudness:
    @pytest.mark.parametrize("sample_rate", [16_000, 44_100, 48_000])
    def test_a_full_scale_tone_of_997_hz_is_minus_3_01(self, sample_rate):
        # ITU-R BS.1770-4, annex 1: the figure for one channel.
        sound = tone(997, 3.0, sample_rate, amplitude=1.0)
        assert loudness(sound, sample_rate) == pytest.approx(-3.01, abs=0.05)

    def test_the_filters_are_the_tables_at_48_khz(self):
        # Tables 1 and 2 of the standard, run as a recursion by scipy.
        sound = noise(2.0, 48_000, amplitude=0.3)
        shelf = ([1.53512485958697, -2.69169618940638, 1.19839281085285],
                 [1.0, -1.69065929318241, 0.73248077421585])  # fmt: skip
        high_pass = ([1.0, -2.0, 1.0], [1.0, -1.99004745483398, 0.99007225036621])
        weighted = scipy.signal.lfilter(*high_pass, scipy.signal.lfilter(*shelf, sound))
        expected = -0.691 + 10 * np.log10(np.mean(weighted**2))
        assert loudness(sound, 48_000) == pytest.approx(expected, abs=0.02)

    @pytest.mark.parametrize("sample_rate", [16_000, 44_100])
    def test_blocks_are_the_filter_over_the_whole_clip(self, sample_rate):
        sound = np.concatenate([noise(0.7, sample_rate), tone(30, 1.6, sample_rate)])
        sound = sound.astype(np.float64)
        impulse = np.zeros(len(sound))
        impulse[0] = 1.0
        response = bs1770._k_weighted(impulse, sample_rate)
        expected = scipy.signal.fftconvolve(sound, response)[: len(sound)]
        assert np.allclose(bs1770._k_weighted(sound, sample_rate), expected)

    def test_half_the_amplitude_is_six_decibels_and_pauses_are_gated(self):
        loud = loudness(noise(2.0), 16_000)
        assert loudness(0.5 * noise(2.0), 16_000) == pytest.approx(loud - 6.02, abs=0.01)
        with_pause = np.concatenate([noise(2.0), np.zeros(32_000, np.float32)])
        assert loudness(with_pause, 16_000) == pytest.approx(loud, abs=0.6)

    def test_silence_is_the_floor_and_nothing_is_refused(self):
        assert loudness(np.zeros(16_000, np.float32), 16_000) == LOWEST_LUFS
        with pytest.raises(InputError):
            loudness(np.zeros(0, np.float32), 16_000)

    def test_a_click_has_one(self):
        assert LOWEST_LUFS < loudness(click(0.05, 0.1), 16_000) < -20

    def test_the_mean_over_clips(self):
        score = loudness_score([measure(noise(1.0), 16_000)] * 2)
        assert score.value == pytest.approx(loudness(noise(1.0), 16_000))


def test_silent_clips_are_counted():
    score = silence_rate(levels(np.zeros(100, np.float32), noise(0.1), noise(0.1, amplitude=9e-5)))
    assert score.value == pytest.approx(2 / 3)


def test_clipped_clips_are_counted_and_single_peaks_are_not():
    clipped = np.clip(3 * tone(), -1, 1).astype(np.float32)
    score = clipping_rate(levels(clipped, tone(amplitude=1.0)[:1], click(amplitude=1.0), noise()))
    assert score.value == 0.25
