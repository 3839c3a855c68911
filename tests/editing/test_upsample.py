"""Super-resolution: the cutoff is found, what is below it stays."""

import numpy as np
import pytest

from latentfoley.audio import resample
from latentfoley.editing.upsample import find_cutoff
from latentfoley.errors import InputError
from signals import noise, tone


@pytest.mark.parametrize("rate", [2000, 4000, 8000, 11_025])
def test_the_cutoff_is_half_the_rate_it_once_had(rate):
    heard = resample(noise(2.0, rate), rate, 16_000)
    assert find_cutoff(heard, 16_000) == pytest.approx(rate / 2, rel=0.1)


def test_full_band_noise_has_none():
    assert find_cutoff(noise(), 16_000) == 8000


def test_a_tone_ends_at_itself():
    assert find_cutoff(tone(1000), 16_000) == pytest.approx(1000, abs=60)


def test_shorter_than_a_window():
    assert 0 < find_cutoff(tone(1000)[:100], 16_000) <= 8000


@pytest.mark.parametrize(("rate", "options"), [(4000, {}), (16_000, {"cutoff_hz": 3000})])
def test_what_is_below_stays_and_what_is_above_is_new(edit, rate, options):
    source = noise(1.0, rate, seed=3)
    clip = edit("upsample", source, "rain", rate=rate, **options)
    cutoff = clip.provenance.edit.settings["cutoff_hz"]
    assert cutoff == pytest.approx(options.get("cutoff_hz", 1900), rel=0.1)
    before = resample(source, rate, 16_000)
    assert clip.waveform.shape == before.shape
    hz = np.fft.rfftfreq(16_000, 1 / 16_000)
    change = np.abs(np.fft.rfft(clip.waveform - before))
    assert change[hz < cutoff - 100].max() < 0.03 * change.max()
    assert change[hz > cutoff + 100].mean() > 0.1


def test_nothing_is_missing(edit):
    with pytest.raises(InputError, match=r"'in.wav' reaches up to 8000 Hz.* 7500 regenerates"):
        edit("upsample", noise(), "rain")
