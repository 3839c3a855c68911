"""What is made of a run of the sampler: plain generation."""

import numpy as np
import pytest

from latentfoley.request import GenerationRequest
from latentfoley.sampling import Generation, Output
from signals import tone


def generation(full_scale=False):
    request = GenerationRequest.build("rain", duration_s=1.0)
    return Generation(request, 16_000, Output(full_scale, 16_000))


def test_a_quiet_waveform_stays_as_it_is():
    quiet = tone(amplitude=0.9)
    np.testing.assert_array_equal(generation().finish(quiet), quiet)


def test_a_loud_waveform_is_within_full_scale():
    finished = generation().finish(tone(amplitude=1.8))
    assert finished.dtype == np.float32
    assert np.abs(finished).max() <= 1


@pytest.mark.parametrize(
    ("peak", "gain"), [(0.6, 0.999 / 0.6), (0.5, 2.0), (0.25, 4.0), (0.125, 8.0), (0.01, 8.0)]
)
def test_full_scale_is_twice_the_level_of_training_and_more_for_what_stays_below_it(peak, gain):
    quiet = tone(amplitude=peak)
    at_peak = np.abs(quiet).argmax()
    finished = generation(full_scale=True).finish(quiet)
    assert finished[at_peak] == pytest.approx(gain * quiet[at_peak], rel=2e-3)


def test_silence_stays_silent_at_full_scale():
    assert not generation(full_scale=True).finish(np.zeros(16_000, np.float32)).any()
