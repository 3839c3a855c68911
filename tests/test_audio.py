"""Reading recordings, and the arithmetic on waveforms."""

import math
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from latentfoley.audio import (
    Recording,
    Resampler,
    count_clipped,
    fit_length,
    is_silent,
    mix_down,
    normalise_peak,
    read_audio,
    require_finite,
    require_sound,
    resample,
    stream_audio,
    write_audio,
)
from latentfoley.errors import AudioFileError, InputError, ModelError, RecordingWarning
from signals import chirp, click, noise, tone

RATES = [(44_100, 16_000), (48_000, 16_000), (22_050, 16_000), (192_000, 16_000), (16_000, 48_000)]
waveforms = arrays(np.float32, st.integers(1, 300), elements=st.floats(-1, 1, width=32))


@pytest.fixture
def save(tmp_path):
    """Write samples of shape (N,) or (N, channels) with soundfile; return the path."""

    def save(samples, name="in.wav", sample_rate=16_000, subtype="FLOAT", **kwargs):
        path = tmp_path / name
        soundfile.write(path, samples, sample_rate, subtype=subtype, **kwargs)
        return path

    return save


def level_db(waveform, frequency_hz, sample_rate):
    """Level of one frequency in the middle half of a waveform, re amplitude 1."""
    middle = waveform[len(waveform) // 4 : 3 * len(waveform) // 4].astype(np.float64)
    window = np.hanning(len(middle))
    turn = np.exp(-2j * np.pi * frequency_hz * np.arange(len(middle)) / sample_rate)
    return 20 * math.log10(2 * abs((middle * window * turn).sum()) / window.sum() + 1e-12)


def claim_flac_length(path, n_samples):
    """Overwrite the 36 bits of a FLAC header that say how many samples follow."""
    data = bytearray(path.read_bytes())
    field = int.from_bytes(data[18:26], "big") >> 36 << 36 | n_samples
    data[18:26] = field.to_bytes(8, "big")
    path.write_bytes(data)


class TestMixingDown:
    @pytest.mark.parametrize("channels", [1, 2, 3, 6, 8])
    def test_mono_is_the_mean_of_the_channels(self, save, channels):
        samples = np.stack([noise(0.1, seed=c) for c in range(channels)], axis=1)
        recording = read_audio(save(samples))
        np.testing.assert_allclose(recording.waveform, samples.mean(axis=1), atol=1e-7)
        assert recording.channels == channels

    def test_a_sound_on_the_right_only_is_kept(self, save):
        stereo = np.stack([np.zeros(1600), tone(duration_s=0.1)], axis=1)
        recording = read_audio(save(stereo))
        np.testing.assert_allclose(recording.waveform, 0.5 * tone(duration_s=0.1), atol=1e-7)

    def test_eight_channels_at_192_khz(self, save):
        one = tone(440, 0.5, 192_000)
        path = save(np.repeat(one[:, None], 8, axis=1), sample_rate=192_000)
        recording = read_audio(path)
        assert recording.waveform.shape == (8000,)
        assert (recording.sample_rate, recording.original_sample_rate) == (16_000, 192_000)
        assert recording.duration_s == 0.5
        assert level_db(recording.waveform, 440, 16_000) == pytest.approx(-6.02, abs=0.1)


class TestResampling:
    @pytest.mark.parametrize(("source", "target"), RATES)
    @pytest.mark.parametrize("frequency_hz", [50.0, 440.0, 3000.0, 7000.0])
    def test_a_tone_keeps_frequency_and_amplitude(self, source, target, frequency_hz):
        resampled = resample(tone(frequency_hz, 1.0, source), source, target)
        assert level_db(resampled, frequency_hz, target) == pytest.approx(-6.02, abs=0.1)

    def test_what_does_not_fit_the_new_rate_is_removed_not_folded(self):
        resampled = resample(tone(10_000, 1.0, 44_100), 44_100, 16_000)
        assert np.abs(resampled[4000:12_000]).max() < 1e-4  # it would fold to 6 kHz

    @settings(max_examples=60, deadline=None)
    @given(
        n_samples=st.integers(1, 5000),
        source=st.integers(1000, 192_000),
        target=st.integers(1000, 48_000),
    )
    def test_length_follows_from_the_rates(self, n_samples, source, target):
        resampled = resample(np.zeros(n_samples, np.float32), source, target)
        assert abs(len(resampled) - n_samples * target / source) <= 0.5 or len(resampled) == 1
        assert resampled.dtype == np.float32

    def test_a_click_stays_where_it_is(self):
        assert np.abs(resample(click(0.25, 1.0, 48_000), 48_000, 16_000)).argmax() == 4000

    def test_the_same_rate_changes_nothing(self):
        np.testing.assert_array_equal(resample(chirp(), 16_000, 16_000), chirp())

    def test_nothing_stays_nothing(self):
        assert resample(np.zeros(0, np.float32), 48_000, 16_000).shape == (0,)

    @settings(max_examples=60, deadline=None)
    @given(data=st.data(), rates=st.sampled_from([*RATES, (655_350, 16_000), (8_000, 48_000)]))
    def test_in_blocks_it_gives_the_same_samples(self, data, rates):
        waveform = noise(1.0)[: data.draw(st.integers(1, 16_000))]
        cuts = sorted(data.draw(st.lists(st.integers(0, len(waveform)), max_size=5)))
        resampler = Resampler(*rates)
        for block in np.split(waveform, cuts):
            resampler.take(block)
        np.testing.assert_array_equal(resampler.finish(), resample(waveform, *rates))

    @pytest.mark.parametrize("rates", [(0, 16_000), (16_000, 0), (-1, 16_000)])
    def test_refuses_rates_that_are_none(self, rates):
        with pytest.raises(InputError, match="allowed: > 0"):
            resample(tone(), *rates)


class TestLevelAndLength:
    @settings(max_examples=50, deadline=None)
    @given(
        gain=st.floats(1e-3, 1e3), offset=st.floats(-10, 10), peak=st.sampled_from([0.1, 0.5, 1.0])
    )
    def test_peak_does_not_depend_on_gain_or_offset(self, gain, offset, peak):
        waveform = gain * noise(0.05).astype(np.float64) + offset
        normalised = normalise_peak(waveform, peak)
        assert np.abs(normalised).max() == pytest.approx(peak, rel=1e-4)
        np.testing.assert_allclose(normalised, normalise_peak(noise(0.05), peak), atol=1e-4)

    @settings(max_examples=50, deadline=None)
    @given(waveforms)
    def test_never_louder_than_the_peak_and_always_finite(self, waveform):
        assert np.abs(normalise_peak(waveform)).max() <= 0.5

    @pytest.mark.parametrize("level", [0.0, 0.3, -1.0])
    def test_silence_and_constants_give_silence(self, level):
        normalised = normalise_peak(np.full(1000, level, np.float32))
        assert np.abs(normalised).max() < 1e-6

    def test_no_samples_stay_none(self):
        assert normalise_peak(np.zeros(0, np.float32)).shape == (0,)

    @settings(max_examples=50, deadline=None)
    @given(waveforms, st.integers(1, 600))
    def test_fit_length_crops_or_pads_the_end(self, waveform, n_samples):
        fitted = fit_length(waveform, n_samples)
        kept = min(len(waveform), n_samples)
        assert fitted.shape == (n_samples,)
        np.testing.assert_array_equal(fitted[:kept], waveform[:kept])
        assert not fitted[kept:].any()

    @pytest.mark.parametrize("n_samples", [0, -1])
    def test_refuses_a_length_of_nothing(self, n_samples):
        with pytest.raises(InputError, match="1 or more"):
            fit_length(tone(), n_samples)


class TestRequireSound:
    def test_lets_sound_pass(self):
        require_sound(tone(amplitude=0.001), "the clip")

    @pytest.mark.parametrize(
        ("waveform", "message"),
        [
            (np.zeros(16_000, np.float32), "the clip is silent.*-80 dBFS"),
            (tone(amplitude=5e-5), "the clip is silent: its peak is 5.0e-05"),
            (tone()[:1], "the clip is too short: 1 samples; allowed: 160 or more"),
            (np.zeros(0, np.float32), "too short: 0 samples"),
            (np.full(16_000, np.nan, np.float32), "NaN or infinite"),
        ],
    )
    def test_says_what_is_wrong(self, waveform, message):
        with pytest.raises(InputError, match=message):
            require_sound(waveform, "the clip")


class TestRequireFinite:
    def test_lets_any_level_pass(self):
        require_finite(1e6 * tone(), "tiny")
        require_finite(np.zeros(0, np.float32), "tiny")

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
    def test_names_the_model(self, bad):
        waveform = tone()
        waveform[5:7] = bad
        with pytest.raises(ModelError, match="model 'tiny' made 2 of 16,000 samples that are NaN"):
            require_finite(waveform, "tiny")


class TestReading:
    @pytest.mark.parametrize(
        ("name", "subtype"),
        [
            ("a.wav", "PCM_U8"),
            ("a.wav", "PCM_16"),
            ("a.wav", "PCM_24"),
            ("a.wav", "PCM_32"),
            ("a.wav", "DOUBLE"),
            ("a.aiff", "PCM_16"),
            ("a.aiff", "FLOAT"),
            ("a.flac", "PCM_24"),
            ("a.ogg", "VORBIS"),
            ("a.ogg", "OPUS"),
            ("a.mp3", "MPEG_LAYER_III"),
        ],
    )
    def test_every_allowed_format(self, save, name, subtype):
        recording = read_audio(save(tone(440, 1.0), name, subtype=subtype))
        assert recording.waveform.shape == (16_000,)
        assert recording.waveform.dtype == np.float32
        assert level_db(recording.waveform, 440, 16_000) == pytest.approx(-6.02, abs=0.2)

    def test_extensible_wav(self, save):
        path = save(tone(), format="WAVEX")
        np.testing.assert_array_equal(read_audio(path).waveform, tone())

    @pytest.mark.parametrize("name", ["no-suffix", "wrong.mp3", "ünïcödé 雨.wav"])
    def test_contents_decide_not_the_name(self, save, tmp_path, name):
        path = save(tone()).rename(tmp_path / name)
        np.testing.assert_array_equal(read_audio(path).waveform, tone())

    @pytest.mark.parametrize(("name", "subtype"), [("a.mp3", None), ("a.ogg", None)])
    def test_there_are_no_seams_between_blocks(self, save, name, subtype, monkeypatch):
        path = save(noise(3.0), name, subtype=subtype)
        whole = soundfile.read(path, dtype="float32")[0]
        monkeypatch.setattr("latentfoley.decoding._BLOCK_SAMPLES", 1000)
        np.testing.assert_allclose(read_audio(path).waveform, whole, atol=1e-6)

    def test_none_keeps_the_rate_of_the_file(self, save):
        recording = read_audio(save(tone(440, 0.1, 44_100), sample_rate=44_100), sample_rate=None)
        assert (recording.sample_rate, len(recording.waveform)) == (44_100, 4410)

    def test_one_sample_is_read(self, save):
        recording = read_audio(save(np.array([0.25], np.float32)))
        np.testing.assert_array_equal(recording.waveform, [0.25])

    def test_one_sample_survives_resampling(self, save):
        assert len(read_audio(save(tone()[:1], sample_rate=192_000)).waveform) == 1

    def test_silence_is_read(self, save):
        assert not read_audio(save(np.zeros(1600, np.float32))).waveform.any()

    def test_louder_than_full_scale_is_not_clipped(self, save):
        recording = read_audio(save(tone(amplitude=3.0)))
        assert np.abs(recording.waveform).max() == pytest.approx(3.0, rel=1e-3)

    def test_a_recording_cannot_be_changed(self):
        recording = Recording(tone(), 16_000, 16_000, 1)
        with pytest.raises(AttributeError):
            recording.sample_rate = 8000


class TestReadingAPart:
    @pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
    def test_a_part_is_a_slice_of_the_whole(self, save, name):
        path = save(chirp(duration_s=2.0), name, subtype=None)
        whole = read_audio(path).waveform
        part = read_audio(path, start_s=0.5, duration_s=0.25).waveform
        np.testing.assert_allclose(part, whole[8000:12_000], atol=1e-6)

    def test_the_end_of_the_file_ends_the_part(self, save):
        assert len(read_audio(save(tone()), start_s=0.75, duration_s=9.0).waveform) == 4000

    def test_a_part_of_a_long_file_is_within_the_limit(self, save):
        path = save(tone(duration_s=3.0))
        assert read_audio(path, max_duration_s=1.0, duration_s=1.0).duration_s == 1.0

    def test_a_part_behind_the_end(self, save):
        with pytest.raises(AudioFileError, match="holds nothing from 5 s on; it is 1 s long"):
            read_audio(save(tone()), start_s=5.0)

    @pytest.mark.parametrize(
        "request_",
        [
            {"start_s": -1.0},
            {"start_s": math.nan},
            {"start_s": math.inf},
            {"duration_s": 0.0},
            {"duration_s": -2.0},
            {"duration_s": math.nan},
            {"max_duration_s": 0.0},
            {"max_duration_s": math.inf},
            {"sample_rate": 0},
            {"sample_rate": 10**9},
        ],
    )
    def test_refuses_times_and_rates_out_of_range(self, save, request_):
        with pytest.raises(InputError, match="allowed"):
            read_audio(save(tone()), **request_)


class TestLimitsAndLies:
    def test_longer_than_allowed(self, save):
        with pytest.raises(AudioFileError, match=r"holds 2.000 s of sound or more; allowed: 1.5 s"):
            read_audio(save(tone(duration_s=2.0)), max_duration_s=1.5)

    def test_exactly_as_long_as_allowed(self, save):
        assert read_audio(save(tone(duration_s=2.0)), max_duration_s=2.0).duration_s == 2.0

    def test_flac_that_claims_2_to_the_36_samples(self, save):
        path = save(tone(), "a.flac", subtype="PCM_16")
        claim_flac_length(path, 2**36 - 1)
        with pytest.raises(AudioFileError, match=r"4,294,967\.296 s of sound or more"):
            read_audio(path)
        with pytest.raises(AudioFileError, match="68,719,476,735 samples are promised, 16,000 can"):
            read_audio(path, max_duration_s=1e9)  # no room is made for what is only promised

    def test_flac_that_claims_twice_its_length(self, save):
        path = save(tone(), "a.flac", subtype="PCM_16")
        claim_flac_length(path, 32_000)
        with pytest.raises(AudioFileError, match="32,000 samples are promised, 16,000 can"):
            read_audio(path)

    def test_flac_of_unknown_length_is_read_to_its_end(self, save):
        path = save(tone(), "a.flac", subtype="PCM_16")
        claim_flac_length(path, 0)
        assert len(read_audio(path).waveform) == 16_000

    def test_flac_of_unknown_length_stops_at_the_limit(self, save):
        path = save(tone(duration_s=2.0), "a.flac", subtype="PCM_16")
        claim_flac_length(path, 0)
        with pytest.raises(AudioFileError, match="allowed: 1 s"):
            read_audio(path, max_duration_s=1.0)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("channels", [1, 2])
    def test_samples_that_are_not_finite(self, save, bad, channels):
        samples = np.repeat(tone()[:, None], channels, axis=1)
        samples[8000, channels - 1] = bad
        with pytest.raises(AudioFileError, match=r"NaN or infinite samples, the first at 0\.5 s"):
            read_audio(save(samples))

    def test_opposite_infinities_do_not_hide_each_other(self, save):
        with pytest.raises(AudioFileError, match="NaN or infinite"):
            read_audio(save(np.array([[np.inf, -np.inf]], np.float32)))

    def test_doubles_beyond_float32(self, save):
        with pytest.raises(AudioFileError, match="NaN or infinite"):
            read_audio(save(np.array([0.0, 1e300]), subtype="DOUBLE"))

    @pytest.mark.parametrize("magnitude", [1e29, -1e10, 3e38])
    def test_samples_that_no_sound_has(self, save, magnitude):
        samples = tone()
        samples[8000] = magnitude
        with pytest.raises(AudioFileError, match=r"no sound has: \S+ at 0\.5 s.*up to 2\.1e\+09"):
            read_audio(save(samples))

    @pytest.mark.parametrize("scale", [2**15, 2**31])
    def test_integers_that_were_stored_as_float(self, save, scale):
        path = save(scale * tone())
        with pytest.warns(RecordingWarning, match="where full scale is 1: integers"):
            waveform = read_audio(path).waveform
        np.testing.assert_array_equal(waveform, scale * tone())

    def test_channels_that_cancel_each_other(self, save):
        with pytest.raises(AudioFileError, match=r"cancel each other: their peak is 0\.5"):
            read_audio(save(np.stack([tone(), -tone()], axis=1)))

    def test_quiet_noise_in_two_channels_is_silence(self, save):
        read_audio(save(1e-4 * np.stack([tone(), -tone()], axis=1)))

    def test_no_samples(self, save):
        with pytest.raises(AudioFileError, match="holds no samples"):
            read_audio(save(np.zeros(0, np.float32)))

    def test_damaged_in_the_middle(self, save):
        path = save(noise(4.0), "a.flac", subtype="PCM_16")
        data = bytearray(path.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 20_000] = bytes(20_000)
        path.write_bytes(data)
        with pytest.raises(AudioFileError, match=r"damaged or cut short|cut short or its header"):
            read_audio(path)


class TestStreaming:
    @pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
    def test_the_blocks_are_the_recording(self, tmp_path, name):
        write_audio(tmp_path / name, noise(40.0), 16_000, provenance=None)
        blocks = list(stream_audio(tmp_path / name))
        assert len(blocks) > 1
        assert {rate for rate, _ in blocks} == {16_000}
        whole = np.concatenate([mix_down(block) for _, block in blocks])
        np.testing.assert_array_equal(whole, read_audio(tmp_path / name).waveform)

    def test_what_is_too_long_is_said_at_once(self, save):
        with pytest.raises(AudioFileError, match=r"2\.000 s of sound or more; allowed: 1 s"):
            next(stream_audio(save(noise(2.0)), max_duration_s=1))

    def test_what_is_short_is_said_at_the_end(self, save):
        path = save(noise(1.0), "a.flac", subtype="PCM_16")
        claim_flac_length(path, 20_000)
        stream = stream_audio(path)
        assert len(next(stream)[1]) == 16_000
        with pytest.raises(AudioFileError, match="cut short or its header is wrong"):
            next(stream)


class TestWritingAndReadingBack:
    @pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
    @pytest.mark.parametrize("n_samples", [1, 2, 575, 577, 1153, 81_920, 163_840])
    def test_every_format_gives_back_as_many_samples(self, tmp_path, name, n_samples):
        waveform = fit_length(chirp(duration_s=10.24), n_samples)
        write_audio(tmp_path / name, waveform, 16_000, provenance=None)
        assert len(read_audio(tmp_path / name).waveform) == n_samples

    @pytest.mark.parametrize(
        ("name", "subtype", "step"),
        [
            ("a.wav", "PCM_16", 2**-15),
            ("a.wav", "PCM_24", 2**-23),
            ("a.flac", "PCM_16", 2**-15),
            ("a.flac", "PCM_24", 2**-23),
            ("a.wav", "FLOAT", 0),
        ],
    )
    def test_within_half_a_step_and_then_to_the_bit(self, tmp_path, name, subtype, step):
        path = tmp_path / name
        write_audio(path, chirp(amplitude=0.99), 16_000, provenance=None, subtype=subtype)
        once = read_audio(path).waveform
        assert np.abs(once - chirp(amplitude=0.99)).max() <= step / 2 + 2**-25
        write_audio(path, once, 16_000, provenance=None, subtype=subtype)
        np.testing.assert_array_equal(read_audio(path).waveform, once)


class TestMemory:
    @pytest.mark.parametrize(("rate", "seconds", "channels"), [(655_350, 20, 1), (192_000, 10, 6)])
    def test_it_grows_with_the_result_and_not_with_the_file(self, save, rate, seconds, channels):
        silence = np.zeros((seconds * rate, channels), np.int16)
        path = save(silence, "a.flac", rate, "PCM_16")
        del silence
        read_audio(path, duration_s=1.0)
        tracemalloc.start()
        recording = read_audio(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert recording.duration_s == seconds
        assert peak < 16 * 2**20  # whole, the file takes 50 MB and more

    def test_a_result_has_a_limit_in_samples(self, save, monkeypatch):
        monkeypatch.setattr("latentfoley.audio._MAX_SAMPLES", 32_000)
        path = save(tone(duration_s=40.0), subtype="PCM_16")
        with pytest.raises(AudioFileError, match="allowed: 2 s"):
            read_audio(path)


@pytest.mark.parametrize(("peak", "silent"), [(0.0, True), (1e-4, True), (1.1e-4, False)])
def test_silence_is_nothing_above_80_db_below_full_scale(peak, silent):
    waveform = np.zeros((50, 2))
    waveform[7, 1] = -peak
    assert is_silent(waveform) == silent
    assert is_silent(waveform[:0])


@given(runs=st.lists(st.integers(0, 6), max_size=6))
def test_clipped_samples_stand_three_or_more_in_a_row(runs):
    """A run of k at full scale counts k if k is 3 or more, and never without a gap from others."""
    waveform = np.concatenate([np.array([0.5] + k * [0.999]) for k in runs] + [np.zeros(1)])
    expected = sum(k for k in runs if k >= 3)
    assert count_clipped(waveform) == expected
    assert count_clipped(np.stack([waveform, -waveform], axis=1)) == 2 * expected
