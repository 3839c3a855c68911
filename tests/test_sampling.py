"""What is made of a run of the sampler: plain generation."""

import numpy as np

from latentfoley.request import GenerationRequest
from latentfoley.sampling import Generation
from signals import tone


def test_as_much_as_was_asked_for_is_kept():
    mode = Generation(GenerationRequest.build("rain", duration_s=0.5), 8_000)
    made = tone(amplitude=0.9)
    np.testing.assert_array_equal(mode.finish(made), made[:8_000])
