"""Regions in the latent, in the samples and in the spectrum."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfoley.config import ModelConfig
from latentfoley.editing.masks import Region, keep_bands, largest_gain
from signals import noise, tone

CONFIG = ModelConfig()  # 640 samples and 4 mel bands to a latent position
FADE = 320


def region(spans=(), bands=(), n_samples=16_000):
    return Region(tuple(spans), tuple(bands), n_samples, CONFIG)


class TestLatentMask:
    def test_all_the_time_and_all_frequencies(self):
        assert torch.equal(region().latent_mask(), torch.ones(1, 1, 25, 16))
        assert torch.equal(
            region([(0, 16_000)], [(0, 8000)]).latent_mask(), torch.ones(1, 1, 25, 16)
        )

    @pytest.mark.parametrize(
        ("span", "touched"),
        [((6400, 7040), [10]), ((6400, 7041), [10, 11]), ((6399, 7040), [9, 10]), ((0, 1), [0])],
    )
    def test_every_position_that_a_span_touches(self, span, touched):
        column = region([span]).latent_mask()[0, 0, :, 7]
        assert (column == 1).nonzero().flatten().tolist() == touched
        beside = {touched[0] - 1, touched[-1] + 1} & set(range(25))
        assert set((column == 0.5).nonzero().flatten().tolist()) == beside

    def test_the_last_position_reaches_beyond_the_end(self):
        mask = region([(15_900, 16_001)], n_samples=16_001).latent_mask()[0, 0, :, 0]
        assert mask.tolist() == [0] * 23 + [0.5, 1, 1]

    def test_a_band_touches_the_bands_around_its_edges(self):
        row = region(bands=[(2000, 8000)]).latent_mask()[0, 0, 3]
        assert row.tolist() == [0] * 7 + [0.5] + [1] * 8

    def test_both_mean_bands_in_spans(self):
        both = region([(6400, 7040)], [(2000, 8000)]).latent_mask()
        one, other = (
            region([(6400, 7040)]).latent_mask(),
            region(bands=[(2000, 8000)]).latent_mask(),
        )
        torch.testing.assert_close(both, one * other)


class TestSampleWeights:
    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 15_998), st.integers(1, 4000)), max_size=3))
    def test_one_inside_zero_beyond_the_fade_and_no_jump(self, pairs):
        spans = [(start, min(start + length, 16_000)) for start, length in pairs]
        if not spans:
            return
        weights = region(spans).sample_weights()
        inside = region(spans).inside
        assert (weights[inside] == 1).all()
        near = np.convolve(inside, np.ones(2 * FADE + 1), mode="same") > 0.5
        assert (weights[~near] == 0).all()
        assert np.abs(np.diff(weights)).max(initial=0) < 0.01

    def test_compose_keeps_to_the_sample_outside(self):
        kept, made = noise(), noise(seed=1)
        out = region([(6400, 7040)]).compose(kept, made)
        np.testing.assert_array_equal(out[: 6400 - FADE], kept[: 6400 - FADE])
        np.testing.assert_array_equal(out[7040 + FADE :], kept[7040 + FADE :])
        np.testing.assert_array_equal(out[6400:7040], made[6400:7040])


class TestComposeWithinFullScale:
    @settings(max_examples=30, deadline=None)
    @given(loudness=st.floats(0.1, 30), seed=st.integers(0, 9))
    @pytest.mark.parametrize("bands", [[], [(2000, 4000)]])
    def test_what_is_made_is_turned_down_and_what_is_kept_stays(self, loudness, seed, bands):
        kept = noise(seed=seed, amplitude=0.3)
        made = noise(seed=seed + 1, amplitude=min(loudness, 1)) * np.float32(max(loudness, 1))
        span = region([(6400, 9600)], bands)
        out = span.compose(kept, made)
        assert np.abs(out).max() <= 1
        outside = span.sample_weights() == 0
        np.testing.assert_array_equal(out[outside], kept[outside])

    def test_nothing_lies_on_a_line_at_full_scale(self):
        out = region([(6400, 9600)]).compose(noise(amplitude=0.3), 4 * noise(seed=1))
        inside = out[6400:9600]
        assert 0.9989 < np.abs(inside).max() < 0.9991
        np.testing.assert_allclose(
            inside / noise(seed=1)[6400:9600], inside[0] / noise(seed=1)[6400], rtol=1e-4
        )

    def test_a_source_beyond_full_scale_is_kept_and_the_rest_fits(self):
        kept = 3 * noise()
        out = region([(6400, 9600)]).compose(kept, 4 * noise(seed=1))
        np.testing.assert_array_equal(out[:6000], kept[:6000])
        assert np.abs(out[6400:9600]).max() <= 1

    @given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-9, 9)), min_size=1, max_size=9))
    def test_the_gain_is_the_largest(self, pairs):
        kept, made = (np.array(x) for x in zip(*pairs, strict=True))
        kept = kept * 0.99
        gain = largest_gain(kept, made)
        assert 0 <= gain <= 1
        assert np.abs(kept + gain * made).max() <= 0.999 + 1e-9
        if gain < 1:
            assert np.abs(kept + 1.001 * gain * made).max() > 0.999 or gain == 0


class TestBands:
    def test_the_whole_spectrum_is_the_sound(self):
        np.testing.assert_allclose(keep_bands(noise(), [(0, 8000)], 16_000), noise(), atol=1e-6)

    def test_bands_that_meet_add_up_to_the_sound(self):
        parts = [keep_bands(noise(), [band], 16_000) for band in [(0, 3000), (3000, 8000)]]
        np.testing.assert_allclose(sum(parts), noise(), atol=1e-6)

    @pytest.mark.parametrize(("hz", "left"), [(1000, 0.0), (3000, 1.0), (7000, 0.0)])
    def test_a_tone_passes_or_does_not(self, hz, left):
        out = keep_bands(tone(hz), [(2000, 4000)], 16_000)[4000:12_000]
        np.testing.assert_allclose(out, left * tone(hz)[4000:12_000], atol=2e-3)

    def test_compose_changes_only_the_band(self):
        kept, made = noise(amplitude=0.1), noise(seed=1, amplitude=0.1)
        out = region(bands=[(4000, 8000)]).compose(kept, made)
        for low, high, same in [(0, 3900, kept), (4100, 8000, made)]:
            hz = np.fft.rfftfreq(16_000, 1 / 16_000)
            there = (hz >= low) & (hz <= high)
            difference = np.abs(np.fft.rfft(out) - np.fft.rfft(same))[there]
            assert difference.max() < 0.03 * np.abs(np.fft.rfft(same)).max()
