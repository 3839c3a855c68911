"""Writing recordings: whole or not at all, the same every time, and never clipped in silence."""

import errno
import os
import stat
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from latentfoley.audio import read_audio, write_audio
from latentfoley.encoding import encode_audio, json_line, safe_gain, write_atomically
from latentfoley.errors import AudioFileError, InputError
from signals import chirp, noise, tone

FORMATS = [".wav", ".flac", ".ogg", ".mp3"]
texts = st.text("aÉ雨🐕\"'\\\n\r\t\x1b\x00\u2028")
waveforms = arrays(np.float32, st.integers(1, 300), elements=st.floats(-4, 4, width=32))


def write(path, waveform, sample_rate=16_000, provenance=None, **kwargs):
    return write_audio(path, waveform, sample_rate, provenance=provenance, **kwargs)


def no_space(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_a_long_sound_is_encoded_without_a_copy_of_its_samples(suffix, gain):
    long = np.resize(gain * noise(), 100 * 16_000)
    tracemalloc.start()
    encode_audio(long, 16_000, suffix=suffix, provenance=None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.9 * long.nbytes  # the file, as it grows, and one block


class TestSamples:
    @settings(max_examples=50, deadline=None)
    @given(waveform=waveforms, subtype=st.sampled_from(["PCM_16", "PCM_24", "FLOAT"]))
    def test_what_is_read_is_what_was_written_up_to_gain_and_rounding(
        self, tmp_path_factory, waveform, subtype
    ):
        path = tmp_path_factory.getbasetemp() / "law.wav"
        gain = write(path, waveform, subtype=subtype)
        step = {"PCM_16": 2**-15, "PCM_24": 2**-23, "FLOAT": 0}[subtype]
        back = read_audio(path).waveform
        assert back.shape == waveform.shape
        # A full step at +1.0, which integers cannot hold; half a step elsewhere.
        assert np.abs(back - gain * waveform).max() <= step + 2**-22

    def test_rounding_adds_no_offset(self, tmp_path):
        quiet = noise(2.0, amplitude=2**-10)
        write(tmp_path / "a.wav", quiet)
        back = read_audio(tmp_path / "a.wav").waveform
        assert abs(float((back - quiet).mean())) < 2**-15 / 50

    @pytest.mark.parametrize("suffix", FORMATS)
    def test_the_same_waveform_gives_the_same_samples(self, tmp_path, suffix):
        for name in ("a", "b"):
            write(tmp_path / f"{name}{suffix}", chirp())
        first, second = (read_audio(tmp_path / f"{name}{suffix}").waveform for name in "ab")
        np.testing.assert_array_equal(first, second)

    @pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
    def test_the_same_waveform_gives_the_same_bytes(self, suffix):
        first, second = (
            encode_audio(chirp(), 16_000, suffix=suffix, provenance={"a": 1}) for _ in range(2)
        )
        assert first == second

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_float_types_are_equal(self, tmp_path, dtype):
        waveform = np.array([0.0, 0.5, -0.25, 0.125], dtype)
        write(tmp_path / "a.wav", waveform)
        np.testing.assert_array_equal(read_audio(tmp_path / "a.wav").waveform, waveform)

    @pytest.mark.parametrize(
        ("suffix", "subtype"), [(".ogg", "VORBIS"), (".ogg", "OPUS"), (".mp3", None)]
    )
    def test_lossy_formats_stay_close(self, tmp_path, suffix, subtype):
        path = tmp_path / f"a{suffix}"
        write(path, tone(), subtype=subtype)
        error = read_audio(path).waveform - tone()
        assert 20 * np.log10(error[800:-800].std() / tone().std()) < -25

    def test_minutes_of_vorbis_do_not_crash_the_encoder(self, tmp_path):
        write(tmp_path / "a.ogg", np.zeros(4_000_000, np.float32))
        assert soundfile.info(tmp_path / "a.ogg").frames == 4_000_000


class TestLoudness:
    @settings(max_examples=50, deadline=None)
    @given(waveforms)
    def test_safe_gain_brings_the_peak_to_one_or_below(self, waveform):
        gain = safe_gain(waveform)
        assert np.abs(gain * waveform).max() <= 1.0
        assert gain == 1.0 or np.abs(waveform).max() > 1.0

    @pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
    def test_a_loud_waveform_is_scaled_not_clipped(self, tmp_path, subtype):
        gain = write(tmp_path / "a.wav", tone(amplitude=2.0), subtype=subtype)
        back = read_audio(tmp_path / "a.wav").waveform
        assert gain == pytest.approx(0.4995, rel=1e-5)
        np.testing.assert_allclose(back, gain * tone(amplitude=2.0), atol=2**-15)

    def test_full_scale_is_left_alone(self, tmp_path):
        assert write(tmp_path / "a.wav", np.array([1.0, -1.0], np.float32)) == 1.0


class TestRefusals:
    @pytest.mark.parametrize("name", ["a.wve", "a.flc", "a.aac", "a", ".wav", "a.wav.txt"])
    def test_unknown_suffix(self, tmp_path, name):
        with pytest.raises(InputError, match=r"allowed: \.wav, \.flac, \.ogg, \.mp3"):
            write(tmp_path / name, tone())

    def test_unknown_suffix_names_the_nearest(self, tmp_path):
        with pytest.raises(InputError, match=r"Did you mean '\.flac'\?"):
            write(tmp_path / "a.flc", tone())

    def test_the_case_of_a_suffix_does_not_matter(self, tmp_path):
        write(tmp_path / "A.WAV", tone())
        assert len(read_audio(tmp_path / "A.WAV").waveform) == 16_000

    @pytest.mark.parametrize(("suffix", "subtype"), [(".wav", "PCM_12"), (".mp3", "FLOAT")])
    def test_unknown_subtype(self, suffix, subtype):
        with pytest.raises(InputError, match=f"cannot hold '{subtype}'; allowed"):
            encode_audio(tone(), 16_000, suffix=suffix, provenance=None, subtype=subtype)

    @pytest.mark.parametrize(
        ("suffix", "subtype", "sample_rate"),
        [
            (".wav", None, 0),
            (".wav", None, -16_000),
            (".flac", None, 10**6),
            (".ogg", None, 384_000),
            (".ogg", "OPUS", 44_100),
            (".mp3", None, 96_000),
            (".mp3", None, 16_001),
        ],
    )
    def test_rates_the_format_cannot_hold(self, suffix, subtype, sample_rate):
        with pytest.raises(InputError, match=f"{sample_rate} Hz; allowed: "):
            encode_audio(tone(), sample_rate, suffix=suffix, provenance=None, subtype=subtype)

    @pytest.mark.parametrize(
        ("waveform", "message"),
        [
            (np.zeros(0, np.float32), "0 samples"),
            (np.array([0.0, np.nan, np.inf], np.float32), "NaN or infinite samples: 2 of 3"),
            (np.zeros((1, 16_000), np.float32), r"shape \(1, 16000\)"),
            (np.zeros((16_000, 2), np.float32), r"one dimension \(mono\)"),
            (np.zeros(100, np.int16), "type int16; allowed"),
            (np.zeros((), np.float32), r"shape \(\)"),
        ],
    )
    def test_what_is_no_waveform(self, tmp_path, waveform, message):
        with pytest.raises(InputError, match=message):
            write(tmp_path / "a.wav", waveform)
        assert not list(tmp_path.iterdir())

    def test_a_record_that_is_too_large(self):
        with pytest.raises(InputError, match="allowed: 50,000"):
            encode_audio(tone(), 16_000, suffix=".wav", provenance={"a": "b" * 60_000})

    @pytest.mark.parametrize("suffix", FORMATS)
    def test_the_largest_record_fits_every_format(self, suffix):
        record = {"a": "b" * (50_000 - 8)}
        assert encode_audio(tone(), 16_000, suffix=suffix, provenance=record)

    def test_the_largest_record_fits_opus(self):
        record = {"a": "b" * (50_000 - 8)}
        assert encode_audio(tone(), 16_000, suffix=".ogg", subtype="OPUS", provenance=record)


class TestWholeOrNotAtAll:
    @pytest.fixture(
        params=["soundfile.SoundFile.write", "os.fsync", "pathlib.Path.replace"],
        ids=["encoder", "disk", "rename"],
    )
    def broken(self, request, monkeypatch):
        monkeypatch.setattr(request.param, no_space)

    @pytest.mark.usefixtures("broken")
    def test_a_failure_leaves_nothing(self, tmp_path):
        with pytest.raises((AudioFileError, OSError), match="No space left on device"):
            write(tmp_path / "a.wav", tone())
        assert not list(tmp_path.iterdir())

    def test_a_failure_keeps_the_old_file(self, tmp_path, monkeypatch):
        write(tmp_path / "a.wav", tone())
        before = (tmp_path / "a.wav").read_bytes()
        monkeypatch.setattr("os.fsync", no_space)
        with pytest.raises(AudioFileError, match=r"a\.wav' cannot be written: No space left"):
            write(tmp_path / "a.wav", noise())
        assert (tmp_path / "a.wav").read_bytes() == before
        assert [entry.name for entry in tmp_path.iterdir()] == ["a.wav"]

    def test_an_interruption_leaves_nothing(self, tmp_path, monkeypatch):
        def interrupt(_):
            raise KeyboardInterrupt

        monkeypatch.setattr("os.fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "a.wav", tone())
        assert not list(tmp_path.iterdir())

    def test_folders_are_made(self, tmp_path):
        write(tmp_path / "new" / "deep" / "a.flac", tone())
        assert (tmp_path / "new" / "deep" / "a.flac").is_file()

    def test_the_target_is_a_folder(self, tmp_path):
        (tmp_path / "a.wav").mkdir()
        with pytest.raises(AudioFileError, match="cannot be written"):
            write(tmp_path / "a.wav", tone())
        assert [entry.name for entry in tmp_path.iterdir()] == ["a.wav"]

    def test_the_folder_is_a_file(self, tmp_path):
        (tmp_path / "a").touch()
        with pytest.raises(AudioFileError, match="cannot be written"):
            write(tmp_path / "a" / "b.wav", tone())

    @pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
    def test_others_may_read_it_as_any_new_file(self, tmp_path):
        (tmp_path / "plain").touch()
        write_atomically(tmp_path / "ours", b"bytes")
        modes = {stat.S_IMODE(entry.stat().st_mode) for entry in tmp_path.iterdir()}
        assert len(modes) == 1


class TestJsonLine:
    @settings(max_examples=50, deadline=None)
    @given(st.dictionaries(texts, texts | st.integers() | st.none(), max_size=5))
    def test_is_one_line_of_ascii(self, record):
        line = json_line(record)
        assert line.isascii()
        assert line.isprintable()
