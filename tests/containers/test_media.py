"""What FFmpeg reads, in a process of its own."""

import sys

import numpy as np
import pytest

from latentfoley.audio import read_audio
from latentfoley.containers import media, open_recording, read_comment
from latentfoley.errors import AudioFileError, RecordingWarning
from signals import chirp

av = pytest.importorskip("av")

# name, encoder, rate, container where the suffix does not tell, whether the samples are exact
FORMATS = [
    ("a.m4a", "aac", 44_100, None),
    ("alac.m4a", "alac", 44_100, None),
    ("a.mp4", "aac", 48_000, None),
    ("a.aac", "aac", 44_100, "adts"),
    ("a.wma", "wmav2", 44_100, "asf"),
    ("a.webm", "libopus", 48_000, None),
    ("a.mka", "flac", 44_100, "matroska"),
    ("a.amr", "libopencore_amrnb", 8_000, None),
    ("a.au", "pcm_s16be", 44_100, None),
    ("a.caf", "pcm_s16le", 44_100, None),
    ("a.w64", "pcm_s16le", 44_100, None),
    ("a.rf64", "pcm_s16le", 44_100, "wav"),
    ("mulaw.wav", "pcm_mulaw", 44_100, None),
    ("adpcm.wav", "adpcm_ima_wav", 44_100, None),
    ("flac.ogg", "flac", 44_100, "ogg"),
    ("a.mp2", "mp2", 44_100, None),
    ("a.wv", "wavpack", 44_100, None),
    ("a.tta", "tta", 44_100, None),
]
EXACT = ("a.au", "a.caf", "a.w64", "a.rf64", "flac.ogg", "alac.m4a", "a.mka", "a.wv", "a.tta")
SAMPLE_FORMATS = {"tta": "s16", "wavpack": "s16p"}  # the encoders' own first choice is 8 bits
SECONDS = 2.0


def encode(path, codec, rate, container=None, n_tracks=1):
    """Write a chirp with PyAV; return what was encoded."""
    samples = chirp(duration_s=SECONDS, sample_rate=rate).astype(np.float32)
    options = {"rf64": "always"} if path.suffix == ".rf64" else {}
    with av.open(str(path), "w", format=container, options=options) as file:
        tracks = [file.add_stream(codec, rate=rate, layout="mono") for _ in range(n_tracks)]
        for track in tracks:
            track.bit_rate = 12_200 if rate == 8_000 else 128_000
            track.format = SAMPLE_FORMATS.get(codec, track.format.name)
        for track in tracks:
            resampler = av.AudioResampler(
                format=track.format.name, frame_size=track.codec_context.frame_size or 1024
            )
            frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
            frame.rate, frame.pts = rate, 0
            for part in [*resampler.resample(frame), *resampler.resample(None), None]:
                file.mux(track.encode(part))
    return samples


@pytest.fixture
def m4a(tmp_path):
    encode(tmp_path / "a.m4a", "aac", 44_100)
    return tmp_path / "a.m4a"


class TestFormats:
    @pytest.mark.parametrize("case", FORMATS, ids=[case[0] for case in FORMATS])
    def test_each_is_read(self, tmp_path, case):
        name, codec, rate, container = case
        samples = encode(tmp_path / name, codec, rate, container)
        recording = read_audio(tmp_path / name, sample_rate=None)
        assert (recording.sample_rate, recording.channels) == (rate, 1)
        # A codec of frames pads the last and may delay the first.
        assert -0.03 < recording.duration_s - SECONDS < 0.15
        assert np.sqrt(np.square(recording.waveform).mean()) == pytest.approx(0.35, rel=0.2)
        if name in EXACT:
            np.testing.assert_allclose(recording.waveform, samples, atol=2**-15)

    def test_contents_decide_not_the_name(self, m4a):
        path = m4a.rename(m4a.with_name("a.wav"))
        assert read_audio(path).duration_s == pytest.approx(SECONDS, abs=0.15)

    def test_a_part_is_a_slice_of_the_whole(self, m4a):
        whole = read_audio(m4a, sample_rate=None).waveform
        part = read_audio(m4a, sample_rate=None, start_s=0.5, duration_s=1.0).waveform
        np.testing.assert_array_equal(part, whole[22_050 : 22_050 + 44_100])

    def test_a_length_that_is_not_known_is_no_cut(self, tmp_path):
        encode(tmp_path / "a.au", "pcm_s16be", 44_100)
        data = (tmp_path / "a.au").read_bytes()
        (tmp_path / "a.au").write_bytes(data[:8] + b"\xff" * 4 + data[12:])
        assert read_audio(tmp_path / "a.au").duration_s == SECONDS

    def test_it_is_named(self, m4a):
        with open_recording(m4a) as file:
            assert (file.format, file.subtype) == ("MPEG-4", "AAC")

    def test_the_comment(self, tmp_path):
        path = tmp_path / "a.m4a"
        with av.open(str(path), "w") as file:
            file.metadata["comment"] = "the sea"
            track = file.add_stream("aac", rate=44_100, layout="mono")
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            frame.rate = 44_100
            file.mux(track.encode(frame))
            file.mux(track.encode(None))
        assert read_comment(path) == "the sea"


