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


@pytest.mark.parametrize(("amplitude", "peak"), [(3.0, 1.0), (0.6, 1.0), (0.2, 1.0), (0.01, 0.08)])
def test_peaks_come_to_full_scale_but_for_what_is_very_quiet(amplitude, peak):
    finished = generation(full_scale=True).finish(tone(amplitude=amplitude))
    assert np.abs(finished).max() == pytest.approx(peak, rel=2e-3)


def test_a_single_sample_does_not_decide_the_level():
    waveform = tone(amplitude=0.25)
    loud = waveform.copy()
    loud[8_000] = 2.0
    far = slice(10_000, None)
    finished = [generation(full_scale=True).finish(one)[far] for one in (waveform, loud)]
    np.testing.assert_allclose(*finished, rtol=1e-3, atol=1e-4)


def test_silence_stays_silent_at_full_scale():
    assert not generation(full_scale=True).finish(np.zeros(16_000, np.float32)).any()
