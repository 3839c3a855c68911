"""The line from E to loudness, and sounds brought to one."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfoley.levels import loudness
from latentfoley.loudness import LoudnessHead, at_loudness
from signals import noise, tone

RATE = 16_000


def vectors(n, size=6):
    return F.normalize(torch.randn(n, size, generator=torch.Generator().manual_seed(n)), dim=1)


class TestLine:
    def test_a_line_is_found_again(self):
        E, slope = vectors(50), torch.linspace(-9, 9, 6)
        head = LoudnessHead.fit(E, E @ slope - 20, torch.ones(50), ridge=1e-9)
        torch.testing.assert_close(head.weight, slope, rtol=1e-4, atol=1e-4)
        assert head.bias == pytest.approx(-20, abs=1e-4)
        assert head(E[:2]) == pytest.approx((E[:2] @ slope - 20).tolist(), abs=1e-3)

    def test_a_steep_ridge_leaves_the_median(self):
        E, lufs = vectors(21), torch.linspace(-30, -10, 21)
        assert LoudnessHead.fit(E, lufs, torch.ones(21), ridge=1e9)(E) == pytest.approx(
            [-20] * 21, abs=0.5
        )

    def test_a_few_very_quiet_recordings_do_not_pull_it_down(self):
        E, lufs = vectors(40), torch.full((40,), -20.0)
        lufs[:5] = -60.0
        assert LoudnessHead.fit(E, lufs, torch.ones(40))(E[5:]) == pytest.approx([-20] * 35, abs=1)

    def test_a_recording_of_two_names_counts_once(self):
        E, lufs = vectors(12), torch.linspace(-30, -10, 12)
        twice, shares = torch.arange(12).repeat(2), torch.full((24,), 0.5)
        once = LoudnessHead.fit(E, lufs, torch.ones(12))
        again = LoudnessHead.fit(E[twice], lufs[twice], shares)
        torch.testing.assert_close(again.weight, once.weight)

    def test_no_line_nearby_is_better(self):
        E, lufs = vectors(30), torch.randn(30, generator=torch.Generator().manual_seed(1))

        def cost(head):
            differences = torch.tensor(head(E)) - lufs
            # |x| as it is minimised: a parabola below 0.1.
            near = torch.where(
                differences.abs() < 0.1, differences**2 / 0.2 + 0.05, differences.abs()
            )
            return float(near.sum() + 0.5 * 0.03 * head.weight.square().sum())

        best = LoudnessHead.fit(E, lufs, torch.ones(30), ridge=0.03)
        for k in range(7):
            for step in (-0.01, 0.01):
                weight = best.weight.clone()
                if k < 6:
                    weight[k] += step
                other = LoudnessHead(weight, best.bias + (step if k == 6 else 0))
                assert cost(other) > cost(best) - 1e-4


class TestLevel:
    @settings(deadline=None)
    @given(amplitude=st.floats(0.1, 4), lufs=st.floats(-40, -20))
    def test_a_sound_comes_at_its_loudness(self, amplitude, lufs):
        made = at_loudness(noise(2.0, amplitude=amplitude), RATE, lufs)
        assert loudness(made, RATE) == pytest.approx(lufs, abs=0.1)

    @settings(deadline=None)
    @given(gain=st.floats(0.001, 50), lufs=st.floats(-70, 20), loop=st.booleans())
    def test_it_is_within_full_scale(self, gain, lufs, loop):
        made = at_loudness(np.float32(gain) * noise(0.5), RATE, lufs, loop=loop)
        assert made.dtype == np.float32
        assert np.abs(made).max() <= 1

    def test_without_a_loudness_it_stays_as_it_is(self):
        quiet = tone(amplitude=0.9)
        np.testing.assert_array_equal(at_loudness(quiet, RATE, None), quiet)
        assert np.abs(at_loudness(tone(amplitude=1.8), RATE, None)).max() <= 1

    def test_peaks_go_6_db_beyond_full_scale_at_most(self):
        waveform = tone(amplitude=0.5)
        waveform[:8_000] *= 0.02
        quiet = slice(0, 7_000)
        made = at_loudness(waveform, RATE, 10.0)
        np.testing.assert_allclose(made[quiet], 2 / 0.5 * waveform[quiet], rtol=0.01)

    def test_what_is_very_quiet_is_raised_by_18_db_at_most(self):
        faint = tone(amplitude=0.001)
        np.testing.assert_allclose(at_loudness(faint, RATE, -10.0), 8 * faint, rtol=1e-6)

    def test_a_single_sample_does_not_decide(self):
        waveform = tone(amplitude=0.25)
        loud = waveform.copy()
        loud[8_000] = 2.0
        far = slice(10_000, None)
        made = [at_loudness(one, RATE, -12.0)[far] for one in (waveform, loud)]
        np.testing.assert_allclose(*made, rtol=0.05, atol=1e-3)

    @pytest.mark.parametrize("n", [1, RATE])
    def test_silence_stays_silent(self, n):
        assert not at_loudness(np.zeros(n, np.float32), RATE, -20.0).any()