class TestItIsSaid:
    @pytest.mark.parametrize(
        ("name", "part"),
        [
            *(("a.caf", 0.6), ("a.w64", 0.6), ("a.rf64", 0.6), ("a.au", 0.6)),
            *(("a.wma", 0.6), ("a.webm", 0.6), ("a.m4a", 0.05), ("a.m4a", 0.6)),
        ],
    )
    def test_where_it_is_cut_short(self, tmp_path, name, part):
        codec, rate, container = next(case[1:] for case in FORMATS if case[0] == name)
        path = tmp_path / name
        encode(path, codec, rate, container)
        path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
        with pytest.raises(AudioFileError, match=r"cut short|damaged|no samples"):
            read_audio(path)

    def test_where_a_chunk_claims_half_of_all_bytes_there_could_be(self, tmp_path):
        (tmp_path / "a.caf").write_bytes(b"caff\0\1\0\0desc\x7f" + b"\xff" * 40)
        with pytest.raises(AudioFileError, match="cut short"):
            read_audio(tmp_path / "a.caf")

    @pytest.mark.parametrize(
        "head", [b"\0\0\0\x20ftypM4A ", b"\x1aE\xdf\xa3", b"#!AMR\n", b"RF64\0\0\0\0WAVE"]
    )
    def test_where_only_the_first_bytes_are_right(self, tmp_path, head):
        (tmp_path / "a.wav").write_bytes(head + bytes(1000))
        with pytest.raises(AudioFileError, match=r"cannot be decoded|no samples|no sound|without"):
            read_audio(tmp_path / "a.wav")

    def test_where_there_are_two_tracks(self, tmp_path):
        encode(tmp_path / "a.mka", "flac", 44_100, "matroska", n_tracks=2)
        with pytest.warns(RecordingWarning, match="holds 2 sound tracks; one is read"):
            read_audio(tmp_path / "a.mka")

    def test_which_extra_is_missing(self, m4a, monkeypatch):
        monkeypatch.setattr(media, "find_spec", lambda name: None)
        with pytest.raises(AudioFileError, match=r"is MPEG-4, which .* 'latentfoley\[media\]'"):
            read_audio(m4a)

    def test_a_part_behind_the_end(self, m4a):
        with pytest.raises(AudioFileError, match="holds nothing from 9 s on"):
            read_audio(m4a, start_s=9.0)

    def test_longer_than_allowed(self, m4a):
        with pytest.raises(AudioFileError, match="allowed: 1 s"):
            read_audio(m4a, max_duration_s=1.0)


class TestLimits:
    @pytest.mark.skipif(sys.platform != "linux", reason="limits are those of Linux")
    def test_memory(self, m4a, monkeypatch):
        monkeypatch.setattr(media, "_MAX_BYTES", 1 << 20)
        with pytest.raises(AudioFileError, match="its decoder failed, took more than"):
            read_audio(m4a)

    def test_time(self, m4a, monkeypatch, tmp_path):
        sleeper = tmp_path / "sleep.py"
        sleeper.write_text("import time; time.sleep(60)")
        monkeypatch.setattr(media, "_DECODER", sleeper)
        monkeypatch.setattr(media, "_MAX_WAIT_S", 0.2)
        with pytest.raises(AudioFileError, match="its decoder failed, took more than"):
            read_audio(m4a)

    def test_a_crash(self, m4a, monkeypatch, tmp_path):
        crash = tmp_path / "crash.py"
        crash.write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        monkeypatch.setattr(media, "_DECODER", crash)
        with pytest.raises(AudioFileError, match="its decoder failed"):
            read_audio(m4a)

    def test_no_process_is_left(self, m4a):
        with open_recording(m4a) as file:
            file.read(100)
        assert file._process.returncode is not None
