"""What every loop is held to, whichever way it was made."""

import numpy as np

AROUND = 2400  # samples on either side of the seam: 0.15 s


def assert_seamless(waveform):
    """The step from the last sample to the first, and its slope, are no larger than inner ones."""
    steps = np.abs(np.diff(waveform))
    assert abs(waveform[0] - waveform[-1]) <= steps.max()
    bends = np.abs(np.diff(np.concatenate([waveform[-AROUND:], waveform[:AROUND]]), 2))
    at_the_seam = slice(min(len(waveform), AROUND) - 2, min(len(waveform), AROUND) + 1)
    assert bends[at_the_seam].max() <= np.delete(bends, at_the_seam).max()
