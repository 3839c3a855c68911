"""One recording from end to end: laws of what is measured."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfoley.data.measure import Meter, measure
from latentfoley.errors import AudioFileError
from signals import noise, tone


@pytest.fixture
def write(tmp_path):
    """Write a waveform; return what is measured."""

    def write(waveform, name="a.wav", rate=16_000, subtype="PCM_16"):
        soundfile.write(tmp_path / name, waveform, rate, subtype=subtype)
        return measure(tmp_path / name)

    return write


def test_a_tone(write):
    sound = write(tone(amplitude=0.5, duration_s=2))
    assert (sound.duration_s, sound.sample_rate, sound.channels) == (2, 16_000, 1)
    assert sound.kind == "WAV PCM_16"
    assert sound.peak == pytest.approx(0.5, abs=1e-3)
    assert sound.rms == pytest.approx(0.5 / 2**0.5, rel=1e-3)
    assert not sound.silent and not sound.clipped


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 1600), max_size=5))
def test_what_is_measured_does_not_depend_on_the_blocks(cuts):
    whole, parts = Meter(), Meter()
    samples = noise(0.1)[:, None]
    whole.add(16_000, samples)
    for block in np.split(samples, sorted(cuts)):
        if len(block):
            parts.add(16_000, block)
    one, other = whole.measure(""), parts.measure("")
    assert one.digest == other.digest
    assert (one.duration_s, one.peak) == (other.duration_s, other.peak)
    assert one.rms == pytest.approx(other.rms)


class TestSameSound:
    def test_in_other_containers(self, write):
        steps = (2**15 * noise(0.5)).astype(np.int16)  # libsndfile rounds floats by the format
        one, flac, wide = write(steps), write(steps, "a.flac"), write(steps, subtype="PCM_24")
        assert one.digest == flac.digest == wide.digest

    def test_mono_and_the_same_on_two_channels(self, write):
        sound = noise(0.5)
        assert write(sound).digest == write(np.stack([sound, sound], axis=1)).digest

    def test_another_rate_is_another_sound(self, write):
        assert write(tone()).digest != write(tone(), rate=8000).digest

    def test_one_sample_makes_another_sound(self, write):
        sound = noise(0.5)
        other = sound.copy()
        other[4000] += 0.01
        assert write(sound).digest != write(other).digest


class TestLevel:
    def test_silence(self, write):
        assert write(np.zeros(100)).silent
        assert not write(np.full(100, 0.01)).silent

    @pytest.mark.parametrize(("run", "clipped"), [(1, 0), (2, 0), (3, 3), (7, 7)])
    @pytest.mark.parametrize("level", [1.0, -1.0])
    def test_three_samples_in_a_row_at_full_scale_are_clipped(self, write, run, clipped, level):
        waveform = noise(0.1)
        waveform[500 : 500 + run] = level
        assert write(waveform).clipped == clipped

    def test_one_channel_of_two(self, write):
        stereo = np.stack([noise(0.1), noise(0.1)], axis=1)
        stereo[100:105, 1] = 1
        assert write(stereo).clipped == 5

    def test_a_full_scale_tone_is_not(self, write):
        assert not write(tone(440, amplitude=1.0)).clipped


def test_what_cannot_be_decoded(tmp_path):
    (tmp_path / "a.wav").write_text("hello")
    with pytest.raises(AudioFileError, match="is not a recording"):
        measure(tmp_path / "a.wav")


def test_what_is_cut_short(tmp_path):
    soundfile.write(tmp_path / "a.flac", noise(5.0), 16_000)
    whole = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioFileError, match="cut short"):
        measure(tmp_path / "a.flac")
