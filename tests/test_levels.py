"""Loudness by the standard's own figures, peaks between samples, silence by the frame."""

import tracemalloc

import numpy as np
import pytest
import scipy.signal

from latentfoley import levels as bs1770
from latentfoley.errors import InputError
from latentfoley.levels import LOWEST_LUFS, loudness, measure, true_peak
from signals import click, noise, tone


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
        response = np.concatenate([*bs1770._k_weighted(impulse, sample_rate)])
        expected = scipy.signal.fftconvolve(sound, response)[: len(sound)]
        weighted = np.concatenate([*bs1770._k_weighted(sound, sample_rate)])[: len(sound)]
        assert np.allclose(weighted, expected)

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

    def test_an_hour_takes_no_memory_of_its_own(self):
        sound = np.tile(noise(1.0), 600)
        tracemalloc.start()
        try:
            loudness(sound, 16_000)
            assert tracemalloc.get_traced_memory()[1] < 2e6
        finally:
            tracemalloc.stop()


class TestTruePeak:
    def test_a_peak_between_samples_is_found(self):
        # At a quarter of the sample rate and 45 degrees every sample is 0.707 of the amplitude.
        sound = np.sin(np.pi / 2 * np.arange(16_000) + np.pi / 4).astype(np.float32)
        assert np.abs(sound).max() == pytest.approx(0.7071, abs=1e-4)
        assert true_peak(sound) == pytest.approx(0.0, abs=0.2)

    @pytest.mark.parametrize("n_samples", [1, 100, (1 << 16) + 1])
    def test_it_is_never_below_the_samples(self, n_samples):
        sound = noise(5.0)[:n_samples]
        assert true_peak(sound) >= 20 * np.log10(np.abs(sound).max()) - 1e-9

    def test_silence_has_the_lowest(self):
        assert true_peak(np.zeros(10, np.float32)) == bs1770.LOWEST_DB


class TestMeasure:
    def test_silent_frames_are_those_without_a_sample_above_the_one_definition(self):
        half = np.concatenate([noise(0.5), np.full(8_000, 9e-5, np.float32)])
        levels = measure(half, 16_000)
        assert levels.silent_frames == pytest.approx(0.5, abs=0.02)
        assert not levels.silent
        assert not levels.faint

    def test_a_tone_of_minus_59_decibels_is_faint_and_not_silent(self):
        levels = measure(tone(amplitude=10 ** (-59 / 20)), 16_000)
        assert levels.faint
        assert not levels.silent

    def test_silence_is_all_of_it(self):
        levels = measure(np.zeros(800, np.float32), 16_000)
        assert (levels.silent, levels.faint, levels.silent_frames) == (True, True, 1.0)
        assert levels.loudness_lufs == LOWEST_LUFS
