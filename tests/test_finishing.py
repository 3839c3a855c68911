"""The last step: what is not asked changes nothing, and what is asked is what is measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentfoley.errors import InputError
from latentfoley.finishing import TRUE_PEAK_LIMIT_DB, Finishing, finish
from latentfoley.levels import loudness, true_peak
from latentfoley.request import GenerationRequest
from signals import click, noise, tone

RATE = 16_000


def finished(waveform, *, loop=False, **asked):
    return finish(waveform, RATE, Finishing(**asked), loop=loop)


@pytest.mark.parametrize("loop", [False, True])
def test_nothing_asked_is_nothing_done(loop):
    sound = noise()
    assert finished(sound, loop=loop).tobytes() == sound.tobytes()


class TestTrim:
    @given(st.integers(0, 30), st.integers(0, 30))
    def test_silence_at_both_ends_is_cut_by_whole_frames_and_none_inside(self, before, after):
        inside = np.concatenate([noise(0.1), np.zeros(3_200, np.float32), noise(0.1)])
        sound = np.pad(inside, (before * 160, after * 160))
        assert finished(sound, trim=True).tobytes() == inside.tobytes()

    def test_what_is_above_minus_80_decibels_stays(self):
        sound = tone(amplitude=2e-4)
        assert len(finished(sound, trim=True)) == len(sound)

    def test_silence_stays_as_it_is(self):
        assert len(finished(np.zeros(1_000, np.float32), trim=True)) == 1_000


class TestFades:
    def test_the_gain_is_half_a_cosine_and_the_middle_is_untouched(self):
        sound = finished(np.ones(RATE, np.float32), fade_in_s=0.1, fade_out_s=0.25)
        assert sound[0] == sound[-1] == 0
        assert sound[800] == pytest.approx(0.5, abs=1e-6)
        assert sound[-1 - 2_000] == pytest.approx(0.5, abs=1e-6)
        assert (sound[1_600 : RATE - 4_001] == 1).all()
        assert (np.diff(sound[:1_600]) > 0).all()

    def test_fades_longer_than_the_sound_leave_it_finite(self):
        sound = finished(noise(0.01), fade_in_s=9.0, fade_out_s=9.0)
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() <= 0.5


class TestLoudness:
    @pytest.mark.parametrize("lufs", [-40.0, -23.0, -16.0])
    @pytest.mark.parametrize("amplitude", [0.004, 0.5])
    def test_it_is_what_was_asked(self, lufs, amplitude):
        sound = finished(noise(amplitude=amplitude), normalise_lufs=lufs)
        assert loudness(sound, RATE) == pytest.approx(lufs, abs=0.01)
        assert sound.dtype == np.float32

    def test_true_peaks_are_the_limit(self):
        sound = finished(click(duration_s=2.0), normalise_lufs=-10.0)
        assert true_peak(sound) == pytest.approx(TRUE_PEAK_LIMIT_DB, abs=0.01)
        assert loudness(sound, RATE) < -10

    def test_what_cannot_be_heard_is_not_raised(self):
        sound = tone(amplitude=10 ** (-59 / 20))
        assert finished(sound, normalise_lufs=-23.0).tobytes() == sound.tobytes()


class TestRate:
    @pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
    def test_a_tone_is_the_same_tone(self, rate):
        sound = finished(tone(1_000), sample_rate=rate)
        assert len(sound) == rate
        middle = slice(rate // 10, -rate // 10)
        expected = tone(1_000, sample_rate=rate)
        assert np.abs(sound - expected)[middle].max() < 1e-3

    @pytest.mark.parametrize("rate", [22_050, 48_000])
    def test_a_loop_is_filtered_around_its_seam(self, rate):
        """A whole number of periods is a loop: resampled, it is the tone up to both its ends."""
        sound = finished(tone(1_000), loop=True, sample_rate=rate)
        assert np.abs(sound - tone(1_000, sample_rate=rate)).max() < 1e-3

    def test_a_loop_shorter_than_the_filter(self):
        assert len(finished(tone(1_000, 0.1), loop=True, sample_rate=48_000)) == 4_800


class TestAsked:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"normalise_lufs": 3}, "must lie between -60 and 0"),
            ({"sample_rate": 1}, "must lie between"),
            ({"channels": 3}, "must lie between 1 and 2"),
            ({"fade_in_s": -1}, "must lie between"),
            ({"fade_in_s": float("nan")}, "must be a finite number between 0 and 3600"),
            ({"loop": True, "trim": True}, "a loop has no ends"),
            ({"loop": True, "fade_out_s": 0.1}, "a loop has no ends"),
        ],
    )
    def test_what_is_not_allowed(self, options, says):
        with pytest.raises(InputError, match=says):
            GenerationRequest.build("rain", **options)
