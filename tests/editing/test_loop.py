"""Loops: the seam is a place like any other, and all but the two ends stays."""

import numpy as np
import pytest

from latentfoley.samplers import SAMPLERS
from seams import assert_seamless
from signals import noise, tone


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_seam_is_no_larger_a_step_than_inner_ones(edit, sampler):
    rising = tone(300, 1.03) * np.linspace(0.2, 1, 16_480, dtype=np.float32)
    clip = edit("loop", rising, "rain", seam_s=0.3, sampler=sampler)
    assert_seamless(clip.waveform)


@pytest.mark.parametrize("n_samples", [16_000, 16_001])
@pytest.mark.parametrize("seam_s", [0.1, 0.5])
def test_all_but_the_ends_stays(edit, n_samples, seam_s):
    source = noise(1.1)[:n_samples]
    clip = edit("loop", source, "rain", seam_s=seam_s)
    changed = round(seam_s * 16_000 / 2) + 320
    assert clip.waveform.shape == source.shape
    np.testing.assert_array_equal(clip.waveform[changed:-changed], source[changed:-changed])
    assert np.abs(clip.waveform - source)[:100].max() > 1e-3
    assert np.abs(clip.waveform - source)[-100:].max() > 1e-3
