"""What is made of a run of the sampler: plain generation."""

import numpy as np

from latentfoley.request import GenerationRequest
from latentfoley.sampling import Generation
from signals import tone

GENERATION = Generation(GenerationRequest.build("rain", duration_s=1.0), 16_000)


def test_a_quiet_waveform_stays_as_it_is():
    quiet = tone(amplitude=0.9)
    np.testing.assert_array_equal(GENERATION.finish(quiet), quiet)


def test_a_loud_waveform_is_turned_down_and_not_cut():
    loud = tone(amplitude=1.8)
    finished = GENERATION.finish(loud)
    assert finished.dtype == np.float32
    np.testing.assert_allclose(finished, 0.999 / np.abs(loud).max() * loud, rtol=1e-6, atol=0)
