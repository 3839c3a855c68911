"""The resampler of torchaudio against its documented formula."""

import numpy as np
import pytest

from latentfoley.audio import resample
from latentfoley.resampling import sinc_resample
from signals import noise, tone


@pytest.mark.parametrize("rates", [(44_100, 16_000), (16_000, 32_000), (48_000, 16_000)])
class TestSinc:
    def test_a_tone_stays_a_tone(self, rates):
        source, target = rates
        out = sinc_resample(tone(440, 0.5, source), source, target)
        assert len(out) == target // 2
        inner = slice(200, -200)
        assert out[inner] == pytest.approx(tone(440, 0.5, target)[inner], abs=2e-3)

    def test_it_is_the_sum_in_its_docstring(self, rates):
        source, target = rates
        x = noise(0.01, source)
        cutoff = 0.99 * min(rates)
        u = np.arange(-(-len(x) * target // source))[:, None] / target - np.arange(len(x)) / source
        places = np.clip(cutoff * u, -6, 6)
        expected = (cutoff / source * np.sinc(places) * np.cos(np.pi * places / 12) ** 2) @ x
        assert sinc_resample(x, source, target) == pytest.approx(expected, abs=1e-6)

    def test_it_is_not_soxr(self, rates):
        sound = noise(0.2, rates[0])
        one, other = sinc_resample(sound, *rates), resample(sound, *rates)
        assert np.abs(one - other[: len(one)]).max() > 1e-3
