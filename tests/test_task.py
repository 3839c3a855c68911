"""What is made of a walk: plain generation."""

import numpy as np

from latentfoley.task import Generation
from signals import tone


def test_a_quiet_waveform_stays_as_it_is():
    quiet = tone(amplitude=0.9)
    np.testing.assert_array_equal(Generation(16_000).finish(quiet), quiet)


def test_a_loud_waveform_is_turned_down_and_not_cut():
    loud = tone(amplitude=1.8)
    finished = Generation(16_000).finish(loud)
    assert finished.dtype == np.float32
    np.testing.assert_allclose(finished, 0.999 / np.abs(loud).max() * loud, rtol=1e-6, atol=0)
